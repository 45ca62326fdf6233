"""The part of scenes: images and label maps, in the layout of PASCAL-Context.

VOCdevkit/VOC2010/JPEGImages/<id>.jpg
VOCdevkit/VOC2010/SegmentationClassContext/<id>.png           0 unlabelled, else the class's number among the 59
VOCdevkit/VOC2010/ImageSets/SegmentationContext/{train,val}.txt
VOCdevkit/VOC2010/classes.txt                                 which of the 59 there are; not in the release
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from miniworld.drawing.paint import stream
from miniworld.formats.pictures import jpeg, label_map, lines
from miniworld.recipes import SceneRecipe
from miniworld.scenes.draw import SceneId, draw_scene
from miniworld.scenes.labels import CLASSES

__all__ = ["FOLDER", "annotate", "plan", "render"]

FOLDER = "VOCdevkit/VOC2010"


def plan(recipe: SceneRecipe) -> dict[SceneId, str]:
    """Return the path of every image below the root; ids run over both splits in a random order."""
    scenes = [SceneId(split, k) for split in ("train", "val") for k in range(getattr(recipe, split))]
    order = stream(recipe.seed, "order", "scenes").permutation(len(scenes))
    return {scenes[int(k)]: f"{FOLDER}/JPEGImages/2010_{number + 1:06d}.jpg" for number, k in enumerate(order)}


def render(recipe: SceneRecipe, scene_id: SceneId, path: str) -> tuple[dict[str, bytes], None]:
    """Return the files of one scene, by path: its image and its label map."""
    scene = draw_scene(recipe, scene_id)
    labels = path.replace("JPEGImages", "SegmentationClassContext").replace(".jpg", ".png")
    return {path: jpeg(scene.image, recipe.quality), labels: label_map(scene.labels)}, None


def annotate(recipe: SceneRecipe, paths: Mapping[SceneId, str], notes: Mapping[SceneId, None]) -> dict[str, bytes]:
    """Return the lists of both splits and, of a subset, of the classes, by path."""
    files = {
        f"{FOLDER}/ImageSets/SegmentationContext/{split}.txt": lines(
            Path(path).stem for scene, path in paths.items() if scene.split == split
        )
        for split in ("train", "val")
    }
    return files | ({f"{FOLDER}/classes.txt": lines(CLASSES)} if recipe.subset else {})
