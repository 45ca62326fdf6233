"""Recipes: sizes, counts, closeness of classes and seeds of each part of the data. No other module holds them.

A recipe's digest names its folder on disk and is part of the identity of every run that reads it. It is made of the
names and values of the recipe's fields and of :data:`VERSIONS`: none of these can change without orphaning results.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from miniworld.errors import WorldError
from miniworld.objects.families import FAMILIES
from miniworld.scenes.scene_types import SCENE_TYPES

__all__ = [
    "TARGETS",
    "VERSIONS",
    "ClipRecipe",
    "ObjectRecipe",
    "Recipe",
    "ReleaseDavisRecipe",
    "ReleaseSceneFlowRecipe",
    "ReleaseSceneRecipe",
    "SceneRecipe",
    "SetRecipe",
    "SourceRecipe",
    "ViewRecipe",
]

VERSIONS = {"objects": 1, "scenes": 2, "views": 1, "clips": 2}
"""Version of what draws each part: raise it with every change that alters a byte. Scenes and clips show objects."""

TARGETS = ("cub200", "flowers102", "stanford_cars", "aircraft", "food101", "nabirds")
"""The target sets of single objects; each is written in the layout of the data set that it is named after."""

_OFFICIAL_CLASSES = {
    "cub200": 200, "flowers102": 102, "stanford_cars": 196, "aircraft": 100, "food101": 101, "nabirds": 555
}  # fmt: skip
_LEAST_SIDE = 32  # pixels


class Recipe(ABC):
    """What one part of the data consists of. Recipes are frozen dataclasses of plain values, so they can be pickled."""

    part: ClassVar[str]
    """Its key in :data:`miniworld.PARTS`."""

    @abstractmethod
    def versions(self) -> dict[str, Any]:
        """What the digest depends on beside the fields."""

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values, for world.json."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    def digest(self) -> str:
        """Return the identity of the part: 16 hex digits, a stable hash of the fields and the drawing's versions."""
        content = json.dumps({**self.as_dict(), **self.versions()}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise WorldError(message)


# Objects


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
class ObjectRecipe(Recipe):
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
        least = f"use {_LEAST_SIDE} or more"
        _require(self.image_size >= _LEAST_SIDE, f"objects: image_size {self.image_size} is too small, {least}")
        _require(set(self.targets) == set(TARGETS), f"objects: targets must be exactly {', '.join(TARGETS)}")
        for name, entry in self.targets.items():
            _check_target(name, entry)
        enough = self.source.classes >= len(FAMILIES) and min(self.source.train, self.source.val) >= 1
        _require(enough, f"objects: source needs {len(FAMILIES)} classes or more, and train, val > 0")

    @staticmethod
    def tiny(seed: int = 0) -> ObjectRecipe:
        """Return a set for smoke tests: 10 source classes, six targets of 3 classes, built in a second or two."""
        targets = {
            name: dataclasses.replace(entry, classes=3, train=4, val=2 if entry.val else 0, test=4)
            for name, entry in _targets().items()
        }
        source = SourceRecipe(classes=10, train=6, val=2)
        return ObjectRecipe(image_size=80, seed=seed, source=source, targets=targets)

    @staticmethod
    def release(seed: int = 0) -> ObjectRecipe:
        """Return the six targets with the releases' classes and usual image size, one image of each split a class."""
        targets = {
            name: dataclasses.replace(entry, classes=_OFFICIAL_CLASSES[name], train=1, val=min(entry.val, 1), test=1)
            for name, entry in _targets().items()
        }
        source = SourceRecipe(classes=len(FAMILIES), train=1, val=1)
        return ObjectRecipe(image_size=500, seed=seed, source=source, targets=targets)

    def versions(self) -> dict[str, Any]:
        """Return the version of the objects."""
        return {"generator": VERSIONS["objects"]}


def _check_target(name: str, entry: SetRecipe) -> None:
    families = ", ".join(FAMILIES)
    _require(entry.family in FAMILIES, f"objects: {name}: no family {entry.family!r}; there are {families}")
    enough = entry.classes >= 2 and min(entry.train, entry.test) >= 1 and entry.val >= 0
    _require(enough, f"objects: {name}: needs 2 classes or more, train and test > 0, val >= 0")
    _require(0 < entry.spread <= 1, f"objects: {name}: spread {entry.spread} is outside (0, 1]")
    has_val = name in ("flowers102", "aircraft")
    _require(bool(entry.val) == has_val, f"objects: {name}: val must be > 0 for flowers102 and aircraft, 0 elsewhere")


# Scenes and views


@dataclass(frozen=True)
class SceneRecipe(Recipe):
    """Scenes with label maps.

    ``width, height``: of the images, in pixels. ``train, val``: numbers of scenes. ``individuals``: the most objects
    in a scene (each scene has one or more; 0 leaves the surroundings alone). ``size``: of objects, in units of what
    their spots give. ``variation``: as of :class:`ObjectRecipe`, about kinds that are drawn from a family's whole
    range, as the source set's are. ``nuisance``: strength of pose, clutter and camera errors. ``borders``: chance
    that a thin unlabelled band parts the regions of a scene.
    """

    part: ClassVar[str] = "scenes"
    subset: ClassVar[bool] = True
    """Whether classes.txt says that the classes are some of the 59."""

    width: int = 96
    height: int = 72
    seed: int = 0
    train: int = 120
    val: int = 120
    individuals: int = 5
    size: float = 1.6
    variation: float = 0.06
    nuisance: float = 0.5
    borders: float = 0.35
    quality: int = 92

    def __post_init__(self) -> None:
        sides, large = f"{self.width} x {self.height}", min(self.width, self.height) >= _LEAST_SIDE
        _require(large, f"scenes: {sides} is too small, use {_LEAST_SIDE} or more")
        _require(1 <= self.width / self.height <= 2, f"scenes: {sides}: use a width of 1 to 2 heights")
        enough = min(self.train, self.val) >= 1 and self.individuals >= 0
        _require(enough, "scenes: needs train and val > 0, individuals >= 0")
        _require(self.size > 0, f"scenes: objects of size {self.size:g}: use a positive number")

    @staticmethod
    def tiny(seed: int = 0) -> SceneRecipe:
        """Return scenes for smoke tests: two of each type to train on, one to validate on."""
        return SceneRecipe(width=64, height=48, seed=seed, train=2 * len(SCENE_TYPES), val=len(SCENE_TYPES))

    def versions(self) -> dict[str, Any]:
        """Return the versions of scenes and objects."""
        return {"part": "scenes", "generators": [VERSIONS["scenes"], VERSIONS["objects"]]}


@dataclass(frozen=True)
class ReleaseSceneRecipe(SceneRecipe):
    """A few scenes of the official release's usual size, among all of its classes."""

    subset: ClassVar[bool] = False

    width: int = 500
    height: int = 375
    train: int = 8
    val: int = 1


@dataclass(frozen=True)
class ViewRecipe(Recipe):
    """Views: square windows of scenes, with one label each.

    ``scenes``: what the scenes are like. ``side``: of the windows, in pixels. ``train, val``: numbers of scenes that
    are cut up. ``most``: windows of a scene, each of another class. ``least``: pixels that a class must have in a
    scene to be shown.
    """

    part: ClassVar[str] = "views"

    scenes: SceneRecipe = field(default_factory=SceneRecipe)
    side: int = 40
    train: int = 1500
    val: int = 200
    most: int = 5
    least: int = 25

    def __post_init__(self) -> None:
        fits = 1 <= self.side <= self.scenes.height
        _require(fits, f"views: windows of {self.side} pixels do not fit scenes of {self.scenes.height}")
        enough = min(self.train, self.val, self.most, self.least) >= 1
        _require(enough, "views: needs train, val, most and least > 0")

    @staticmethod
    def tiny(seed: int = 0) -> ViewRecipe:
        """Return views for smoke tests."""
        return ViewRecipe(scenes=SceneRecipe.tiny(seed), side=36, train=32, val=16)

    def versions(self) -> dict[str, Any]:
        """Return the version of the views, and the identity of their scenes."""
        return {"part": self.part, "generator": VERSIONS["views"], "scenes": self.scenes.digest()}


# Clips


@dataclass(frozen=True)
class ClipRecipe(Recipe):
    """Clips with masks or optical flow.

    ``width, height``: of all frames but FlyingChairs', in pixels. ``davis_train, davis_val``: numbers of sequences of
    ``davis_frames``. ``shots``: clips, one after the other, that a scene of Monkaa or Driving consists of; the scenes'
    names and number are the release's. ``monkaa_frames, fast_frames, slow_frames``: of a shot. ``fast, slow``: share by
    which Driving's camera nears what it sees, a frame. ``chairs, chairs_val``: numbers of pairs, of ``chairs_width`` x
    ``chairs_height``. ``nuisance``: strength of DAVIS's camera errors.
    """

    part: ClassVar[str] = "clips"
    sets: ClassVar[tuple[str, ...]] = ("davis", "monkaa", "driving", "chairs")
    """The data sets that are written."""

    width: int = 160
    height: int = 96
    seed: int = 0
    davis_train: int = 30
    davis_val: int = 20
    davis_frames: int = 5
    shots: int = 4
    monkaa_frames: int = 3
    fast_frames: int = 3
    slow_frames: int = 4
    fast: float = 0.07
    slow: float = 0.03
    chairs: int = 1000
    chairs_val: int = 60
    chairs_width: int = 128
    chairs_height: int = 96
    nuisance: float = 0.4
    quality: int = 92

    def __post_init__(self) -> None:
        large = min(self.width, self.height, self.chairs_width, self.chairs_height) >= _LEAST_SIDE
        _require(large, f"clips: a side is too small, use {_LEAST_SIDE} pixels or more")
        enough = min(self.davis_train, self.davis_val, self.shots, self.chairs, self.chairs_val) >= 1
        _require(enough, "clips: needs davis_train, davis_val, shots, chairs and chairs_val > 0")
        enough = self.davis_frames >= 3 and min(self.monkaa_frames, self.fast_frames, self.slow_frames) >= 2
        _require(enough, "clips: needs 3 frames or more of DAVIS's sequences, 2 of all others")
        moderate = 0 < self.slow < 0.5 and 0 < self.fast < 0.5 and self.nuisance >= 0
        _require(moderate, "clips: fast and slow lie between 0 and 0.5, nuisance is 0 or more")

    @staticmethod
    def tiny(seed: int = 0) -> ClipRecipe:
        """Return clips for smoke tests."""
        return ClipRecipe(
            width=80, height=48, seed=seed, davis_train=3, davis_val=2, davis_frames=3, shots=2, monkaa_frames=2,
            fast_frames=2, slow_frames=2, chairs=8, chairs_val=4, chairs_width=64, chairs_height=48,
        )  # fmt: skip

    def versions(self) -> dict[str, Any]:
        """Return the versions of clips, scenes and objects."""
        return {"part": self.part, "generators": [VERSIONS[name] for name in ("clips", "scenes", "objects")]}


@dataclass(frozen=True)
class ReleaseDavisRecipe(ClipRecipe):
    """Two short sequences of DAVIS at the official resolution, 480p."""

    sets: ClassVar[tuple[str, ...]] = ("davis",)

    width: int = 854
    height: int = 480
    davis_train: int = 1
    davis_val: int = 1
    davis_frames: int = 3


@dataclass(frozen=True)
class ReleaseSceneFlowRecipe(ClipRecipe):
    """Two frames of each scene of Monkaa and Driving at the official resolution."""

    sets: ClassVar[tuple[str, ...]] = ("monkaa", "driving")

    width: int = 960
    height: int = 540
    shots: int = 1
    monkaa_frames: int = 2
    fast_frames: int = 2
    slow_frames: int = 2
