"""Transforms for segmentation: the EncNet protocol's augmentation of image and label map (docs: protocol 1.7).

Resizing and blurring are PIL's own, as in the published pipeline: to the bit, and 0.5 ms for an image of
96 x 72 are little beside a training step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from l2sp_suite.datasets.images import IGNORED, Pair, resize_map
from l2sp_suite.datasets.transforms import Normalize
from l2sp_suite.utils.errors import UserError

__all__ = ["ScaledCrop"]


class ScaledCrop:
    """Random flip, scale, crop and blur of a pair, then normalisation of the image.

    `crop`: side S of the result; `base`: the `edge` ("short" or "long") is resized to a whole number of pixels
    drawn uniformly from [scale[0] * base, scale[1] * base], aspect kept. What the crop then lacks at the right
    and the bottom is black (before normalisation) and `IGNORED`.
    `flip`, `blur`: probabilities of a horizontal flip and of a Gaussian blur of radius U(0, 1).
    `mean`, `std`: per channel, of values in [0, 1].
    Published: crop 480, base 520, and edge "short", blur 0.5 (v0.5.0) or edge "long", blur 0 (v1.0.0).
    Draws from torch's CPU generator, the same number of values for every pair (see `transforms.seeded`).
    Raises UserError for a setting out of range.
    """

    def __init__(
        self,
        crop: int,
        base: int,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        scale: tuple[float, float] = (0.5, 2.0),
        edge: Literal["short", "long"] = "short",
        blur: float = 0.5,
        flip: float = 0.5,
    ) -> None:
        _check(crop, edge, blur, flip)
        self.low, self.high = (int(factor * base) for factor in scale)
        if not 1 <= self.low <= self.high:
            raise UserError(f"the scale must span at least one pixel size, found {scale} of {base} pixels")
        self.crop, self.edge, self.blur, self.flip = crop, edge, blur, flip
        self.normalize = Normalize(mean, std)

    def __call__(self, pair: Pair) -> Pair:
        """Transform uint8 (3, H, W) and uint8 (H, W) to float32 (3, S, S) and uint8 (S, S)."""
        flip, size, top, left, blur, radius = torch.rand(6, dtype=torch.float64).tolist()
        image, labels = pair
        if flip < self.flip:
            image, labels = image.flip(-1), labels.flip(-1)
        target = self.low + int(size * (self.high - self.low + 1))
        height, width = self.resized(labels.shape[0], labels.shape[1], target)
        y, x = (int(u * (max(side - self.crop, 0) + 1)) for u, side in ((top, height), (left, width)))
        resized = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((width, height), Image.Resampling.BILINEAR)
        cropped = resized.crop((x, y, x + self.crop, y + self.crop))  # black where it leaves the image
        if blur < self.blur:
            cropped = cropped.filter(ImageFilter.GaussianBlur(radius))
        pixels = torch.from_numpy(np.array(cropped)).permute(2, 0, 1)
        return self.normalize(pixels), self._cropped(resize_map(labels, height, width), y, x)

    def resized(self, height: int, width: int, target: int) -> tuple[int, int]:
        """Return (height, width) of an image whose `edge` becomes `target` pixels.

        The other edge, at least 1, is truncated for "short" and rounded for "long", as in the two versions.
        """
        short, long = sorted((height, width))
        if self.edge == "short":
            sides = target, max(1, target * long // short)
        else:
            sides = max(1, int(target * short / long + 0.5)), target
        return sides if height <= width else (sides[1], sides[0])

    def _cropped(self, labels: Tensor, top: int, left: int) -> Tensor:
        part = labels[top : top + self.crop, left : left + self.crop]
        result = torch.full((self.crop, self.crop), IGNORED, dtype=torch.uint8)
        result[: part.shape[0], : part.shape[1]] = part
        return result


def _check(crop: int, edge: str, blur: float, flip: float) -> None:
    if crop < 1:
        raise UserError(f"the side of the crop must be at least 1 pixel, found {crop}")
    if edge not in ("short", "long"):
        raise UserError(f"the edge to scale is 'short' or 'long', found {edge!r}")
    for name, chance in (("blur", blur), ("flip", flip)):
        if not 0 <= chance <= 1:
            raise UserError(f"the probability of a {name} must lie in [0, 1], found {chance}")
