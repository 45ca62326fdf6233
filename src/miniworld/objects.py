"""The world's part of single objects: the source set and the target sets, each in its official layout."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from miniworld import layouts
from miniworld.layouts import Boxes, Plan
from miniworld.recipe import Recipe
from miniworld.samples import Sample, draw_sample, groups

__all__ = ["annotate", "plan", "render"]

Box = tuple[int, int, int, int]


def plan(recipe: Recipe) -> Plan:
    """Path of every image of every set, below the world's root."""
    return {sample: path for group in groups(recipe) for sample, path in layouts.plan(recipe, group).items()}


def render(recipe: Recipe, sample: Sample, path: str) -> tuple[dict[str, bytes], Box]:
    """One image as a file, by its path, and the object's box in it."""
    photo = draw_sample(recipe, sample)
    buffer = io.BytesIO()
    Image.fromarray(photo.image).save(buffer, "JPEG", quality=recipe.quality, subsampling=0)
    return {path: buffer.getvalue()}, photo.box


def annotate(recipe: Recipe, root: Path, paths: Mapping[Sample, str], boxes: Boxes) -> list[str]:
    """Write the annotation files of every set; returns their paths relative to ``root``."""
    parts = {group: {s: path for s, path in paths.items() if s.group == group} for group in groups(recipe)}
    return [name for group, part in parts.items() for name in layouts.annotate(recipe, group, root, part, boxes)]
