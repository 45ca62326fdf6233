"""Penalties on the weights of a network that is fine-tuned, for any torch training loop.

In a training loop a penalty takes three lines:

    penalty = L2SP(model, pretrained, alpha=1e-1, beta=1e-2)  # pretrained: {name: tensor}, as in a state_dict
    optimizer = torch.optim.SGD(penalty.param_groups(), lr=0.01, momentum=0.9, fused=True)
    penalty.attach(optimizer)

The model must hold the pre-trained weights already: a penalty pulls to them, it does not load them.

How: the optimiser's own weight decay gives the gradient of the part that is centred at zero, and a hook before
each step adds the rest to `param.grad`, in place. The sum is the gradient of the penalty, exactly where torch puts
weight decay: after clipping, before momentum. The penalty never enters the loss.
"""

from __future__ import annotations

import copy
import ctypes
import hashlib
import inspect
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn, optim
from torch.utils.hooks import RemovableHandle

from l2sp.partition import partition

__all__ = ["L2", "L2SP", "Penalty", "StartingPoint"]

Pretrained = Mapping[str, Tensor] | None
COUPLED = (optim.SGD, optim.Adam, optim.Adamax, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Adagrad, optim.Adadelta)
"""Optimisers that add weight decay to the gradient; with `decoupled_weight_decay` some of them do not."""


