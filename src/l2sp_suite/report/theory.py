"""Table 7: the paper's closed forms, what follows from them, and a simulation that checks each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from l2sp_suite.report import captions
from l2sp_suite.report.table import Table, Value
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

__all__ = ["ERRORS", "Check", "checks", "table7"]

TRUTH2 = 1.0
ERRORS = (0.05, 0.25, 0.9)
"""||w0 - w*||^2 of three starts: one always better than none, two up to a strength of the pull."""
STRENGTHS = (0.1, 1.0, 10.0)
SHOWN = (1.0, 0.25)
"""Strength and error of the start of the numbers that the table shows."""

_FORMS = {
    "LS": ("z", "w*", "σ² I", "0", "pσ²"),
    "L2": ("z / (1+α)", "w* / (1+α)", "σ² I / (1+α)²", "α²‖w*‖² / (1+α)²", "(α²‖w*‖² + pσ²) / (1+α)²"),
    "L2-SP": (
        "(z + α w0) / (1+α)",
        "w* + α ε / (1+α)",
        "σ² I / (1+α)²",
        "α²‖ε‖² / (1+α)²",
        "(α²‖ε‖² + pσ²) / (1+α)²",
    ),
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
    found = []
    for error2 in ERRORS:
        problem = make_problem(TRUTH2, error2)
        for alpha in STRENGTHS:
            found.append(Check(problem, error2, alpha, closed_form(problem, alpha), simulate(problem, alpha)))
    return tuple(found)


def table7(scale: str) -> Table:
    """Least squares, L2 and L2-SP in linear regression; the same at every scale, as it needs no data."""
    header = ["estimator", "closed form", "paper: expectation", "paper: variance", "ours: bias²", "ours: MSE"]
    header += [f"{name}: theory / simulated" for name in ("variance", "bias²", "MSE")]
    all_checks = checks()
    shown = next(check for check in all_checks if (check.alpha, check.error2) == SHOWN)
    limits = [(error2, beats_least_squares_below(make_problem(TRUTH2, error2), error2)) for error2 in ERRORS]
    caption = captions.table7(shown.problem, *SHOWN, limits, DRAWS, max(check.deviation for check in all_checks))
    table = Table("table7", "Table 7 (linear regression, orthonormal design)", caption, header)
    for name in ESTIMATORS:
        theory, found = shown.theory[name], shown.simulated[name]
        numbers = [(getattr(theory, key), getattr(found, key)) for key in ("variance", "bias2", "mse")]
        cells = [f"{expected:.4f} / {measured:.4f}" for expected, measured in numbers]
        table.add([name, *_FORMS[name], *cells], _record(name, numbers, scale))
    return table


def _record(name: str, numbers: Sequence[tuple[float, float]], scale: str) -> dict[str, Value]:
    record: dict[str, Value] = {"scale": scale, "estimator": name}
    # To six digits: the last ones of a simulation are the processor's.
    for key, (expected, measured) in zip(("variance", "bias2", "mse"), numbers, strict=True):
        record |= {f"{key}_theory": float(f"{expected:.6g}"), f"{key}_simulated": float(f"{measured:.6g}")}
    return record
