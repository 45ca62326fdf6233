"""Drawing primitives: signed distance and local coordinates of simple shapes on arrays of points.

Every function takes canonical coordinates ``u, v`` of shape (H, W) and returns a :class:`Patch`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from miniworld.drawing.geometry import Array

__all__ = ["Patch", "box", "capsule", "ellipse", "petals", "polygon", "profile"]

_TINY = np.float32(1e-6)


@dataclass(frozen=True)
class Patch:
    """A shape on a grid: signed distance ``d`` (negative inside, canonical units) and local x, y.

    Local coordinates span about [-1, 1] inside the shape; they carry the texture and the relief.
    """

    d: Array
    x: Array
    y: Array

    def within(self, other: Patch) -> Patch:
        """The part of this shape inside ``other``; keeps the own local coordinates."""
        return Patch(np.maximum(self.d, other.d), self.x, self.y)

    def without(self, other: Patch) -> Patch:
        """The part of this shape outside ``other``."""
        return Patch(np.maximum(self.d, -other.d), self.x, self.y)

    def joined(self, other: Patch) -> Patch:
        """The union, with this shape's local coordinates."""
        return Patch(np.minimum(self.d, other.d), self.x, self.y)

    def grown(self, by: float) -> Patch:
        """The shape grown (or shrunk, if negative) by a distance; rounds corners when grown."""
        return Patch(self.d - by, self.x, self.y)


def ellipse(u: Array, v: Array, cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> Patch:
    """Ellipse with centre, half axes (> 0) and angle in radians."""
    c, s = math.cos(angle), math.sin(angle)
    du, dv = u - cx, v - cy
    x = (c * du + s * dv) / rx
    y = (c * dv - s * du) / ry
    xx, yy = x * x, y * y
    r2 = xx + yy + _TINY
    r = np.sqrt(r2)
    slope = np.sqrt(xx / (rx * rx) + yy / (ry * ry) + _TINY)
    return Patch((r2 - r) / slope, x, y)


def box(
    u: Array, v: Array, cx: float, cy: float, rx: float, ry: float, angle: float = 0.0, corner: float = 0.0
) -> Patch:
    """Rectangle with half sides rx, ry and corners of radius ``corner``."""
    c, s = math.cos(angle), math.sin(angle)
    du, dv = u - cx, v - cy
    x, y = c * du + s * dv, c * dv - s * du
    qx, qy = np.abs(x) - (rx - corner), np.abs(y) - (ry - corner)
    outside = np.sqrt(np.square(np.maximum(qx, 0)) + np.square(np.maximum(qy, 0)))
    return Patch(outside + np.minimum(np.maximum(qx, qy), 0) - corner, x / rx, y / ry)


def capsule(u: Array, v: Array, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float) -> Patch:
    """Rounded limb from ``start`` (radius r0) to ``end`` (radius r1); y runs along it."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(math.hypot(dx, dy), 1e-4)
    ex, ey = dx / length, dy / length
    pu, pv = u - start[0], v - start[1]
    t = np.clip((pu * ex + pv * ey) / length, 0.0, 1.0)
    qu, qv = pu - t * dx, pv - t * dy
    radius = r0 + (r1 - r0) * t
    across = (pu * -ey + pv * ex) / np.maximum(radius, np.float32(1e-3))
    return Patch(np.sqrt(qu * qu + qv * qv) - radius, across, 2 * t - 1)


def polygon(u: Array, v: Array, points: Sequence[tuple[float, float]], rounding: float = 0.0) -> Patch:
    """Convex polygon (either orientation), optionally with rounded corners."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    turned = list(zip(points, [*points[1:], points[0]], strict=True))
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in turned)
    sign = 1.0 if area > 0 else -1.0
    d: Array | None = None
    for (ax, ay), (bx, by) in turned:
        length = max(math.hypot(bx - ax, by - ay), 1e-6)
        nx, ny = sign * (by - ay) / length, -sign * (bx - ax) / length
        side = u * nx + v * ny - (ax * nx + ay * ny)
        d = side if d is None else np.maximum(d, side)
    assert d is not None, "a polygon has corners"
    mx, my = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    hx, hy = max((max(xs) - min(xs)) / 2, 1e-3), max((max(ys) - min(ys)) / 2, 1e-3)
    return Patch(d - rounding, (u - mx) / hx, (v - my) / hy)


def petals(
    u: Array, v: Array, count: int, inner: float, outer: float, width: float, point: float, turn: float = 0.0
) -> Patch:
    """Ring of ``count`` equal petals from radius ``inner`` to ``outer``, half width ``width``.

    ``point`` in [-1, 1] moves the widest place from the base to the tip. x runs across a petal, y outwards.
    """
    step = 2 * math.pi / count
    theta = np.arctan2(v, u) - np.float32(turn)
    folded = theta - step * np.round(theta / step)
    r = np.sqrt(u * u + v * v)
    along = (2 * r * np.cos(folded) - (outer + inner)) / (outer - inner)
    half = width * (1.0 + 0.5 * point * np.clip(along, -1.0, 1.0))
    across = r * np.sin(folded) / half
    radius = np.sqrt(along * along + across * across + _TINY)
    return Patch((radius - 1) * min(width, (outer - inner) / 2), across, along)


def profile(u: Array, v: Array, half: Array, top: float, bottom: float) -> Patch:
    """Turned body: |u| < half(v) for v in [top, bottom]; ``half`` of shape (H, W), canonical units."""
    side = (np.abs(u) - half) * np.float32(0.85)
    ends = np.maximum(top - v, v - bottom)
    middle, reach = (top + bottom) / 2, (bottom - top) / 2
    return Patch(np.maximum(side, ends), u / np.maximum(half, np.float32(1e-2)), (v - middle) / reach)
