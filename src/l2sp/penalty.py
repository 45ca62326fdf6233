"""L2-SP: weight decay towards the starting point (equation 3 of the paper).

    Omega(w) = alpha/2 ||w_S - w0||^2 + beta/2 ||w_new||^2

This module imports torch alone and can be copied out of the project. In a training loop it takes three lines:

    sp = StartingPoint(model, start, alpha=1e-1, beta=1e-2)  # start: {name: tensor}, the pre-trained weights
    optimizer = torch.optim.SGD(sp.param_groups(), lr=0.01, momentum=0.9, fused=True)
    sp.attach(optimizer)                                     # leave this line out and it is plain L2

It pulls the weights to the start; it does not load them.

How: the optimiser's own decay adds `alpha * w` to the gradient, and a hook before each step adds
`-alpha * w0` with one `torch._foreach_add_` over the gradients, in place. The sum is the gradient of
equation 3, exactly where torch puts weight decay: after clipping, before momentum.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Partition", "StartingPoint"]

PENALISED = (nn.modules.conv._ConvNd, nn.Linear)
SCOPES = ("weights", "all")
COUPLED = (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.Adamax,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
    torch.optim.Adagrad,
    torch.optim.Adadelta,
)
"""Optimisers that add weight decay to the gradient; with `decoupled_weight_decay` some of them do not."""


@dataclass(frozen=True)
class Partition:
    """Which parameters, by name, are pulled where.

    `shared` go to w0 (alpha), `new` to zero (beta), `exempt` nowhere (normalisation, biases, everything
    that is not the weight of a convolution or linear layer; none with the scope `all`). `mismatched` lists the
    new ones that the start has under the same name with another shape, `zeros` the weights of convolutions and
    linear layers among the shared ones whose w0 is zero throughout; elsewhere, as in biases, zeros are honest.
    """

    shared: dict[str, nn.Parameter] = field(default_factory=dict)
    new: dict[str, nn.Parameter] = field(default_factory=dict)
    exempt: dict[str, nn.Parameter] = field(default_factory=dict)
    mismatched: dict[str, str] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Numbers of scalars in the three sets."""
        sets = {"shared": self.shared, "new": self.new, "exempt": self.exempt}
        return {name: sum(p.numel() for p in params.values()) for name, params in sets.items()}

    def __str__(self) -> str:
        counts = self.counts()
        parts = [
            f"{name} {counts[name]:,} in {len(params)} tensors"
            for name, params in (("shared", self.shared), ("new", self.new), ("exempt", self.exempt))
        ]
        notes = [f"{name}: {what}, counted as new" for name, what in self.mismatched.items()]
        notes += [f"{name}: zero throughout in the start" for name in self.zeros]
        return "; ".join([", ".join(parts), *notes])


