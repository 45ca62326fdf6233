"""The optimiser of every arm. The only module of the suite that knows there is a penalty."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from hydra.utils import get_class
from torch import Tensor, nn

from l2sp import Penalty
from l2sp_suite.config import Arm, OptimConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["PenalizedOptimizer", "build_optimizer", "check_optimizer"]


@dataclass(frozen=True)
class PenalizedOptimizer:
    """An optimiser with its penalty, and what to log about it."""

    optimizer: torch.optim.Optimizer
    penalty: Penalty

    @property
    def has_anchor(self) -> bool:
        """Whether any weight is pre-trained."""
        return bool(self.penalty.partition.shared)

    def monitor(self) -> dict[str, float]:
        """Distance of the shared weights from w0 and from zero; nothing when there is no w0."""
        if not self.has_anchor:
            return {}
        return {"distance_w0": self.penalty.distance_to_pretrained(), "distance_zero": self.penalty.norm()}

    def layers(self) -> dict[str, list[float]]:
        """||w - w0||, ||w|| and ||w0|| of each shared weight, to six digits."""
        return {name: [float(f"{norm:.6g}") for norm in norms] for name, norms in self.penalty.by_layer().items()}

    def describe(self) -> dict[str, Any]:
        """The split of the weights (numbers of scalars, names of the new ones) and the checksum of w0, for env.json."""
        if not self.has_anchor:
            return {"partition": None}
        split = self.penalty.partition
        names = {"new_names": list(split.new), "mismatched": split.mismatched}
        return {"partition": {**split.counts(), **names}, "w0": self.penalty.checksum}

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint: momentum, and the identity of the penalty."""
        return {"optimizer": self.optimizer.state_dict(), "penalty": self.penalty.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores momentum; refuses a checkpoint of another penalty or anchor.

        Raises:
            UserError: the checkpoint was made with another penalty or other pre-trained weights.
        """
        try:
            self.penalty.load_state_dict(state["penalty"])
        except (KeyError, ValueError) as error:
            raise UserError(f"cannot resume: {error}") from error
        self.optimizer.load_state_dict(state["optimizer"])


def build_optimizer(
    model: nn.Module, pretrained: Mapping[str, Tensor], arm: Arm, optim: OptimConfig, lr_factors: Mapping[str, float]
) -> PenalizedOptimizer:
    """The optimiser with the penalty of an arm attached.

    All arms have the same parameter groups and the same kernel. Each group's `lr_factor` is that of `lr_factors`
    whose key begins the names of its parameters, 1 where none does.

    Args:
        model: the network, with its pre-trained weights loaded.
        pretrained: those weights by parameter name; empty from scratch.

    Raises:
        UserError: the penalty or the optimiser cannot be built, e.g. no weight of the model is pre-trained.
    """
    penalty = _penalty(model, pretrained, arm)
    optimizer = _optimizer(_by_factor(penalty.param_groups(), model, lr_factors), optim)
    try:
        return PenalizedOptimizer(optimizer, penalty.attach(optimizer))
    except ValueError as error:
        raise UserError(f"reg={arm.name} with optim.name={optim.name}: {error}") from error


def check_optimizer(arm: Arm, optim: OptimConfig) -> None:
    """Builds the optimiser for a network of one weight, so that wrong settings are said before minutes go by.

    Raises:
        UserError: as `build_optimizer`.
    """
    model = nn.Linear(1, 1)
    build_optimizer(model, model.state_dict(), arm, optim, {})


def _penalty(model: nn.Module, pretrained: Mapping[str, Tensor], arm: Arm) -> Penalty:
    try:
        kind = get_class(arm.penalty)
    except (ImportError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise UserError(f"reg.penalty={arm.penalty}: no such class ({reason}); e.g. l2sp.L2SP") from error
    if not issubclass(kind, Penalty):
        raise UserError(f"reg.penalty={arm.penalty}: not a subclass of l2sp.Penalty")
    names = set(kind.hyperparameter_names())
    if odd := sorted(names ^ set(arm.hyperparameters)):
        raise UserError(
            f"reg={arm.name}: {arm.penalty} takes {', '.join(sorted(names))}, not the same as given: {odd[0]}"
        )
    try:
        return kind(model, pretrained, penalize=arm.penalize, **arm.hyperparameters)
    except ValueError as error:
        raise UserError(f"reg={arm.name}: {error}") from error


def _by_factor(groups: list[dict[str, Any]], model: nn.Module, lr_factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """The groups, divided where their parameters learn at different rates."""
    factors = {
        id(parameter): next((factor for start, factor in lr_factors.items() if name.startswith(start)), 1.0)
        for name, parameter in model.named_parameters()
    }
    divided = []
    for group in groups:
        for factor in sorted({factors[id(parameter)] for parameter in group["params"]}):
            params = [parameter for parameter in group["params"] if factors[id(parameter)] == factor]
            divided.append({**group, "params": params, "lr_factor": factor})
    return divided


def _optimizer(groups: list[dict[str, Any]], optim: OptimConfig) -> torch.optim.Optimizer:
    kind = getattr(torch.optim, optim.name, None)
    if not (inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)):
        known = [name for name, value in vars(torch.optim).items() if inspect.isclass(value)]
        raise UserError(f"optim.name={optim.name}: torch.optim has no such class, only {', '.join(sorted(known))}")
    kernel = "fused" if "fused" in inspect.signature(kind).parameters else "foreach"
    kwargs = {kernel: True, **{name: value for name, value in optim.kwargs.items() if value is not None}}
    try:
        return cast(Any, kind)(groups, lr=optim.lr, **kwargs)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise UserError(f"optim.kwargs={kwargs}: {optim.name} does not take them ({error})") from error
