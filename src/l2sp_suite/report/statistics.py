"""Means, paired differences, their 95 % intervals, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from l2sp_suite.report.texts import FRACTION, Unit, unit_of

if TYPE_CHECKING:
    import pandas as pd

BETTER, WORSE, NOT_SEPARABLE, ONE_SEED, DIVERGED = "better", "worse", "not separable", "one seed", "diverged"
VERDICTS = (BETTER, WORSE, NOT_SEPARABLE, ONE_SEED, DIVERGED)
PAIRED = ("seed", "w0", "lr", "steps", "metric", "split")
STORED = 2e-9
"""Differences of values that are closer than this, relative to the values, are equal: rows.csv keeps ten digits."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1; NaN for n < 2) of `n` runs, in the printed unit.

    `diverged` counts the runs whose value is not finite. The mean is NaN as soon as one run diverged: an
    average over the survivors would flatter the arm. `digits`: with so many decimals it is printed.
    """

    mean: float = math.nan
    sd: float = math.nan
    n: int = 0
    diverged: int = 0
    digits: int = 2


@dataclass(frozen=True)
class Comparison:
    """Paired differences, an arm's runs minus the baseline's, in the printed unit and the metric's own sign.

    `low` and `high` bound the 95 % interval and are NaN for fewer than two pairs. `no_spread`: all
    differences are equal, so the interval has shrunk to a point and says nothing about the noise.
    `verdict` is about the arm: one of `VERDICTS`, or empty where no seed is shared. `digits` as in `Summary`.
    """

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    no_spread: bool = False
    verdict: str = ""
    digits: int = 2


def summarise(values: Iterable[float], unit: Unit = FRACTION) -> Summary:
    """Mean and sample standard deviation of `values`, printed in `unit`; none give NaN and n = 0."""
    numbers = list(values)
    n, diverged = len(numbers), sum(not math.isfinite(value) for value in numbers)
    if not n or diverged:
        return Summary(n=n, diverged=diverged, digits=unit.digits)
    sd = stdev(numbers) * unit.factor if n > 1 else math.nan
    return Summary(fmean(numbers) * unit.factor, sd, n, digits=unit.digits)


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Two-sided 95 % Student t interval for the mean of `differences`; NaN for fewer than two, a point if all equal."""
    if len(differences) < 2:
        return math.nan, math.nan
    if min(differences) == max(differences):
        return differences[0], differences[0]
    from scipy.stats import ttest_1samp  # takes a second to import

    ends = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    return float(ends.low), float(ends.high)


def paired(base: pd.DataFrame, other: pd.DataFrame) -> list[tuple[int, float, float]]:
    """The runs of two arms that may be compared: seed, and both values, in the runs' unit.

    Two runs form a pair if seed, w0, learning rate, steps, metric, split and number of evaluated items agree; a
    diverged run evaluated nothing.
    """

    def by_key(runs: pd.DataFrame) -> dict[tuple[Any, ...], tuple[int, float, int]]:
        keys = zip(*(runs[name] for name in PAIRED), strict=True)
        return dict(zip(keys, zip(runs.seed, runs.value, runs.n.fillna(-1), strict=True), strict=True))

    first, second = by_key(base), by_key(other)
    pairs = [(*first[key], *second[key]) for key in second if key in first]
    return [(seed, a, b) for seed, a, n, _, b, m in pairs if n == m or not math.isfinite(a + b)]


def compare(base: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    """Compares an arm with the baseline over the seeds that both have finished, see `paired`.

    The verdict asks for an interval that excludes zero; equal differences (up to what rows.csv keeps of the values) are
    no evidence about seeds and stay "not separable". One diverged run in a pair makes the verdict "diverged" and leaves
    all numbers out.
    """
    pairs = [(a, b) for _, a, b in paired(base, other)] if len(base) and len(other) else []
    if not pairs:
        return Comparison()
    unit, n, differences = unit_of(base.metric.iloc[0]), len(pairs), [b - a for a, b in pairs]
    if not all(map(math.isfinite, differences)):
        return Comparison(n=n, verdict=DIVERGED, digits=unit.digits)
    mean = fmean(differences) * unit.factor
    if n == 1:
        return Comparison(mean, n=1, verdict=ONE_SEED, digits=unit.digits)
    if max(differences) - min(differences) <= STORED * max(abs(value) for pair in pairs for value in pair):
        return Comparison(mean, mean, mean, n, True, NOT_SEPARABLE, unit.digits)
    low, high = (end * unit.factor for end in interval(differences))
    ahead = (low > 0) == (base.better.iloc[0] == "higher")
    verdict = NOT_SEPARABLE if low <= 0 <= high else BETTER if ahead else WORSE
    return Comparison(mean, low, high, n, False, verdict, unit.digits)
