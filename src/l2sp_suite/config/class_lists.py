"""Lists of classes that a run sees (`data.classes`), as a selection of source classes leaves them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from l2sp_suite.utils.errors import UserError

__all__ = ["COLUMN", "list_digest", "listed_sizes", "read_classes"]

COLUMN = "source"
"""The column of a list that names the classes."""


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes that a CSV names in its column `source`, each once, in the order of the file.

    Raises:
        UserError: there is no such file, it has no such column, or names no class.
    """
    return tuple(_lines(path))


def listed_sizes(path: Path) -> dict[str, int]:
    """The number of `classes` that a list has, and of the images of `train` where its column `images` says them.

    Raises:
        UserError: as `read_classes`.
    """
    lines = _lines(path)
    images = [row.get("images") or "" for row in lines.values()]
    counted = {"train": sum(map(int, images))} if all(map(str.isdecimal, images)) else {}
    return {"classes": len(lines), **counted}


def _lines(path: Path) -> dict[str, dict[str, str]]:
    """The first line of each class of a list, by its name."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # a spreadsheet may have put a mark before the header
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such list of classes; scripts/select_source.py makes it, see configs/source_selection"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path}: not a list of classes ({error}); make it again with scripts/select_source.py"
        ) from None
    lines: dict[str, dict[str, str]] = {}
    for row in rows:
        if name := row.get(COLUMN):
            lines.setdefault(name, row)
    if not lines:
        raise UserError(
            f"{path}: names no class in a column '{COLUMN}'; commas part the columns, the first line has their names"
        )
    return lines


def list_digest(names: Sequence[str]) -> str:
    """sha256 (hex) of a list of classes, whatever their order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
