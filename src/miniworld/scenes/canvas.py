"""A picture of surroundings with its label map, painted from back to front, and the noise they are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.geometry import Array, Light, whole
from miniworld.drawing.paint import Colour, Layer, Painter, lattice_noise
from miniworld.scenes.labels import LABELS, UNLABELLED

__all__ = ["Canvas", "blend", "nearness", "noise"]


class Canvas:
    """``image`` (3, H, W) in [0, 1] and ``labels`` (H, W); later layers lie in front.

    ``x, y``: (H, W) coordinates of the pixels' centres in units of the image's height, from its top left corner;
    ``wide``: the image's width in that unit.
    """

    def __init__(self, height: int, width: int, light: Light) -> None:
        px, py = whole(height, width).centres()
        self.x: Array = np.repeat(px / np.float32(height), height, axis=0)
        self.y: Array = np.repeat(py / np.float32(height), width, axis=1)
        self.wide, self.pixel, self.light = width / height, 1 / height, light
        self.image: Array = np.zeros((3, height, width), dtype=np.float32)
        self.labels: NDArray[np.uint8] = np.full((height, width), UNLABELLED, dtype=np.uint8)

    def painter(self) -> Painter:
        """A painter of one layer, in the canvas's coordinates."""
        return Painter(self.x, self.y, self.pixel, self.light)

    def add(self, name: str | None, layer: Layer) -> None:
        """Put a layer in front. It owns the pixels that it covers by more than half; ``None`` is unlabelled."""
        self.image = self.image * (1 - layer.alpha) + layer.rgb
        self.labels[layer.alpha > 0.5] = UNLABELLED if name is None else LABELS[name]

    def cover(self, name: str | None, d: Array, colour: Array) -> None:
        """Put a region in front: signed distance ``d`` (H, W) in heights, negative inside; ``colour`` (3, H, W)."""
        alpha = np.clip(np.float32(0.5) - d * np.float32(1 / self.pixel), 0, 1)
        self.add(name, Layer(np.clip(colour, 0, 1) * alpha, alpha))


def noise(rng: np.random.Generator, canvas: Canvas, rows: float, cols: float, octaves: int = 1) -> Array:
    """Smooth noise (H, W), about within [-1, 1]: ``rows`` x ``cols`` cells, then twice as many at half the weight."""
    height, width = canvas.y.shape
    out = np.zeros((height, width), dtype=np.float32)
    for k in range(octaves):
        cells = (min(max(2, round(rows * 2**k)), height), min(max(2, round(cols * 2**k)), width))
        grid = rng.random(cells, dtype=np.float32) * 2 - 1
        out += np.float32(0.5**k) * lattice_noise(grid, height, width)
    return out


def blend(first: Colour | Array, second: Colour | Array, share: Array) -> Array:
    """Colours (3, H, W) from ``first`` where ``share`` is 0 (or less) to ``second`` where it is 1 (or more)."""
    a, b = (np.asarray(c, dtype=np.float32).reshape(3, *np.shape(c)[1:] or (1, 1)) for c in (first, second))
    out: Array = a + (b - a) * np.clip(share, 0, 1)
    return out


def nearness(canvas: Canvas, horizon: float) -> Array:
    """Nearness of a ground plane (H, W): 0 at the horizon and above, 1 at the picture's lower edge."""
    out: Array = np.clip((canvas.y - np.float32(horizon)) / np.float32(1 - horizon), 0, 1)
    return out
