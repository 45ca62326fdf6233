"""Means, paired differences, their 95 % intervals, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from l2sp_suite.report.rows import Row

__all__ = [
    "DIVERGED",
    "LEVEL",
    "VERDICTS",
    "WORSE",
    "Comparison",
    "Summary",
    "compare",
    "interval",
    "paired",
    "sign_test",
    "summarise",
]

LEVEL = 0.95
BETTER, WORSE, NOT_SEPARABLE = "better", "worse", "not separable"
ONE_SEED, DIVERGED, NO_PAIRS = "one seed", "diverged", ""
VERDICTS = (BETTER, WORSE, NOT_SEPARABLE, ONE_SEED, DIVERGED)
_ROUNDING = 1e-12  # relative to the values: below it a spread is floating-point noise, not a spread


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1; NaN for n < 2) of `n` runs.

    `diverged` counts the runs whose value is not finite. The mean is NaN as soon as one run diverged: an
    average over the survivors would flatter the arm.
    """

    mean: float = math.nan
    sd: float = math.nan
    n: int = 0
    diverged: int = 0


@dataclass(frozen=True)
class Comparison:
    """Paired differences, other minus base, in the metric's own unit and sign.

    `low` and `high` bound the 95 % interval and are NaN for fewer than two pairs. `no_spread`: all
    differences are equal, so the interval has shrunk to a point and says nothing about the noise.
    `verdict` is about the other arm: one of `VERDICTS`, or empty where no seed is shared.
    """

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    no_spread: bool = False
    verdict: str = NO_PAIRS


def summarise(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation of `values` (any unit); empty input gives NaN and n = 0."""
    n, lost = len(values), sum(not math.isfinite(v) for v in values)
    if n == 0 or lost:
        return Summary(n=n, diverged=lost)
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1)) if n > 1 else math.nan
    return Summary(mean, sd, n)


def interval(differences: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Two-sided Student t interval for the mean of `differences`, with n - 1 degrees of freedom.

    `level` lies in (0, 1). Fewer than two differences give (NaN, NaN); equal ones give a point.
    Raises `ValueError` for a level out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    s = summarise(differences)
    if s.n < 2:
        return math.nan, math.nan
    from scipy.special import stdtrit  # the quantile behind scipy.stats.t.ppf, at half the import time

    half = float(stdtrit(s.n - 1, (1 + level) / 2)) * s.sd / math.sqrt(s.n)
    return s.mean - half, s.mean + half


def paired(base: Sequence[Row], other: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The runs of two arms that may be compared.

    Two runs form a pair if seed, starting point, learning rate, steps, metric, split and number of evaluated items
    agree; a diverged run evaluated nothing.
    """
    by_key = {_pair_key(row): row for row in base}
    found = [(by_key[_pair_key(row)], row) for row in other if _pair_key(row) in by_key]
    return [(a, b) for a, b in found if a.n == b.n or not math.isfinite(a.value + b.value)]


def compare(base: Sequence[Row], other: Sequence[Row], better: str) -> Comparison:
    """Compares two arms of one experiment over the seeds that both have finished, see `paired`.

    `better` is `higher` or `lower`. The verdict asks for an interval that excludes zero; without any spread between
    seeds the interval is no evidence and the verdict stays "not separable". One diverged run in a pair makes the
    verdict "diverged" and leaves all numbers out. Raises `ValueError` for another `better`.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}, not higher or lower")
    pairs = [(a.value, b.value) for a, b in paired(base, other)]
    if not pairs:
        return Comparison()
    differences = [b - a for a, b in pairs]
    if not all(map(math.isfinite, differences)):
        return Comparison(n=len(pairs), verdict=DIVERGED)
    s = summarise(differences)
    if s.n == 1:
        return Comparison(s.mean, n=1, verdict=ONE_SEED)
    if s.sd <= _ROUNDING * max(abs(v) for pair in pairs for v in pair):
        return Comparison(s.mean, s.mean, s.mean, s.n, True, NOT_SEPARABLE)
    low, high = interval(differences)
    return Comparison(s.mean, low, high, s.n, False, _verdict(low, high, better))


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value of so many wins and losses, if either were equally likely; ties are left out before.

    1 without any. Raises `ValueError` for negative numbers.
    """
    if min(wins, losses) < 0:
        raise ValueError(f"{wins} wins and {losses} losses: count from 0 up")
    n, few = wins + losses, min(wins, losses)
    return float(min(1.0, 2 * sum(math.comb(n, k) for k in range(few + 1)) / 2**n))


def _pair_key(row: Row) -> tuple[int, str, float, int, str, str]:
    return (row.seed, row.w0, row.lr, row.steps, row.metric, row.split)


def _verdict(low: float, high: float, better: str) -> str:
    if low <= 0 <= high:
        return NOT_SEPARABLE
    return BETTER if (low > 0) == (better == "higher") else WORSE
