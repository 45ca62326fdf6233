"""Which images there are of single objects, one :class:`Sample` each, and how each is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.paint import stream
from miniworld.objects.families import FAMILIES
from miniworld.objects.render import ObjectImage, render_object
from miniworld.objects.traits import class_traits
from miniworld.recipes import TARGETS, ObjectRecipe

__all__ = ["GROUPS", "Sample", "draw_sample", "family_of", "samples_of", "traits_of"]

GROUPS = ("source", *TARGETS)
"""The sets of single objects."""


@dataclass(frozen=True)
class Sample:
    """Image ``index`` of ``split`` (train, val or test) of class ``label`` (0-based) of the set ``group``."""

    group: str
    label: int
    split: str
    index: int


def samples_of(recipe: ObjectRecipe, group: str) -> list[Sample]:
    """All samples of a target set or of ``source``, ordered by class, split and index."""
    entry = recipe.source if group == "source" else recipe.targets[group]
    sizes = {"train": entry.train, "val": entry.val, "test": getattr(entry, "test", 0)}
    return [
        Sample(group, label, split, index)
        for label in range(entry.classes)
        for split, count in sizes.items()
        for index in range(count)
    ]


def family_of(recipe: ObjectRecipe, group: str, label: int) -> str:
    """Name of the family of a class: the set's own, or for the source the families in turn."""
    return recipe.targets[group].family if group != "source" else list(FAMILIES)[label % len(FAMILIES)]


@lru_cache(maxsize=64)
def _traits(seed: int, group: str, family: str, classes: int, spread: float, off_centre: float) -> NDArray[np.float64]:
    return class_traits(seed, f"{group}/{family}", len(FAMILIES[family].names), classes, spread, off_centre)


def traits_of(recipe: ObjectRecipe, group: str, family: str) -> NDArray[np.float64]:
    """Traits (classes, dims) of a set's classes in one family, in the order of their labels."""
    if group != "source":
        entry = recipe.targets[group]
        return _traits(recipe.seed, group, family, entry.classes, entry.spread, recipe.off_centre)
    first = list(FAMILIES).index(family)
    count = len(range(first, recipe.source.classes, len(FAMILIES)))
    return _traits(recipe.seed, group, family, count, recipe.source.spread, 0.0)


def draw_sample(recipe: ObjectRecipe, sample: Sample) -> ObjectImage:
    """Draw one sample: a function of the recipe's seed and the sample's own ids alone."""
    family = FAMILIES[family_of(recipe, sample.group, sample.label)]
    row = sample.label if sample.group != "source" else sample.label // len(FAMILIES)
    kind = traits_of(recipe, sample.group, family.name)[row]
    rng = stream(recipe.seed, "image", sample.group, sample.label, sample.split, sample.index)
    return render_object(family.individual(kind, rng, recipe.variation), rng, recipe.image_size, recipe.nuisance)