class Penalty(ABC):
    """A penalty on the shared and the new weights of a model, as a part of the gradient.

    To write one, derive from this class and give it

    * an `__init__` whose further arguments are the hyper-parameters; it passes them on by name, and each becomes an
      attribute (those annotated `float`, or not at all, are checked: finite and >= 0);
    * `coefficients()`: how strongly the optimiser's own decay pulls the shared and the new weights to zero;
    * `shared_value()`: the penalty of the shared weights, a number for the log;
    * `add_gradient()`, if decay to zero is not the whole gradient: called before each step, without autograd.

    `docs/extending/penalty.md` has L1-SP in fifteen lines.

    Args:
        model: the network to train.
        pretrained: the pre-trained weights (w0) by parameter name, as in a `state_dict`. They are copied: the
            anchor never follows the live model. Entries without a counterpart in the model are ignored.
            None or empty for training from scratch.
        penalize: `weights`, those of convolutions and linear layers (paper, section 5.1), or `all` parameters.
        hyperparameters: the values of the subclass's hyper-parameters, by name.

    Raises:
        ValueError: a hyper-parameter is negative or not finite; see also `l2sp.partition.partition`.

    A weight that is pre-trained in another shape counts as new and is reported, as is a pre-trained weight that
    is zero throughout (`UserWarning`, and `partition`). `copy.deepcopy((model, optimizer, penalty))` gives an
    attached copy; a copy of the optimiser alone loses its hooks (torch drops them).
    """

    needs_pretrained: ClassVar[bool] = True

    def __init__(
        self, model: nn.Module, pretrained: Pretrained, *, penalize: str = "weights", **hyperparameters: Any
    ) -> None:
        self.hyperparameters = {name: self._checked(name, value) for name, value in hyperparameters.items()}
        vars(self).update(self.hyperparameters)
        weights = pretrained or {}
        if not weights and self.needs_pretrained:
            kind = type(self).__name__
            raise ValueError(f"{kind} pulls to pre-trained weights and got none: use L2 to train from scratch")
        self.penalize, self.partition = penalize, partition(model, weights, penalize)
        self._params = list(self.partition.shared.values())
        self._anchors = [_copy_like(weights[name], p) for name, p in self.partition.shared.items()]
        self._optimizer: optim.Optimizer | None = None
        self._hook: RemovableHandle | None = None
        self.checksum = _checksum(self.partition.shared, self._anchors)
        notes = {**self.partition.mismatched, **dict.fromkeys(self.partition.zeros, "pre-trained weights are all zero")}
        for name, note in notes.items():
            warnings.warn(f"{type(self).__name__}: {name}: {note}", stacklevel=3)

    @classmethod
    def hyperparameter_names(cls) -> tuple[str, ...]:
        """Names of the hyper-parameters, from the signature of the class: `("alpha", "beta")` for L2-SP."""
        return tuple(cls._hyperparameters())

    @classmethod
    def _hyperparameters(cls) -> dict[str, inspect.Parameter]:
        parameters = inspect.signature(cls).parameters
        common = ("model", "pretrained", "penalize")
        return {n: p for n, p in parameters.items() if n not in common and p.kind is not p.VAR_KEYWORD}

    @abstractmethod
    def coefficients(self) -> dict[str, float]:
        """Weight decay of the optimiser's groups `shared` and `new`, both >= 0; `exempt` ones never decay."""

    @abstractmethod
    def shared_value(self, params: list[Tensor], anchors: list[Tensor]) -> float:
        """The penalty of the shared weights at their current values (without that of the new ones)."""

    def add_gradient(  # noqa: B027  (no part beside the optimiser's decay)
        self, grads: list[Tensor], params: list[Tensor], anchors: list[Tensor]
    ) -> None:
        """Adds to `grads`, in place, what `coefficients()["shared"] * params` lacks of the penalty's gradient.

        Called before each step under `torch.no_grad`, for the shared weights that have a gradient. The three
        lists run in parallel: gradients, weights and pre-trained weights, of one shape each.
        """

    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser: `shared`, `new` and `exempt`, each with its decay; no empty ones."""
        decay = self._decay()
        return [
            {"params": list(params.values()), "weight_decay": decay[name], "name": name}
            for name, params in self.partition.sets().items()
            if params
        ]

    def attach(self, optimizer: optim.Optimizer) -> Self:
        """Makes the penalty act in every step of the optimiser from its next one on; gives the penalty back.

        Raises:
            ValueError: the optimiser was not built from `param_groups()`, does not add its decay to the gradient
                (AdamW) or maximises, or the penalty is attached already.
        """
        if self._optimizer is not None:
            raise ValueError(f"this {type(self).__name__} is attached to an optimiser already")
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        for kind, params in self.partition.sets().items():
            for name, param in params.items():
                group = groups.get(id(param))
                if group is not None or kind == "shared":
                    _check_group(name, group, self._decay()[kind], optimizer)
        self._anchors = [_copy_like(a, p) for a, p in zip(self._anchors, self._params, strict=True)]
        self._register(optimizer)
        return self

    def detach(self) -> None:
        """Takes the hook off the optimiser; its groups keep their decay, so what stays of L2-SP is L2."""
        if self._hook is not None:
            self._hook.remove()
        self._optimizer = self._hook = None

    def value(self) -> float:
        """The penalty at the current weights, for the log; outside autograd."""
        new = math.fsum(_norm(p) ** 2 for p in self.partition.new.values())
        pairs = list(self._pairs())
        return self.shared_value([p for p, _ in pairs], [a for _, a in pairs]) + 0.5 * self._decay()["new"] * new

    def distance_to_pretrained(self) -> float:
        """||w_S - w0||, over the shared weights."""
        return math.sqrt(math.fsum(_norm(p - a) ** 2 for p, a in self._pairs()))

    def norm(self) -> float:
        """||w_S||, over the shared weights: the distance from zero, which plain L2 shrinks."""
        return math.sqrt(math.fsum(_norm(p) ** 2 for p in self._params))

    def by_layer(self) -> dict[str, tuple[float, float, float]]:
        """||w - w0||, ||w|| and ||w0|| of each shared weight, by parameter name."""
        pairs = zip(self.partition.shared, self._pairs(), strict=True)
        return {name: (_norm(p - a), _norm(p), _norm(a)) for name, (p, a) in pairs}

    def state_dict(self) -> dict[str, Any]:
        """What identifies the penalty in a checkpoint: class, hyper-parameters and checksum of w0.

        The anchor itself is not in it: it comes from the pre-trained weights, at every resume.
        """
        identity = {"penalty": type(self).__name__, "penalize": self.penalize, "checksum": self.checksum}
        return {**identity, **self.hyperparameters}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Checks that a resumed run has the penalty and the anchor that it began with.

        Raises:
            ValueError: they differ.
        """
        for key, value in self.state_dict().items():
            if state.get(key) != value:
                raise ValueError(f"the checkpoint's penalty has {key}={state.get(key)}, this run's has {key}={value}")

    def _checked(self, name: str, value: Any) -> Any:
        if self._hyperparameters()[name].annotation not in (float, "float", inspect.Parameter.empty):
            return value
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} must be a finite number >= 0, got {value}")
        return float(value)

    def _decay(self) -> dict[str, float]:
        return {**self.coefficients(), "exempt": 0.0}

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        for param, anchor in zip(self._params, self._anchors, strict=True):
            yield param.detach(), anchor.to(param.device)

    def _before_step(self, _: optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(closure is not None for closure in (*args[1:], *kwargs.values())):  # args[0] is the optimiser
            raise RuntimeError("step(closure) computes the gradients after the penalty's: call backward, then step()")
        self._add_gradients()

    @torch.no_grad()
    def _add_gradients(self) -> None:
        pairs = zip(self._params, self._anchors, strict=True)
        live = [(param.grad, param, anchor) for param, anchor in pairs if param.grad is not None]
        if live:
            self.add_gradient([grad for grad, _, _ in live], [p for _, p, _ in live], [a for _, _, a in live])

    def _register(self, optimizer: optim.Optimizer) -> None:
        self._optimizer = optimizer
        if type(self).add_gradient is not Penalty.add_gradient:
            self._hook = optimizer.register_step_pre_hook(self._before_step)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        clone = object.__new__(type(self))
        memo[id(self)] = clone
        clone.__dict__.update(copy.deepcopy({**self.__dict__, "_hook": None}, memo))
        if clone._optimizer is not None:  # torch does not copy an optimiser's hooks
            clone._register(clone._optimizer)
        return clone


class _Quadratic(Penalty):
    """What L2 and L2-SP share: one coefficient for the shared weights and one for the new ones."""

    alpha: float
    beta: float

    def __init__(
        self, model: nn.Module, pretrained: Pretrained, alpha: float, beta: float, penalize: str = "weights"
    ) -> None:
        super().__init__(model, pretrained, penalize=penalize, alpha=alpha, beta=beta)

    def coefficients(self) -> dict[str, float]:
        """Alpha for the shared weights, beta for the new ones."""
        return {"shared": self.alpha, "new": self.beta}


class L2(_Quadratic):
    """Decay to zero: alpha/2 ||w_S||^2 + beta/2 ||w_new||^2.

    Gradient: alpha w on the shared weights, beta w on the new ones; all of it is the optimiser's own decay.
    Trains from scratch too (`pretrained=None`): then every penalised weight is new and decays by beta.

    Args:
        model, pretrained, penalize: see `Penalty`.
        alpha: strength of the decay of the shared weights, >= 0.
        beta: strength of the decay of the new weights, >= 0.
    """

    needs_pretrained = False

    def shared_value(self, params: list[Tensor], anchors: list[Tensor]) -> float:
        """alpha/2 ||w_S||^2."""
        return 0.5 * self.alpha * math.fsum(_norm(p) ** 2 for p in params)


class L2SP(_Quadratic):
    """Decay to the pre-trained weights: alpha/2 ||w_S - w0||^2 + beta/2 ||w_new||^2 (paper, equation 3).

    Gradient: alpha (w - w0) on the shared weights, of which the optimiser's decay gives alpha w and the hook
    -alpha w0; beta w on the new ones. Leave `attach` out and it is L2.

    Args:
        model, pretrained, penalize: see `Penalty`.
        alpha: strength of the pull of the shared weights to w0, >= 0.
        beta: strength of the decay of the new weights to zero, >= 0.
    """

    def shared_value(self, params: list[Tensor], anchors: list[Tensor]) -> float:
        """alpha/2 ||w_S - w0||^2."""
        return 0.5 * self.alpha * math.fsum(_norm(p - a) ** 2 for p, a in zip(params, anchors, strict=True))

    def add_gradient(self, grads: list[Tensor], params: list[Tensor], anchors: list[Tensor]) -> None:
        """Adds -alpha w0 in one pass."""
        if self.alpha:  # alpha = 0 is no pull at all, bit for bit
            torch._foreach_add_(grads, anchors, alpha=-self.alpha)


StartingPoint = L2SP
"""The short name of L2-SP."""


def _check_group(name: str, group: dict[str, Any] | None, decay: float, optimizer: optim.Optimizer) -> None:
    if group is None or group.get("weight_decay") != decay:
        actual = "is not in the optimiser" if group is None else f"decays by {group.get('weight_decay')}, not {decay}"
        raise ValueError(f"{name} {actual}: build the optimiser from param_groups()")
    if not isinstance(optimizer, COUPLED) or group.get("decoupled_weight_decay"):
        names = ", ".join(kind.__name__ for kind in COUPLED)
        raise ValueError(
            f"{type(optimizer).__name__} does not decay through the gradient, as the penalty does: use one of {names}"
        )
    if group.get("maximize"):
        raise ValueError("maximize=True turns the sign of the penalty")


def _copy_like(source: Tensor, param: Tensor) -> Tensor:
    # Strides as the gradient's, so that the hook's one pass stays on the fast path.
    return torch.empty_like(param, requires_grad=False).copy_(source.detach())


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach(), dtype=torch.float64))


def _checksum(shared: Mapping[str, Tensor], anchors: list[Tensor]) -> str | None:
    """SHA-256 of names and bytes of the anchors, None without any; needs no numpy, which torch can do without."""
    digest = hashlib.sha256()
    for name, anchor in zip(shared, anchors, strict=True):
        digest.update(name.encode())
        data = anchor.detach().cpu().contiguous()
        if data.numel():
            digest.update((ctypes.c_char * (data.numel() * data.element_size())).from_address(data.data_ptr()))
    return digest.hexdigest() if anchors else None
