"""Formatting and escaping: what a person reads must say what was measured."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.report.paper import PERCENT, PX
from l2sp_suite.report.statistics import Comparison, Summary
from l2sp_suite.report.text import (
    arm,
    difference,
    escape_latex,
    escape_markdown,
    measured_interval,
    plain,
    scaled,
    setting_number,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))


@given(st.floats(1e-12, 1e5))
def test_setting_parses_back(value: float) -> None:
    assert float(setting_number(value)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(4e-5, "4e-5"), (1e-4, "1e-4"), (0.001, "0.001"), (0.1, "0.1"), (0.0, "0"), (1.0, "1")],
)
def test_settings_as_papers_print_them(value: float, text: str) -> None:
    assert setting_number(value) == text


@given(st.floats(0, 1))
def test_printed_percent_is_the_value(value: float) -> None:
    assert abs(float(plain(value, PERCENT)) - 100 * value) <= 0.005 + 1e-9
    assert scaled(value, PERCENT) == value * 100


@given(st.floats(-1, 1))
def test_sign_of_a_difference(value: float) -> None:
    text = difference(Comparison(value), PERCENT)
    number = float(text.replace("−", "-"))
    assert abs(number - 100 * value) <= 0.005 + 1e-9
    assert (text[0] in "+−") == (number != 0)


def test_cells_without_runs_hold_a_dash() -> None:
    assert arm(Summary(), PX) == difference(Comparison(), PX) == measured_interval(Comparison(), PX) == "—"
    assert plain(math.nan, PX) == "—" and scaled(math.nan, PX) is None


def test_arms() -> None:
    assert arm(Summary(0.871, 0.003, 3), PERCENT) == "87.10 ± 0.30 (3)"
    assert arm(Summary(0.871, math.nan, 1), PERCENT) == "87.10 (1)"
    assert arm(Summary(n=3, diverged=1), PERCENT) == "diverged (1 of 3)"
    assert measured_interval(Comparison(0.1, 0.1, 0.1, 2, True), PX) == "[+0.100, +0.100] (no spread, 2)"


def unescape_latex(text: str) -> str:
    names = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
    names |= {"textless": "<", "textgreater": ">", "textbar": "|"}
    text = re.sub(r"\{([\[\]])\}", r"\1", text)
    return re.sub(r"\\([a-z]+)\{\}|\\([{}$&#%_])", lambda m: names[m[1]] if m[1] else m[2], text)


@given(st.text("ab \\{}$&#%_~^<>|[]*`0-", max_size=30))
def test_latex_escaping_is_complete_and_can_be_undone(text: str) -> None:
    escaped = escape_latex(text)
    # Nothing that LaTeX acts on is left bare.
    assert not re.search(r"(?<!\\)[$&#%_~^]", re.sub(r"\\[{}$&#%_]", "", escaped))
    assert unescape_latex(escaped) == text


@given(TEXT)
def test_braces_stay_balanced(text: str) -> None:
    bare = re.sub(r"\\[{}]", "", escape_latex(text))
    assert bare.count("{") == bare.count("}")


@given(TEXT)
def test_a_markdown_cell_cannot_leave_its_cell(text: str) -> None:
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(\\\\)*[|*_`<>]", re.sub(r"\\[\\`*_|<>]", "", escaped))
