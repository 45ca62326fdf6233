"""The four parts of the data: what draws and writes each; folder, checksums and workers are shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from miniworld import recipes
from miniworld.clips import files as clips
from miniworld.errors import WorldError
from miniworld.objects import files as objects
from miniworld.recipes import Recipe
from miniworld.scenes import files as scenes
from miniworld.scenes import views

__all__ = ["PARTS", "Part", "named_recipe"]


@dataclass(frozen=True)
class Part:
    """How a part is written. Its jobs are any values that hash and pickle, one an image, scene or clip.

    ``recipes``: by name. ``plan(recipe)``: for each job the path of its (first) file below the root, or one that its
    files' paths are made from, in a fixed order. ``render(recipe, job, path)``: the job's files by path, all below the
    root, and a note for the annotations. ``annotate(recipe, paths, notes)``: the other files by path. ``chunk``: how
    many jobs a process is given at once, about a second's work.
    """

    recipes: Mapping[str, Callable[[], Recipe]]
    plan: Callable[[Any], dict[Any, str]]
    render: Callable[[Any, Any, str], tuple[dict[str, bytes], Any]]
    annotate: Callable[[Any, Any, Any], dict[str, bytes]]
    chunk: int


PARTS: Mapping[str, Part] = {
    "objects": Part(
        {"default": recipes.ObjectRecipe, "tiny": recipes.ObjectRecipe.tiny, "release": recipes.ObjectRecipe.release},
        objects.plan, objects.render, objects.annotate, chunk=40,
    ),
    "scenes": Part(
        {"default": recipes.SceneRecipe, "tiny": recipes.SceneRecipe.tiny, "release": recipes.ReleaseSceneRecipe},
        scenes.plan, scenes.render, scenes.annotate, chunk=20,
    ),
    "views": Part(
        {"default": recipes.ViewRecipe, "tiny": recipes.ViewRecipe.tiny},
        views.plan, views.render, views.annotate, chunk=20,
    ),
    "clips": Part(
        {
            "default": recipes.ClipRecipe,
            "tiny": recipes.ClipRecipe.tiny,
            "release_davis": recipes.ReleaseDavisRecipe,
            "release_scene_flow": recipes.ReleaseSceneFlowRecipe,
        },
        clips.plan, clips.render, clips.annotate, chunk=10,
    ),
}  # fmt: skip
"""The parts by name."""


def named_recipe(name: str, part: str) -> Recipe:
    """Return the recipe of that name (``default``, ``tiny``, ...) of a part.

    Raises:
        WorldError: there is no such part, or it has no such recipe.
    """
    if part not in PARTS:
        raise WorldError(f"no part {part!r}: use one of {', '.join(PARTS)}")
    if name not in PARTS[part].recipes:
        raise WorldError(f"no recipe {name!r} of {part}: use one of {', '.join(PARTS[part].recipes)}")
    return PARTS[part].recipes[name]()
