"""Evaluation over scales, flips and sliding windows (docs/protocols/encnet.md#evaluation)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Windows", "scores"]

Segment = Callable[[Tensor], Tensor]
"""From images (N, 3, S, S) to logits (N, C, S, S)."""


@dataclass(frozen=True)
class Windows:
    """How images are cut into what the network takes.

    `base`: at scale s the long side is ceil(`base` * s) pixels. `crop`: side of the windows, which are `stride`
    apart. `flip`: the logits of the mirrored window are added. `black`: (3,) normalised value of the padding.
    `batch`: windows in one forward pass, twice that with their mirrors.
    """

    base: int
    crop: int
    stride: int
    flip: bool
    black: Tensor
    batch: int


def scores(segment: Segment, images: Tensor, scales: Sequence[float], windows: Windows) -> Tensor:
    """Scores of the classes; the prediction is their argmax.

    Args:
        segment: the network, in evaluation mode.
        images: normalised images of one size, (B, 3, H, W).
        scales: of the long side, in units of `windows.base`.
        windows: how images are cut.

    Returns:
        float64 (B, C, H, W): summed over the scales, the windows' mean of exp(logits + mirrored logits). The
        exponential is not normalised, as published; hence the double precision, which holds it up to logits of 350.
    """
    size = images.shape[-2:]
    total: Tensor | None = None
    for scale in scales:
        resized = _resize(images, _scaled(size, math.ceil(windows.base * scale)))
        part = _resize(_slide(segment, resized, windows), size)
        total = part if total is None else total.add_(part)
    if total is None:
        raise ValueError("scores at no scale")
    return total


def _scaled(size: Sequence[int], long_side: int) -> tuple[int, int]:
    """Height and width with that long side and the same aspect, rounded."""
    height, width = (max(1, int(side * long_side / max(size) + 0.5)) for side in size)
    return height, width


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)


def _slide(segment: Segment, images: Tensor, windows: Windows) -> Tensor:
    """Mean over the windows that cover a pixel, (B, C, H, W); an image smaller than the crop is one padded window."""
    height, width = images.shape[-2:]
    tops, lefts = _starts(height, windows), _starts(width, windows)
    padded = _pad(images, tops[-1] + windows.crop, lefts[-1] + windows.crop, windows.black)
    places = [(top, left) for top in tops for left in lefts]
    at_once = max(1, windows.batch // len(images))  # all windows of a large image would fill the memory
    count = torch.zeros(padded.shape[-2:], dtype=torch.float64, device=images.device)
    total: Tensor | None = None
    for first in range(0, len(places), at_once):
        some = [(slice(r, r + windows.crop), slice(c, c + windows.crop)) for r, c in places[first : first + at_once]]
        crops = torch.cat([padded[..., rows, columns] for rows, columns in some])
        for (rows, columns), part in zip(some, _exponentials(segment, crops, windows).chunk(len(some)), strict=True):
            if total is None:  # the number of classes is the network's affair
                total = part.new_zeros(*part.shape[:2], *padded.shape[-2:])
            total[..., rows, columns] += part
            count[rows, columns] += 1
    assert total is not None  # an image has one window at least
    return (total / count)[..., :height, :width]


def _starts(side: int, windows: Windows) -> list[int]:
    """First pixels of the windows along a side: as many as cover it."""
    more = math.ceil(max(0, side - windows.crop) / windows.stride)
    return [index * windows.stride for index in range(more + 1)]


def _pad(images: Tensor, height: int, width: int, black: Tensor) -> Tensor:
    """Black on the right and at the bottom."""
    padded = black.to(images)[None, :, None, None].expand(len(images), -1, height, width).clone()
    padded[..., : images.shape[-2], : images.shape[-1]] = images
    return padded


def _exponentials(segment: Segment, crops: Tensor, windows: Windows) -> Tensor:
    """exp(logits + mirrored logits) of windows (N, 3, S, S), as float64 (N, C, S, S)."""
    both = torch.cat([crops, crops.flip(-1)]) if windows.flip else crops
    logits = segment(both.contiguous(memory_format=torch.channels_last)).double()
    if windows.flip:
        plain, mirrored = logits.chunk(2)
        logits = plain + mirrored.flip(-1)
    return logits.exp_()
