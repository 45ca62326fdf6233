"""The closed forms of linear regression beside a simulation that checks each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from l2sp_suite.theory.linear import ESTIMATORS, Moments, Problem, closed_form, make_problem, simulate

__all__ = ["ERRORS", "STRENGTHS", "TRUTH2", "Check", "checks"]

TRUTH2 = 1.0
ERRORS = (0.05, 0.25, 0.9)
"""||w0 - w*||^2 of three starts: one always better than none, two up to a strength of the pull."""
STRENGTHS = (0.1, 1.0, 10.0)


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
