"""One finished run as one row, and `rows.csv`, the file that all tables and figures are made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from l2sp_suite.report.records import EMPTY, columns, format_records, parse_records

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
    study: str = field(metadata=EMPTY)
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
    def folder(self) -> Path:
        """The run's directory, relative to `results`."""
        base = Path(self.scale, "studies", self.study) if self.study else Path(self.scale)
        return (
            base
            / "runs"
            / self.experiment
            / f"{self.reg}-alpha={self.alpha:g}-beta={self.beta:g}"
            / f"seed={self.seed}"
        )

    @property
    def study_name(self) -> str:
        """The study without its point: `learning_rate` of `learning_rate/lr=0.02`."""
        return self.study.partition("/")[0]


COLUMNS = columns(Row)


def format_rows(rows: Iterable[Row]) -> str:
    """Text of `rows.csv`: sorted by identity, no times.

    The order of `rows` does not matter, so an interrupted and resumed campaign gives the same bytes.
    """
    return format_records(Row, sorted(rows, key=lambda row: row.key))


def parse_rows(text: str, source: str | Path = "rows.csv") -> list[Row]:
    """Inverse of `format_rows`. Raises `UserError`, with `source` and the line, for what does not parse."""
    return parse_records(Row, text, source)


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a data frame with the columns of `rows.csv`, in the order of `rows.csv`."""
    import pandas as pd

    ordered = sorted(rows, key=lambda row: row.key)
    return pd.DataFrame([asdict(row) for row in ordered], columns=list(COLUMNS))
