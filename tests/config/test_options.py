"""Options of scripts: key=value into a dataclass, with one clear line for what cannot be."""

from dataclasses import dataclass, field

import pytest

from l2sp_suite.config import parse_options
from l2sp_suite.utils.errors import UserError


@dataclass(frozen=True)
class Options:
    scale: str = field(default="mini", metadata={"meaning": "how large"})
    seeds: int = 3
    plan: list[str] = field(default_factory=list)
    data: str | None = None
    dry: bool = False


def test_values_are_typed_and_the_last_one_counts() -> None:
    given = ["seeds=1", "plan=[table3,table6]", "data='/a b=c'", "dry=true", "seeds=2"]
    assert parse_options(Options, given) == Options("mini", 2, ["table3", "table6"], "/a b=c", True)
    assert parse_options(Options, []) == Options()
    assert parse_options(Options, ["plan=table3"]).plan == ["table3"]
    assert parse_options(Options, ["plan=table3,table6"]).plan == ["table3", "table6"]


@pytest.mark.parametrize(
    "argument,message",
    [
        ("sedes=1", "unknown configuration key 'sedes'; nearest: 'seeds'"),
        ("seeds=many", "seeds: .*could not be converted to Integer"),
        ("seeds=1,2", "seeds=1,2: give one value, as key=value"),
        ("+seeds=1", r"\+seeds=1: give one value"),
        ("data=/a=b", "cannot read data=/a=b: the value needs quotes of its own, in a shell \"data='/a=b'\""),
        ("data=it's=b", "in a shell 'data=\"it's=b\"'"),
        ("--dry", "cannot read --dry: write key=value"),
    ],
)
def test_what_cannot_be_is_one_line(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_options(Options, [argument])
    assert "\n" not in str(caught.value)


def test_help_lists_every_key_with_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(Options, ["--help"], "Does things.")
    text = capsys.readouterr().out
    assert caught.value.code == 0 and text.startswith("Does things.")
    assert all(line in text for line in ("scale=mini  how large", "seeds=3", "plan=[]", "data=null", "dry=false"))
