"""Table 7: closed forms against the definition, against simulation, and the paper's conditions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.theory.linear import (
    ESTIMATORS,
    beats_least_squares_below,
    closed_form,
    make_problem,
    simulate,
)

NORMS = st.floats(0.01, 4.0)
ALPHAS = st.floats(0.01, 20.0)


@pytest.mark.parametrize("error2", [0.05, 0.25, 0.9])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_simulation_agrees_within_a_percent(alpha: float, error2: float) -> None:
    problem = make_problem(1.0, error2)
    theory, found = closed_form(problem, alpha), simulate(problem, alpha)
    for name in ESTIMATORS:
        assert found[name].mse == pytest.approx(theory[name].mse, rel=0.01)
        assert found[name].variance == pytest.approx(theory[name].variance, rel=0.01)
        assert np.abs(found[name].expectation - theory[name].expectation).max() < 0.001
    wins = found["L2-SP"].mse < found["LS"].mse
    assert wins == (alpha < beats_least_squares_below(problem, error2))


@given(NORMS, NORMS, ALPHAS)
def test_l2_sp_beats_l2_exactly_where_the_start_is_nearer_than_zero(truth2: float, error2: float, alpha: float) -> None:
    found = closed_form(make_problem(truth2, error2), alpha)
    assert found["L2"].variance == found["L2-SP"].variance
    if abs(truth2 - error2) > 1e-9:
        assert (found["L2-SP"].mse < found["L2"].mse) == (error2 < truth2)


@given(NORMS, NORMS, st.floats(0.02, 0.5))
def test_threshold_is_where_the_errors_cross(truth2: float, error2: float, sigma: float) -> None:
    problem = make_problem(truth2, error2, sigma)
    for name, size in (("L2-SP", error2), ("L2", truth2)):
        limit = beats_least_squares_below(problem, size)
        if math.isfinite(limit):
            below, above = (closed_form(problem, limit * k) for k in (0.99, 1.01))
            assert below[name].mse < below["LS"].mse and above[name].mse > above["LS"].mse
        else:
            assert size <= problem.noise and closed_form(problem, 1e6)[name].mse <= problem.noise * (1 + 1e-9)


@given(NORMS, ALPHAS)
def test_a_start_at_zero_is_l2_and_a_perfect_start_has_no_bias(truth2: float, alpha: float) -> None:
    problem = make_problem(truth2, 0.0)
    assert closed_form(problem, alpha)["L2-SP"].bias2 == 0
    at_zero = type(problem)(problem.design, problem.truth, -problem.truth, problem.sigma)
    found = closed_form(at_zero, alpha)
    assert found["L2-SP"].mse == pytest.approx(found["L2"].mse)
    assert np.allclose(found["L2-SP"].expectation, found["L2"].expectation)


def test_mean_square_error_is_bias_and_variance() -> None:
    for moments in closed_form(make_problem(1.0, 0.3), 0.7).values():
        assert moments.mse == pytest.approx(moments.bias2 + 10 * moments.variance)


def test_impossible_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="n=5, p=10"):
        make_problem(1.0, 1.0, n=5)
    with pytest.raises(ValueError, match="sigma=0"):
        make_problem(1.0, 1.0, sigma=0.0)
