"""The parts of a miniature world: each has recipes and a way to write itself; folder, checksums, workers are shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from l2sp_suite.utils.errors import UserError
from miniworld import clips, objects, scenes, views
from miniworld.clips import ClipRecipe, ReleaseDavisRecipe, ReleaseSceneFlowRecipe
from miniworld.recipe import Recipe
from miniworld.scenes import ReleaseSceneRecipe, SceneRecipe
from miniworld.views import ViewRecipe

__all__ = ["PARTS", "Part", "PartRecipe", "named_recipe"]


class PartRecipe(Protocol):
    """What a part consists of; sent to worker processes, so it can be pickled."""

    part: ClassVar[str]
    """Its key in :data:`PARTS`."""

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for world.json."""

    def digest(self) -> str:
        """A stable hash of the recipe and of its generator's version: the name of its folder."""


@dataclass(frozen=True)
class Part:
    """How a part is written. The jobs are its own: any value that hashes and pickles, one an image (or clip).

    ``recipes``: by the names that `scale.world` gives. ``plan(recipe)``: for each job the path of its (first) file
    below the root, or one that its files' paths are made from, in a fixed order. ``render(recipe, job, path)``: the
    job's files by path, all below the root, and a note for the annotations. ``annotate(recipe, root, paths, notes)``:
    writes the other files and returns their paths. ``chunk``: how many jobs a process is given at once, about a
    second's work.
    """

    recipes: Mapping[str, Callable[[], PartRecipe]]
    plan: Callable[[Any], dict[Any, str]]
    render: Callable[[Any, Any, str], tuple[dict[str, bytes], Any]]
    annotate: Callable[[Any, Path, Any, Any], list[str]]
    chunk: int


PARTS: Mapping[str, Part] = {
    "objects": Part(
        {"default": Recipe, "tiny": Recipe.tiny, "release": Recipe.release},
        objects.plan, objects.render, objects.annotate, chunk=40,
    ),
    "scenes": Part(
        {"default": SceneRecipe, "tiny": SceneRecipe.tiny, "release": ReleaseSceneRecipe},
        scenes.plan, scenes.render, scenes.annotate, chunk=20,
    ),
    "views": Part({"default": ViewRecipe, "tiny": ViewRecipe.tiny}, views.plan, views.render, views.annotate, chunk=20),
    "clips": Part(
        {
            "default": ClipRecipe,
            "tiny": ClipRecipe.tiny,
            "release_davis": ReleaseDavisRecipe,
            "release_scene_flow": ReleaseSceneFlowRecipe,
        },
        clips.plan, clips.render, clips.annotate, chunk=10,
    ),
}  # fmt: skip
"""The parts by name (`data.part`)."""


def named_recipe(name: str, part: str | None) -> PartRecipe:
    """The recipe that a configuration names (`scale.world`) of one part (`data.part`).

    Raises:
        UserError: there is no such recipe, or no such part, or the data set has no counterpart in any part.
    """
    if part is None:
        raise UserError("this data set has no counterpart in the miniature: give scale=pocket paths.data=<folder>")
    if part not in PARTS:
        raise UserError(f"data.part={part}: use one of {', '.join(PARTS)}")
    recipes = PARTS[part].recipes
    if name not in recipes:
        raise UserError(f"scale.world={name}: use one of {', '.join(recipes)}")
    return recipes[name]()
