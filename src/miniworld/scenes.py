"""The world's part of scenes: images with a label map of classes, in the layout of PASCAL-Context (protocol 1.6).

VOCdevkit/VOC2010/JPEGImages/<id>.jpg
VOCdevkit/VOC2010/SegmentationClassContext/<id>.png           0 unlabelled, else the class's place among the 59
VOCdevkit/VOC2010/ImageSets/SegmentationContext/{train,val}.txt
VOCdevkit/VOC2010/classes.txt                                 which of the 59 there are; ours
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from l2sp_suite.datasets.palette import palette
from l2sp_suite.utils.errors import UserError
from miniworld.canvas import Canvas
from miniworld.categories import FAMILIES, Individual
from miniworld.context import CLASSES, FAMILY_CLASS, LABELS, UNLABELLED
from miniworld.geometry import Array, Pose, Reach
from miniworld.paint import Layer, stream
from miniworld.recipe import GENERATOR, stable_hash
from miniworld.render import random_camera, random_clutter, random_light
from miniworld.scene import Placed, compose
from miniworld.scenery import LAYOUTS, Spot
from miniworld.traits import individual

__all__ = [
    "FOLDER",
    "SCENES",
    "ReleaseSceneRecipe",
    "Scene",
    "SceneRecipe",
    "Shot",
    "annotate",
    "draw_scene",
    "plan",
    "render",
]

SCENES = 2
"""Version of the scenes' generator: raise it with every change that alters a byte of any."""

FOLDER = "VOCdevkit/VOC2010"
_LISTS = f"{FOLDER}/ImageSets/SegmentationContext"


@dataclass(frozen=True)
class SceneRecipe:
    """The scenes of a world.

    ``width, height``: of the images, in pixels. ``train, val``: numbers of scenes. ``individuals``: the most in a
    scene (each has one or more; 0 leaves the stuff alone). ``size``: of them, in units of what their spots give.
    ``variation``: as of :class:`Recipe`, about kinds that are drawn from a family's whole range, as the source set's
    are. ``nuisance``: strength of pose, clutter and camera errors. ``borders``: chance that a scene's borders between
    stuff are a thin unlabelled band.
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
        if min(self.width, self.height) < 32:
            raise UserError(f"miniature scenes: {self.width} x {self.height} is too small, use 32 or more")
        if not 1 <= self.width / self.height <= 2:
            raise UserError(f"miniature scenes: {self.width} x {self.height}: use a width of 1 to 2 heights")
        if self.train < 1 or self.val < 1 or self.individuals < 0:
            raise UserError("miniature scenes: needs train and val > 0, individuals >= 0")
        if self.size <= 0:
            raise UserError(f"miniature scenes: individuals of size {self.size:g}: use a positive number")

    @staticmethod
    def tiny(seed: int = 0) -> SceneRecipe:
        """Scenes for smoke tests: two of each layout to train on, one to validate on."""
        return SceneRecipe(width=64, height=48, seed=seed, train=2 * len(LAYOUTS), val=len(LAYOUTS))

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Identity of the scenes: a stable hash (16 hex digits) of the recipe and of what draws them."""
        return stable_hash({"part": self.part, "generators": [SCENES, GENERATOR], **self.as_dict()})


@dataclass(frozen=True)
class ReleaseSceneRecipe(SceneRecipe):
    """A few scenes of the official release's usual size, among all of its classes."""

    subset: ClassVar[bool] = False

    width: int = 500
    height: int = 375
    train: int = 8
    val: int = 1


@dataclass(frozen=True)
class Shot:
    """Scene ``index`` of ``split`` (train or val; others have scenes of their own)."""

    split: str
    index: int


