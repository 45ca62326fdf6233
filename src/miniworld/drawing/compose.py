"""From a background and placed objects to a picture with their masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from miniworld.drawing.blur import box_blur
from miniworld.drawing.geometry import Array, Light, Pose, Reach
from miniworld.drawing.paint import Layer, Texture, hsv, lattice_noise

__all__ = ["Box", "Drawable", "Picture", "Placed", "backdrop", "box_of", "compose"]


Box = tuple[int, int, int, int]
"""Pixel box (left, top, right, bottom), right and bottom exclusive."""


class Drawable(Protocol):
    """Anything that a picture can show: it knows its own coordinates only."""

    @property
    def reach(self) -> Reach:
        """Canonical box (left, top, right, bottom) that holds the whole object."""

    def paint(self, u: Array, v: Array, pixel: float, light: Light) -> Layer:
        """Return colour and coverage at canonical points; see :class:`~miniworld.drawing.paint.Painter`."""


@dataclass(frozen=True)
class Placed:
    """An object, where it is, and how dark its shadow is (0 to 1)."""

    item: Drawable
    pose: Pose
    shadow: float = 0.0


@dataclass(frozen=True)
class Picture:
    """``image`` (3, H, W) in [0, 1]; ``full`` and ``seen`` (K, H, W) in [0, 1].

    ``full`` is each object's coverage as if alone, ``seen`` what those in front of it leave visible.
    """

    image: Array
    full: Array
    seen: Array


def backdrop(rng: np.random.Generator, height: int, width: int, busy: float) -> Array:
    """A background (3, H, W): two tones, a horizon or gradient, noise on three scales, perhaps a pattern.

    ``busy`` >= 0 scales the contrast of its texture.
    """
    hue = (0.09, 0.14, 0.28, 0.33, 0.57, 0.6)[int(rng.integers(6))] + 0.03 * float(rng.standard_normal())
    first, second = (
        hsv(hue + d, rng.uniform(0.05, 0.6), rng.uniform(0.2, 0.9)) for d in (0.0, rng.uniform(-0.15, 0.15))
    )
    angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(-0.5, 0.5)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(math.sin(angle) * 0.4)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    steep = (0.5, 1.0, 8.0)[int(rng.integers(3))]
    share = np.clip((y + x - np.float32(reach)) * np.float32(steep) + np.float32(0.5), 0, 1)
    mottle = np.zeros((height, width), dtype=np.float32)
    for cells, weight in ((4, 0.5), (11, 0.35), (30, 0.25)):
        grid = rng.random((cells, cells), dtype=np.float32) - np.float32(0.5)
        mottle += np.float32(weight * rng.uniform(0, 1.6)) * lattice_noise(grid, height, width)
    share = np.clip(share + np.float32(busy) * mottle, 0, 1)
    if rng.random() < 0.3 * busy:
        kind = ("stripes", "checks", "spots", "scales")[int(rng.integers(4))]
        texture = Texture(kind, rng.uniform(2, 9), angle, rng.random(), 0.5, rng.uniform(0.1, 0.4))
        share = np.abs(share - texture.mask(np.broadcast_to(x / 0.4 + y * 0, share.shape) + y, y - x))
    a, b = (np.asarray(c, dtype=np.float32)[:, None, None] for c in (first, second))
    out: Array = (a + (b - a) * share) * (1 + np.float32(0.5 * busy) * mottle)
    return out


def compose(background: Array, items: Sequence[Placed], light: Light) -> Picture:
    """Place objects on a background (3, H, W), first to last from back to front, under one light."""
    image = background.copy()
    _, height, width = image.shape
    full = np.zeros((len(items), height, width), dtype=np.float32)
    seen = np.zeros_like(full)
    for k, placed in enumerate(items):
        window = placed.pose.bounds(placed.item.reach, height, width)
        if window.empty:
            continue
        u, v = placed.pose.to_canonical(window)
        layer = placed.item.paint(u, v, placed.pose.pixel(), placed.pose.light(light))
        rows, cols = window.slices
        full[k, rows, cols] = layer.alpha
        if placed.shadow > 0:
            _cast_shadow(image, full[k], placed, light)
        stay = 1 - layer.alpha
        image[:, rows, cols] = image[:, rows, cols] * stay + layer.rgb
        seen[:k, rows, cols] *= stay
        seen[k, rows, cols] = layer.alpha
    return Picture(image, full, seen)


def _cast_shadow(image: Array, alpha: Array, placed: Placed, light: Light) -> None:
    """Darken the background where the light does not reach, in place."""
    far = 0.16 * placed.pose.scale
    dx, dy = round(-light[0] * far), round(-light[1] * far)
    size = max(3, int(placed.pose.scale * 0.14))
    rows, cols = placed.pose.bounds(placed.item.reach, alpha.shape[0], alpha.shape[1], far + size).slices
    alpha = alpha[rows, cols]
    height, width = alpha.shape
    moved = np.zeros_like(alpha)
    moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = alpha[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    image[:, rows, cols] *= 1 - np.float32(placed.shadow) * box_blur(moved, size)


def box_of(mask: Array) -> Box:
    """Return the smallest box that contains a mask (H, W) above 0.5.

    An object wholly outside gives the empty box (0, 0, 0, 0).
    """
    inside = mask > 0.5
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size == 0:
        return 0, 0, 0, 0
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1
