"""Recipes: identities that never change, fields that all count, values that make no sense."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from miniworld import (
    PARTS,
    ClipRecipe,
    ObjectRecipe,
    Recipe,
    SceneRecipe,
    SetRecipe,
    SourceRecipe,
    ViewRecipe,
    WorldError,
    named_recipe,
)
from miniworld.recipes import VERSIONS

CLASSES = (ObjectRecipe, SceneRecipe, ViewRecipe, ClipRecipe)
BIRDS = ObjectRecipe().targets["cub200"]


@pytest.mark.parametrize(
    "part,name,digest",
    [
        ("objects", "default", "1aad228ab8ef9fb5"),
        ("objects", "tiny", "51f1a30318ca19ca"),
        ("objects", "release", "bb3cc47c28060f06"),
        ("scenes", "default", "73c90c9c96182a52"),
        ("scenes", "tiny", "1a08d2a40f9a00c6"),
        ("scenes", "release", "8d2a1a85b3d71c8e"),
        ("views", "default", "6c5d595ad18e4067"),
        ("views", "tiny", "e0e24134b6ee4c17"),
        ("clips", "default", "9b365cd37db0d69b"),
        ("clips", "tiny", "f908368126f9dc95"),
        ("clips", "release_davis", "972662881accf2d4"),
        ("clips", "release_scene_flow", "1952fe48e53197a2"),
    ],
)
def test_named_recipes_keep_their_identity(part: str, name: str, digest: str) -> None:
    """Finished runs name these data: another digest would orphan them."""
    recipe = named_recipe(name, part)
    assert (recipe.part, recipe.digest()) == (part, digest)
    assert part in PARTS and name in PARTS[part].recipes


def _other(value: object) -> object:
    if isinstance(value, int | float):
        return value + (0.01 if isinstance(value, float) else 1)
    if isinstance(value, SourceRecipe):
        return dataclasses.replace(value, train=7)
    if isinstance(value, SceneRecipe):
        return dataclasses.replace(value, seed=1)
    return {**ObjectRecipe().targets, "nabirds": dataclasses.replace(BIRDS, spread=0.1)}


@pytest.mark.parametrize("kind", CLASSES)
def test_digest_sees_every_field(kind: type[Recipe]) -> None:
    base = kind()
    fields = dataclasses.fields(base)  # type: ignore[arg-type]
    changed = [dataclasses.replace(base, **{f.name: _other(getattr(base, f.name))}) for f in fields]
    assert len({recipe.digest() for recipe in (base, *changed)}) == len(fields) + 1
    assert base.digest() == kind().digest()


def test_digest_sees_the_versions_of_all_that_a_part_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"objects": {0, 1, 2, 3}, "scenes": {1, 2, 3}, "views": {2}, "clips": {3}}
    before = [kind().digest() for kind in CLASSES]
    for name, places in shown.items():
        with monkeypatch.context() as patch:
            patch.setitem(VERSIONS, name, 99)
            after = [kind().digest() for kind in CLASSES]
        assert {k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b} == places


@pytest.mark.parametrize(
    "recipe,field,value,words",
    [
        (ObjectRecipe(), "image_size", 31, "image_size 31 is too small, use 32"),
        (ObjectRecipe(), "targets", {"cub200": BIRDS}, "targets must be exactly cub200, "),
        (ObjectRecipe(), "source", SourceRecipe(classes=9), "source needs 10 classes"),
        (ObjectRecipe(), "source", SourceRecipe(val=0), "source needs 10 classes or more, and train, val > 0"),
        (SceneRecipe(), "width", 20, "20 x 72 is too small"),
        (SceneRecipe(), "width", 200, "use a width of 1 to 2 heights"),
        (SceneRecipe(), "val", 0, "train and val > 0"),
        (SceneRecipe(), "individuals", -1, "individuals >= 0"),
        (SceneRecipe(), "size", 0.0, "use a positive number"),
        (ViewRecipe(), "side", 73, "windows of 73 pixels do not fit scenes of 72"),
        (ViewRecipe(), "most", 0, "most and least > 0"),
        *((ClipRecipe(), f, 31, "a side is too small, use 32") for f in ("width", "height", "chairs_width")),
        *((ClipRecipe(), f, 0, "chairs and chairs_val > 0") for f in ("davis_train", "shots", "chairs_val")),
        (ClipRecipe(), "davis_frames", 2, "3 frames or more of DAVIS"),
        *((ClipRecipe(), f, 1, "2 of all others") for f in ("monkaa_frames", "fast_frames", "slow_frames")),
        (ClipRecipe(), "fast", 0.5, "between 0 and 0.5"),
    ],
)
def test_recipes_refuse_nonsense(recipe: Recipe, field: str, value: object, words: str) -> None:
    with pytest.raises(WorldError, match=rf"^{recipe.part}: .*{words}"):
        dataclasses.replace(recipe, **{field: value})  # type: ignore[type-var]


@pytest.mark.parametrize(
    "change,words",
    [
        ({"family": "dog"}, "no family 'dog'; there are bird, "),
        ({"classes": 1}, "needs 2 classes or more"),
        ({"test": 0}, "train and test > 0"),
        ({"spread": 0.0}, "spread 0.0 is outside"),
        ({"val": 3}, "0 elsewhere"),
    ],
)
def test_target_sets_refuse_nonsense(change: dict[str, object], words: str) -> None:
    entry: SetRecipe = dataclasses.replace(BIRDS, **change)  # type: ignore[arg-type]
    with pytest.raises(WorldError, match=f"^objects: cub200: .*{words}"):
        ObjectRecipe(targets={**ObjectRecipe().targets, "cub200": entry})


@pytest.mark.parametrize("name,part,words", [("huge", "scenes", "no recipe 'huge'"), ("tiny", "films", "no part")])
def test_unknown_names_are_told_with_the_known(name: str, part: str, words: str) -> None:
    with pytest.raises(WorldError, match=f"^{words}.*use one of .*(views|tiny)"):
        named_recipe(name, part)


def test_world_json_holds_the_recipe(small: Mapping[str, Recipe], worlds: Mapping[str, Path]) -> None:
    for part, root in worlds.items():
        facts = json.loads((root / "world.json").read_text())
        assert (facts["digest"], facts["recipe"]) == (small[part].digest(), small[part].as_dict())
