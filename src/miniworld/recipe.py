"""What the part of single objects consists of: sizes, closeness of classes, seeds. No code depends on the numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from l2sp_suite.utils.errors import UserError
from miniworld.categories import FAMILIES

__all__ = ["GENERATOR", "TARGETS", "Recipe", "SetRecipe", "SourceRecipe", "stable_hash"]

GENERATOR = 1
"""Version of the objects' generator: raise it with every change that alters a byte of any part that shows them."""

TARGETS = ("cub200", "flowers102", "stanford_cars", "aircraft", "food101", "nabirds")
"""Names of the target sets; each is written in the layout of the data set that it is named after."""

_OFFICIAL_CLASSES = {
    "cub200": 200, "flowers102": 102, "stanford_cars": 196, "aircraft": 100, "food101": 101, "nabirds": 555
}  # fmt: skip


def stable_hash(content: Mapping[str, Any]) -> str:
    """16 hex digits that depend on JSON values alone, not on their order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SetRecipe:
    """One target set inside one family; ``train``, ``val`` and ``test`` are images per class.

    ``spread`` in (0, 1] is the half side of the cube of traits that the classes fill: small is hard.
    ``val`` is 0 except for the data sets whose official release has a validation split.
    """

    family: str
    classes: int
    train: int
    test: int
    spread: float
    val: int = 0


@dataclass(frozen=True)
class SourceRecipe:
    """The source set: ``classes`` in all, shared evenly among all families; images per class."""

    classes: int = 100
    train: int = 60
    val: int = 5
    spread: float = 1.0


def _targets() -> dict[str, SetRecipe]:
    return {
        "cub200": SetRecipe("bird", 24, 8, 50, 0.45),
        "flowers102": SetRecipe("flower", 17, 6, 64, 0.5, val=6),
        "stanford_cars": SetRecipe("car", 20, 10, 60, 0.5),
        "aircraft": SetRecipe("plane", 16, 8, 70, 0.45, val=7),
        "food101": SetRecipe("dish", 15, 20, 80, 0.35),
        "nabirds": SetRecipe("bird", 30, 8, 45, 0.55),
    }


@dataclass(frozen=True)
class Recipe:
    """The source set and the target sets, one object an image.

    ``image_size``: side in pixels. ``variation``: how far an individual strays from its class's traits
    (standard deviation, traits lie in [-1, 1]). ``nuisance``: strength of pose, light, clutter and noise
    (1 as designed, 0 none). ``off_centre``: how far a target set lies from the middle of its family.
    """

    part: ClassVar[str] = "objects"

    image_size: int = 96
    seed: int = 0
    source: SourceRecipe = field(default_factory=SourceRecipe)
    targets: dict[str, SetRecipe] = field(default_factory=_targets)
    variation: float = 0.06
    nuisance: float = 1.0
    off_centre: float = 0.35
    quality: int = 92

    def __post_init__(self) -> None:
        if self.image_size < 32:
            raise UserError(f"miniature recipe: image_size {self.image_size} is too small, use 32 or more")
        if set(self.targets) != set(TARGETS):
            raise UserError(f"miniature recipe: targets must be exactly {', '.join(TARGETS)}")
        for name, entry in self.targets.items():
            _check(name, entry)
        if self.source.classes < len(FAMILIES) or self.source.train < 1 or self.source.val < 1:
            raise UserError(f"miniature recipe: source needs {len(FAMILIES)} classes or more, and train, val > 0")

    @staticmethod
    def tiny(seed: int = 0) -> Recipe:
        """A world for smoke tests: 10 source classes, six targets of 3 classes, built in a second or two."""
        default = _targets()
        targets = {
            name: dataclasses.replace(entry, classes=3, train=4, val=2 if entry.val else 0, test=4)
            for name, entry in default.items()
        }
        return Recipe(image_size=80, seed=seed, source=SourceRecipe(classes=10, train=6, val=2), targets=targets)

    @staticmethod
    def release(seed: int = 0) -> Recipe:
        """All six targets with the classes and about the image size of the official releases, one image each a part."""
        default = _targets()
        targets = {
            name: dataclasses.replace(default[name], classes=classes, train=1, val=min(default[name].val, 1), test=1)
            for name, classes in _OFFICIAL_CLASSES.items()
        }
        return Recipe(
            image_size=500, seed=seed, source=SourceRecipe(classes=len(FAMILIES), train=1, val=1), targets=targets
        )

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Identity of the world: a stable hash (16 hex digits) of the recipe and the generator's version."""
        return stable_hash({"generator": GENERATOR, **self.as_dict()})


def _check(name: str, entry: SetRecipe) -> None:
    if entry.family not in FAMILIES:
        raise UserError(f"miniature recipe: {name}: no family {entry.family!r}; there are {', '.join(FAMILIES)}")
    if entry.classes < 2 or entry.train < 1 or entry.test < 1 or entry.val < 0:
        raise UserError(f"miniature recipe: {name}: needs 2 classes or more, train and test > 0, val >= 0")
    if not 0 < entry.spread <= 1:
        raise UserError(f"miniature recipe: {name}: spread {entry.spread} is outside (0, 1]")
    if bool(entry.val) != (name in ("flowers102", "aircraft")):
        raise UserError(f"miniature recipe: {name}: val must be > 0 for flowers102 and aircraft, and 0 elsewhere")
