"""Families of objects, and the individuals that a scene shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from miniworld import animals, plants
from miniworld import vehicles_and_dishes as things
from miniworld.geometry import Array, Reach
from miniworld.paint import Layer, Painter
from miniworld.traits import Traits, names_of

__all__ = ["FAMILIES", "Drawable", "Family", "Individual"]


class Drawable(Protocol):
    """Anything that a scene can place: it knows its own coordinates only."""

    @property
    def reach(self) -> Reach:
        """Canonical box (left, top, right, bottom) that holds the whole object."""

    def paint(self, u: Array, v: Array, pixel: float, light: tuple[float, float, float]) -> Layer:
        """Colour and coverage at canonical points; see :class:`~miniworld.paint.Painter`."""


@dataclass(frozen=True)
class Family:
    """A kind of object: how to draw it, which traits tell its classes apart, how it is usually seen.

    ``turn``: largest rotation in radians; ``oblique``: smallest squeeze; ``reach``: see :class:`Drawable`.
    """

    name: str
    shape: tuple[str, ...]
    draw: Callable[[Painter, Traits], None]
    turn: float
    oblique: float
    reach: Reach

    @property
    def names(self) -> tuple[str, ...]:
        """All trait names, in the order of the trait vector."""
        return names_of(self.shape)


@dataclass(frozen=True)
class Individual:
    """One individual of a class; a :class:`Drawable`."""

    family: Family
    traits: Traits

    @property
    def reach(self) -> Reach:
        """Canonical box that holds the object."""
        return self.family.reach

    def paint(self, u: Array, v: Array, pixel: float, light: tuple[float, float, float]) -> Layer:
        """Paint the individual at canonical points."""
        painter = Painter(u, v, pixel, light)
        self.family.draw(painter, self.traits)
        return painter.layer()


_ALL = (
    Family("bird", animals.BIRD, animals.bird, 0.35, 0.9, (-1.4, -0.95, 1.35, 1.05)),
    Family("flower", plants.FLOWER, plants.flower, 0.5, 0.65, (-1.05, -1.05, 1.05, 1.35)),
    Family("car", things.CAR, things.car, 0.14, 0.85, (-1.1, -0.75, 1.15, 0.7)),
    Family("plane", things.PLANE, things.plane, 0.4, 0.8, (-1.1, -0.75, 1.1, 0.9)),
    Family("dish", things.DISH, things.dish, math.pi, 0.62, (-1.05, -1.05, 1.05, 1.05)),
    Family("beetle", animals.BEETLE, animals.beetle, math.pi, 0.8, (-0.95, -1.1, 0.95, 1.2)),
    Family("leaf", plants.LEAF, plants.leaf, math.pi, 0.75, (-0.95, -1.0, 0.95, 1.2)),
    Family("fish", animals.FISH, animals.fish, 0.45, 0.85, (-1.0, -0.95, 1.35, 0.9)),
    Family("butterfly", animals.BUTTERFLY, animals.butterfly, math.pi, 0.75, (-1.25, -0.95, 1.25, 0.95)),
    Family("vase", things.VASE, things.vase, 0.2, 0.9, (-0.75, -1.02, 0.75, 1.02)),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _ALL}
"""The families by name, in a fixed order."""
