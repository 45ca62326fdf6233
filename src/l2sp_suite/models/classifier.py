"""The classifiers of the DSTL rows by name: our Inception-V3, or any network of timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from l2sp_suite.models import timm_models as timm_nets
from l2sp_suite.utils.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["build_network", "head_prefixes", "logits_of", "without_head", "zero_head"]

# torchvision is imported where it is used: it takes seconds, and a sweep is hundreds of runs.


@torch.no_grad()
def _check_size(name: str, model: nn.Module, input_size: int) -> None:
    """A forward pass is the one test that all families share: transformers take one size, others have a least one."""
    try:
        model.eval()(torch.zeros(1, 3, input_size, input_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(f"network: {name} does not take images of {input_size} px: {error}") from error
    finally:
        model.train()


def build_network(name: str, classes: int, width: float, dropout: float, aux: bool, input_size: int) -> nn.Module:
    """A classifier with new weights, drawn from torch's global generator.

    Args:
        name: ``inception_v3`` (docs/protocols/dstl.md#network), or a name of timm such as ``tf_efficientnet_lite0``.
        classes: number of classes.
        width: factor of the channel counts of ``inception_v3`` and of timm's ResNets; 1 for other networks.
        dropout: probability before the classifier.
        aux: auxiliary head of ``inception_v3``; a network of timm has none and takes no notice.
        input_size: side of the square images in pixels; a network that does not take it is refused.

    Returns:
        A network from images (N, 3, S, S) to what ``logits_of`` splits. The range of the images is the
        data's affair: [-1, 1] for ``inception_v3``, (x - 127) / 128 on 0..255 for EfficientNet-Lite.

    Raises:
        UserError: no such network (the message lists near names), or a width or size that it cannot have.
    """
    if name == "inception_v3":
        from l2sp_suite.models.inception_v3 import inception_v3

        return inception_v3(classes, width, dropout, aux, input_size)
    model = timm_nets.create(name, width, ("inception_v3",), num_classes=classes, drop_rate=dropout)
    _check_size(name, model, input_size)
    return model


def _classifiers(model: nn.Module) -> list[nn.Module]:
    """The layers that give the logits: of Inception-V3 also the auxiliary ones, of a distilled network both."""
    if type(model).__name__ == "Inception3":
        aux = getattr(model, "AuxLogits", None)
        return [layer for layer in (model.fc, getattr(aux, "fc", None)) if isinstance(layer, nn.Module)]
    getter = getattr(model, "get_classifier", None)
    if getter is None:
        raise UserError(f"network: {type(model).__name__} does not say which layer is its classifier")
    found = getter()
    return list(found) if isinstance(found, tuple | list) else [found]


def _names_of(model: nn.Module, wanted: list[nn.Module]) -> Iterator[str]:
    for name, module in model.named_modules():
        if any(module is other for other in wanted):
            yield f"{name}."


def head_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of the parameters that are new in fine-tuning, each ending in a dot.

    Inception-V3: the classifier and the whole auxiliary branch, as the published code restores every
    variable without "Logits" in its name (docs/protocols/dstl.md#fine-tuning). timm: what ``get_classifier()`` returns.

    Raises:
        UserError: the network has no classifier that could be named.
    """
    if type(model).__name__ == "Inception3":
        return ("fc.", "AuxLogits.")
    prefixes = tuple(_names_of(model, _classifiers(model)))
    if not prefixes:
        raise UserError(f"network: the classifier of {type(model).__name__} is none of its layers")
    return prefixes


@torch.no_grad()
def zero_head(model: nn.Module) -> None:
    """Set weights and biases of the classifier to zero, so that all classes start equal.

    Raises:
        UserError: the network does not say which layer is its classifier.
    """
    for layer in _classifiers(model):
        for parameter in layer.parameters():
            parameter.zero_()


def without_head(model: nn.Module) -> nn.Module:
    """The network up to what its classifier takes: images (N, 3, S, S) to features (N, D). It is changed in place.

    Raises:
        UserError: the network does not say which layer is its classifier.
    """
    if type(model).__name__ == "Inception3":
        model.fc, model.AuxLogits = nn.Identity(), cast(Any, None)
        return model
    _classifiers(model)
    model.reset_classifier(0)  # type: ignore[operator]
    return model


def logits_of(output: Tensor | tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """Split a classifier's output into main and auxiliary logits, each (N, classes); no auxiliary is None."""
    if isinstance(output, Tensor):
        return output, None
    logits, aux_logits = output
    return logits, aux_logits
