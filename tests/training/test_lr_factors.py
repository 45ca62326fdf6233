"""Parts of a network that learn at another rate: the groups, the rates of a step, and what the penalty makes of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from l2sp_suite.config.composition import compose
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.training.optimizer import build_optimizer


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def cfg(*overrides: str) -> TrainConfig:
    return compose(["experiment=dstl_cub200", "scale=mini", "reg=l2_sp", *overrides])


def start(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(p, 0.5) for name, p in model.named_parameters() if not name.startswith("2.")}


def test_without_factors_the_groups_are_the_penalty_s() -> None:
    model = net()
    groups = build_optimizer(model, start(model), cfg().reg, cfg().optim, {}).optimizer.param_groups
    assert [(group["name"], group["lr_factor"]) for group in groups] == [("shared", 1), ("new", 1), ("exempt", 1)]


@given(st.floats(0.1, 100))
def test_every_parameter_is_once_in_a_group_of_its_rate(factor: float) -> None:
    model, run = net(), cfg()
    groups = build_optimizer(model, start(model), run.reg, run.optim, {"2.": factor}).optimizer.param_groups
    found = {id(p): (g["lr_factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        rate, decay = found[id(parameter)]
        assert rate == (factor if name.startswith("2.") else 1)
        assert decay == {"0.weight": run.reg.alpha, "2.weight": run.reg.beta}.get(name, 0)


@pytest.mark.parametrize("scope", ["weights", "all"])
@pytest.mark.parametrize("source", [True, False], ids=["fine-tuned", "from scratch"])
def test_a_step_moves_each_part_by_its_own_rate(source: bool, scope: str) -> None:
    model = net()
    run = cfg(f"reg.decay_scope={scope}", *(() if source else ("reg=l2", "reg.alpha=0.1", "reg.beta=0.1")))
    penalized = build_optimizer(model, start(model) if source else {}, run.reg, run.optim, {"2.": 10.0})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for group in penalized.optimizer.param_groups:
        group["lr"] = 0.01 * group["lr_factor"]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    penalized.optimizer.step()
    alpha, beta = run.reg.alpha, run.reg.beta
    penalised = before if scope == "all" else ("0.weight", "2.weight")
    target = 0.5 if source else 0.0
    pulls = {n: beta * before[n] if n.startswith("2.") else alpha * (before[n] - target) for n in penalised}
    for name, parameter in model.named_parameters():
        rate = 0.1 if name.startswith("2.") else 0.01
        expected = before[name] - rate * (1 + pulls.get(name, torch.zeros(())))
        torch.testing.assert_close(parameter.detach(), expected)
