"""Every optimiser in both arms is torch's own, with the penalty in the gradient, and each part learns at its rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.config import TrainConfig, compose, spec_of
from l2sp_suite.training import build_optimizer, train
from l2sp_suite.training.optimizer import PenalizedOptimizer
from l2sp_suite.utils.errors import UserError

# By optim.name: arguments, which are torch's own, and the arguments of the oracle.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("{momentum: 0.9}", {"momentum": 0.9}),
    "Adam": ("{momentum: null, betas: [0.8, 0.95], eps: 1e-3}", {"betas": (0.8, 0.95), "eps": 1e-3}),
    "RMSprop": ("{momentum: 0.9, alpha: 0.9, eps: 1.0}", {"momentum": 0.9, "alpha": 0.9, "eps": 1.0}),
}


def net() -> nn.Sequential:
    """Two convolutions and a batch norm; the last convolution is new."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def anchor(model: nn.Module) -> dict[str, Tensor]:
    """Another point than the network's weights, so that the pull is not zero at once."""
    return {name: torch.full_like(p, 0.5) for name, p in model.named_parameters() if not name.startswith("3.")}


@cache
def cfg(*overrides: str, name: str = "SGD", kwargs: str | None = None) -> TrainConfig:
    given_kwargs = KINDS[name][0] if kwargs is None else kwargs
    optim = (f"optim.name={name}", f"+optim.kwargs={given_kwargs}", "optim.lr=0.02")
    return compose(["experiment=dstl_cub200", "scale=mini", *optim, *overrides])


def built(
    model: nn.Module, run: TrainConfig, factors: dict[str, float] | None = None, scratch: bool = False
) -> PenalizedOptimizer:
    return build_optimizer(model, {} if scratch else anchor(model), run.arm, run.optim, factors or {})


def risk(model: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    images, labels = torch.randn(4, 3, 5, 5, generator=generator), torch.randint(0, 2, (4, 3, 3), generator=generator)
    return F.cross_entropy(model(images), labels)


def equation_3(model: nn.Module, w0: Tensor | float, alpha: float, beta: float) -> Tensor:
    weights = dict(model.named_parameters())
    return alpha / 2 * (weights["0.weight"] - w0).square().sum() + beta / 2 * weights["3.weight"].square().sum()


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
@pytest.mark.parametrize("name", KINDS)
def test_steps_are_those_of_torch_s_optimiser_on_the_penalised_loss(name: str, reg: str) -> None:
    alpha, beta = 0.7, 0.3
    ours, theirs = net(), net()
    optimizer = built(ours, cfg(f"reg={reg}", f"reg.alpha={alpha}", f"reg.beta={beta}", name=name)).optimizer
    kind: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, name)
    assert type(optimizer) is kind
    oracle = kind(theirs.parameters(), lr=0.02, **KINDS[name][1])
    for step in range(5):
        for model, used in ((ours, optimizer), (theirs, oracle)):
            used.zero_grad()
            loss = risk(model, step)
            if model is theirs:
                loss = loss + equation_3(theirs, 0.5 if reg == "l2_sp" else 0.0, alpha, beta)
            torch.autograd.backward(loss)
            used.step()
        for (parameter, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=f"{parameter} after step {step}")


def test_first_adam_step_of_the_pull_alone_in_closed_form() -> None:
    """g / (|g| + eps) with g = alpha (w - w0): the moments hold the pull, and so does eps."""
    model = net()
    run = cfg("reg=l2_sp", "reg.alpha=0.01", "reg.beta=0.002", name="Adam", kwargs="{momentum: null, eps: 0.01}")
    optimizer = built(model, run).optimizer
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    pulls = {"0.weight": 0.01 * (before["0.weight"] - 0.5), "3.weight": 0.002 * before["3.weight"]}
    for name, parameter in model.named_parameters():
        g = pulls.get(name, torch.zeros(()))
        torch.testing.assert_close(parameter.detach(), before[name] - 0.02 * g / (g.abs() + 0.01))


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("sgd", "{}", r"optim\.name=sgd: torch\.optim has no such class, only .*SGD"),
        ("lr_scheduler", "{}", r"optim\.name=lr_scheduler: torch\.optim has no such class"),
        ("Adam", "{momentum: 0.9}", r"optim\.kwargs=.*: Adam does not take them .*momentum"),
        ("SGD", "{smoothing: 0.9, momentum: 0.9}", r"optim\.kwargs=.*: SGD does not take them .*smoothing"),
        ("SGD", "{momentum: -1}", r"optim\.kwargs=.*: SGD does not take them .*momentum"),
        ("Adam", "{momentum: null, betas: [0.9, 2.0]}", r"optim\.kwargs=.*: Adam does not take them .*beta"),
        ("AdamW", "{momentum: null}", r"optim\.name=AdamW: AdamW does not decay through the gradient.*SGD, Adam"),
        ("Adam", "{momentum: null, decoupled_weight_decay: true}", r"optim\.name=Adam: .*through the gradient"),
        ("SGD", "{maximize: true}", r"optim\.name=SGD: maximize=True turns the sign of the penalty"),
    ],
)
def test_wrong_names_and_arguments_say_what_is_right_in_one_line(name: str, kwargs: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        built(net(), cfg("reg=l2_sp", name=name, kwargs=kwargs))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["optim.kwargs.nesterov=true", "optim.kwargs={nesterov: true}"])
def test_an_argument_that_no_file_gives_is_written_with_a_plus(override: str) -> None:
    with pytest.raises(
        UserError, match=r"optim\.kwargs\.nesterov: no .* gives it; write it with a plus, \+optim\.kwargs\.nest"
    ):
        cfg(override)
    groups = built(net(), cfg(f"+{override}")).optimizer.param_groups
    assert all(group["nesterov"] and group["momentum"] == 0.9 for group in groups)


