"""A table: lines of values, the columns that people see of them, and its files (Markdown, LaTeX, CSV)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from l2sp_suite.report.statistics import Comparison, Summary
from l2sp_suite.report.text import DASH, difference, escape_latex, escape_markdown, interval_text, mean_and_sd
from l2sp_suite.report.texts import words

if TYPE_CHECKING:
    from l2sp_suite.report.load import Results

FORMATS = ("md", "csv", "tex")


def as_text(value: Any) -> str:
    """A value as people read it; a dash for None and NaN."""
    if isinstance(value, Summary):
        return mean_and_sd(value)
    if isinstance(value, Comparison):
        return difference(value)
    return DASH if value is None or value is pd.NA or value != value else str(value)


def verdict_text(comparison: Comparison) -> str:
    """The verdict, or a dash where no runs are paired."""
    return comparison.verdict or DASH


class Column(NamedTuple):
    """A column for people: its heading, which value of a line stands in it, and how that is printed."""

    name: str
    key: str
    format: Callable[[Any], str] = as_text


@dataclass
class Table:
    """One table. `cells` are printed (as many a line as `header` has); `records` are the same lines for the CSV.

    `name` is the file's stem, `heading` one line that names the scale, `caption` and `summary` sentences that
    stand below the table.
    """

    name: str
    heading: str
    caption: str
    header: Sequence[str]
    cells: list[list[str]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    summary: Sequence[str] = ()

    def markdown(self) -> str:
        """The table alone, in GitHub's Markdown."""
        from tabulate import tabulate

        cells = [[escape_markdown(cell) for cell in line] for line in self.cells]
        return tabulate(cells, [escape_markdown(name) for name in self.header], tablefmt="pipe", disable_numparse=True)

    def render(self, file_format: str) -> str:
        """The text of one file, ending with a line end. Raises `KeyError` for a format not in `FORMATS`."""
        return {"md": self._markdown, "csv": self._csv, "tex": self._latex}[file_format]()

    def _markdown(self) -> str:
        return "\n\n".join([f"# {self.heading}", self.markdown(), *self.summary, self.caption]) + "\n"

    def _csv(self) -> str:
        # As objects: pandas would turn a column of counts with one gap into floats.
        return pd.DataFrame(self.records, dtype=object).map(_csv_cell).to_csv(index=False, lineterminator="\n")

    def _latex(self) -> str:
        head, *lines = [r" & ".join(map(escape_latex, line)) + r" \\" for line in [self.header, *self.cells]]
        start = rf"""% needs \usepackage{{booktabs}}
\begin{{table}}
\centering\scriptsize\setlength{{\tabcolsep}}{{2pt}}
\caption{{{escape_latex(self.heading)}. {escape_latex(self.caption)}}}
\begin{{tabular}}{{{"l" * len(self.header)}}}
\toprule"""
        summary = [rf"\par\medskip {escape_latex(sentence)}" for sentence in self.summary]
        parts = [start, head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", *summary, r"\end{table}"]
        return "\n".join(parts) + "\n"


def make_table(
    name: str,
    results: Results,
    lines: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    summary: Sequence[str] = (),
    **values: Any,
) -> Table:
    """A table of `lines`, with title and caption of captions.yaml, whose placeholders `values` fill.

    The CSV has all values of a line by their keys, un-rounded: a `Summary` as `<key>_mean`, `_sd` and `_n`, a
    `Comparison`, whose key ends in "difference", also with `low`, `high`, `pairs` and `verdict`. Keys that begin with _
    are only printed.
    """
    text = words("captions")["tables"][name]
    heading, caption = (results.say(text[part], **values) for part in ("title", "caption"))
    table = Table(name, heading, caption, [column.name for column in columns], summary=summary)
    for line in lines:
        table.cells.append([column.format(line[column.key]) for column in columns])
        record = {"scale": results.scale}
        for key, value in line.items():
            record |= {} if key.startswith("_") else _record(key, value)
        table.records.append(record)
    return table


def _record(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Summary):
        return {f"{key}_mean": value.mean, f"{key}_sd": value.sd, f"{key}_n": value.n}
    if isinstance(value, Comparison):
        more = {"low": value.low, "high": value.high, "pairs": value.n, "verdict": value.verdict}
        return {key: value.mean, **{key.removesuffix("difference") + name: part for name, part in more.items()}}
    return {key: value}


def _csv_cell(value: Any) -> Any:
    if value is None or value is pd.NA or value != value:
        return ""
    return f"{value:.10g}" if isinstance(value, float) and math.isfinite(value) else value


def columns_of_arms(
    results: Results, heading: str = "{}", key: str = "{}", format: Callable[[Any], str] = as_text
) -> list[Column]:
    """A column for each arm; `heading` has a place for its label and `key` for its name."""
    return [Column(heading.format(label), key.format(arm), format) for arm, label in results.arms.pairs]


def comparison_columns(heading: str = "difference", prefix: str = "", key: str = "difference") -> list[Column]:
    """The three columns of a comparison: difference, interval and verdict."""
    interval = Column(f"{prefix}95 % interval", key, interval_text)
    return [Column(prefix + heading, key), interval, Column(f"{prefix}verdict", key, verdict_text)]


def all_comparisons(results: Results) -> list[Column]:
    """The columns that compare each arm with the baseline; they name it where there are several."""
    several = len(results.arms.others) > 1
    return [
        column
        for arm in results.arms.others
        for column in comparison_columns("difference", f"{results.arms.label(arm)} " * several, f"{arm}_difference")
    ]
