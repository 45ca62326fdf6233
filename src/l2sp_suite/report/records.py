"""Dataclasses to CSV files and back: same records, same bytes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_type_hints

from l2sp_suite.utils.errors import UserError

if TYPE_CHECKING:
    from typing import Protocol

    class Record(Protocol):
        """Any dataclass whose fields are texts, numbers and truth values."""

        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


__all__ = ["EMPTY", "columns", "format_records", "parse_records"]

EMPTY = {"empty": True}
"""Metadata of a field whose text may be empty though it has no default."""

T = TypeVar("T", bound="Record")


@cache
def columns(kind: type[Record]) -> tuple[str, ...]:
    """The names of a record's fields: the header of its file."""
    return tuple(field.name for field in fields(kind))


def format_records(kind: type[T], records: Iterable[T]) -> str:
    """Text of a file of `records`, in their order: ten significant digits, Unix line ends.

    An optional number that is none (NaN, None) is an empty cell; a required NaN is written, so that it stays visible.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns(kind))
    optional = _optional(kind)
    for record in records:
        writer.writerow([_write(getattr(record, name), name in optional) for name in columns(kind)])
    return out.getvalue()


def parse_records(kind: type[T], text: str, source: str | Path) -> list[T]:
    """Inverse of `format_records`.

    A column whose field has a default may be empty, or missing: the file was written before there was one.
    Raises `UserError`, with `source` and the line, for missing columns or a cell that does not parse.
    """
    reader = csv.DictReader(io.StringIO(text))
    optional, readers = _optional(kind), _readers(kind)
    missing = [name for name in columns(kind) if name not in (reader.fieldnames or ()) and name not in optional]
    if missing:
        raise UserError(f"{source}: no column {', '.join(missing)}; delete the file or make it anew from runs/")
    records = []
    for line in reader:
        try:
            given = {name: line.get(name) or "" for name in columns(kind)}
            records.append(kind(**{n: readers[n](text) for n, text in given.items() if text or n not in optional}))
        except (KeyError, ValueError) as error:
            raise UserError(f"{source}, line {reader.line_num}: {error}; restore the file") from error
    return records


@cache
def _optional(kind: type[Record]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind) if field.default is not MISSING)


@cache
def _readers(kind: type[Record]) -> dict[str, Callable[[str], object]]:
    known: dict[object, Callable[[str], object]] = {str: _text, float: float, int: int, int | None: int, bool: _truth}
    hints = get_type_hints(kind)
    return {f.name: str if f.metadata.get("empty") else known[hints[f.name]] for f in fields(kind)}


def _text(cell: str) -> str:
    if not cell:
        raise ValueError("an empty cell where a text must stand")
    return cell


def _truth(cell: str) -> bool:
    return {"true": True, "false": False}[cell]


def _write(value: object, optional: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if optional and math.isnan(value) else f"{value:.10g}"
    return str(value)
