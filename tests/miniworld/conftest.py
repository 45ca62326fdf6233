"""Small recipes of every part, each written once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from miniworld import ClipRecipe, ObjectRecipe, Recipe, SceneRecipe, ViewRecipe, build_world

SMALL: Mapping[str, Recipe] = {
    "objects": dataclasses.replace(ObjectRecipe.tiny(), image_size=48),
    "scenes": SceneRecipe.tiny(),
    "views": dataclasses.replace(ViewRecipe.tiny(), train=20, val=8),
    "clips": dataclasses.replace(
        ClipRecipe.tiny(), shots=1, width=48, height=32, chairs=4, chairs_val=2, chairs_width=48, chairs_height=32
    ),
}


@pytest.fixture(scope="session")
def small() -> Mapping[str, Recipe]:
    """A small recipe of each part."""
    return SMALL


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The folders of the small recipes; tests do not change them."""
    root = tmp_path_factory.mktemp("miniworld")
    return {part: build_world(root / part, recipe, workers=1) for part, recipe in SMALL.items()}