class StartingPoint:
    """The penalty of equation 3 for a model and its pre-trained weights.

    Args:
        model: the network to fine-tune.
        start: the pre-trained weights by parameter name, as in a `state_dict`. They are copied: the anchor
            never follows the live model. Tensors without a counterpart in the model are ignored.
        alpha: strength of the pull of the shared weights to w0, >= 0.
        beta: strength of the pull of the new weights to zero, >= 0.
        scope: what is penalised: `weights`, those of convolutions (transposed too) and linear layers and nothing
            else (paper, section 5.1), or `all` parameters, normalisation and biases too (protocol 4.1).

    Raises:
        ValueError: a coefficient is negative or not finite; an unknown scope; nothing that is penalised is in
            `start`; a tensor of `start` that would be used holds NaN or infinity.

    A weight of another shape than its namesake in `start` counts as new and is reported, as is a
    pre-trained tensor that is zero throughout (`UserWarning`, and `partition`).

    The hook acts on `param.grad` as the optimiser sees it. With a `GradScaler`, call `scaler.unscale_`
    before `scaler.step`. `copy.deepcopy((model, optimizer, sp))` gives an attached copy; a copy of the
    optimiser alone loses its hooks (torch drops them).
    """

    def __init__(
        self, model: nn.Module, start: Mapping[str, Tensor], alpha: float, beta: float, scope: str = "weights"
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be a finite number >= 0, got {value}")
        if scope not in SCOPES:
            raise ValueError(f"scope must be one of {', '.join(SCOPES)}, got {scope!r}")
        self.alpha, self.beta = float(alpha), float(beta)
        self.partition = _partition(model, start, everything=scope == "all")
        self._params = list(self.partition.shared.values())
        self._anchors = [_copy_like(start[name], p) for name, p in self.partition.shared.items()]
        self._optimizer: torch.optim.Optimizer | None = None
        self.checksum = _checksum(self.partition.shared, self._anchors)
        for note in (
            *self.partition.mismatched.items(),
            *((z, "zero throughout") for z in self.partition.zeros),
        ):
            warnings.warn(f"starting point: {note[0]}: {note[1]}", stacklevel=2)

    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser: shared (decay alpha), new (beta), exempt (0); empty ones left out."""
        sets = (
            ("shared", self.partition.shared, self.alpha),
            ("new", self.partition.new, self.beta),
            ("exempt", self.partition.exempt, 0.0),
        )
        return [
            {"params": list(params.values()), "weight_decay": decay, "name": name}
            for name, params, decay in sets
            if params
        ]

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Makes the optimiser's decay of the shared weights point to w0, from its next step on.

        Raises:
            ValueError: the optimiser was not built from `param_groups()`, does not add its decay to the gradient
                (AdamW) or maximises, or something is attached already.
        """
        if self._optimizer is not None:
            raise ValueError("this starting point is attached to an optimiser already")
        decay = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        for name, param in self.partition.shared.items():
            group = decay.get(id(param))
            if group is None or group.get("weight_decay") != self.alpha:
                raise ValueError(
                    f"{name} is not decayed by alpha={self.alpha}: build the optimiser from param_groups()"
                )
            if not isinstance(optimizer, COUPLED) or group.get("decoupled_weight_decay"):
                names = ", ".join(kind.__name__ for kind in COUPLED)
                kind = type(optimizer).__name__
                raise ValueError(f"{kind} does not decay through the gradient, as equation 3 does: use one of {names}")
            if group.get("maximize"):
                raise ValueError("maximize=True turns the sign of the penalty")
        self._anchors = [_copy_like(a, p) for a, p in zip(self._anchors, self._params, strict=True)]
        self._register(optimizer)

    def penalty(self) -> float:
        """The value of equation 3 at the current weights, for the log; outside autograd."""
        new = math.fsum(_square(p) for p in self.partition.new.values())
        return 0.5 * (self.alpha * self.distance_to_start() ** 2 + self.beta * new)

    def distance_to_start(self) -> float:
        """||w_S - w0||, over the shared weights."""
        pairs = zip(self._params, self._anchors, strict=True)
        return math.sqrt(math.fsum(_square(p.detach() - a.to(p.device)) for p, a in pairs))

    def norm(self) -> float:
        """||w_S||, over the shared weights: the distance that plain L2 shrinks."""
        return math.sqrt(math.fsum(_square(p) for p in self._params))

    def by_layer(self) -> dict[str, tuple[float, float, float]]:
        """||w - w0||, ||w|| and ||w0|| of each shared weight, by name: where the two pulls end."""
        pairs = zip(self.partition.shared.items(), self._anchors, strict=True)
        return {name: (_norm(p.detach() - a.to(p.device)), _norm(p), _norm(a)) for (name, p), a in pairs}

    def state_dict(self) -> dict[str, Any]:
        """Coefficients and the checksum of w0; the anchor itself comes from the start, at every resume."""
        return {"alpha": self.alpha, "beta": self.beta, "checksum": self.checksum}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Checks that a resumed run has the anchor and the coefficients that it began with.

        Raises:
            ValueError: they differ.
        """
        for key, ours in self.state_dict().items():
            if state[key] != ours:
                raise ValueError(f"the checkpoint was made with starting point {key}={state[key]}, this run has {ours}")

    def _before_step(self, _: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(closure is not None for closure in (*args[1:], *kwargs.values())):  # args[0] is the optimiser
            raise RuntimeError("step(closure) computes the gradients after the pull: call backward, then step()")
        self._pull()

    @torch.no_grad()
    def _pull(self) -> None:
        grads, anchors = [], []
        for param, anchor in zip(self._params, self._anchors, strict=True):
            if param.grad is not None:
                grads.append(param.grad)
                anchors.append(anchor)
        if grads:
            torch._foreach_add_(grads, anchors, alpha=-self.alpha)

    def _register(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        if self.alpha:  # alpha = 0 is no pull at all, bit for bit
            optimizer.register_step_pre_hook(self._before_step)

    def __deepcopy__(self, memo: dict[int, Any]) -> StartingPoint:
        clone = object.__new__(type(self))
        memo[id(self)] = clone
        clone.__dict__.update(copy.deepcopy(self.__dict__, memo))
        if clone._optimizer is not None:  # torch does not copy an optimiser's hooks
            clone._register(clone._optimizer)
        return clone


def _partition(model: nn.Module, start: Mapping[str, Tensor], everything: bool) -> Partition:
    weights = {id(m.weight) for m in model.modules() if isinstance(m, PENALISED)}
    found, zeros = Partition(), []
    for name, param in model.named_parameters():
        if id(param) not in weights and not everything:
            found.exempt[name] = param
        elif name in start and start[name].shape == param.shape:
            _check_finite(name, start[name])
            found.shared[name] = param
            if id(param) in weights and not start[name].any():
                zeros.append(name)
        else:
            found.new[name] = param
            if name in start:
                found.mismatched[name] = f"shape {tuple(start[name].shape)} in the start, {tuple(param.shape)} here"
    if not found.shared:
        raise ValueError(_no_match(found, start))
    return Partition(found.shared, found.new, found.exempt, found.mismatched, tuple(zeros))


def _check_finite(name: str, tensor: Tensor) -> None:
    if not torch.isfinite(tensor).all():
        raise ValueError(f"the pre-trained tensor {name} holds NaN or infinity: the file is damaged")


def _no_match(found: Partition, start: Mapping[str, Tensor]) -> str:
    near = []
    for name in list(found.new)[:3]:
        close = difflib.get_close_matches(name, list(start), n=1, cutoff=0.0)
        near += [f"{name} (nearest in the start: {close[0]})"] if close else [name]
    return f"no weight of the model is in the start with its name and shape; wanted e.g. {', '.join(near) or 'nothing'}"


def _copy_like(source: Tensor, param: Tensor) -> Tensor:
    # Strides as the gradient's, so that the hook's one pass stays on the fast path.
    return torch.empty_like(param, requires_grad=False).copy_(source.detach())


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach(), dtype=torch.float64))


def _square(tensor: Tensor) -> float:
    return _norm(tensor) ** 2


def _checksum(shared: Mapping[str, Tensor], anchors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for name, anchor in zip(shared, anchors, strict=True):
        digest.update(name.encode())
        digest.update(anchor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
