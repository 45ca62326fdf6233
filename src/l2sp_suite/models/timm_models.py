"""Networks of timm by name, with errors for people and a width for the miniature."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, cast

import torch
from torch import nn

from l2sp_suite.utils.errors import UserError

__all__ = ["ORIGINAL", "create", "data_config"]

# timm is imported where it is used: it takes seconds, and a sweep is hundreds of runs.

ORIGINAL = "_caffe"
"""After the name of a ResNet: as it was first published, in Caffe."""
_STAGES = (64, 128, 256, 512)  # channels of a ResNet's stages before the bottleneck's expansion


def create(name: str, width: float = 1.0, more_names: tuple[str, ...] = (), **options: Any) -> nn.Module:
    """A network of timm with new weights, drawn from torch's global generator.

    Args:
        name: a name of timm, without a tag; of a ResNet of bottlenecks also with `_caffe` after it: the original of
            2015, whose stages halve the map in their first 1x1 convolution.
        width: factor of all channel counts in (0, 1]; other than 1 for ResNets only.
        more_names: names that the caller knows beside timm's, for the hint at a misspelt one.
        options: for `timm.create_model`, such as `num_classes`, or `features_only` and `output_stride`.

    Raises:
        UserError: no such network (the message lists near names), or one that cannot be built so.
    """
    import timm

    original = name.endswith(ORIGINAL)
    name = name.removesuffix(ORIGINAL)
    _check_name(name, more_names)
    if width != 1:
        options |= _narrow(name, width)
    try:
        model = timm.create_model(name, pretrained=False, **options)
    except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"network: timm cannot build {name!r} so: {error}") from error
    assert isinstance(model, nn.Module)
    return _as_original(model, name) if original else model


def data_config(name: str) -> dict[str, Any]:
    """How images must be prepared for the published weights of a network of timm (`timm.data.resolve_data_config`).

    Returns:
        `input_size` (3, H, W), `mean`, `std`, `interpolation`, `crop_pct`, and more.

    Raises:
        UserError: no such network.
    """
    import timm

    _check_name(name, ("inception_v3",))
    try:
        published: Any = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # a tag that the network does not have
        raise UserError(f"network: {name}: {error}") from error
    data: Any = timm.data
    return cast("dict[str, Any]", data.resolve_data_config({}, pretrained_cfg=published.to_dict() if published else {}))


def _check_name(name: str, more_names: tuple[str, ...]) -> None:
    import timm

    if "/" in name or ":" in name or not timm.is_model(name):
        near = get_close_matches(name, [*more_names, *timm.list_models()], n=5, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else "python -c 'import timm; print(timm.list_models())'"
        raise UserError(f"network: no network is called {name!r}; {hint}")


def _as_original(model: nn.Module, name: str) -> nn.Module:
    """A ResNet as it was first published, in Caffe; weights have the same names and shapes as timm's.

    Source: docs/protocols/segflow.md#segmentation-branch.

    The first pooling has no padding and takes in the last rows and columns that it only half covers.
    """
    blocks = [part for path, part in model.named_modules() if path.endswith(".0") and hasattr(part, "conv3")]
    strides = [cast(Any, block).conv2.stride for block in blocks]
    if not (name.startswith("resnet") and strides == [(1, 1), *[(2, 2)] * 3] and hasattr(model, "maxpool")):
        raise UserError(f"network: {name}{ORIGINAL}: only ResNets of bottlenecks, such as resnet101, have an original")
    for block in blocks:
        first, second = cast(Any, block).conv1, cast(Any, block).conv2
        first.stride, second.stride = second.stride, (1, 1)
    model.maxpool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
    model.pretrained_cfg = None  # type: ignore[assignment]  # timm's weights are those of the later variant
    return model


def _narrow(name: str, width: float) -> dict[str, Any]:
    """timm's arguments that scale a ResNet of bottlenecks or basic blocks; its stem keeps its shape."""
    from timm.models import resnet

    if not name.startswith("resnet") or not hasattr(resnet, name):
        raise UserError(f"width: {width:g} is for inception_v3 and ResNets; {name} comes with width 1")
    channels = [count * width for count in _STAGES]
    if any(count != int(count) or count < 2 for count in channels):
        raise UserError(f"width: {width:g} does not divide the 64 channels of a ResNet's first stage; try 0.25")
    with torch.device("meta"):
        stem = getattr(resnet, name)().conv1
    first = stem[0] if isinstance(stem, nn.Sequential) else stem
    assert isinstance(first, nn.Conv2d)
    return {"channels": tuple(int(count) for count in channels), "stem_width": int(first.out_channels * width)}
