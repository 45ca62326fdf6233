"""The command `l2sp`."""

import re
from types import SimpleNamespace

import pytest

import l2sp
from l2sp import cli


def no_suite() -> object:
    raise ImportError("the suite needs pandas: pip install 'l2sp[suite]'")


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"count": lambda: lambda arguments: 10 + len(arguments), "broken": no_suite}
    points = [SimpleNamespace(name=name, load=load) for name, load in entries.items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: points if group == "l2sp.commands" else [])


@pytest.mark.parametrize(
    "call,status,parts",
    [
        (["penalty"], 0, ["L2    Decay to zero: alpha/2", "\nL2SP  Decay to the pre-trained weights"]),
        (
            ["penalty", "--explain"],
            0,
            ["\nL2SP(model, pretrained, alpha, beta, penalize)\n", "penalty.attach(optimizer)"],
        ),
        (
            ["penalty", "--explain"],
            0,
            ["\nGradient: alpha (w - w0) on the shared weights", "alpha: strength of the pull"],
        ),
        (["--version"], 0, [f"l2sp {l2sp.__version__}\n"]),
        (["--help"], 0, ["penalty ", "l2sp count --help"]),
        (["count", "a", "--help"], 12, []),
        ([], 2, ["required: command"]),
        (["nix"], 2, ["'nix'"]),
        (["penalty", "-x"], 2, ["-x"]),
        (["broken"], 2, ["l2sp broken: the suite needs pandas: pip install 'l2sp[suite]'"]),
    ],
)
def test_calls(call: list[str], status: int, parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(call)
    except SystemExit as end:
        code = end.code
    streams = capsys.readouterr()
    text = streams.err if status == 2 else streams.out
    assert code == status and not [part for part in parts if part not in text]
    assert status != 2 or re.fullmatch(r"l2sp.*: .*\n", text)  # one line