def test_an_argument_of_null_is_left_to_torch() -> None:
    groups = built(net(), cfg(name="Adam", kwargs="{momentum: null, eps: null}")).optimizer.param_groups
    assert {group["eps"] for group in groups} == {1e-8}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["reg.penalty=l2sp.L3"], r"reg\.penalty=l2sp\.L3: no such class"),
        (["reg.penalty=torch.nn.Linear"], r"reg\.penalty=torch\.nn\.Linear: not a subclass of l2sp\.Penalty"),
        (["+reg.gamma=1", "+task.penalty.l2_sp.gamma=1"], r"reg=l2_sp: l2sp\.L2SP takes alpha, beta, not .*: gamma"),
        (["reg.penalize=biases"], r"reg=l2_sp: .*penalize"),
    ],
)
def test_wrong_penalties_say_what_is_right_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        built(net(), cfg("reg=l2_sp", *overrides))
    assert "\n" not in str(caught.value)


def test_l2_sp_from_scratch_is_refused() -> None:
    with pytest.raises(UserError, match="reg=l2_sp: L2SP pulls to pre-trained weights and got none: use L2"):
        built(net(), cfg("reg=l2_sp"), scratch=True)


# Parts that learn at another rate


def test_without_factors_the_groups_are_the_penalty_s() -> None:
    groups = built(net(), cfg("reg=l2_sp")).optimizer.param_groups
    assert [(group["name"], group["lr_factor"]) for group in groups] == [("shared", 1), ("new", 1), ("exempt", 1)]


@given(st.floats(0.1, 100))
@settings(deadline=None, max_examples=10)
def test_every_parameter_is_once_in_a_group_of_its_rate(factor: float) -> None:
    model, run = net(), cfg("reg=l2_sp")
    groups = built(model, run, {"3.bias": 2 * factor, "3.": factor}).optimizer.param_groups
    rates = {id(p): (g["lr_factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        rate, decay = rates[id(parameter)]
        assert rate == {"3.weight": factor, "3.bias": 2 * factor}.get(name, 1)  # the first that fits
        assert decay == {"0.weight": run.reg["alpha"], "3.weight": run.reg["beta"]}.get(name, 0)


@pytest.mark.parametrize("penalize", ["weights", "all"])
@pytest.mark.parametrize("scratch", [False, True])
def test_a_step_moves_each_part_by_its_own_rate(scratch: bool, penalize: str) -> None:
    model, alpha, beta = net(), 0.05, 0.1 if scratch else 0.02
    overrides = (f"reg={'l2' if scratch else 'l2_sp'}", f"reg.alpha={alpha}", f"reg.beta={beta}")
    optimizer = built(model, cfg(*overrides, f"reg.penalize={penalize}"), {"3.": 10.0}, scratch).optimizer
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.01 * group["lr_factor"]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    penalised = before if penalize == "all" else ("0.weight", "3.weight")
    pulls = {n: beta * before[n] if scratch or n.startswith("3.") else alpha * (before[n] - 0.5) for n in penalised}
    for name, parameter in model.named_parameters():
        rate = 0.1 if name.startswith("3.") else 0.01
        expected = before[name] - rate * (1 + pulls.get(name, torch.zeros(())))
        torch.testing.assert_close(parameter.detach(), expected)


# What a run's log and checkpoint hold of it


def test_log_and_description_are_of_the_shared_weights() -> None:
    model = net()
    penalized = built(model, cfg("reg=l2_sp"))
    weight = model[0].weight.detach()
    assert penalized.monitor() == pytest.approx(
        {"distance_w0": (weight - 0.5).norm().item(), "distance_zero": weight.norm().item()}, rel=1e-5
    )
    assert penalized.layers()["0.weight"] == pytest.approx(
        [(weight - 0.5).norm().item(), weight.norm().item(), 0.5 * weight.numel() ** 0.5], rel=1e-5
    )
    described = penalized.describe()
    assert described["partition"]["new_names"] == ["3.weight"] and described["partition"]["shared"] == weight.numel()
    scratch = built(net(), cfg("reg=l2"), scratch=True)
    assert scratch.monitor() == {} and scratch.describe() == {"partition": None} and not scratch.has_anchor


@pytest.mark.parametrize(
    ("w0", "overrides", "message"),
    [
        (2.0, [], "checksum"),
        (0.5, ["reg.alpha=7"], "alpha"),
        (0.5, ["reg=l2"], "penalty=L2SP, this run's has penalty=L2"),
    ],
)
def test_a_checkpoint_of_another_penalty_or_anchor_is_refused(w0: float, overrides: list[str], message: str) -> None:
    state = built(net(), cfg("reg=l2_sp")).state_dict()
    run, model = cfg("reg=l2_sp", *overrides), net()
    other = {name: torch.full_like(tensor, w0) for name, tensor in anchor(model).items()}
    with pytest.raises(UserError, match=rf"cannot resume: .*{message}"):
        build_optimizer(model, other, run.arm, run.optim, {}).load_state_dict(state)


@pytest.mark.parametrize("override", ["optim.name=Sgd", "reg.penalty=l2sp.L3", "optim.name=AdamW"])
def test_wrong_settings_are_said_before_anything_is_read_or_trained(tmp_path, override: str) -> None:
    paths = [f"paths.{name}='{tmp_path}/{name}'" for name in ("data", "results", "artifacts")]
    more = ["optim.kwargs.momentum=null"] if override.endswith("AdamW") else []
    spec = spec_of(["experiment=dstl_cub200", "scale=smoke", override, *more, *paths])
    with pytest.raises(UserError, match=override.split("=")[0]):
        train(spec)
    assert not (tmp_path / "artifacts").exists()
