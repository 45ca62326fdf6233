"""Table 7: the paper's closed forms, what follows from them, and a simulation that checks each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from l2sp_suite.report.load import Results
from l2sp_suite.report.table import Column, Table, make_table
from l2sp_suite.theory.linear import (
    DRAWS,
    ESTIMATORS,
    Moments,
    Problem,
    beats_least_squares_below,
    closed_form,
    make_problem,
    simulate,
)

__all__ = ["ERRORS", "TRUTH2", "Check", "checks", "table7"]

TRUTH2 = 1.0
ERRORS = (0.05, 0.25, 0.9)
"""||w0 - w*||^2 of three starts: one always better than none, two up to a strength of the pull."""
STRENGTHS = (0.1, 1.0, 10.0)
SHOWN = (1.0, 0.25)
"""Strength and error of the start of the numbers that the table shows."""

_FORMS = {
    "LS": ("z", "w*", "σ² I", "0", "pσ²"),
    "L2": ("z / (1+α)", "w* / (1+α)", "σ² I / (1+α)²", "α²‖w*‖² / (1+α)²", "(α²‖w*‖² + pσ²) / (1+α)²"),
    "L2-SP": ("(z + α w0) / (1+α)", "w* + α ε / (1+α)", "σ² I / (1+α)²", "α²‖ε‖² / (1+α)²", "(α²‖ε‖² + pσ²) / (1+α)²"),
}


@dataclass(frozen=True)
class Check:
    """Closed forms beside simulation at one strength `alpha` and start."""

    problem: Problem
    error2: float
    alpha: float
    theory: dict[str, Moments]
    simulated: dict[str, Moments]

    @property
    def ratio(self) -> tuple[float, float]:
        """Mean square error of L2-SP over that of least squares: in theory, and simulated."""
        theory, simulated = (m["L2-SP"].mse / m["LS"].mse for m in (self.theory, self.simulated))
        return theory, simulated

    @property
    def deviation(self) -> float:
        """Largest relative deviation of a simulated mean square error from its closed form."""
        return max(abs(self.simulated[name].mse / self.theory[name].mse - 1) for name in ESTIMATORS)


@cache
def checks() -> tuple[Check, ...]:
    """Every strength with every start, on one design and one draw of noise."""
    problems = [(error2, make_problem(TRUTH2, error2)) for error2 in ERRORS]
    return tuple(
        Check(problem, error2, alpha, closed_form(problem, alpha), simulate(problem, alpha))
        for error2, problem in problems
        for alpha in STRENGTHS
    )


def table7(results: Results) -> Table:
    """Least squares, L2 and L2-SP in linear regression; the same at every scale, as it needs no data."""
    check = next(check for check in checks() if (check.alpha, check.error2) == SHOWN)
    forms = ("closed form", "paper: expectation", "paper: variance", "ours: bias²", "ours: MSE")

    def moment(name: str, key: str) -> list[Column[str]]:
        def value(line: str) -> tuple[float, float]:
            return getattr(check.theory[line], key), getattr(check.simulated[line], key)

        # To six digits: the last ones of a simulation are the processor's.
        return [
            Column(f"{name}: theory / simulated", value, lambda pair: f"{pair[0]:.4f} / {pair[1]:.4f}"),
            Column("", lambda line: float(f"{value(line)[0]:.6g}"), key=f"{key}_theory"),
            Column("", lambda line: float(f"{value(line)[1]:.6g}"), key=f"{key}_simulated"),
        ]

    columns: list[Column[str]] = [
        Column("estimator", str, key="estimator"),
        *(Column(name, lambda line, place=place: _FORMS[line][place]) for place, name in enumerate(forms)),
        *(c for name, key in (("variance", "variance"), ("bias²", "bias2"), ("MSE", "mse")) for c in moment(name, key)),
    ]
    return make_table("table7", results, columns, ESTIMATORS, values=_caption(check))


def _caption(check: Check) -> dict[str, Any]:
    limits = [(error2, beats_least_squares_below(make_problem(TRUTH2, error2), error2)) for error2 in ERRORS]
    n, p = check.problem.design.shape
    return {
        **{"n": n, "p": p, "sigma": check.problem.sigma, "truth2": float(check.problem.truth @ check.problem.truth)},
        **{"alpha": check.alpha, "error2": check.error2, "draws": DRAWS},
        "worst": 100 * max(check.deviation for check in checks()),
        "bounds": "; ".join(
            f"‖ε‖² = {size:g}: {'at every α' if math.isinf(limit) else f'for α < {limit:.3g}'}" for size, limit in limits
        ),
    }
