"""The numbers behind the verdicts, against scipy and against closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from report_trees import ARMS, PAPER, results_of, write_arms, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.sources import _spearman
from l2sp_suite.report.statistics import compare, interval, summarise

ROW = {"seed": 0, "w0": "w", "lr": 0.1, "steps": 300, "metric": "accuracy", "split": "test", "n": 9, "better": "higher"}


def arm(values: list[float], **changed: object) -> pd.DataFrame:
    runs = [ROW | {"seed": seed, "value": value} | changed for seed, value in enumerate(values)]
    return pd.DataFrame(runs).astype({"n": "Int64"})


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=2, max_size=12))
@settings(max_examples=30, deadline=None)
def test_interval_and_verdict_agree_with_scipy(pairs: list[tuple[float, float]]) -> None:
    base, other = map(list, zip(*pairs, strict=True))
    c = compare(arm(base), arm(other))
    difference = 100 * np.subtract(other, base)
    assert c.n == len(pairs)
    assert c.mean == pytest.approx(difference.mean(), abs=1e-10)
    if c.no_spread or difference.std() < 1e-7:
        return
    test = scipy.stats.ttest_rel(other, base)
    expected = test.confidence_interval(0.95)
    assert (c.low, c.high) == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-7)
    if abs(test.pvalue - 0.05) > 1e-6:
        assert (c.verdict == "not separable") == (test.pvalue > 0.05)


def test_interval_of_three_seeds_in_closed_form() -> None:
    # Differences 1, 2, 3: mean 2, sd 1, t(0.975, 2 df) = 4.302653.
    low, high = interval([1.0, 2.0, 3.0])
    assert (high - low) / 2 == pytest.approx(4.30265273 / math.sqrt(3))
    assert (low + high) / 2 == pytest.approx(2)


@pytest.mark.parametrize(("better", "verdict"), [("higher", "better"), ("lower", "worse")])
def test_direction_of_the_metric_decides(better: str, verdict: str) -> None:
    assert compare(arm([0.1, 0.2, 0.3], better=better), arm([0.9, 1.01, 1.1], better=better)).verdict == verdict


def test_few_seeds_and_no_spread() -> None:
    assert compare(arm([0.5])[:0], arm([0.5])).verdict == ""
    one = compare(arm([0.5]), arm([0.9]))
    assert one.verdict == "one seed" and math.isnan(one.low) and one.mean == pytest.approx(40)
    equal = compare(arm([0.1, 0.2, 0.7]), arm([0.2, 0.3, 0.8]))  # 0.1 each, up to rounding
    assert equal.no_spread and equal.low == equal.high == equal.mean and equal.verdict == "not separable"
    assert compare(arm([0.0, 0.0]), arm([0.0, 0.0])).verdict == "not separable"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1150), min_size=2, max_size=5), st.integers(1, 40), st.sampled_from([1200, 590, 713]))
def test_equal_gains_are_no_verdict_after_ten_digits(counts: list[int], gain: int, items: int) -> None:
    """Gains of as many images with every seed: rows.csv keeps ten digits, which must not become a spread."""
    base, other = ([float(f"{(c + g) / items:.10g}") for c in counts] for g in (0, gain))
    c = compare(arm(base), arm(other))
    assert c.no_spread and c.verdict == "not separable"
    other[0] = float(f"{(counts[0] + gain + 1) / items:.10g}")  # one image more is a spread
    assert not compare(arm(base), arm(other)).no_spread


def test_gains_that_are_equal_but_for_ten_digits_are_ties() -> None:
    """0.3708333333 - 0.37 and 0.3175 - 0.3158333333: one and two of 1,200 images more."""
    near = [1.0, 2.0, 3.0, 4.0]
    gains = [100 * (0.3708333333 - 0.37), 100 * (0.3408333333 - 0.34), 100 * (0.3175 - 0.3166666667), 0.25]
    expected = scipy.stats.spearmanr(near, [1, 1, 1, 3]).statistic
    assert _spearman(near, gains) == pytest.approx(expected)
    assert _spearman(near, gains[:3]) is None and _spearman(near[:3], [math.nan, 1, 2]) != 0


@pytest.mark.parametrize(
    "change", [{"seed": 9}, {"w0": "other"}, {"lr": 0.5}, {"steps": 1}, {"n": 5}, {"split": "val"}, {"metric": "miou"}]
)
def test_only_like_is_paired_with_like(change: dict[str, object]) -> None:
    assert compare(arm([0.5]), arm([0.5], **change)).n == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_run_is_not_averaged_away(bad: float) -> None:
    s = summarise([0.9, bad, 0.8])
    assert math.isnan(s.mean) and (s.n, s.diverged) == (3, 1)
    c = compare(arm([0.9, 0.8]), arm([0.9, bad]))
    assert c.verdict == "diverged" and math.isnan(c.mean)
    assert compare(arm([0.9]), arm([bad], n=None)).verdict == "diverged"  # it evaluated nothing


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_spread_matches_numpy(values: list[float]) -> None:
    s = summarise(values)
    assert s.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert s.sd == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)


def test_summary_counts_rows_that_are_ahead(tmp_path: Path) -> None:
    for experiment, gain in (("dstl_cub200", 0.02), ("dstl_aircraft", 0.01), ("dstl_food101", -0.01)):
        write_arms(tmp_path, experiment, {"l2": (0.5, 0.6), "l2_sp": (0.5 + gain, 0.6 + 2 * gain)})
    write_arms(tmp_path, "dstl_nabirds", {"l2": (0.5,), "l2_sp": (0.9,)})  # one seed says nothing
    write_arms(tmp_path, "segflow_monkaa_final", {"l2": (2.0, 3.0), "l2_sp": (1.5, 2.4)})
    build_report(tmp_path, "mini", PAPER, ARMS, figures=False)
    text = (tmp_path / "mini" / "tables" / "table3.md").read_text()
    left_out = "(1 left out: one seed, diverged, or no difference)"
    assert f"L2-SP is ahead on average in 3 of 4 rows with several seeds {left_out}" in text
    assert "p = 0.62" in text and scipy.stats.binomtest(3, 4).pvalue == 0.625


def test_the_same_gain_with_each_seed_has_no_verdict_in_the_table(tmp_path: Path) -> None:
    base = (277 / 1200, 278 / 1200, 279 / 1200)
    write_arms(tmp_path, "dstl_cub200", {"l2": base, "l2_sp": [value + 1 / 1200 for value in base]})
    results = results_of(tmp_path)
    c = compare(results.selected("dstl_cub200", "l2"), results.selected("dstl_cub200", "l2_sp"))
    assert c.verdict == "not separable" and c.no_spread and c.mean == pytest.approx(100 / 1200, rel=1e-6)


def test_an_unfinished_arm_is_compared_with_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2_sp", 0, 0.5)
    results = results_of(tmp_path)
    assert compare(results.selected("dstl_cub200", "l2"), results.selected("dstl_cub200", "l2_sp")).n == 0
