"""Latent traits: what makes a class, how classes of a set are spread, how an image varies its class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.paint import PATTERNS, Colour, Texture, hsv, stream

__all__ = ["PALETTE", "Traits", "class_traits", "names_of", "trait_distance", "vary_traits"]

_SLOTS = ("main", "second", "accent")
PALETTE: tuple[str, ...] = tuple(f"{slot}_{part}" for slot in _SLOTS for part in ("hue", "sat", "val"))
"""Traits that every family has, beside those of the texture and its own shape."""
_TEXTURE = ("texture", "frequency", "direction", "duty", "texture2", "frequency2")
_CANDIDATES = 12


@dataclass(frozen=True)
class Traits:
    """One individual: trait values in [-1, 1] by name, and the class's own values for discrete choices."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    kinds: tuple[float, ...]
    posture: tuple[float, ...]

    def span(self, name: str, low: float, high: float) -> float:
        """The trait mapped from [-1, 1] to [low, high]."""
        value = self.values[self.names.index(name)]
        return low + (high - low) * (value + 1) / 2

    def pick(self, name: str, count: int) -> int:
        """A discrete choice in 0..count-1; from the class alone, so that images of a class agree."""
        value = self.kinds[self.names.index(name)]
        return min(int((value + 1) / 2 * count), count - 1)

    def colour(
        self, slot: str, sat: tuple[float, float] = (0.1, 0.95), val: tuple[float, float] = (0.2, 0.95)
    ) -> Colour:
        """Colour of a slot (main, second, accent), saturation and value within the given ranges."""
        hue = self.span(f"{slot}_hue", -0.5, 0.5)
        return hsv(hue, self.span(f"{slot}_sat", *sat), self.span(f"{slot}_val", *val))

    def texture(self, scale: float = 1.0, *, minor: bool = False) -> Texture:
        """The class's texture (or its minor one); ``scale`` multiplies the frequency."""
        kind = PATTERNS[self.pick("texture2" if minor else "texture", len(PATTERNS))]
        frequency = scale * self.span("frequency2" if minor else "frequency", 2.0, 6.5)
        angle = self.span("direction", -math.pi / 2, math.pi / 2) * (1.0 if not minor else -0.7)
        phase = 0.5 + 0.5 * self.posture[-1]
        return Texture(kind, frequency, angle, phase, self.span("duty", 0.3, 0.6), 0.95)


def names_of(shape: Sequence[str]) -> tuple[str, ...]:
    """All trait names of a family whose shape traits are ``shape``."""
    return (*PALETTE, *_TEXTURE, *shape)


def class_traits(
    seed: int, group: str, dims: int, classes: int, spread: float, off_centre: float
) -> NDArray[np.float64]:
    """Trait vectors (classes, dims) in [-1, 1] of one set.

    They fill a cube of half side ``spread`` around the set's own centre, itself drawn within ``off_centre``
    of the family's. Each class is the candidate farthest from those before it: no two nearly coincide.
    """
    rng = stream(seed, "classes", group)
    centre = rng.uniform(-off_centre, off_centre, dims)
    rows: list[NDArray[np.float64]] = []
    for _ in range(classes):
        offered = _fold(centre + spread * rng.uniform(-1, 1, (_CANDIDATES, dims)))
        near = [min((float(np.linalg.norm(c - r)) for r in rows), default=0.0) for c in offered]
        rows.append(offered[int(np.argmax(near))])
    return np.stack(rows)


def vary_traits(
    names: tuple[str, ...], kind: NDArray[np.float64], rng: np.random.Generator, variation: float
) -> Traits:
    """Return an individual's traits: its class's, shaken by ``variation`` (standard deviation), and a posture."""
    shaken = _fold(kind + variation * rng.standard_normal(kind.shape[0]))
    posture = rng.uniform(-1, 1, 12)
    return Traits(names, tuple(shaken.tolist()), tuple(kind.tolist()), tuple(posture.tolist()))


def trait_distance(traits: NDArray[np.float64]) -> float:
    """Mean distance of each class (rows) to its nearest other class."""
    gap = np.linalg.norm(traits[:, None] - traits[None], axis=-1)
    np.fill_diagonal(gap, np.inf)
    return float(gap.min(axis=1).mean())


def _fold(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reflect values at -1 and 1."""
    folded = np.abs((values + 1) % 4 - 2)
    return 1 - folded