@dataclass(frozen=True)
class Scene:
    """``image`` (H, W, 3) bytes; ``labels`` (H, W): 0 unlabelled, else a class's place among the 59."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class _Shade:
    """The shadow under a thing that stands on a surface. It hides less than half, so it owns no pixel."""

    strength: float
    reach: Reach = (-1.0, -1.0, 1.0, 1.0)

    def paint(self, u: Array, v: Array, pixel: float, light: tuple[float, float, float]) -> Layer:
        """Darkness, soft towards the rim."""
        alpha = np.float32(self.strength) * np.clip(1 - u * u - v * v, 0, 1)
        return Layer(np.zeros((3, *u.shape), dtype=np.float32), alpha)


def draw_scene(recipe: SceneRecipe, shot: Shot) -> Scene:
    """Draw one scene: a function of the shot's own ids and of the recipe, but for its numbers of scenes."""
    rng = stream(recipe.seed, "scene", shot.split, shot.index)
    light = random_light(rng)
    canvas = Canvas(recipe.height, recipe.width, light)
    spots = list(LAYOUTS.values())[shot.index % len(LAYOUTS)](canvas, rng)
    labels = canvas.labels
    if rng.random() < recipe.borders:
        labels = _with_borders(labels)
    things = _things(recipe, rng, spots)
    shades = [_shade(recipe, spot, placed, rng) for _, placed, spot in things if spot is not None and spot.stands]
    picture = compose(canvas.image, [*shades, *(placed for _, placed, _ in things)], light)
    labels = _claim(labels, picture.seen[len(shades) :], [value for value, _, _ in things])
    return Scene(random_camera(rng, recipe.nuisance).shoot(picture.image, rng), labels)


