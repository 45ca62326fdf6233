"""The part of views: windows of scenes with one label each, the source set of backbones for segmentation.

What ImageNet is to PASCAL-Context: many more pictures of what scenes consist of, labelled as wholes. They are cut from
scenes of their own, none of which is in the part of scenes.

views/{train,val}/<class>/<scene>.jpg
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.paint import stream
from miniworld.formats.pictures import jpeg
from miniworld.recipes import ViewRecipe
from miniworld.scenes.draw import SceneId, draw_scene
from miniworld.scenes.labels import CLASSES, LABELS

__all__ = ["FOLDER", "annotate", "plan", "render", "views_of"]

FOLDER = "views"


def views_of(recipe: ViewRecipe, scene_id: SceneId) -> dict[str, NDArray[np.uint8]]:
    """Return windows (side, side, 3) of one scene, by the class that each shows at, or near, its middle."""
    scene = draw_scene(recipe.scenes, SceneId(f"views {scene_id.split}", scene_id.index))
    rng = stream(recipe.scenes.seed, "views", scene_id.split, scene_id.index)
    sizes = {name: int((scene.labels == LABELS[name]).sum()) for name in CLASSES}
    shown = [name for name in CLASSES if sizes[name] >= recipe.least]
    chosen = [shown[int(k)] for k in rng.permutation(len(shown))[: recipe.most]]
    return {name: _window(scene.image, scene.labels == LABELS[name], recipe.side, rng) for name in chosen}


def _window(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The window around a random pixel of the mask, moved as far as it must to stay inside."""
    pixels = np.argwhere(mask)
    middle = pixels[int(rng.integers(len(pixels)))]
    top, left = (int(np.clip(m - side // 2, 0, full - side)) for m, full in zip(middle, image.shape, strict=False))
    return image[top : top + side, left : left + side]


def plan(recipe: ViewRecipe) -> dict[SceneId, str]:
    """Return what the names of a scene's files are made from: the folder of its split, and its number."""
    scenes = [SceneId(split, k) for split in ("train", "val") for k in range(getattr(recipe, split))]
    return {scene: f"{FOLDER}/{scene.split}/{scene.index:05d}.jpg" for scene in scenes}


def render(recipe: ViewRecipe, scene_id: SceneId, path: str) -> tuple[dict[str, bytes], None]:
    """Return the windows of one scene as files, each in the folder of its class."""
    folder, _, file = path.rpartition("/")
    views = views_of(recipe, scene_id)
    return {f"{folder}/{name}/{file}": jpeg(view, recipe.scenes.quality) for name, view in views.items()}, None


def annotate(recipe: ViewRecipe, paths: Mapping[SceneId, str], notes: Mapping[SceneId, None]) -> dict[str, bytes]:
    """Return nothing: the folders are the labels."""
    return {}
