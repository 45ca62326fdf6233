"""Which parameters of a model are pulled to the pre-trained weights, which to zero, and which nowhere."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

__all__ = ["PENALIZE", "Partition", "partition"]

PENALIZE = ("weights", "all")
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
"""Layers whose weight is penalised with `weights` (paper, section 5.1)."""


@dataclass(frozen=True)
class Partition:
    """The parameters of a model in three sets, each by parameter name.

    Attributes:
        shared: penalised, and in the pre-trained weights under the same name with the same shape.
        new: penalised, and not shared.
        exempt: not penalised: with `weights`, biases, normalisation and whatever else is not the weight of a
            convolution or linear layer; with `all`, nothing.
        mismatched: of the new ones, those that are pre-trained in another shape, with both shapes in words.
        zeros: of the shared weights of convolutions and linear layers, those that are pre-trained as zeros only.
    """

    shared: dict[str, nn.Parameter] = field(default_factory=dict)
    new: dict[str, nn.Parameter] = field(default_factory=dict)
    exempt: dict[str, nn.Parameter] = field(default_factory=dict)
    mismatched: dict[str, str] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()

    def sets(self) -> dict[str, dict[str, nn.Parameter]]:
        """The three sets by their names: shared, new, exempt."""
        return {"shared": self.shared, "new": self.new, "exempt": self.exempt}

    def counts(self) -> dict[str, int]:
        """Number of scalars in each of the three sets."""
        return {name: sum(p.numel() for p in params.values()) for name, params in self.sets().items()}

    def __str__(self) -> str:
        counts = self.counts()
        sets = [f"{name} {counts[name]:,} in {len(params)} tensors" for name, params in self.sets().items()]
        notes = [f"{name}: {shapes}, counted as new" for name, shapes in self.mismatched.items()]
        notes += [f"{name}: pre-trained weights are all zero" for name in self.zeros]
        return "; ".join([", ".join(sets), *notes])


def partition(model: nn.Module, pretrained: Mapping[str, Tensor], penalize: str = "weights") -> Partition:
    """Sorts the parameters of a model by what a penalty does to them.

    Args:
        model: the network to train.
        pretrained: pre-trained weights by parameter name; entries without a counterpart in the model are ignored.
            Empty for training from scratch: then every penalised parameter is new.
        penalize: `weights` (convolutions, transposed ones too, and linear layers; no bias, no normalisation)
            or `all` parameters.

    Raises:
        ValueError: unknown `penalize`; no parameter matches `pretrained`; a tensor in use holds NaN or infinity.
    """
    if penalize not in PENALIZE:
        raise ValueError(f"penalize must be one of {', '.join(PENALIZE)}, got {penalize!r}")
    weights = {id(module.weight) for module in model.modules() if isinstance(module, LAYERS)}
    sets, zeros = Partition(), []
    for name, param in model.named_parameters():
        tensor = pretrained.get(name)
        if id(param) not in weights and penalize != "all":
            sets.exempt[name] = param
        elif tensor is not None and tensor.shape == param.shape:
            _check_finite(name, tensor)
            sets.shared[name] = param
            if id(param) in weights and not tensor.any():
                zeros.append(name)
        else:
            sets.new[name] = param
            if tensor is not None:
                sets.mismatched[name] = f"pre-trained with shape {tuple(tensor.shape)}, here {tuple(param.shape)}"
    if pretrained and not sets.shared:
        raise ValueError(_no_match(list(sets.new), list(pretrained)))
    return Partition(sets.shared, sets.new, sets.exempt, sets.mismatched, tuple(zeros))


def _check_finite(name: str, tensor: Tensor) -> None:
    if not torch.isfinite(tensor).all():
        raise ValueError(f"the pre-trained tensor {name} holds NaN or infinity: the file is damaged")


def _no_match(names: list[str], pretrained: list[str]) -> str:
    nearest = [(name, difflib.get_close_matches(name, pretrained, n=1, cutoff=0.0)) for name in names[:3]]
    missing = [f"{name} (nearest: {close[0]})" if close else name for name, close in nearest]
    return (
        "no weight of the model is in the pre-trained weights with its name and shape; "
        f"missing e.g. {', '.join(missing) or 'nothing'}"
    )
