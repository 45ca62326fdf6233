"""The part of single objects: the source set and the target sets, each in its official layout."""

from __future__ import annotations

from collections.abc import Mapping

from miniworld.drawing.compose import Box
from miniworld.formats.pictures import jpeg
from miniworld.objects import layouts
from miniworld.objects.layouts import Boxes, Plan
from miniworld.objects.samples import GROUPS, Sample, draw_sample
from miniworld.recipes import ObjectRecipe

__all__ = ["annotate", "plan", "render"]


def plan(recipe: ObjectRecipe) -> Plan:
    """Return the path of every image of every set, below the root."""
    return {sample: path for group in GROUPS for sample, path in layouts.plan(recipe, group).items()}


def render(recipe: ObjectRecipe, sample: Sample, path: str) -> tuple[dict[str, bytes], Box]:
    """Return one image as a file, by its path, and the object's box in it."""
    picture = draw_sample(recipe, sample)
    return {path: jpeg(picture.image, recipe.quality)}, picture.box


def annotate(recipe: ObjectRecipe, paths: Mapping[Sample, str], boxes: Boxes) -> dict[str, bytes]:
    """Return the annotation files of every set, by path."""
    files: dict[str, bytes] = {}
    for group in GROUPS:
        files |= layouts.annotate(recipe, group, {s: path for s, path in paths.items() if s.group == group}, boxes)
    return files
