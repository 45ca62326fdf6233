"""Inception-V3 at any of five widths: torchvision's own classes, with every channel count divided.

Source: docs/protocols/dstl.md#network (slim Inception-V3: BN eps 1e-3, dropout 0.2, auxiliary head on Mixed_6e).
torchvision's batch norm has a scale and slim's has none; that is the one difference of the layers.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from torch import nn
from torchvision.models import inception as tv

from l2sp_suite.utils.errors import UserError

__all__ = ["MIN_INPUT", "WIDTHS", "aux_fits", "inception_v3", "mixed_6e_size"]

WIDTHS = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""The widths that leave every channel count whole: the counts have 16 as their greatest common divisor."""

MIN_INPUT = 75
"""Least side of the input in pixels: below it Mixed_7a has no 3x3 window left."""

_AUX_MIN_MAP = 17  # average pool 5x5 stride 3 must leave 5x5 for the 5x5 convolution: (17 - 5) // 3 + 1 = 5
_log = logging.getLogger(__name__)


def _after(size: int, kernel: int, stride: int) -> int:
    """Side of a map after an unpadded window."""
    return (size - kernel) // stride + 1


def mixed_6e_size(input_size: int) -> int:
    """Side of the Mixed_6e map, in cells, for a square input of ``input_size`` pixels (299 gives 17)."""
    size = input_size
    # Conv2d_1a, 2a, maxpool1, 4a, maxpool2, Mixed_6a; the layers between them keep the size
    for kernel, stride in ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2)):
        size = _after(size, kernel, stride)
    return size


def aux_fits(input_size: int) -> bool:
    """Whether the auxiliary head has a map to work on: from 299 px up, the size it was designed for."""
    return mixed_6e_size(input_size) >= _AUX_MIN_MAP


class _NarrowConv2d(tv.BasicConv2d):  # type: ignore[misc]
    """torchvision's block, both channel counts divided; an input of three channels is the image and stays."""

    def __init__(self, in_channels: int, out_channels: int, *, divisor: int, **kwargs: Any) -> None:
        inputs = in_channels if in_channels == 3 else in_channels // divisor
        super().__init__(inputs, out_channels // divisor, **kwargs)


def _blocks(divisor: int) -> list[Any]:
    """The seven blocks that torchvision's class takes, all built from one narrower convolution."""
    conv = partial(_NarrowConv2d, divisor=divisor)
    mixed = (tv.InceptionA, tv.InceptionB, tv.InceptionC, tv.InceptionD, tv.InceptionE, tv.InceptionAux)
    return [conv, *(partial(block, conv_block=conv) for block in mixed)]


def _narrow_linear(wide: nn.Linear, divisor: int, std: float) -> nn.Linear:
    """A classifier for fewer inputs, with torchvision's initial spread."""
    linear = nn.Linear(wide.in_features // divisor, wide.out_features)
    nn.init.trunc_normal_(linear.weight, std=std, a=-2, b=2)
    return linear


def _divisor(width: float) -> int:
    if width not in WIDTHS:
        allowed = ", ".join(f"{w:g}" for w in WIDTHS)
        raise UserError(f"width: {width:g} leaves fractions of channels in inception_v3; allowed: {allowed}")
    return round(1 / width)


def inception_v3(
    classes: int,
    width: float = 1.0,
    dropout: float = 0.2,
    aux: bool = True,
    input_size: int = 299,
) -> nn.Module:
    """Inception-V3 with new weights; at width 1 bit-equal to torchvision's for the same seed.

    Args:
        classes: number of classes.
        width: factor of every channel count, one of ``WIDTHS``.
        dropout: probability before the classifier (docs/protocols/dstl.md#network: 0.2).
        aux: build the auxiliary head. It is left out, with a line in the log, where ``aux_fits`` says no.
        input_size: side of the square images in pixels, at least ``MIN_INPUT``.

    Returns:
        A torchvision ``Inception3``. Input (N, 3, S, S) in [-1, 1]. Output (N, classes); in training mode
        and with the auxiliary head ``InceptionOutputs(logits, aux_logits)``, both (N, classes).

    Raises:
        UserError: the width or the input size is not possible.
    """
    divisor = _divisor(width)
    if input_size < MIN_INPUT:
        raise UserError(f"input_size: inception_v3 takes images of {MIN_INPUT} px or more, not {input_size}")
    if aux and not aux_fits(input_size):
        _log.info("inception_v3: no auxiliary head at %d px (it needs 299 px or more)", input_size)
        aux = False
    net = tv.Inception3(
        num_classes=classes,
        aux_logits=aux,
        transform_input=False,
        inception_blocks=None if divisor == 1 else _blocks(divisor),
        init_weights=True,
        dropout=dropout,
    )
    if divisor != 1:
        net.fc = _narrow_linear(net.fc, divisor, std=0.1)
        if net.AuxLogits is not None:
            net.AuxLogits.fc = _narrow_linear(net.AuxLogits.fc, divisor, std=0.001)
    assert isinstance(net, nn.Module)
    return net
