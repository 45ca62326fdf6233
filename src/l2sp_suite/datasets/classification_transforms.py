"""Transforms for classification: the DSTL protocol's augmentation of uint8 tensors, cheap on one core.

Slim draws the crop's aspect uniformly, adds to the brightness and scales the saturation of HSV; torchvision's
v2 has none of the three, so they are small v2 transforms here. On an 80-pixel image the time goes into calls,
not arithmetic: hence few torch calls, and values in 0 .. 255 up to the last step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import v2

from l2sp_suite.datasets.transforms import Normalize, TensorTransform, Transform
from l2sp_suite.utils.errors import UserError

__all__ = ["AddBrightness", "CentralCrop", "DistortedCrop", "ScaleSaturation", "eval_transform", "train_transform"]

_ATTEMPTS = 100  # as slim gives its op before it takes the whole image


def train_transform(
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
    brightness: float,
    saturation: float,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    antialias: bool = False,
    interpolation: str = "bilinear",
) -> Transform:
    """The training transform: uint8 (3, H, W) to float32 (3, size, size).

    See docs: protocol 3.2.
    `scale`, `ratio`: ranges of the crop's area relative to the image, and of its width / height.
    `flip`: probability of a horizontal flip.
    `brightness`: bound of the shift, where 1 is the full range (protocol: 32/255); 0 leaves the step out.
    `saturation`: its factor lies in [1 - saturation, 1 + saturation] (protocol: 0.5); 0 leaves the step out.
    `mean`, `std`: per channel, of values in [0, 1], to which the image is clipped first; 0.5 gives [-1, 1].
    `antialias`: of the resize; off in the protocol's TensorFlow.
    `interpolation`: bilinear (the protocol's) or bicubic.
    Raises UserError for a setting out of range.
    """
    steps: list[Transform] = [DistortedCrop(size, scale, ratio, flip, antialias, interpolation)]
    if brightness:
        steps.append(AddBrightness(brightness))
    if saturation:
        steps.append(ScaleSaturation(saturation))
    composed: Transform = v2.Compose([*steps, Normalize(mean, std)])
    return composed


def eval_transform(
    size: int,
    crop_fraction: float,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    antialias: bool = False,
    interpolation: str = "bilinear",
) -> Transform:
    """The test transform, not random: uint8 (3, H, W) to float32 (3, size, size).

    See docs: protocol 3.2.
    Central crop of `crop_fraction` (protocol: 0.875) of both sides, bilinear resize that does not keep the
    aspect, and normalisation by `mean` and `std` as in `train_transform`. Raises UserError likewise.
    """
    composed: Transform = v2.Compose([CentralCrop(size, crop_fraction, antialias, interpolation), Normalize(mean, std)])
    return composed


class DistortedCrop(TensorTransform):
    """Random crop, area and aspect uniform, resized to size x size.

    Slim's distorted box.
    Draws until the crop fits into the image, at most 100 times, then takes the whole image. Unlike
    `v2.RandomResizedCrop`, whose aspect is log-uniform and which gives up after 10. Flips horizontally with
    probability `flip`.
    """

    def __init__(
        self,
        size: int,
        scale: tuple[float, float],
        ratio: tuple[float, float],
        flip: float = 0.0,
        antialias: bool = False,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        _check_size(size)
        _check_range("scale", scale)
        _check_range("ratio", ratio)
        if scale[1] > 1:
            raise UserError(f"scale must not exceed 1, found {scale}")
        self.size, self.scale, self.ratio, self.flip = size, scale, ratio, flip
        self.antialias, self.interpolation = antialias, interpolation

    def forward(self, image: Tensor) -> Tensor:
        """Crop and resize (C, H, W) to (C, size, size), same dtype."""
        top, left, height, width = self.draw(*image.shape[-2:])
        crop = image[..., top : top + height, left : left + width]
        if self.flip and torch.rand(()).item() < self.flip:
            crop = crop.flip(-1)  # before the resize, where it costs nothing: _resize copies anyway
        return _resize(crop, self.size, self.antialias, self.interpolation)

    def draw(self, image_height: int, image_width: int) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width) of a crop that lies in the image, in pixels."""
        (low, high), (narrow, wide) = self.scale, self.ratio
        for _ in range(_ATTEMPTS):
            u, v, y, x = torch.rand(4).tolist()
            area = (low + u * (high - low)) * image_height * image_width
            aspect = narrow + v * (wide - narrow)
            height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < height <= image_height and 0 < width <= image_width:
                return int(y * (image_height - height + 1)), int(x * (image_width - width + 1)), height, width
        return 0, 0, image_height, image_width


class CentralCrop(TensorTransform):
    """The centre, `fraction` of both sides, resized to size x size.

    Rounded as TensorFlow's central_crop.
    """

    def __init__(self, size: int, fraction: float, antialias: bool = False, interpolation: str = "bilinear") -> None:
        super().__init__()
        _check_size(size)
        if not 0 < fraction <= 1:
            raise UserError(f"the fraction of a central crop must lie in (0, 1], found {fraction}")
        self.size, self.fraction = size, fraction
        self.antialias, self.interpolation = antialias, interpolation

    def forward(self, image: Tensor) -> Tensor:
        """Crop and resize (C, H, W) to (C, size, size), same dtype."""
        height, width = image.shape[-2:]
        top, left = (int(side * (1 - self.fraction) / 2) for side in (height, width))
        crop = image[..., top : height - top, left : width - left]
        return _resize(crop, self.size, self.antialias, self.interpolation)


class AddBrightness(TensorTransform):
    """Adds one number, uniform in +-bound of the full range 255; does not clip."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, image: Tensor) -> Tensor:
        """Shift an image of any shape, uint8 or float in 0 .. 255, to float32."""
        return image + (2 * torch.rand(()).item() - 1) * self.bound * 255


class ScaleSaturation(TensorTransform):
    """Scales HSV's saturation by a factor in [1 - bound, 1 + bound], as TensorFlow.

    With V = max and S = (max - min) / max over the channels, S becomes min(k S, 1) and hue and V stay: each
    channel c becomes V - (V - c) min(k, 1 / S), without going through HSV.
    """

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, image: Tensor) -> Tensor:
        """Change an image (3, H, W), uint8 or float >= 0, to float32."""
        return self.scale(image.float(), 1 + (2 * torch.rand(()).item() - 1) * self.bound)

    @staticmethod
    def scale(image: Tensor, factor: float) -> Tensor:
        """A float image (3, H, W) with its saturation times `factor` >= 0, at most 1."""
        value = image.amax(0)  # torch.aminmax is four times slower than the two apart
        spread = (value - image.amin(0)).clamp_(min=1e-9)  # 0 for grey, which no factor changes
        return torch.lerp(value, image, (value / spread).clamp_(0, factor))


def _resize(image: Tensor, size: int, antialias: bool, interpolation: str) -> Tensor:
    # The copy pays: torch's bilinear kernel is a quarter slower on a strided view.
    batch = image[None].contiguous()
    if interpolation == "bilinear":
        return interpolate(batch, size=(size, size), mode="bilinear", antialias=antialias)[0]
    resized = interpolate(batch.float(), size=(size, size), mode=interpolation, antialias=antialias)[0]
    return resized.round_().clamp_(0, 255).to(image.dtype)  # a cubic kernel overshoots


def _check_size(size: int) -> None:
    if size < 2:  # at 1 torch's uint8 kernel trips over its own assertion
        raise UserError(f"the side of the network's input must be at least 2 pixels, found {size}")


def _check_range(name: str, bounds: tuple[float, float]) -> None:
    if not 0 < bounds[0] <= bounds[1]:
        raise UserError(f"{name} must be an increasing pair of positive numbers, found {bounds}")
