"""Table 7: the paper's closed forms, what follows from them, and a simulation that checks each."""

from __future__ import annotations

import math
from typing import Any

from l2sp_suite.report.load import Results
from l2sp_suite.report.table import Column, Table, make_table
from l2sp_suite.theory.checks import ERRORS, TRUTH2, checks
from l2sp_suite.theory.linear import DRAWS, ESTIMATORS, beats_least_squares_below, make_problem

SHOWN = (1.0, 0.25)
"""Strength and error of the start of the numbers that the table shows."""
_HEADINGS = ("closed form", "paper: expectation", "paper: variance", "ours: bias²", "ours: MSE")
_FORMS = {
    "LS": ("z", "w*", "σ² I", "0", "pσ²"),
    "L2": ("z / (1+α)", "w* / (1+α)", "σ² I / (1+α)²", "α²‖w*‖² / (1+α)²", "(α²‖w*‖² + pσ²) / (1+α)²"),
    "L2-SP": ("(z + α w0) / (1+α)", "w* + α ε / (1+α)", "σ² I / (1+α)²", "α²‖ε‖² / (1+α)²", "(α²‖ε‖² + pσ²) / (1+α)²"),
}
_MOMENTS = {"variance": "variance", "bias²": "bias2", "MSE": "mse"}


def table7(results: Results) -> Table:
    """Least squares, L2 and L2-SP in linear regression; the same at every scale, as it needs no data."""
    check = next(check for check in checks() if (check.alpha, check.error2) == SHOWN)
    lines = []
    for name in ESTIMATORS:
        line: dict[str, Any] = {"estimator": name}
        line |= {f"_{heading}": form for heading, form in zip(_HEADINGS, _FORMS[name], strict=True)}
        for key in _MOMENTS.values():
            expected, simulated = getattr(check.theory[name], key), getattr(check.simulated[name], key)
            # To six digits: the last ones of a simulation are the processor's.
            line |= {f"{key}_theory": float(f"{expected:.6g}"), f"{key}_simulated": float(f"{simulated:.6g}")}
            line[f"_{key}"] = f"{expected:.4f} / {simulated:.4f}"
        lines.append(line)
    columns = [Column("estimator", "estimator"), *(Column(heading, f"_{heading}") for heading in _HEADINGS)]
    columns += [Column(f"{name}: theory / simulated", f"_{key}") for name, key in _MOMENTS.items()]
    problem, (n, p) = check.problem, check.problem.design.shape
    limits = {error2: beats_least_squares_below(make_problem(TRUTH2, error2), error2) for error2 in ERRORS}
    bounds = [f"‖ε‖² = {e:g}: {f'for α < {x:.3g}' if math.isfinite(x) else 'at every α'}" for e, x in limits.items()]
    values = {"n": n, "p": p, "sigma": problem.sigma, "truth2": float(problem.truth @ problem.truth), "draws": DRAWS}
    values |= {"alpha": check.alpha, "error2": check.error2, "bounds": "; ".join(bounds)}
    worst = 100 * max(check.deviation for check in checks())
    return make_table("table7", results, lines, columns, worst=worst, **values)
