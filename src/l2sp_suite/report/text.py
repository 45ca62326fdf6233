"""Numbers as people read them, and escaping for Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from l2sp_suite.report.statistics import Comparison, Summary

DASH = "—"

_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "{}$&#%_"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # A cell that opens with a bracket would be read as the optional argument of the \\ before it.
    "[": "{[}",
    "]": "{]}",
    DASH: "---",
    "–": "--",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "σ": r"$\sigma$",
    "ε": r"$\varepsilon$",
    "‖": r"$\|$",
    "²": r"$^2$",
    "≤": r"$\leq$",
    "†": r"\dag{}",
}


class Shown(float):
    """A value in the printed unit that prints itself with so many decimals; a dash where there is none."""

    digits: int

    def __new__(cls, value: float, digits: int) -> Shown:
        """`value` with `digits` decimals."""
        shown = super().__new__(cls, value)
        shown.digits = digits
        return shown

    def __str__(self) -> str:
        return f"{self:.{self.digits}f}" if math.isfinite(self) else DASH


def count(number: float | str | None) -> str:
    """A whole number with separators of thousands; a dash where there is none, or zero."""
    return f"{int(number):,}" if number and number == number else DASH


def mean_and_sd(summary: Summary) -> str:
    """`mean ± sd (n)`; one run has no spread; a diverged run is said instead of averaged away."""
    if summary.n == 0:
        return DASH
    if summary.diverged:
        return f"diverged ({summary.diverged} of {summary.n})"
    spread = f" ± {summary.sd:.{summary.digits}f}" if summary.n > 1 else ""
    return f"{summary.mean:.{summary.digits}f}{spread} ({summary.n})"


def signed(value: float, digits: int) -> str:
    """A number with its sign, or a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    # Rounding first: a difference that rounds to zero must not carry a sign.
    rounded = round(value, digits)
    text = f"{abs(rounded):.{digits}f}"
    return text if rounded == 0 else ("+" if rounded > 0 else "−") + text


def difference(comparison: Comparison) -> str:
    """Signed mean difference, or a dash."""
    return signed(comparison.mean, comparison.digits)


def interval_text(comparison: Comparison) -> str:
    """`[low, high] (pairs)`, or a dash for fewer than two pairs; says so where it has shrunk to a point."""
    ends = (comparison.low, comparison.high)
    if not math.isfinite(comparison.low):
        return DASH
    digits = comparison.digits
    if comparison.low * comparison.high > 0:  # an end must not read as zero where the verdict rests on it
        digits += next((more for more in range(4) if all(round(end, digits + more) for end in ends)), 0)
    low, high = (signed(end, digits) for end in ends)
    return f"[{low}, {high}] ({'no spread, ' if comparison.no_spread else ''}{comparison.n})"


def setting_number(value: object) -> str:
    """A hyper-parameter as papers print it: 0.01, 4e-5. Parses back to ten digits. A dash where there is none."""
    if not isinstance(value, int | float):
        return str(value)
    if math.isnan(value):
        return DASH
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.10g}"
    mantissa, _, exponent = f"{value:.9e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def listed(values: Iterable[object]) -> str:
    """The distinct values that there are, sorted as texts, with commas; a dash for none."""
    return ", ".join(sorted({str(value) for value in values if value == value and value not in (None, "")})) or DASH


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX would act on made harmless; line ends become spaces."""
    return "".join(_LATEX.get(char, char) for char in " ".join(text.splitlines()))


def escape_markdown(text: str) -> str:
    """`text` as the content of one Markdown table cell; line ends become spaces."""
    return re.sub(r"([\\`*_|<>])", r"\\\1", " ".join(text.splitlines()))
