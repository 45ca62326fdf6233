"""FlowNetS, the flow branch (docs/protocols/segflow.md#flow-branch)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.utils.errors import UserError

__all__ = ["FLOW_UNIT", "STRIDE", "FlowFeatures", "FlowNetS", "flow_size"]

STRIDE = 64
"""Frames have sides that are multiples of it."""

FLOW_UNIT = 20.0
"""Pixels in the unit of the network's own predictions."""

_SLOPE = 0.1  # of the leaky ReLU


class FlowFeatures(NamedTuple):
    """What the branch gives: the three finest concatenations, and flow in units of 20 px from coarse to fine.

    `maps`: concat2, concat3, concat4: (B, 194, H/4, W/4), (B, 386, H/8, W/8), (B, 770, H/16, W/16) at width 1.
    `flows`: flow6 .. flow2: (B, 2, H/64, W/64) .. (B, 2, H/4, W/4).
    """

    maps: tuple[Tensor, Tensor, Tensor]
    flows: tuple[Tensor, ...]


def flow_size(height: int, width: int) -> tuple[int, int]:
    """Sides to which the flow branch resizes frames of that size: 480x854 becomes 512x896, as published.

    The least multiples of 64 that leave what the fusion's crops cut off: one cell of stride 32 more than the
    segmentation branch has.
    """
    tall, wide = (STRIDE * -(-32 * (-(-side // 32) + 1) // STRIDE) for side in (height, width))
    return tall, wide


class FlowNetS(nn.Module):
    """From two frames to flow: an encoder, and a decoder that refines what it predicts; biases everywhere.

    Args:
        width: factor of all channel counts in (0, 1]; 38,676,514 parameters at 1.

    Raises:
        UserError: a width that does not divide the channel counts.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if 64 * width < 1 or 64 * width != int(64 * width):
            raise UserError(f"width: {width:g} does not divide the 64 channels of FlowNetS's first layer; try 0.25")
        c = [int(count * width) for count in (64, 128, 256, 512, 512, 1024)]
        self.conv1, self.conv2 = _conv(6, c[0], 7, 2), _conv(c[0], c[1], 5, 2)
        self.conv3, self.conv3_1 = _conv(c[1], c[2], 5, 2), _conv(c[2], c[2], 3, 1)
        self.conv4, self.conv4_1 = _conv(c[2], c[3], 3, 2), _conv(c[3], c[3], 3, 1)
        self.conv5, self.conv5_1 = _conv(c[3], c[4], 3, 2), _conv(c[4], c[4], 3, 1)
        self.conv6, self.conv6_1 = _conv(c[4], c[5], 3, 2), _conv(c[5], c[5], 3, 1)
        d5, d4, d3, d2 = (int(count * width) for count in (512, 256, 128, 64))
        concat5, concat4, concat3, concat2 = c[4] + d5 + 2, c[3] + d4 + 2, c[2] + d3 + 2, c[1] + d2 + 2
        self.deconv5, self.deconv4 = _deconv(c[5], d5), _deconv(concat5, d4)
        self.deconv3, self.deconv2 = _deconv(concat4, d3), _deconv(concat3, d2)
        self.predict_flow6, self.predict_flow5 = _predict(c[5]), _predict(concat5)
        self.predict_flow4, self.predict_flow3, self.predict_flow2 = map(_predict, (concat4, concat3, concat2))
        self.upsample_flow6to5, self.upsample_flow5to4 = _deconv(2, 2), _deconv(2, 2)
        self.upsample_flow4to3, self.upsample_flow3to2 = _deconv(2, 2), _deconv(2, 2)
        self.channels = (concat2, concat3, concat4)

    def forward(self, frames: Tensor) -> FlowFeatures:
        """Frames (B, 6, H, W), the channels of that from which flow goes first; sides are multiples of 64."""
        conv2 = _leaky(self.conv2(_leaky(self.conv1(frames))))
        conv3 = _leaky(self.conv3_1(_leaky(self.conv3(conv2))))
        conv4 = _leaky(self.conv4_1(_leaky(self.conv4(conv3))))
        conv5 = _leaky(self.conv5_1(_leaky(self.conv5(conv4))))
        conv6 = _leaky(self.conv6_1(_leaky(self.conv6(conv5))))
        flow6 = self.predict_flow6(conv6)
        concat5 = torch.cat([conv5, _leaky(self.deconv5(conv6)), self.upsample_flow6to5(flow6)], dim=1)
        flow5 = self.predict_flow5(concat5)
        concat4 = torch.cat([conv4, _leaky(self.deconv4(concat5)), self.upsample_flow5to4(flow5)], dim=1)
        flow4 = self.predict_flow4(concat4)
        concat3 = torch.cat([conv3, _leaky(self.deconv3(concat4)), self.upsample_flow4to3(flow4)], dim=1)
        flow3 = self.predict_flow3(concat3)
        concat2 = torch.cat([conv2, _leaky(self.deconv2(concat3)), self.upsample_flow3to2(flow3)], dim=1)
        flow2 = self.predict_flow2(concat2)
        return FlowFeatures((concat2, concat3, concat4), (flow6, flow5, flow4, flow3, flow2))


def _leaky(values: Tensor) -> Tensor:
    return F.leaky_relu(values, _SLOPE, inplace=True)


def _initialised(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Conv2d | nn.ConvTranspose2d:
    nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    return _initialised(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2))


def _predict(inputs: int) -> nn.Module:
    return _initialised(nn.Conv2d(inputs, 2, 3, padding=1))


def _deconv(inputs: int, outputs: int) -> nn.Module:
    return _initialised(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1))
