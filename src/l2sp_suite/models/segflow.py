"""SegFlow: a segmentation and a flow branch that exchange feature maps, a head for each task.

Source: docs/protocols/segflow.md#segmentation-branch and docs/protocols/segflow.md#exchange-and-heads.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.models import timm_models as timm_nets
from l2sp_suite.models.batch_norm import freeze_statistics
from l2sp_suite.models.flownets import FLOW_UNIT, STRIDE, FlowFeatures, FlowNetS, flow_size
from l2sp_suite.utils.errors import UserError

__all__ = ["FCNHead", "Output", "SegFlow", "Wiring", "check_cover", "segmentation_branch"]

_SEGMENTATION_CROPS, _FLOW_CROPS = (1, 2, 4), (1, 0, 0)
"""Where the release crops the pooled flow features for each head, at strides 32, 16 and 8."""


class Output(NamedTuple):
    """What a forward pass gives; None for what was not asked for or what the network has no part for.

    `mask`: logits (B, 2, H, W) of background and object. `flow`: (B, 2, H, W) in pixels of the frames given. `flows`:
    FlowNetS's own predictions, coarse to fine, (B, 2, h, w) in units of 20 px of the frames that it saw.
    """

    mask: Tensor | None
    flow: Tensor | None
    flows: tuple[Tensor, ...]


@dataclass(frozen=True)
class Wiring:
    """Fixed, where the heads read them: `factors` of the segmentation features at strides 8, 16 and 32, `flow_factor`
    of the flow features.

    `flow_unit`: pixels in the unit of the flow head's scores. `mean`, `std`: of the frames' channels on [0, 1], for
    the segmentation branch; the flow branch gets (frame - `flow_mean`) / `flow_std`. `residual`: the flow is what the
    flow branch predicts and the head's scores, not these alone. `head_crops`: cells cut off before the maps after each
    of a head's three enlargements. `pooled`: flow features are pooled onto the grid of the segmentation features, not
    halved and cropped as released.
    """

    factors: tuple[float, float, float]
    flow_factor: float
    flow_unit: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flow_mean: tuple[float, float, float]
    flow_std: float
    residual: bool
    head_crops: tuple[int, int, int]
    pooled: bool


def segmentation_branch(name: str, width: float, frozen_bn: bool) -> nn.Module:
    """A backbone of timm that gives feature maps at strides 8, 16 and 32.

    Args:
        name: as published `resnet101_caffe`.
        width: factor of a ResNet's channels.
        frozen_bn: whether batch norms use their running statistics in training too.

    Raises:
        UserError: no such network, none with these strides, or one that cannot be built so.
    """
    backbone = timm_nets.create(name, width, features_only=True, out_indices=(-3, -2, -1))
    if cast(Any, backbone).feature_info.reduction() != [8, 16, 32]:
        raise UserError(f"network: the last stages of {name} do not have strides 8, 16 and 32")
    if frozen_bn:
        freeze_statistics(backbone)
    return backbone


def check_cover(name: str, backbone: nn.Module, size: Sequence[int], crops: Sequence[int]) -> None:
    """Sees whether a backbone's maps cover frames of that height and width: the heads enlarge each and crop it.

    The original's pooling, without padding, loses a cell where a side is 1 or 2 pixels more than a multiple of 8.

    Raises:
        UserError: they do not, or the backbone cannot take such frames at all.
    """
    try:
        maps = copy.deepcopy(backbone).to("meta").eval()(torch.empty(1, 3, *size, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n", 1)[0][:120]
        raise UserError(f"network: {name} cannot take frames of {size[0]}x{size[1]} ({reason})") from error
    wanted = [size, *(found.shape[-2:] for found in maps)]
    for sides, factor, crop, found in zip(wanted, (8, 2, 2), reversed(crops), maps, strict=False):
        if any(factor * (cells + 1) - crop < side for cells, side in zip(found.shape[-2:], sides, strict=True)):
            raise UserError(
                f"network: the maps of {name} do not cover frames of {size[0]}x{size[1]}: give task.input_size "
                "other sides, such as multiples of 32"
            )


class FCNHead(nn.Module):
    """From fused features at strides 32, 16 and 8 to scores of every pixel: FCN-8s's steps with fixed bilinear kernels.

    Score convolutions start at zero, as Caffe's do.

    Args:
        channels: of the fused features at strides 8, 16 and 32.
        outputs: number of scores: classes, or components of the flow.
        crops: see `Wiring.head_crops`.
    """

    def __init__(self, channels: Sequence[int], outputs: int, crops: tuple[int, int, int]) -> None:
        super().__init__()
        self.crops = crops
        self.score3, self.score4, self.score5 = (_zero(nn.Conv2d(count, outputs, 1)) for count in channels)
        self.twice: Tensor
        self.eightfold: Tensor
        self.register_buffer("twice", _bilinear(4), persistent=False)
        self.register_buffer("eightfold", _bilinear(16), persistent=False)

    def forward(self, fused: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Features at strides 8, 16 and 32 of frames of `size` (H, W) to scores (B, outputs, H, W)."""
        (map3, map4, map5), (first, second, last) = fused, self.crops
        scores = _crop(_enlarge(self.score5(map5), self.twice, 2), first, map4.shape[-2:])
        scores = scores + self.score4(map4)
        scores = _crop(_enlarge(scores, self.twice, 2), second, map3.shape[-2:])
        return _crop(_enlarge(scores + self.score3(map3), self.eightfold, 8), last, size)


