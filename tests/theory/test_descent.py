"""Figure 1's end points, against the direct solution, the constrained problem and the suite's own penalty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from l2sp import StartingPoint
from l2sp_suite.theory.descent import PANELS, SCENE, Panel, descend

SCRATCH, L2, L2_SP = PANELS


def test_end_points_are_those_of_the_fact_sheet() -> None:
    scratch, l2, l2_sp = (descend(SCENE, panel) for panel in PANELS)
    assert scratch.end == pytest.approx([1.0689, 1.0523], abs=1e-4)
    assert l2.end == pytest.approx(scratch.end, abs=1e-9)  # the memory of w0 is lost
    assert l2_sp.end == pytest.approx([2.0904, 1.7205], abs=1e-4)
    assert (l2.multiplier, l2_sp.multiplier) == pytest.approx((3.0646, 0.6914), abs=1e-4)
    assert (l2.risk, l2_sp.risk, float(SCENE.risk(SCENE.w0))) == pytest.approx((2.902, 0.072, 0.433), abs=1e-3)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_the_penalised_end_is_the_constrained_minimum(panel: Panel) -> None:
    edge = {"type": "ineq", "fun": lambda w: panel.radius**2 - ((w - panel.centre) ** 2).sum()}
    best = minimize(lambda w: float(SCENE.risk(w)), panel.centre + 0.01, constraints=[edge], method="SLSQP", tol=1e-12)
    end = descend(SCENE, panel).end
    assert end == pytest.approx(best.x, abs=1e-4)
    assert np.linalg.norm(end - panel.centre) == pytest.approx(panel.radius, abs=1e-9)


@pytest.mark.parametrize("panel", PANELS[1:], ids=lambda panel: panel.title)
def test_the_penalty_of_this_package_walks_the_same_path(panel: Panel) -> None:
    """The weights of a linear layer, descended by torch with `StartingPoint`, take the figure's steps."""
    path = descend(SCENE, panel, steps=50)
    layer = torch.nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(panel.start)[None])
    start = {"weight": torch.tensor(panel.centre)[None]}
    penalty = StartingPoint(layer, start, alpha=path.multiplier, beta=0.0)
    optimizer = torch.optim.SGD(penalty.param_groups(), lr=0.02)
    penalty.attach(optimizer)
    curvature, star = torch.tensor(SCENE.curvature), torch.tensor(SCENE.star)
    for point in path.points[1:]:
        optimizer.zero_grad()
        away = layer.weight[0] - star
        (away @ curvature @ away / 2).backward()
        optimizer.step()
        assert layer.weight.detach().numpy()[0] == pytest.approx(point, abs=1e-12)


def test_a_disc_that_holds_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="inside the disc"):
        descend(SCENE, Panel("wide", SCENE.w0, SCENE.w0, 2.0))
