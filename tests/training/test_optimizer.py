"""Adam in both arms: torch's own, with the penalty of equation 3 in the gradient, before the moments."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.config.compose import compose
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.training.optimizer import build_optimizer
from l2sp_suite.utils.errors import UserError

ADAM = ("optim.name=adam", "optim.momentum=0.8", "optim.smoothing=0.95", "optim.eps=1e-3", "optim.lr=0.02")


def net() -> nn.Sequential:
    """Two convolutions and a batch norm; the last convolution is new."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def start(model: nn.Module) -> dict[str, Tensor]:
    """Another point than the network's own weights, so that the pull is not zero at once."""
    named = model.named_parameters()
    return {name: torch.full_like(p, 0.5) for name, p in named if not name.startswith("3.")}


def cfg(*overrides: str) -> TrainConfig:
    return compose(["experiment=dstl_cub200", "scale=mini", *ADAM, *overrides])


def risk(model: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    images, labels = torch.randn(4, 3, 5, 5, generator=generator), torch.randint(0, 2, (4, 3, 3), generator=generator)
    return F.cross_entropy(model(images), labels)


def equation_3(model: nn.Module, reference: dict[str, Tensor], alpha: float, beta: float) -> Tensor:
    own = dict(model.named_parameters())
    shared = (own["0.weight"] - reference["0.weight"]).square().sum()
    return alpha / 2 * shared + beta / 2 * own["3.weight"].square().sum()


def test_adam_is_torch_s_with_momentum_and_smoothing_as_its_betas() -> None:
    model, run = net(), cfg("reg=l2_sp")
    optimizer = build_optimizer(model, start(model), run.reg, run.optim, {}).optimizer
    assert type(optimizer) is torch.optim.Adam
    for group in optimizer.param_groups:
        assert (group["betas"], group["eps"], group["lr"]) == ((0.8, 0.95), 1e-3, 0.02)
        assert not group["amsgrad"] and not group["decoupled_weight_decay"]


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_steps_are_those_of_adam_on_the_penalised_loss(reg: str) -> None:
    alpha, beta = 0.7, 0.3
    ours, run = net(), cfg(f"reg={reg}", f"reg.alpha={alpha}", f"reg.beta={beta}")
    optimizer = build_optimizer(ours, start(ours), run.reg, run.optim, {}).optimizer
    theirs = net()
    oracle = torch.optim.Adam(theirs.parameters(), lr=0.02, betas=(0.8, 0.95), eps=1e-3)
    reference = start(theirs) if reg == "l2_sp" else {"0.weight": torch.zeros(4, 3, 3, 3)}
    for step in range(5):
        for model, used in ((ours, optimizer), (theirs, oracle)):
            used.zero_grad()
            loss = risk(model, step)
            if model is theirs:
                loss = loss + equation_3(theirs, reference, alpha, beta)
            torch.autograd.backward(loss)
            used.step()
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=f"{name} after step {step}")


def test_first_step_of_the_pull_alone_in_closed_form() -> None:
    """g / (|g| + eps) with g = alpha (w - w0): the moments hold the pull, and so does eps."""
    model, run = net(), cfg("reg=l2_sp", "reg.alpha=0.01", "reg.beta=0.002", "optim.eps=0.01")
    optimizer = build_optimizer(model, start(model), run.reg, run.optim, {}).optimizer
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    pulls = {"0.weight": 0.01 * (before["0.weight"] - 0.5), "3.weight": 0.002 * before["3.weight"]}
    for name, parameter in model.named_parameters():
        g = pulls.get(name, torch.zeros(()))
        torch.testing.assert_close(parameter.detach(), before[name] - 0.02 * g / (g.abs() + 0.01))


@pytest.mark.parametrize("missing", ["smoothing", "eps"])
def test_adam_without_smoothing_or_eps_is_refused(missing: str) -> None:
    model, run = net(), cfg("reg=l2_sp", f"optim.{missing}=null")
    with pytest.raises(UserError, match=r"optim\.name=adam: use .*adam with optim\.smoothing and optim\.eps"):
        build_optimizer(model, start(model), run.reg, run.optim, {})


def test_flow_branch_is_pre_trained_with_the_published_adam() -> None:
    """Protocol 2.7."""
    optim = compose(["experiment=source/flownet", "scale=mini", "reg=l2"]).optim
    assert (optim.name, optim.momentum, optim.smoothing, optim.eps) == ("adam", 0.9, 0.999, 1e-8)