def _with_borders(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The map with the pixels next to another label unlabelled, as where an annotator left a gap."""
    out = labels.copy()
    for axis in (0, 1):
        here = np.swapaxes(labels, 0, axis)
        change = here[1:] != here[:-1]
        there = np.swapaxes(out, 0, axis)
        there[1:][change] = UNLABELLED
        there[:-1][change] = UNLABELLED
    return out


def _claim(labels: NDArray[np.uint8], seen: Array, values: Sequence[int]) -> NDArray[np.uint8]:
    """The map in which every thing owns the pixels that it visibly covers by more than half."""
    out = labels.copy()
    for mask, value in zip(seen, values, strict=True):
        out[mask > 0.5] = value
    return out


Thing = tuple[int, Placed, Spot | None]
"""Label, the placed object, and its spot (None: clutter)."""


def _things(recipe: SceneRecipe, rng: np.random.Generator, spots: Sequence[Spot]) -> list[Thing]:
    """Individuals at some of the spots and perhaps clutter, from back to front."""
    if recipe.individuals == 0:
        return []
    count = int(rng.integers(1, recipe.individuals + 1))
    chosen = [spots[int(k)] for k in rng.permutation(len(spots))[:count]]
    things = [_settle(recipe, rng, spot) for spot in sorted(chosen, key=lambda s: (s.stands, s.y))]
    return things + [_litter(recipe, rng) for _ in range(min(int(rng.poisson(0.6 * recipe.nuisance)), 3))]


def _settle(recipe: SceneRecipe, rng: np.random.Generator, spot: Spot) -> Thing:
    """An individual of the spot's family, of any kind that the family has, posed there."""
    family, size = FAMILIES[spot.family], recipe.height
    kind = rng.uniform(-1, 1, len(family.names))
    subject = Individual(family, individual(family.names, kind, rng, recipe.variation))
    free = family.turn >= math.pi and not spot.stands and spot.squeeze is None
    turn = family.turn if free else min(family.turn, 0.35) * recipe.nuisance * (0.4 if spot.stands else 1.0)
    tilt = rng.uniform(-0.15, 0.15, 2) * recipe.nuisance
    flat = 1 - (1 - rng.uniform(family.oblique, 1.0)) * recipe.nuisance
    pose = Pose(
        x=spot.x * size,
        y=spot.y * size,
        scale=spot.scale * size * recipe.size,
        angle=float(rng.uniform(-turn, turn)),
        squeeze=float(flat if spot.squeeze is None else spot.squeeze),
        mirror=bool(rng.random() < 0.5),
        keystone=(float(tilt[0]), float(tilt[1])),
    )
    if spot.stands:
        pose = dataclasses.replace(pose, y=pose.y - _foot(subject) * pose.scale * pose.squeeze)
    label = LABELS.get(FAMILY_CLASS.get(spot.family, ""), UNLABELLED)
    lies = spot.squeeze is not None
    return label, Placed(subject, pose, float(rng.uniform(0.2, 0.5)) if lies else 0.0), spot


def _foot(subject: Individual) -> float:
    """The lowest v that an individual reaches."""
    left, top, right, bottom = subject.reach
    v, u = np.meshgrid(
        np.linspace(top, bottom, 64, dtype=np.float32), np.linspace(left, right, 32, dtype=np.float32), indexing="ij"
    )
    rows = np.flatnonzero((subject.paint(u, v, (bottom - top) / 64, (0.0, 0.0, 1.0)).alpha > 0.5).any(axis=1))
    return float(v[rows[-1], 0])


def _shade(recipe: SceneRecipe, spot: Spot, placed: Placed, rng: np.random.Generator) -> Placed:
    """The shadow of a standing thing, around its foot."""
    left, _, right, _ = placed.item.reach
    wide = 0.5 * (right - left) * placed.pose.scale * (0.5 if spot.family == "flower" else 0.9)
    pose = Pose(spot.x * recipe.height, spot.y * recipe.height, wide, squeeze=0.28)
    return Placed(_Shade(float(rng.uniform(0.25, 0.48))), pose)


def _litter(recipe: SceneRecipe, rng: np.random.Generator) -> Thing:
    """Clutter in the lower half, in front of everything; unlabelled."""
    x, y = rng.uniform(0.05, 0.95) * recipe.width, rng.uniform(0.7, 1.0) * recipe.height
    pose = Pose(float(x), float(y), float(rng.uniform(0.05, 0.14) * recipe.height), float(rng.uniform(0, math.pi)))
    return UNLABELLED, Placed(random_clutter(rng), pose, float(rng.uniform(0, 0.35))), None


def plan(recipe: SceneRecipe) -> dict[Shot, str]:
    """Path of every image below the world's root; ids run over both splits in a random order."""
    shots = [Shot(split, k) for split, count in (("train", recipe.train), ("val", recipe.val)) for k in range(count)]
    order = stream(recipe.seed, "order", "scenes").permutation(len(shots))
    return {shots[int(k)]: f"{FOLDER}/JPEGImages/2010_{place + 1:06d}.jpg" for place, k in enumerate(order)}


def render(recipe: SceneRecipe, shot: Shot, path: str) -> tuple[dict[str, bytes], None]:
    """The files of one scene, by path: its image and its label map."""
    scene = draw_scene(recipe, shot)
    photo, chart = io.BytesIO(), io.BytesIO()
    Image.fromarray(scene.image).save(photo, "JPEG", quality=recipe.quality, subsampling=0)
    indexed = Image.fromarray(scene.labels, "P")
    indexed.putpalette(palette())
    indexed.save(chart, "PNG")
    name = path.replace("JPEGImages", "SegmentationClassContext").replace(".jpg", ".png")
    return {path: photo.getvalue(), name: chart.getvalue()}, None


def annotate(recipe: SceneRecipe, root: Path, paths: Mapping[Shot, str], notes: Mapping[Shot, None]) -> list[str]:
    """Write the lists of both splits and, of a subset, of the classes; returns their paths relative to ``root``."""
    lists = {
        f"{_LISTS}/{split}.txt": [Path(path).stem for shot, path in paths.items() if shot.split == split]
        for split in ("train", "val")
    }
    if recipe.subset:
        lists[f"{FOLDER}/classes.txt"] = list(CLASSES)
    for name, lines in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return list(lists)
