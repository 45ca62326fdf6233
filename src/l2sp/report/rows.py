"""One finished run as one row, and `rows.csv`, the file that all tables and figures are made from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from l2sp.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Row", "Setting", "format_rows", "parse_rows", "to_frame"]

NAN = math.nan


@dataclass(frozen=True)
class Setting:
    """What is tuned on validation: learning rate, number of steps, alpha and beta."""

    lr: float
    steps: int
    alpha: float
    beta: float


@dataclass(frozen=True)
class Row:
    """One finished run.

    `study` is empty for a main run and `<study>/<point>` for a side study. `value` and `train_value` are the
    metric as the run wrote it (fractions, or pixels for the end-point error); a `value` that is not finite
    means that the run diverged. `better` is `higher` or `lower`. `n` counts the evaluated items.
    `distance_w0` and `distance_zero` are Euclidean distances of the shared weights from the starting point
    and from zero. `config` and `w0` are the first 12 hex digits of the hashes of the configuration and of the
    starting point. `approach`, `target` and `task` are as Table 3 would name them. `metrics` holds everything that
    was measured on that split, as `name=value` pairs. NaN, None or an empty text: not recorded.
    """

    scale: str
    study: str
    experiment: str
    reg: str
    alpha: float
    beta: float
    lr: float
    chosen: bool
    seed: int
    steps: int
    metric: str
    better: str
    split: str
    value: float
    n: int | None = None
    train_value: float = NAN
    distance_w0: float = NAN
    distance_zero: float = NAN
    config: str = ""
    w0: str = ""
    approach: str = ""
    target: str = ""
    task: str = ""
    metrics: str = ""

    def measured(self, metric: str) -> float | None:
        """The value of any recorded metric, in the unit that the run wrote; None if it was not recorded.

        A diverged run has none that is a number.
        """
        if metric == self.metric or not math.isfinite(self.value):
            return self.value
        found = dict(pair.split("=", 1) for pair in self.metrics.split())
        return float(found[metric]) if metric in found else None

    @property
    def key(self) -> tuple[str, str, str, str, float, float, int]:
        """What names a run; also the order of `rows.csv`."""
        return (self.scale, self.study, self.experiment, self.reg, self.alpha, self.beta, self.seed)

    @property
    def setting(self) -> Setting:
        """The tuned part of the configuration."""
        return Setting(self.lr, self.steps, self.alpha, self.beta)

    @property
    def study_name(self) -> str:
        """The study without its point: `learning_rate` of `learning_rate/lr=0.02`."""
        return self.study.partition("/")[0]


COLUMNS = tuple(field.name for field in fields(Row))
_FLOATS = frozenset({"alpha", "beta", "lr", "value", "train_value", "distance_w0", "distance_zero"})
_OPTIONAL = (
    "n",
    "train_value",
    "distance_w0",
    "distance_zero",
    "config",
    "w0",
    "approach",
    "target",
    "task",
    "metrics",
)
_MAY_BE_EMPTY = frozenset({"study", *_OPTIONAL})


def _write_cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # A diverged run must stay visible, so only optional numbers become empty cells.
        return "" if math.isnan(value) and name in _MAY_BE_EMPTY else f"{value:.10g}"
    return str(value)


def format_rows(rows: Iterable[Row]) -> str:
    """Text of `rows.csv`: sorted by identity, ten significant digits, no times, Unix line ends.

    The order of `rows` does not matter, so an interrupted and resumed campaign gives the same bytes.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.key):
        writer.writerow([_write_cell(name, value) for name, value in asdict(row).items()])
    return out.getvalue()


def _read_cell(name: str, text: str) -> object:
    if text == "" and name not in _MAY_BE_EMPTY:
        raise ValueError(f"column {name} is empty")
    if name in _FLOATS:
        return float(text) if text else NAN
    if name == "chosen":
        return {"true": True, "false": False}[text]
    if name == "n":
        return int(text) if text else None
    return int(text) if name in {"seed", "steps"} else text


def parse_rows(text: str, source: str | Path = "rows.csv") -> list[Row]:
    """Inverse of `format_rows`.

    A column that may be empty may also be missing: the file was written before there was one.
    Raises `UserError`, with `source` and the line, for missing columns or a cell that does not parse.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ()) and name not in _OPTIONAL]
    if missing:
        raise UserError(f"{source}: no column {', '.join(missing)}; delete the file or make it anew from runs/")
    rows = []
    for line in reader:
        try:
            rows.append(Row(**{name: _read_cell(name, line.get(name) or "") for name in COLUMNS}))  # type: ignore[arg-type]
        except (KeyError, ValueError) as error:
            raise UserError(f"{source}, line {reader.line_num}: {error}; restore the file") from error
    return rows


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a data frame with the columns of `rows.csv`, in the order of `rows.csv`."""
    import pandas as pd

    ordered = sorted(rows, key=lambda row: row.key)
    return pd.DataFrame([asdict(row) for row in ordered], columns=list(COLUMNS))
