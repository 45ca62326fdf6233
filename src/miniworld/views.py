"""The world's part of views: windows of scenes with one label each, the source set of backbones for segmentation.

What ImageNet is to PASCAL-Context: many more pictures of what scenes consist of, labelled as wholes. They are cut from
scenes of their own, none of which is in the part of scenes.

views/{train,val}/<class>/<scene>.jpg
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from l2sp_suite.utils.errors import UserError
from miniworld.context import CLASSES, LABELS
from miniworld.paint import stream
from miniworld.recipe import stable_hash
from miniworld.scenes import SceneRecipe, Shot, draw_scene

__all__ = ["FOLDER", "VIEWS", "ViewRecipe", "annotate", "plan", "render", "views_of"]

VIEWS = 1
"""Version of the views' generator: raise it with every change that alters a byte of any."""

FOLDER = "views"


@dataclass(frozen=True)
class ViewRecipe:
    """The views of a world.

    ``scenes``: what the scenes are like. ``side``: of the square windows, in pixels. ``train, val``: numbers of scenes
    that are cut up. ``most``: windows of a scene, each of another class. ``least``: pixels that a class must have in
    a scene to be shown.
    """

    part: ClassVar[str] = "views"

    scenes: SceneRecipe = field(default_factory=SceneRecipe)
    side: int = 40
    train: int = 1500
    val: int = 200
    most: int = 5
    least: int = 25

    def __post_init__(self) -> None:
        if not 1 <= self.side <= self.scenes.height:
            raise UserError(f"miniature views: windows of {self.side} pixels do not fit scenes of {self.scenes.height}")
        if min(self.train, self.val, self.most, self.least) < 1:
            raise UserError("miniature views: needs train, val, most and least > 0")

    @staticmethod
    def tiny(seed: int = 0) -> ViewRecipe:
        """Views for smoke tests."""
        return ViewRecipe(scenes=SceneRecipe.tiny(seed), side=36, train=32, val=16)

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Identity of the views: a stable hash (16 hex digits) of the recipe and of what draws them."""
        return stable_hash({**self.as_dict(), "part": self.part, "generator": VIEWS, "scenes": self.scenes.digest()})


def views_of(recipe: ViewRecipe, shot: Shot) -> dict[str, NDArray[np.uint8]]:
    """Windows (side, side, 3) of one scene, by the class that each shows at, or near, its middle."""
    scene = draw_scene(recipe.scenes, Shot(f"views {shot.split}", shot.index))
    rng = stream(recipe.scenes.seed, "views", shot.split, shot.index)
    sizes = {name: int((scene.labels == LABELS[name]).sum()) for name in CLASSES}
    shown = [name for name in CLASSES if sizes[name] >= recipe.least]
    chosen = [shown[int(k)] for k in rng.permutation(len(shown))[: recipe.most]]
    return {name: _window(scene.image, scene.labels == LABELS[name], recipe.side, rng) for name in chosen}


def _window(
    image: NDArray[np.uint8], mine: NDArray[np.bool_], side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The window around one of a class's pixels, moved as far as it must to stay inside."""
    places = np.argwhere(mine)
    middle = places[int(rng.integers(len(places)))]
    top, left = (int(np.clip(m - side // 2, 0, full - side)) for m, full in zip(middle, image.shape, strict=False))
    return image[top : top + side, left : left + side]


def plan(recipe: ViewRecipe) -> dict[Shot, str]:
    """What the names of a scene's files are made from: the folder of its split, and its number."""
    shots = [Shot(split, k) for split, count in (("train", recipe.train), ("val", recipe.val)) for k in range(count)]
    return {shot: f"{FOLDER}/{shot.split}/{shot.index:05d}.jpg" for shot in shots}


def render(recipe: ViewRecipe, shot: Shot, path: str) -> tuple[dict[str, bytes], None]:
    """The windows of one scene as files, each in the folder of its class."""
    files = {}
    for name, view in views_of(recipe, shot).items():
        out = io.BytesIO()
        Image.fromarray(view).save(out, "JPEG", quality=recipe.scenes.quality, subsampling=0)
        folder, _, file = path.rpartition("/")
        files[f"{folder}/{name}/{file}"] = out.getvalue()
    return files, None


def annotate(recipe: ViewRecipe, root: Path, paths: Mapping[Shot, str], notes: Mapping[Shot, None]) -> list[str]:
    """Nothing: the folders are the labels."""
    return []
