"""The command `l2sp`: what the library has, and the subcommands that other packages add to it."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any, NoReturn

from l2sp import Penalty, __version__

__all__ = ["main"]

USE = """\
Use, for any of them (pretrained: the pre-trained weights by name, as in a state_dict):

    penalty = l2sp.L2SP(model, pretrained, alpha=0.1, beta=0.01)
    optimizer = torch.optim.SGD(penalty.param_groups(), lr=0.01, momentum=0.9)
    penalty.attach(optimizer)
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; gives the exit status, 2 for a wrong call.

    Each entry point of the group `l2sp.commands` is a subcommand of its name: a function that takes the list of
    its arguments and returns the exit status.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    others = {entry.name: entry for entry in entry_points(group="l2sp.commands")}
    if argv and argv[0] in others:
        try:
            command: Callable[[list[str]], int] = others[argv[0]].load()
        except ImportError as error:
            print(f"l2sp {argv[0]}: {error}", file=sys.stderr)
            return 2
        return command(argv[1:])
    parser = _Parser("l2sp", description="Penalties that pull fine-tuned weights towards the pre-trained ones.")
    parser.add_argument("--version", action="version", version=f"l2sp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    penalty = commands.add_parser("penalty", help="the penalties there are")
    penalty.add_argument("--explain", action="store_true", help="with formula, gradient, hyper-parameters and use")
    for name in others:
        commands.add_parser(name, help=f"see l2sp {name} --help")
    print(_penalties(parser.parse_args(argv).explain))
    return 0


def _penalties(explain: bool) -> str:
    kinds = list(_subclasses(Penalty))
    if not explain:
        return "\n".join(f"{kind.__name__:6}{(kind.__doc__ or '').splitlines()[0]}" for kind in kinds)
    calls = [
        f"{kind.__name__}(model, pretrained, {', '.join(kind.hyperparameter_names())}, penalize)" for kind in kinds
    ]
    texts = [f"{call}\n{inspect.getdoc(kind) or ''}" for call, kind in zip(calls, kinds, strict=True)]
    return "\n\n".join([*texts, USE])


def _subclasses(base: type[Any]) -> Iterator[type[Penalty]]:
    for kind in base.__subclasses__():
        if not kind.__name__.startswith("_"):
            yield kind
        yield from _subclasses(kind)
