"""The command `l2sp`."""

import re
from collections.abc import Callable

import pytest

import l2sp
from l2sp import cli


class Entry:
    """An entry point of the group `l2sp.commands`."""

    def __init__(self, name: str, load: Callable[[], object]) -> None:
        self.name, self.load = name, load


def no_suite() -> object:
    raise ImportError("the suite needs pandas: pip install 'l2sp[suite]'")


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Entry("count", lambda: lambda arguments: 10 + len(arguments)), Entry("broken", no_suite)]
    monkeypatch.setattr(cli, "entry_points", lambda group: entries if group == "l2sp.commands" else [])


def test_explain_says_formula_gradient_hyperparameters_and_use_of_every_penalty(capsys) -> None:
    assert cli.main(["penalty", "--explain"]) == 0
    text = capsys.readouterr().out
    for part in (
        "L2(model, pretrained, alpha, beta, penalize)",
        "L2SP(model, pretrained, alpha, beta, penalize)",
        "alpha/2 ||w_S - w0||^2 + beta/2 ||w_new||^2",
        "Gradient: alpha (w - w0) on the shared weights",
        "alpha: strength of the pull",
        "penalty.attach(optimizer)",
    ):
        assert part in text
    assert cli.main(["penalty"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("L2    Decay to zero")


def test_commands_of_other_packages_get_their_arguments(capsys) -> None:
    assert cli.main(["count", "a", "--help"]) == 12
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    assert "l2sp count --help" in capsys.readouterr().out


def test_version(capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"l2sp {l2sp.__version__}\n"


@pytest.mark.parametrize(
    "call,reason",
    [([], "required: command"), (["nix"], "'nix'"), (["penalty", "-x"], "-x"), (["broken"], r"'l2sp\[suite\]'")],
)
def test_wrong_calls_end_in_one_line_and_2(call: list[str], reason: str, capsys) -> None:
    try:
        status = cli.main(call)
    except SystemExit as error:
        status = error.code
    message = capsys.readouterr().err
    assert status == 2 and message.count("\n") == 1
    assert re.search(reason, message)
