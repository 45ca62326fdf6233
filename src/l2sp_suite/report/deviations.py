"""docs/deviations.md for the report: what differs from the paper, by scale and approach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Deviation", "Deviations", "read_deviations"]

_HEADING = re.compile(r"#+ (?P<title>.+)")
_MARK = re.compile(r"<!-- for: (?P<scale>\S+) (?P<approach>\S+) -->")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Deviation:
    """One line of the document, in its Markdown: what differs or is open, our choice and its reason, the key."""

    what: str
    choice: str
    key: str


@dataclass
class Deviations:
    """A section: it concerns one approach at one scale."""

    title: str
    scale: str
    approach: str
    entries: list[Deviation] = field(default_factory=list)


def read_deviations(path: Path) -> list[Deviations]:
    """The sections that a comment `<!-- for: SCALE APPROACH -->` assigns; none where there is no such file."""
    if not path.is_file():
        return []  # an installed package has no docs beside it
    found: list[Deviations] = []
    title, open_section = "", False
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := _HEADING.fullmatch(line):
            title, open_section = heading["title"], False
        elif mark := _MARK.fullmatch(line.strip()):
            found.append(Deviations(title, mark["scale"], mark["approach"]))
            open_section = True
        elif open_section and line.startswith("|"):
            found[-1].entries += _entry([cell.strip() for cell in _CELLS.split(line)[1:-1]])
    return found


def _entry(cells: Sequence[str]) -> list[Deviation]:
    """Of one line of a table; none for its head. Tables have three columns, or a number before them."""
    if len(cells) < 3 or cells[-1] == "key" or set(cells[-3]) <= set(":-"):
        return []
    return [Deviation(*(cell.replace("\\|", "|") for cell in cells[-3:]))]
