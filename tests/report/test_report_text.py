"""Formatting and escaping: what a person reads must say what was measured."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.report.statistics import Comparison, Summary
from l2sp_suite.report.text import (
    Shown,
    difference,
    escape_latex,
    escape_markdown,
    interval_text,
    mean_and_sd,
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


@given(st.floats(0, 100))
def test_a_printed_value_is_the_value(value: float) -> None:
    assert abs(float(str(Shown(value, 2))) - value) <= 0.005 + 1e-9


@given(st.floats(-100, 100))
def test_sign_of_a_difference(value: float) -> None:
    text = difference(Comparison(value))
    number = float(text.replace("−", "-"))
    assert abs(number - value) <= 0.005 + 1e-9
    assert (text[0] in "+−") == (number != 0)


def test_cells_without_runs_hold_a_dash() -> None:
    assert mean_and_sd(Summary()) == difference(Comparison()) == interval_text(Comparison()) == "—"
    assert str(Shown(math.nan, 2)) == setting_number(math.nan) == "—"


def test_cells() -> None:
    assert mean_and_sd(Summary(87.1, 0.3, 3)) == "87.10 ± 0.30 (3)"
    assert mean_and_sd(Summary(87.1, math.nan, 1)) == "87.10 (1)"
    assert mean_and_sd(Summary(n=3, diverged=1)) == "diverged (1 of 3)"
    assert interval_text(Comparison(0.1, 0.1, 0.1, 2, True, digits=3)) == "[+0.100, +0.100] (no spread, 2)"
    assert interval_text(Comparison(0.0003, 0.0001, 0.0005, 3, digits=3)) == "[+0.0001, +0.0005] (3)"


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
