"""The numbers behind the verdicts, against scipy and against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sp_suite.report.rows import Row
from l2sp_suite.report.statistics import compare, interval, summarise

ROW = Row("mini", "", "e", "l2", 1e-3, 1e-3, 0.1, True, 0, 300, "accuracy", "higher", "test", 0.5)


def arm(values: list[float]) -> list[Row]:
    return [replace(ROW, seed=seed, value=value) for seed, value in enumerate(values)]


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_interval_and_verdict_agree_with_scipy(pairs: list[tuple[float, float]]) -> None:
    base, other = map(list, zip(*pairs, strict=True))
    c = compare(arm(base), arm(other), "higher")
    difference = np.subtract(other, base)
    assert c.n == len(pairs)
    assert c.mean == pytest.approx(difference.mean(), abs=1e-12)
    if c.no_spread or difference.std() < 1e-9:
        return
    test = scipy.stats.ttest_rel(other, base)
    expected = test.confidence_interval(0.95)
    assert (c.low, c.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    if abs(test.pvalue - 0.05) > 1e-6:
        assert (c.verdict == "not separable") == (test.pvalue > 0.05)


def test_interval_of_three_seeds_in_closed_form() -> None:
    # Differences 1, 2, 3: mean 2, sd 1, t(0.975, 2 df) = 4.302653.
    low, high = interval([1.0, 2.0, 3.0])
    assert (high - low) / 2 == pytest.approx(4.30265273 / math.sqrt(3))
    assert (low + high) / 2 == pytest.approx(2)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -0.1])
def test_level_out_of_range(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        interval([1.0, 2.0], level)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_interval_covers_the_truth_in_95_of_100(n: int) -> None:
    draws = np.random.default_rng(n).normal(0.3, 2.0, size=(4000, n))
    hits = sum(low <= 0.3 <= high for low, high in (interval(list(row)) for row in draws))
    assert hits / 4000 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize(("better", "verdict"), [("higher", "better"), ("lower", "worse")])
def test_direction_of_the_metric_decides(better: str, verdict: str) -> None:
    assert compare(arm([0.1, 0.2, 0.3]), arm([0.9, 1.01, 1.1]), better).verdict == verdict


def test_few_seeds_and_no_spread() -> None:
    assert compare([], arm([0.5]), "higher").verdict == ""
    one = compare(arm([0.5]), arm([0.9]), "higher")
    assert one.verdict == "one seed" and math.isnan(one.low) and one.mean == pytest.approx(0.4)
    equal = compare(arm([0.1, 0.2, 0.7]), arm([0.2, 0.3, 0.8]), "higher")  # 0.1 each, up to rounding
    assert equal.no_spread and equal.low == equal.high == equal.mean and equal.verdict == "not separable"
    assert compare(arm([0.0, 0.0]), arm([0.0, 0.0]), "higher").verdict == "not separable"


@pytest.mark.parametrize(
    "change", [{"seed": 9}, {"w0": "other"}, {"lr": 0.5}, {"steps": 1}, {"n": 5}, {"split": "val"}, {"metric": "miou"}]
)
def test_only_like_is_paired_with_like(change: dict[str, object]) -> None:
    other = [replace(row, **change) for row in arm([0.5])]  # type: ignore[arg-type]
    assert compare(arm([0.5]), other, "higher").n == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_run_is_not_averaged_away(bad: float) -> None:
    s = summarise([0.9, bad, 0.8])
    assert math.isnan(s.mean) and (s.n, s.diverged) == (3, 1)
    c = compare(arm([0.9, 0.8]), arm([0.9, bad]), "higher")
    assert c.verdict == "diverged" and math.isnan(c.mean)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_spread_matches_numpy(values: list[float]) -> None:
    s = summarise(values)
    assert s.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert s.sd == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)
