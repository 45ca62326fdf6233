"""Data frames to the CSV files of a scale and back: same records, same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from l2sp_suite.utils.errors import UserError

HYPER = "*"
"""Stands in a schema where the hyper-parameters are, one column each; their names are their arms' own."""

_ARM = {"experiment": "name", "arm": "name"}
SCHEMAS: Mapping[str, Mapping[str, str]] = {
    "rows": {"scale": "name", "study": "text", **_ARM, "label": "text", HYPER: "hyper", "lr": "number",
             "selected": "truth", "seed": "whole", "steps": "whole", "metric": "name", "better": "name",
             "split": "name", "value": "number", "n": "whole?", "train_value": "number?", "distance_w0": "number?",
             "distance_zero": "number?", "config": "text", "w0": "text", "approach": "text", "target": "text",
             "task": "text", "metrics": "text", "paper": "text"},
    "curves": {**_ARM, HYPER: "hyper", "seed": "whole", "step": "whole", "loss": "number", "distance_w0": "number?",
               "distance_zero": "number?"},
    "layers": {**_ARM, HYPER: "hyper", "seeds": "whole", "depth": "whole", "layer": "name", "distance_w0": "number",
               "length": "number", "length_w0": "number"},
    "data": {"experiment": "name", "role": "name", "origin": "text",
             **dict.fromkeys(("classes", "train", "test", "train_clips", "test_clips"), "whole?")},
    "provenance": {"study": "text", **_ARM, HYPER: "hyper", "seed": "whole",
                   **dict.fromkeys(("commit", "changed", "python", "torch", "torchvision", "timm"), "text"),
                   "platform": "text", "device": "text", "cpus": "whole?", "threads": "whole?", "seconds": "number?",
                   "memory_mb": "whole?", "w0_classes": "text"},
    "nearest": {"target": "name", "rank": "whole", "source": "name", "label": "name", "family": "name",
                "similarity": "number", "images": "whole"},
    "similarity": {"kind": "name", "source": "name", "target": "name", "classes": "whole", "images": "whole",
                   "emd": "number", "similarity": "number"},
}  # fmt: skip
"""The columns of each file and what their cells hold.

`name`: a text that is not empty; `text`: any, also none; `whole`, `number`, `truth`; with `?`: maybe none. A column of
texts, or one with `?`, may be missing: the file was written before there was one.
"""
ORDER: Mapping[str, Sequence[str]] = {
    "rows": ("scale", "study", "experiment", "arm", HYPER, "seed"),
    "curves": ("experiment", "arm", HYPER, "seed", "step"),
    "layers": ("experiment", "arm", HYPER, "depth"),
    "data": ("experiment", "role"),
    "provenance": ("study", "experiment", "arm", HYPER, "seed"),
}
"""What the lines of a file are sorted by. In `rows` and `provenance` it names a run."""


def hyper_of(frame: pd.DataFrame, name: str) -> list[str]:
    """The hyper-parameters among the columns of a file's frame, sorted."""
    return sorted(set(frame.columns) - set(SCHEMAS[name])) if HYPER in SCHEMAS[name] else []


def columns_of(name: str, hyper: Sequence[str], columns: Sequence[str] | None = None) -> list[str]:
    """The columns of a file (or some of them) with the hyper-parameters in their place."""
    return [part for column in columns or SCHEMAS[name] for part in (hyper if column == HYPER else [column])]


def keys_of(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """A text for each line of a frame, by which lines of several frames are compared."""
    return ["/".join(map(str, line)) for line in zip(*(frame[name] for name in columns), strict=True)]


def sort_records(frame: pd.DataFrame, name: str, hyper: Sequence[str]) -> pd.DataFrame:
    """The frame in the order of its file."""
    by = columns_of(name, hyper, ORDER[name])
    texts = [column for column in by if column in hyper and any(isinstance(value, str) for value in frame[column])]
    return frame.sort_values(
        by, kind="stable", key=lambda c: c.astype(str) if c.name in texts else c, ignore_index=True
    )


def to_text(frame: pd.DataFrame, name: str, hyper: Sequence[str] = ()) -> str:
    """Text of a file: ten significant digits, Unix line ends.

    An optional number that is none is an empty cell; a required NaN is written, so that it stays visible.
    """
    kinds = SCHEMAS[name]
    cells = {c: [_cell(v, kinds.get(c, "hyper")) for v in frame[c]] for c in columns_of(name, hyper)}
    return pd.DataFrame(cells, dtype=object).to_csv(index=False, lineterminator="\n")


def _cell(value: Any, kind: str) -> str:
    if value is None or value is pd.NA or (value != value and kind != "number"):
        return ""
    if kind == "truth":
        return "true" if value else "false"
    if kind.startswith("whole"):  # a column with a gap holds floats
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def parse_records(text: str, name: str, source: str | Path) -> pd.DataFrame:
    """Inverse of `to_text`.

    Raises:
        UserError: with `source` and the line, for missing columns or a cell that does not parse.
    """
    kinds = SCHEMAS[name]
    try:
        raw = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False).fillna("")
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        reason = "no column" if isinstance(error, pd.errors.EmptyDataError) else str(error).strip()
        raise UserError(f"{source}: {reason}; restore the file or make it anew from runs/") from error
    optional = {column for column, kind in kinds.items() if kind in ("text", HYPER) or kind.endswith("?")}
    if missing := [c for c in kinds if c not in raw.columns and c not in optional and c != HYPER]:
        raise UserError(f"{source}: no column {', '.join(missing)}; delete the file or make it anew from runs/")
    frame = {}
    for column in columns_of(name, hyper_of(raw, name)):
        cells = raw[column] if column in raw.columns else [""] * len(raw)
        frame[column] = _column(list(cells), kinds.get(column, "hyper"), f"{source}, line {{}}: {column}:")
    return pd.DataFrame(frame)


def _column(cells: list[str], kind: str, where: str) -> Any:
    read = _READ[kind]
    values = []
    for number, cell in enumerate(cells, 2):
        try:
            values.append(read(cell))
        except (KeyError, ValueError) as error:
            raise UserError(f"{where.format(number)} {error}; restore the file") from error
    if kind.startswith("whole"):
        return pd.array(values, dtype="Int64" if kind.endswith("?") else "int64")
    return pd.Series(
        values, dtype={"number": float, "truth": bool}.get(kind.rstrip("?"), None if kind == "hyper" else object)
    )


def _name(cell: str) -> str:
    if not cell:
        raise ValueError("an empty cell where a text must stand")
    return cell


def hyper_value(value: Any) -> float | str:
    """A hyper-parameter: a number where it is one, also as text, else a text; NaN for an empty cell."""
    try:
        return str(value) if isinstance(value, bool) else float(math.nan if value == "" else value)
    except (TypeError, ValueError):
        return str(value)


_READ: Mapping[str, Callable[[str], Any]] = {
    "name": _name,
    "text": str,
    "hyper": hyper_value,
    "number": float,
    "whole": int,
    "truth": lambda cell: {"true": True, "false": False}[cell],
    "number?": lambda cell: float(cell) if cell else math.nan,
    "whole?": lambda cell: int(cell) if cell else None,
}