class SegFlow(nn.Module):
    """Either branch alone or both.

    Args:
        segmentation: backbone, see `segmentation_branch`; None for the flow branch alone, which then gives its own
            prediction.
        flow: the flow branch; None for SegFlow*, the segmentation branch alone.
        wiring: what stands between them.
    """

    def __init__(self, segmentation: nn.Module | None, flow: FlowNetS | None, wiring: Wiring) -> None:
        super().__init__()
        self.wiring = wiring
        self.mean: Tensor
        self.std: Tensor
        self.flow_mean: Tensor
        for name, values in (("mean", wiring.mean), ("std", wiring.std), ("flow_mean", wiring.flow_mean)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.segmentation, self.flow = segmentation, flow
        self.segmentation_head: FCNHead | None = None
        self.flow_head: FCNHead | None = None
        if segmentation is not None:
            own = cast(Any, segmentation).feature_info.channels()
            channels = [n + (flow.channels[k] if flow is not None else 0) for k, n in enumerate(own)]
            self.segmentation_head = FCNHead(channels, 2, wiring.head_crops)
            if flow is not None:
                self.flow_head = FCNHead(channels, 2, wiring.head_crops)

    def forward(self, frames: Tensor, frozen: Sequence[str] = (), mask: bool = True, flow: bool = True) -> Output:
        """Frames (B, 2, 3, H, W), RGB in [0, 1]; flow goes from the first to the second.

        Args:
            frames: of one size; the segmentation branch sees the first.
            frozen: parts that are not trained now: branches among them are passed without a graph.
            mask, flow: whether the scores of that head are wanted.
        """
        size = frames.shape[-2:]
        seen = self._seen(frames[:, 0], "segmentation" in frozen)
        moved = self._moved(frames, "flow" in frozen)
        flows = () if moved is None else moved.flows
        if seen is None:
            return Output(None, self.own_flow(flows, size) if flow else None, flows)
        logits = motion = None
        if mask and self.segmentation_head is not None:
            logits = self.segmentation_head(self._fused(seen, moved, _SEGMENTATION_CROPS), size)
        if flow and self.flow_head is not None:
            motion = self.wiring.flow_unit * self.flow_head(self._fused(seen, moved, _FLOW_CROPS), size)
            if self.wiring.residual:
                motion = motion + self.own_flow(flows, size)
        return Output(logits, motion, flows)

    def own_flow(self, flows: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """FlowNetS's finest prediction as flow (B, 2, H, W) in pixels of frames of `size`."""
        tall, wide = self.flow_input(size)
        factors = flows[-1].new_tensor([size[1] / wide, size[0] / tall])[:, None, None]
        resized = F.interpolate(flows[-1], tuple(size), mode="bilinear", align_corners=False)
        return FLOW_UNIT * factors * resized

    def flow_input(self, size: Sequence[int]) -> tuple[int, int]:
        """Sides at which the flow branch sees frames of `size`: with the margin that crops need, or without."""
        if not self.wiring.pooled:
            return flow_size(*size)
        tall, wide = (STRIDE * -(-side // STRIDE) for side in size)
        return tall, wide

    def _seen(self, frame: Tensor, frozen: bool) -> list[Tensor] | None:
        """The segmentation branch's features at strides 8, 16 and 32, times their fixed factors."""
        if self.segmentation is None:
            return None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            normal = ((frame - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
            maps = self.segmentation(normal)
            return [features * factor for features, factor in zip(maps, self.wiring.factors, strict=True)]

    def _moved(self, frames: Tensor, frozen: bool) -> FlowFeatures | None:
        """The flow branch's output, its features times their fixed factor."""
        if self.flow is None:
            return None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            pair = ((frames - self.flow_mean) / self.wiring.flow_std).flatten(1, 2)
            size = self.flow_input(frames.shape[-2:])
            if pair.shape[-2:] != size:
                pair = F.interpolate(pair, size, mode="bilinear", align_corners=False)
            maps, flows = self.flow(pair.contiguous(memory_format=torch.channels_last))
            finest, middle, coarsest = (self.wiring.flow_factor * features for features in maps)
            return FlowFeatures((finest, middle, coarsest), flows)

    def _fused(self, seen: Sequence[Tensor], moved: FlowFeatures | None, crops: Sequence[int]) -> list[Tensor]:
        """Features at strides 8, 16 and 32: the segmentation branch's and, pooled, the flow branch's."""
        if moved is None:
            return list(seen)
        sizes = [own.shape[-2:] for own in seen]
        if self.wiring.pooled:
            others = [F.adaptive_max_pool2d(maps, size) for maps, size in zip(moved.maps, sizes, strict=True)]
        else:
            halves = [F.max_pool2d(maps, 3, 2, ceil_mode=True) for maps in moved.maps]
            others = [_crop(*each) for each in zip(halves, reversed(crops), sizes, strict=True)]
        return [torch.cat(pair, dim=1) for pair in zip(seen, others, strict=True)]


def _crop(maps: Tensor, offset: int, size: Sequence[int]) -> Tensor:
    height, width = size
    return maps[..., offset : offset + height, offset : offset + width]


def _bilinear(side: int) -> Tensor:
    """The kernel (side, side) of bilinear enlargement by side / 2."""
    middle = (side - 1) / 2
    ramp = 1 - (torch.arange(side, dtype=torch.float32) - middle).abs() / (side / 2)
    return ramp[:, None] * ramp[None]


def _enlarge(scores: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Transposed convolution of each channel with the kernel: n cells become (n + 1) * stride."""
    channels = scores.shape[1]
    weight = kernel.to(scores.dtype).expand(channels, 1, *kernel.shape)
    return F.conv_transpose2d(scores, weight, stride=stride, groups=channels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
