"""A table as a list of columns, in three file formats: Markdown and LaTeX for people, CSV for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pandas as pd

from l2sp_suite.report.statistics import Comparison, Summary
from l2sp_suite.report.text import DASH, escape_latex, escape_markdown
from l2sp_suite.report.texts import words

if TYPE_CHECKING:
    from l2sp_suite.report.load import Results

__all__ = ["FORMATS", "Column", "Table", "make_table"]

Line = TypeVar("Line")
FORMATS = ("md", "csv", "tex")


def as_text(value: Any) -> str:
    """The text of a value; a dash for None and NaN."""
    return DASH if pd.isna(value) else str(value)


@dataclass(frozen=True)
class Column(Generic[Line]):
    """One column: what it is headed by, the value of a line in it, and how that is printed.

    Args:
        name: heading for people; empty for a column of the CSV alone.
        value: the un-rounded value of a line: a number, a text, None, a `Summary` or a `Comparison`.
        format: prints the value of a line.
        key: heading in the CSV; empty for a column that only people see. A `Summary` becomes the columns
            `<key>_mean`, `_sd` and `_n`; a `Comparison` becomes `difference`, `low`, `high`, `pairs` and `verdict`, with
            what `key` has before "difference".
    """

    name: str
    value: Callable[[Line], Any]
    format: Callable[[Any], str] = as_text
    key: str = ""

    def record(self, value: Any) -> dict[str, Any]:
        """The CSV's columns of a value."""
        if isinstance(value, Summary):
            return {f"{self.key}_mean": value.mean, f"{self.key}_sd": value.sd, f"{self.key}_n": value.n}
        if isinstance(value, Comparison):
            numbers = {"difference": value.mean, "low": value.low, "high": value.high}
            both = {**numbers, "pairs": value.n, "verdict": value.verdict}
            return {f"{self.key.removesuffix('difference')}{name}": part for name, part in both.items()}
        return {self.key: value}


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

    def render(self, file_format: str) -> str:
        """The text of one file, ending with a line end. Raises `KeyError` for a format not in `FORMATS`."""
        return {"md": self._markdown, "csv": self._csv, "tex": self._latex}[file_format]()

    def markdown(self) -> str:
        """The table alone, in GitHub's Markdown."""
        from tabulate import tabulate

        cells = [[escape_markdown(cell) for cell in line] for line in self.cells]
        header = [escape_markdown(name) for name in self.header]
        return tabulate(cells, header, tablefmt="pipe", disable_numparse=True)

    def _markdown(self) -> str:
        return "\n\n".join([f"# {self.heading}", self.markdown(), *self.summary, self.caption]) + "\n"

    def _csv(self) -> str:
        # As objects: pandas would turn a column of counts with one gap into floats.
        frame = pd.DataFrame(self.records, dtype=object)
        return frame.map(_csv_cell).to_csv(index=False, lineterminator="\n")

    def _latex(self) -> str:
        lines = [r" & ".join(map(escape_latex, line)) + r" \\" for line in [self.header, *self.cells]]
        parts = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\scriptsize\setlength{\tabcolsep}{2pt}",
            rf"\caption{{{escape_latex(self.heading)}. {escape_latex(self.caption)}}}",
            rf"\begin{{tabular}}{{{'l' * len(self.header)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *[rf"\par\medskip {escape_latex(sentence)}" for sentence in self.summary],
            r"\end{table}",
        ]
        return "\n".join(parts) + "\n"


def make_table(
    name: str,
    results: Results,
    columns: Sequence[Column[Line]],
    lines: Iterable[Line],
    summary: Sequence[str] = (),
    values: Mapping[str, object] | None = None,
) -> Table:
    """A table of `lines`; title and caption are those of `name` in captions.yaml, `values` fills their placeholders."""
    text = words("captions")["tables"][name]
    heading, caption = (results.say(text[part], **(values or {})) for part in ("title", "caption"))
    table = Table(name, heading, caption, [column.name for column in columns if column.name], summary=summary)
    for line in lines:
        known = {get: get(line) for get in dict.fromkeys(column.value for column in columns)}  # some share a value
        table.cells.append([column.format(known[column.value]) for column in columns if column.name])
        record: dict[str, Any] = {"scale": results.scale}
        for column in columns:
            record |= column.record(known[column.value]) if column.key else {}
        table.records.append(record)
    return table


def _csv_cell(value: Any) -> Any:
    if pd.isna(value):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else value
