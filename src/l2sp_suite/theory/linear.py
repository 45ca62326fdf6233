"""Table 7: least squares, L2 and L2-SP in linear regression with an orthonormal design (paper, section 6).

    J(w) = 1/2 ||X w - y||^2 + penalty,  X'X = I_p,  E[y] = X w*,  V[y] = sigma^2 I_n,  w0 = w* + eps

The closed forms, and a simulation that knows none of them: it draws targets and solves the normal equations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DRAWS",
    "ESTIMATORS",
    "Moments",
    "Problem",
    "beats_least_squares_below",
    "closed_form",
    "make_problem",
    "simulate",
]

Vector = NDArray[np.float64]

ESTIMATORS = ("LS", "L2", "L2-SP")
DRAWS = 50_000  # a mean square error over ten weights then has a relative standard error of 0.2 %


@dataclass(frozen=True)
class Problem:
    """A regression problem: the design (n, p) with orthonormal columns, w* (p,), eps = w0 - w* (p,), sigma > 0."""

    design: Vector
    truth: Vector
    error: Vector
    sigma: float

    @property
    def noise(self) -> float:
        """p sigma^2: what least squares loses to the noise of the targets."""
        return len(self.truth) * self.sigma**2


@dataclass(frozen=True)
class Moments:
    """Of one estimator: expectation (p,), mean variance of a coordinate, squared norm of the bias, mean square error.

    mse = bias2 + p variance.
    """

    expectation: Vector
    variance: float
    bias2: float
    mse: float


def make_problem(truth2: float, error2: float, sigma: float = 0.1, n: int = 60, p: int = 10, seed: int = 0) -> Problem:
    """A problem with ||w*||^2 = `truth2` and ||w0 - w*||^2 = `error2` in random directions.

    Raises `ValueError` unless n >= p >= 1, sigma > 0 and both squared norms are at least 0.
    """
    if not (n >= p >= 1 and sigma > 0 and truth2 >= 0 and error2 >= 0):
        raise ValueError(f"n={n}, p={p}, sigma={sigma}, truth2={truth2}, error2={error2}: no such problem")
    rng = np.random.default_rng(seed)
    design = np.linalg.qr(rng.normal(size=(n, p)))[0]
    truth, error = rng.normal(size=p), rng.normal(size=p)
    truth *= math.sqrt(truth2) / np.linalg.norm(truth)
    error *= math.sqrt(error2) / np.linalg.norm(error)
    return Problem(design, truth, error, sigma)


def closed_form(problem: Problem, alpha: float) -> dict[str, Moments]:
    """The moments of the three estimators at strength `alpha` >= 0, by name (`ESTIMATORS`)."""
    keep, pull = 1 / (1 + alpha), alpha / (1 + alpha)
    bias = {"LS": 0 * problem.truth, "L2": -pull * problem.truth, "L2-SP": pull * problem.error}
    moments = {}
    for name, b in bias.items():
        variance = problem.sigma**2 * (1.0 if name == "LS" else keep**2)
        bias2 = float(b @ b)
        moments[name] = Moments(problem.truth + b, variance, bias2, bias2 + len(b) * variance)
    return moments


def beats_least_squares_below(problem: Problem, error2: float) -> float:
    """The strength below which an estimator with bias alpha/(1+alpha) times a vector of squared norm `error2` wins.

    L2-SP: `error2` = ||eps||^2; L2: ||w*||^2. Infinite where it always wins, that is up to p sigma^2. The paper's prose
    compares ||eps|| itself with p sigma^2; it is the squared norm (protocol 5).
    """
    excess = error2 - problem.noise
    return math.inf if excess <= 0 else 2 * problem.noise / excess


def simulate(problem: Problem, alpha: float, draws: int = DRAWS, seed: int = 1) -> dict[str, Moments]:
    """The same moments from `draws` noisy targets, each solved for by the normal equations."""
    targets = problem.design @ problem.truth + problem.sigma * _noise(draws, len(problem.design), seed)
    anchors = {"L2": 0 * problem.truth, "L2-SP": problem.truth + problem.error}
    gram, seen = problem.design.T @ problem.design, targets @ problem.design
    found = {"LS": np.linalg.solve(gram, seen.T).T}
    for name, anchor in anchors.items():
        found[name] = np.linalg.solve(gram + alpha * np.eye(len(anchor)), (seen + alpha * anchor).T).T
    return {name: _moments(found[name], problem.truth) for name in ESTIMATORS}


@cache
def _noise(draws: int, n: int, seed: int) -> Vector:
    return np.random.default_rng(seed).normal(size=(draws, n))


def _moments(estimates: NDArray[np.floating[Any]], truth: Vector) -> Moments:
    expectation = estimates.mean(axis=0)
    bias = expectation - truth
    mse = float(((estimates - truth) ** 2).sum(axis=1).mean())
    return Moments(np.asarray(expectation, float), float(estimates.var(axis=0).mean()), float(bias @ bias), mse)
