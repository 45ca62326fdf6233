"""The optimiser of both arms. The only module that knows what the arms differ in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from l2sp.penalty import StartingPoint
from l2sp_suite.config.schema import OptimConfig, RegConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["Regularised", "build_optimizer"]


@dataclass(frozen=True)
class Regularised:
    """An optimiser with its penalty, and what to log about it."""

    optimizer: torch.optim.Optimizer
    point: StartingPoint | None

    def monitor(self) -> dict[str, float]:
        """Distance of the shared weights from w0 and from zero; nothing when there is no w0."""
        if self.point is None:
            return {}
        return {"distance_w0": self.point.distance_to_start(), "distance_zero": self.point.norm()}

    def layers(self) -> dict[str, list[float]]:
        """||w - w0||, ||w|| and ||w0|| of each shared weight, to six digits; nothing when there is no w0."""
        by_layer = self.point.by_layer() if self.point is not None else {}
        return {name: [float(f"{norm:.6g}") for norm in norms] for name, norms in by_layer.items()}

    def describe(self) -> dict[str, Any]:
        """The split of the weights (numbers of scalars, names of the new ones) and the checksum of w0, for env.json."""
        if self.point is None:
            return {"partition": None}
        split = self.point.partition
        names = {"new_names": list(split.new), "mismatched": split.mismatched}
        return {"partition": {**split.counts(), **names}, "w0": self.point.checksum}

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint: momentum, and the identity of the anchor."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "point": self.point.state_dict() if self.point else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores momentum; refuses a checkpoint with another anchor.

        Raises:
            UserError: the checkpoint was made with another starting point.
        """
        try:
            if self.point is not None:
                self.point.load_state_dict(state["point"] or {})
        except (KeyError, ValueError) as error:
            raise UserError(f"cannot resume: {error}") from error
        self.optimizer.load_state_dict(state["optimizer"])


def build_optimizer(
    model: nn.Module, start: Mapping[str, Tensor], reg: RegConfig, optim: OptimConfig, lr_factors: Mapping[str, float]
) -> Regularised:
    """The optimiser with the penalty of `reg`: decay to zero (`origin`) or to the starting point (`start`).

    Both arms have the same parameter groups and the same kernel; L2-SP adds one hook. From scratch there is
    no w0, and every penalised parameter decays to zero by alpha. Each group's `lr_factor` is that of `lr_factors`
    whose key begins the names of its parameters, 1 where none does.

    Raises:
        UserError: the penalty cannot be built, e.g. no weight of the model is in the start; unknown optimiser.
    """
    if not start:
        if reg.reference == "start":
            raise UserError(f"reg={reg.name}: there are no pre-trained weights to start from (weights.source=none)")
        if reg.alpha != reg.beta:
            raise UserError(f"reg: from scratch all weights are new: give alpha={reg.alpha:g} and beta the same value")
        groups = _by_factor(_from_scratch(model, reg), model, lr_factors)
        return Regularised(_optimizer(groups, optim), None)
    try:
        point = StartingPoint(model, start, reg.alpha, reg.beta, reg.decay_scope)
    except ValueError as error:
        raise UserError(f"starting point: {error}") from error
    optimizer = _optimizer(_by_factor(point.param_groups(), model, lr_factors), optim)
    if reg.reference == "start":
        point.attach(optimizer)
    return Regularised(optimizer, point)


def _from_scratch(model: nn.Module, reg: RegConfig) -> list[dict[str, Any]]:
    # What is penalised is the library's affair; as no hook is attached, the stand-in start is never used.
    stand_in = {name: torch.ones_like(p) for name, p in model.named_parameters()}
    return StartingPoint(model, stand_in, reg.alpha, reg.beta, reg.decay_scope).param_groups()


def _by_factor(groups: list[dict[str, Any]], model: nn.Module, lr_factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """The groups, divided where their parameters learn at different rates."""
    factors = {
        id(parameter): next((factor for start, factor in lr_factors.items() if name.startswith(start)), 1.0)
        for name, parameter in model.named_parameters()
    }
    divided = []
    for group in groups:
        for factor in sorted({factors[id(parameter)] for parameter in group["params"]}):
            own = [parameter for parameter in group["params"] if factors[id(parameter)] == factor]
            divided.append({**group, "params": own, "lr_factor": factor})
    return divided


def _optimizer(groups: list[dict[str, Any]], optim: OptimConfig) -> torch.optim.Optimizer:
    if optim.name == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum, fused=True)
    if optim.smoothing is not None and optim.eps is not None and optim.name == "adam":
        betas = (optim.momentum, optim.smoothing)
        return torch.optim.Adam(groups, lr=optim.lr, betas=betas, eps=optim.eps, fused=True)
    if optim.smoothing is not None and optim.eps is not None and optim.name == "rmsprop":
        return torch.optim.RMSprop(
            groups, lr=optim.lr, momentum=optim.momentum, alpha=optim.smoothing, eps=optim.eps, foreach=True
        )
    raise UserError(f"optim.name={optim.name}: use sgd, or rmsprop or adam with optim.smoothing and optim.eps")
