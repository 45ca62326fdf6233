"""How a scene is drawn: surroundings of one type, objects at some of their spots, and a camera."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.camera import random_camera, random_light
from miniworld.drawing.compose import Placed, compose
from miniworld.drawing.geometry import Array, Light, Pose, Reach
from miniworld.drawing.paint import Layer, stream
from miniworld.objects.families import FAMILIES, Individual
from miniworld.objects.render import random_clutter
from miniworld.recipes import SceneRecipe
from miniworld.scenes.canvas import Canvas
from miniworld.scenes.labels import FAMILY_CLASS, LABELS, UNLABELLED
from miniworld.scenes.scene_types import SCENE_TYPES, Spot

__all__ = ["Scene", "SceneId", "draw_scene"]


@dataclass(frozen=True)
class SceneId:
    """Scene ``index`` of ``split`` (train or val; others have scenes of their own)."""

    split: str
    index: int


@dataclass(frozen=True)
class Scene:
    """``image`` (H, W, 3) bytes; ``labels`` (H, W): 0 unlabelled, else a class's number among the 59."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class _Shadow:
    """The shadow under an object that stands on a surface. It hides less than half, so it owns no pixel."""

    strength: float
    reach: Reach = (-1.0, -1.0, 1.0, 1.0)

    def paint(self, u: Array, v: Array, pixel: float, light: Light) -> Layer:
        """Darkness, soft towards the rim."""
        alpha = np.float32(self.strength) * np.clip(1 - u * u - v * v, 0, 1)
        return Layer(np.zeros((3, *u.shape), dtype=np.float32), alpha)


def draw_scene(recipe: SceneRecipe, scene_id: SceneId) -> Scene:
    """Draw one scene: a function of its id and of the recipe, but for the recipe's numbers of scenes."""
    rng = stream(recipe.seed, "scene", scene_id.split, scene_id.index)
    light = random_light(rng)
    canvas = Canvas(recipe.height, recipe.width, light)
    spots = list(SCENE_TYPES.values())[scene_id.index % len(SCENE_TYPES)](canvas, rng)
    labels = canvas.labels
    if rng.random() < recipe.borders:
        labels = _with_gaps(labels)
    objects = _objects(recipe, rng, spots)
    shadows = [_shadow(recipe, spot, placed, rng) for _, placed, spot in objects if spot is not None and spot.stands]
    picture = compose(canvas.image, [*shadows, *(placed for _, placed, _ in objects)], light)
    labels = _with_objects(labels, picture.seen[len(shadows) :], [value for value, _, _ in objects])
    return Scene(random_camera(rng, recipe.nuisance).shoot(picture.image, rng), labels)


def _with_gaps(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The map with the pixels next to another label unlabelled, as where an annotator left a gap."""
    out = labels.copy()
    for axis in (0, 1):
        here = np.swapaxes(labels, 0, axis)
        change = here[1:] != here[:-1]
        there = np.swapaxes(out, 0, axis)
        there[1:][change] = UNLABELLED
        there[:-1][change] = UNLABELLED
    return out


def _with_objects(labels: NDArray[np.uint8], seen: Array, values: Sequence[int]) -> NDArray[np.uint8]:
    """The map in which every object owns the pixels that it visibly covers by more than half."""
    out = labels.copy()
    for mask, value in zip(seen, values, strict=True):
        out[mask > 0.5] = value
    return out


Labelled = tuple[int, Placed, Spot | None]
"""Label, the placed object, and its spot (None: clutter)."""


def _objects(recipe: SceneRecipe, rng: np.random.Generator, spots: Sequence[Spot]) -> list[Labelled]:
    """Individuals at some of the spots and perhaps clutter, from back to front."""
    if recipe.individuals == 0:
        return []
    count = int(rng.integers(1, recipe.individuals + 1))
    chosen = [spots[int(k)] for k in rng.permutation(len(spots))[:count]]
    objects = [_place_individual(recipe, rng, spot) for spot in sorted(chosen, key=lambda s: (s.stands, s.y))]
    return objects + [_place_clutter(recipe, rng) for _ in range(min(int(rng.poisson(0.6 * recipe.nuisance)), 3))]


def _place_individual(recipe: SceneRecipe, rng: np.random.Generator, spot: Spot) -> Labelled:
    """An individual of the spot's family, of any kind that the family has, posed there."""
    family, size = FAMILIES[spot.family], recipe.height
    subject = family.any_individual(rng, recipe.variation)
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


def _shadow(recipe: SceneRecipe, spot: Spot, placed: Placed, rng: np.random.Generator) -> Placed:
    """The shadow of a standing object, around its foot."""
    left, _, right, _ = placed.item.reach
    wide = 0.5 * (right - left) * placed.pose.scale * (0.5 if spot.family == "flower" else 0.9)
    pose = Pose(spot.x * recipe.height, spot.y * recipe.height, wide, squeeze=0.28)
    return Placed(_Shadow(float(rng.uniform(0.25, 0.48))), pose)


def _place_clutter(recipe: SceneRecipe, rng: np.random.Generator) -> Labelled:
    """Clutter in the lower half, in front of everything; unlabelled."""
    x, y = rng.uniform(0.05, 0.95) * recipe.width, rng.uniform(0.7, 1.0) * recipe.height
    pose = Pose(float(x), float(y), float(rng.uniform(0.05, 0.14) * recipe.height), float(rng.uniform(0, math.pi)))
    return UNLABELLED, Placed(random_clutter(rng), pose, float(rng.uniform(0, 0.35))), None
