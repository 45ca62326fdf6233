"""Numbers as people read them, and escaping for Markdown and LaTeX."""

from __future__ import annotations

import math
import re

from l2sp_suite.report.paper import Unit
from l2sp_suite.report.statistics import Comparison, Summary

__all__ = [
    "DASH",
    "arm",
    "difference",
    "escape_latex",
    "escape_markdown",
    "measured_interval",
    "plain",
    "scaled",
    "setting_number",
    "signed",
]

DASH = "—"

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
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


def scaled(value: float, unit: Unit) -> float | None:
    """`value` in the printed unit, or None where there is none."""
    return value * unit.factor if math.isfinite(value) else None


def plain(value: float, unit: Unit) -> str:
    """`value` in the printed unit with the unit's decimals; a dash where there is none."""
    return f"{value * unit.factor:.{unit.digits}f}" if math.isfinite(value) else DASH


def arm(summary: Summary, unit: Unit) -> str:
    """`mean ± sd (n)`; one run has no spread; a diverged run is said instead of averaged away."""
    if summary.n == 0:
        return DASH
    if summary.diverged:
        return f"diverged ({summary.diverged} of {summary.n})"
    spread = f" ± {plain(summary.sd, unit)}" if summary.n > 1 else ""
    return f"{plain(summary.mean, unit)}{spread} ({summary.n})"


def signed(value: float, digits: int) -> str:
    """A number with its sign, or a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    # Rounding first: a difference that rounds to zero must not carry a sign.
    rounded = round(value, digits)
    text = f"{abs(rounded):.{digits}f}"
    return text if rounded == 0 else ("+" if rounded > 0 else "−") + text


def _signed(value: float, unit: Unit, more: int = 0) -> str:
    return signed(value * unit.factor, unit.digits + more)


def difference(comparison: Comparison, unit: Unit) -> str:
    """Signed mean difference in the printed unit, or a dash."""
    return _signed(comparison.mean, unit)


def measured_interval(comparison: Comparison, unit: Unit) -> str:
    """`[low, high] (pairs)`, or a dash for fewer than two pairs; says so where it has shrunk to a point."""
    if not math.isfinite(comparison.low):
        return DASH
    note = "no spread, " if comparison.no_spread else ""
    excluded = comparison.low * comparison.high > 0
    ends = (comparison.low, comparison.high)
    # An end that is not zero must not read as zero where the verdict rests on it.
    more = (
        next((k for k in range(4) if all(round(v * unit.factor, unit.digits + k) for v in ends)), 0) if excluded else 0
    )
    low, high = (_signed(value, unit, more) for value in ends)
    return f"[{low}, {high}] ({note}{comparison.n})"


def setting_number(value: float) -> str:
    """A hyper-parameter as papers print it: 0.01, 4e-5. Parses back to ten digits. A dash where there is none."""
    if math.isnan(value):
        return DASH
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.10g}"
    mantissa, _, exponent = f"{value:.9e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX would act on made harmless; line ends become spaces."""
    return "".join(_LATEX.get(char, char) for char in " ".join(text.splitlines()))


def escape_markdown(text: str) -> str:
    """`text` as the content of one Markdown table cell; line ends become spaces."""
    return re.sub(r"([\\`*_|<>])", r"\\\1", " ".join(text.splitlines()))
