"""The camera, its errors, and the light: from a picture in floating point to bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.blur import box_blur
from miniworld.drawing.geometry import Array, Light
from miniworld.drawing.paint import Colour, stream

__all__ = ["Camera", "random_camera", "random_light", "to_bytes"]


@dataclass(frozen=True)
class Camera:
    """Light and lens: colour cast (factors), exposure, contrast, slope of the light, blur, noise (std)."""

    cast: Colour = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    contrast: float = 1.0
    slope: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    noise: float = 0.0

    def shoot(self, image: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Turn a picture (3, H, W) in [0, 1] into bytes (H, W, 3)."""
        _, height, width = image.shape
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(self.slope[0])
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(self.slope[1])
        gain = np.asarray(self.cast, dtype=np.float32)[:, None, None] * np.float32(self.exposure)
        out = image * (gain * (1 + x + y))
        if self.blur > 0:
            soft = box_blur(out, 3)
            out = out + np.float32(min(self.blur, 1.0)) * (soft - out)
        out = (out - np.float32(0.5)) * np.float32(self.contrast) + np.float32(0.5)
        if self.noise > 0:
            out += np.float32(self.noise) * _grain(rng, height, width)
        return to_bytes(out)


@lru_cache(maxsize=4)
def _grain_bank(side: int) -> Array:
    return stream("grain", side).standard_normal((3, side, side), dtype=np.float32)


def _grain(rng: np.random.Generator, height: int, width: int) -> Array:
    """Sensor noise (3, H, W) of unit variance: a random cut of a fixed bank, much faster than drawing it."""
    side = 4 * max(height, width)
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    return _grain_bank(side)[rng.permutation(3), top : top + height, left : left + width]


def to_bytes(image: Array) -> NDArray[np.uint8]:
    """Return a picture (3, H, W) in [0, 1], clipped, as bytes (H, W, 3)."""
    levels: NDArray[np.uint8] = (np.clip(image, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
    return levels.transpose(1, 2, 0)


def random_light(rng: np.random.Generator) -> Light:
    """A direction of length 1, from above more often than from below."""
    around, high = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 0.95)
    flat = math.sqrt(1 - high * high)
    return flat * math.cos(around), flat * (0.6 * math.sin(around) - 0.4), high


def random_camera(rng: np.random.Generator, nuisance: float) -> Camera:
    """A camera and its errors; ``nuisance`` >= 0 scales them."""
    warm, green = 0.1 * nuisance * rng.standard_normal(), 0.05 * nuisance * rng.standard_normal()
    return Camera(
        cast=(1 + warm, 1 + green, 1 - warm),
        exposure=math.exp(nuisance * rng.uniform(-0.3, 0.25)),
        contrast=math.exp(nuisance * rng.uniform(-0.3, 0.2)),
        slope=(nuisance * rng.uniform(-0.2, 0.2), nuisance * rng.uniform(-0.2, 0.2)),
        blur=max(0.0, nuisance * rng.uniform(-1.0, 0.8)),
        noise=nuisance * rng.uniform(0.0, 0.04),
    )
