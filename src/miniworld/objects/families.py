"""The families of objects (bird, flower, car, ...), and individuals of their classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.geometry import Array, Light, Reach
from miniworld.drawing.paint import Layer, Painter
from miniworld.objects import animals, plants
from miniworld.objects import vehicles_and_dishes as things
from miniworld.objects.traits import Traits, names_of, vary_traits

__all__ = ["FAMILIES", "Family", "Individual"]


@dataclass(frozen=True)
class Family:
    """A kind of object: how to draw it, which traits tell its classes apart, how it is usually seen.

    ``turn``: largest rotation in radians; ``oblique``: smallest squeeze; ``reach``: box that holds the whole object.
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

    def individual(self, kind: NDArray[np.float64], rng: np.random.Generator, variation: float) -> Individual:
        """Return an individual of the class whose traits are ``kind``; see :func:`vary_traits`."""
        return Individual(self, vary_traits(self.names, kind, rng, variation))

    def any_individual(self, rng: np.random.Generator, variation: float) -> Individual:
        """Return an individual of a random class, drawn from the family's whole range."""
        return self.individual(rng.uniform(-1, 1, len(self.names)), rng, variation)


@dataclass(frozen=True)
class Individual:
    """One individual of a class; drawable."""

    family: Family
    traits: Traits

    @property
    def reach(self) -> Reach:
        """Canonical box that holds the object."""
        return self.family.reach

    def paint(self, u: Array, v: Array, pixel: float, light: Light) -> Layer:
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
