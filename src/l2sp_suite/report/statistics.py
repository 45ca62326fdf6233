"""Means, paired differences, their 95 % intervals, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DIVERGED", "STORED", "VERDICTS", "WORSE", "Comparison", "Summary", "compare", "interval", "paired", "summarise"]

BETTER, WORSE, NOT_SEPARABLE = "better", "worse", "not separable"
ONE_SEED, DIVERGED, NO_PAIRS = "one seed", "diverged", ""
VERDICTS = (BETTER, WORSE, NOT_SEPARABLE, ONE_SEED, DIVERGED)
PAIRED = ("seed", "w0", "lr", "steps", "metric", "split")
STORED = 2e-9
"""Differences of values closer than this, relative to the values, are equal: rows.csv keeps ten digits of each value."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1; NaN for n < 2) of `n` runs, in any unit.

    `diverged` counts the runs whose value is not finite. The mean is NaN as soon as one run diverged: an
    average over the survivors would flatter the arm.
    """

    mean: float = math.nan
    sd: float = math.nan
    n: int = 0
    diverged: int = 0


@dataclass(frozen=True)
class Comparison:
    """Paired differences, an arm's runs minus the baseline's, in the metric's own sign.

    `low` and `high` bound the 95 % interval and are NaN for fewer than two pairs. `no_spread`: all
    differences are equal, so the interval has shrunk to a point and says nothing about the noise.
    `verdict` is about the arm: one of `VERDICTS`, or empty where no seed is shared.
    """

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    no_spread: bool = False
    verdict: str = NO_PAIRS


def summarise(values: Sequence[float] | pd.Series[float]) -> Summary:
    """Mean and sample standard deviation of `values`; none give NaN and n = 0."""
    array = np.asarray(values, dtype=float)
    diverged = int((~np.isfinite(array)).sum())
    if not len(array) or diverged:
        return Summary(n=len(array), diverged=diverged)
    return Summary(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else math.nan, len(array))


def interval(differences: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Two-sided Student t interval for the mean of `differences`; NaN for fewer than two, a point for equal ones.

    Raises:
        ValueError: `level` is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    if len(differences) < 2:
        return math.nan, math.nan
    if np.ptp(differences) == 0:
        return differences[0], differences[0]
    from scipy.stats import ttest_1samp  # takes a second to import

    ends = ttest_1samp(differences, 0.0).confidence_interval(level)
    return float(ends.low), float(ends.high)


def paired(base: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The runs of two arms that may be compared, a pair a line: `seed`, and `base` and `other`, their values.

    Two runs form a pair if seed, w0, learning rate, steps, metric, split and number of evaluated items agree; a
    diverged run evaluated nothing.
    """
    columns = [*PAIRED, "n", "shown"]
    pairs = base[columns].merge(other[columns], on=list(PAIRED), suffixes=("_base", "_other"))
    same = (pairs.n_base == pairs.n_other) | (pairs.n_base.isna() & pairs.n_other.isna())
    pairs = pairs[same.fillna(False).astype(bool) | ~np.isfinite(pairs.shown_base + pairs.shown_other)]
    return pairs.rename(columns={"shown_base": "base", "shown_other": "other"})[["seed", "base", "other"]]


def compare(base: pd.DataFrame, other: pd.DataFrame, better: str) -> Comparison:
    """Compares two arms of an experiment over the seeds that both have finished, see `paired`.

    The verdict asks for an interval that excludes zero; equal differences (up to what rows.csv keeps of the values) are
    no evidence about seeds and stay "not separable". One diverged run in a pair makes the verdict "diverged" and leaves
    all numbers out.

    Raises:
        ValueError: `better` is neither `higher` nor `lower`.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}, not higher or lower")
    if base.empty or other.empty:
        return Comparison()
    pairs = paired(base, other)
    differences = (pairs.other - pairs.base).to_numpy()
    if not len(differences):
        return Comparison()
    if not np.isfinite(differences).all():
        return Comparison(n=len(differences), verdict=DIVERGED)
    mean, n = float(differences.mean()), len(differences)
    if n == 1:
        return Comparison(mean, n=1, verdict=ONE_SEED)
    if np.ptp(differences) <= STORED * np.abs(pairs[["base", "other"]].to_numpy()).max():
        return Comparison(mean, mean, mean, n, True, NOT_SEPARABLE)
    low, high = interval(differences)  # type: ignore[arg-type]
    verdict = NOT_SEPARABLE if low <= 0 <= high else BETTER if (low > 0) == (better == "higher") else WORSE
    return Comparison(mean, low, high, n, False, verdict)
