"""A table in three file formats: Markdown and LaTeX for people, CSV with un-rounded numbers for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from l2sp_suite.report.text import escape_latex, escape_markdown

__all__ = ["FORMATS", "Table"]

Value = str | int | float | None
FORMATS = ("md", "csv", "tex")


@dataclass
class Table:
    """One table. `lines` are printed cells (as many as `header`); `records` the same rows with raw numbers.

    `name` is the file's stem, `heading` one line that names the scale, `caption` and `summary` sentences that
    stand below the table.
    """

    name: str
    heading: str
    caption: str
    header: Sequence[str]
    lines: list[Sequence[str]] = field(default_factory=list)
    records: list[Mapping[str, Value]] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)

    def add(self, line: Sequence[str], record: Mapping[str, Value]) -> None:
        """Appends one row: printed cells and raw numbers. Raises `ValueError` for a wrong number of cells."""
        if len(line) != len(self.header):
            raise ValueError(f"{self.name}: {len(line)} cells under {len(self.header)} headings")
        self.lines.append(line)
        self.records.append(record)

    def render(self, file_format: str) -> str:
        """The text of one file, ending with a line end. Raises `KeyError` for a format not in `FORMATS`."""
        return {"md": self._markdown, "csv": self._csv, "tex": self._latex}[file_format]()

    def _markdown(self) -> str:
        import pandas as pd

        cells = [[escape_markdown(cell) for cell in line] for line in self.lines]
        frame = pd.DataFrame(cells, columns=[escape_markdown(name) for name in self.header])
        body = frame.to_markdown(index=False, disable_numparse=True)
        return "\n\n".join([f"# {self.heading}", body, *self.summary, self.caption]) + "\n"

    def _csv(self) -> str:
        import pandas as pd

        # As objects: pandas would turn a column of counts with one gap into floats.
        frame = pd.DataFrame(self.records, dtype=object)
        return frame.map(_csv_cell).to_csv(index=False, lineterminator="\n")

    def _latex(self) -> str:
        rows = [r" & ".join(escape_latex(cell) for cell in line) + r" \\" for line in self.lines]
        parts = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\scriptsize\setlength{\tabcolsep}{2pt}",
            rf"\caption{{{escape_latex(self.heading)}. {escape_latex(self.caption)}}}",
            rf"\begin{{tabular}}{{{'l' * len(self.header)}}}",
            r"\toprule",
            r" & ".join(map(escape_latex, self.header)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            *[rf"\par\medskip {escape_latex(sentence)}" for sentence in self.summary],
            r"\end{table}",
        ]
        return "\n".join(parts) + "\n"


def _csv_cell(value: Value) -> Value:
    if value is None or value != value:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else value
