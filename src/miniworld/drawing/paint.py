"""Colour on shapes: textures, relief under a light, and painting one patch over another."""

from __future__ import annotations

import colorsys
import copy
import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.geometry import Array, Light
from miniworld.drawing.shapes import Patch

__all__ = ["PATTERNS", "Colour", "Layer", "Painter", "Texture", "dimmed", "hsv", "lattice_noise", "stream"]

Colour = tuple[float, float, float]
PATTERNS = ("plain", "stripes", "spots", "mottle", "rings", "scales", "gradient", "checks")
_NOISE = 64


def stream(*ids: object) -> np.random.Generator:
    """Random generator that is a function of the ids' text alone, on every machine and in every process."""
    words = hashlib.sha256("/".join(map(str, ids)).encode()).digest()[:16]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(words, "little"))))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB in [0, 1] from hue (turns, wraps), saturation and value (clipped to [0, 1])."""
    return colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))


def dimmed(colour: Colour, by: float) -> Colour:
    """The colour times a factor >= 0, no channel above 1."""
    return min(colour[0] * by, 1.0), min(colour[1] * by, 1.0), min(colour[2] * by, 1.0)


@lru_cache(maxsize=64)
def _lerp(count: int, cells: int) -> tuple[NDArray[np.intp], Array]:
    at = np.linspace(0, cells - 1, count, dtype=np.float32)
    low = np.minimum(at.astype(np.intp), max(cells - 2, 0))
    return low, at - low.astype(np.float32)


def lattice_noise(grid: Array, height: int, width: int) -> Array:
    """Bilinear enlargement of a random grid (..., h, w), h and w >= 2, to (..., height, width)."""
    cols, fx = _lerp(width, grid.shape[-1])
    rows, fy = _lerp(height, grid.shape[-2])
    wide = grid[..., cols] * (1 - fx) + grid[..., cols + 1] * fx
    fy = fy[:, None]
    out: Array = wide[..., rows, :] * (1 - fy) + wide[..., rows + 1, :] * fy
    return out


def _unit(values: Array) -> Array:
    """Clip to [0, 1]; np.clip takes twice the time on arrays this small."""
    out: Array = np.minimum(np.maximum(values, 0), 1)
    return out


def _mottle_tile() -> Array:
    coarse = stream("mottle").random((_NOISE // 4, _NOISE // 4), dtype=np.float32)
    coarse = np.pad(coarse, ((0, 1), (0, 1)), mode="wrap")
    tile = lattice_noise(coarse, _NOISE + 1, _NOISE + 1)[:-1, :-1]
    return _unit((tile - 0.5) * np.float32(3.0) + np.float32(0.5))


_TILE = _mottle_tile()


@dataclass(frozen=True)
class Texture:
    """A mask in [0, 1] over local coordinates: which share of the second colour shows.

    ``kind`` is one of :data:`PATTERNS`, ``frequency`` in periods over the shape, ``angle`` in radians,
    ``phase`` in [0, 1), ``duty`` in (0, 1) the share of the second colour, ``strength`` in [0, 1].
    """

    kind: str = "plain"
    frequency: float = 3.0
    angle: float = 0.0
    phase: float = 0.0
    duty: float = 0.5
    strength: float = 1.0

    def mask(self, x: Array, y: Array) -> Array:
        """The mask at local coordinates x, y of shape (H, W)."""
        if self.kind == "plain":
            return np.zeros_like(x)
        c, s = math.cos(self.angle), math.sin(self.angle)
        a, b = c * x + s * y, c * y - s * x
        return np.float32(self.strength) * self._raw(a, b)

    def _raw(self, a: Array, b: Array) -> Array:
        w, shift = math.pi * self.frequency, 2 * math.pi * self.phase
        if self.kind == "stripes":
            return self._cut(np.sin(a * w + shift))
        if self.kind == "spots":
            return self._cut(np.sin(a * w + shift) * np.sin(b * w) * 1.6 - 0.3)
        if self.kind == "checks":
            return self._cut(np.sin(a * w + shift) * np.sin(b * w) * 2.5)
        if self.kind == "rings":
            return self._cut(np.sin(np.sqrt(a * a + b * b) * w + shift))
        if self.kind == "scales":
            return self._cut(np.sin(a * w + 1.3 * np.abs(np.sin(b * w)) + shift))
        if self.kind == "gradient":
            return _unit(0.5 + 0.5 * a + (self.duty - 0.5))
        return self._mottled(a, b)

    def _cut(self, wave: Array) -> Array:
        """Soft threshold of a wave in [-1, 1] so that about ``duty`` of it lies above."""
        edge = math.cos(math.pi * self.duty)
        return _unit((wave - edge) * np.float32(2.5) + np.float32(0.5))

    def _mottled(self, a: Array, b: Array) -> Array:
        k = 4.0 * self.frequency
        offset = _NOISE * (1.0 + self.phase)
        # Far points are clamped before the cast: they lie outside the shape, but must not overflow.
        i = (np.clip(a, -40, 40) * k + offset).astype(np.intp) % _NOISE
        j = (np.clip(b, -40, 40) * k + offset).astype(np.intp) % _NOISE
        return _TILE[i, j]


@dataclass(frozen=True)
class Layer:
    """One object alone: ``rgb`` (3, H, W), premultiplied by its coverage ``alpha`` (H, W); both in [0, 1]."""

    rgb: Array
    alpha: Array


class Painter:
    """Paints patches one over another on a grid of canonical points.

    ``u, v``: (H, W) coordinates; ``pixel``: width of a pixel in canonical units (for soft edges);
    ``light``: direction (x, y, towards the viewer) in canonical axes, of length 1.
    """

    def __init__(self, u: Array, v: Array, pixel: float, light: Light) -> None:
        self.u, self.v, self.pixel, self.light = u, v, pixel, light
        self.rgb: Array = np.zeros((3, *u.shape), dtype=np.float32)
        self.alpha: Array = np.zeros(u.shape, dtype=np.float32)

    def near(self, u: float, v: float, radius: float) -> Painter:
        """A painter of the part around a point, on the same canvas: small parts cost less there.

        Nothing within ``radius`` (canonical units, in both axes) of the point is left out.
        """
        # Tests every fourth point, with a margin for those between: holds for any smooth map.
        slack = radius + 7 * self.pixel
        close = (np.abs(self.u[::4, ::4] - u) < slack) & (np.abs(self.v[::4, ::4] - v) < slack)
        rows, cols = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
        part = (slice(0, 0), slice(0, 0))
        if rows.size:
            part = (slice(4 * rows[0], 4 * rows[-1] + 4), slice(4 * cols[0], 4 * cols[-1] + 4))
        inner = copy.copy(self)
        inner.u, inner.v, inner.alpha = self.u[part], self.v[part], self.alpha[part]
        inner.rgb = self.rgb[:, part[0], part[1]]
        return inner

    def fill(
        self,
        patch: Patch,
        colour: Colour,
        *,
        second: Colour | None = None,
        texture: Texture | None = None,
        relief: float = 0.8,
        gloss: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Paint one patch: colour (or a texture of two colours), rounded by ``relief`` in [0, 1]."""
        cover = np.minimum(np.maximum(np.float32(0.5) - patch.d * np.float32(1 / self.pixel), 0), np.float32(opacity))
        rows, cols = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
        if rows.size == 0:
            return
        part = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        cover, x, y = cover[part], patch.x[part], patch.y[part]
        paint: Array = np.asarray(colour, dtype=np.float32)[:, None, None]
        if texture is not None and second is not None and texture.kind != "plain":
            other = np.asarray(second, dtype=np.float32)[:, None, None]
            paint = paint + (other - paint) * texture.mask(x, y)
        paint = self._lit(paint, x, y, relief, gloss) * cover
        stay = 1 - cover
        self.rgb[:, part[0], part[1]] = self.rgb[:, part[0], part[1]] * stay + paint
        self.alpha[part] = self.alpha[part] * stay + cover

    def _lit(self, paint: Array, x: Array, y: Array, relief: float, gloss: float) -> Array:
        """Shade as if the patch were a dome whose rim tilts by ``relief``."""
        if relief <= 0:
            return paint
        lx, ly, lz = self.light
        nx, ny = (np.minimum(np.maximum(w, -1), 1) * relief for w in (x, y))
        nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, np.float32(0.04)))
        lambert = nx * lx + ny * ly + nz * lz
        shaded = paint * (np.float32(0.45) + np.float32(0.7) * np.maximum(lambert, 0))
        if gloss > 0:
            power = np.square(np.square(np.square(np.maximum(lambert, 0))))
            shaded = shaded + np.float32(gloss) * power
        return np.minimum(shaded, 1)

    def layer(self) -> Layer:
        """What has been painted so far."""
        return Layer(self.rgb, self.alpha)
