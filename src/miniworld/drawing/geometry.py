"""Poses: where an object's own coordinates lie in the image.

An object is drawn in canonical coordinates (u to the right, v downwards, the object about within [-1, 1],
exactly within its ``reach``). A pose maps them to pixels. Everything is analytic, so that two poses of
one object give the exact displacement of each of its points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Light", "Pose", "Reach", "Window", "whole"]

Array = NDArray[np.floating]
"""Pictures, masks and coordinates: float32 throughout (numpy's stubs cannot say so of sums with a float)."""
Light = tuple[float, float, float]
"""A direction (x to the right, y downwards, z towards the viewer) of length 1."""
Reach = tuple[float, float, float, float]
"""Box (left, top, right, bottom) in canonical units that holds a whole object."""


@dataclass(frozen=True)
class Window:
    """Pixel rectangle ``[top, bottom) x [left, right)``."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def empty(self) -> bool:
        """Whether no pixel lies inside."""
        return self.bottom <= self.top or self.right <= self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index the last two axes of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def centres(self) -> tuple[Array, Array]:
        """Pixel centres as columns x of shape (1, W) and rows y of shape (H, 1), in pixels."""
        x = np.arange(self.left, self.right, dtype=np.float32)[None, :] + np.float32(0.5)
        y = np.arange(self.top, self.bottom, dtype=np.float32)[:, None] + np.float32(0.5)
        return x, y


def whole(height: int, width: int) -> Window:
    """The window of a whole image."""
    return Window(0, height, 0, width)


@dataclass(frozen=True)
class Pose:
    """Canonical to pixel coordinates: keystone, then squeeze and mirror, rotation, scale, shift.

    ``scale`` is pixels per canonical unit, ``angle`` radians (clockwise on screen), ``squeeze`` the factor
    on v (a disc seen obliquely), ``keystone`` the strength of the mild perspective along u and v.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0
    squeeze: float = 1.0
    mirror: bool = False
    keystone: tuple[float, float] = (0.0, 0.0)

    def matrix(self) -> tuple[float, float, float, float]:
        """Row-major 2x2 linear part, pixels per canonical unit."""
        c, s = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        flip = -1.0 if self.mirror else 1.0
        return c * flip, -s * self.squeeze, s * flip, c * self.squeeze

    def pixel(self) -> float:
        """Width of one pixel in canonical units (geometric mean of both directions)."""
        return 1.0 / (self.scale * math.sqrt(self.squeeze))

    def to_canonical(self, window: Window) -> tuple[Array, Array]:
        """Canonical coordinates (u, v), both of shape (H, W), of the pixels of ``window``."""
        a, b, c, d = self.matrix()
        det = a * d - b * c
        px, py = window.centres()
        dx, dy = px - np.float32(self.x), py - np.float32(self.y)
        u = dx * (d / det) - dy * (b / det)
        v = dy * (a / det) - dx * (c / det)
        kx, ky = self.keystone
        if kx == 0.0 and ky == 0.0:
            return u, v
        w = 1.0 / np.maximum(1.0 + kx * u + ky * v, np.float32(0.2))
        return u * w, v * w

    def to_image(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Pixel coordinates (x, y) of canonical points: the inverse of :meth:`to_canonical`."""
        a, b, c, d = self.matrix()
        w = 1.0 / (1.0 - self.keystone[0] * u - self.keystone[1] * v)
        return self.x + (a * u + b * v) * w, self.y + (c * u + d * v) * w

    def light(self, direction: Light) -> Light:
        """A direction of the image (x, y, towards the viewer) turned into the object's axes."""
        x, y, z = direction
        c, s = math.cos(self.angle), math.sin(self.angle)
        flip = -1.0 if self.mirror else 1.0
        return flip * (c * x + s * y), c * y - s * x, z

    def bounds(self, reach: Reach, height: int, width: int, margin: float = 1.0) -> Window:
        """The pixels that a canonical box can touch, with ``margin`` pixels around, clipped to the image.

        The box must lie before the vanishing line, as any does whose keystone is mild.
        """
        left, top, right, bottom = reach
        u = np.array([left, right, left, right], dtype=np.float32)
        v = np.array([top, top, bottom, bottom], dtype=np.float32)
        x, y = self.to_image(u, v)
        return Window(
            max(math.floor(float(y.min()) - margin), 0),
            min(math.ceil(float(y.max()) + margin), height),
            max(math.floor(float(x.min()) - margin), 0),
            min(math.ceil(float(x.max()) + margin), width),
        )
