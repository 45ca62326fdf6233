"""Every set of the miniature world is read back by the ordinary readers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from miniworld.layouts import FOLDERS

from l2sp_suite.datasets.classification import load_image, read
from miniworld import Recipe, build_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("world") / "world", Recipe.tiny())


@pytest.mark.parametrize("name", sorted(Recipe.tiny().targets))
def test_target(world: Path, name: str) -> None:
    wanted = Recipe.tiny().targets[name]
    found = read(name, world / FOLDERS[name])
    assert len(found.classes) == wanted.classes
    assert set(Counter(found.train.labels).values()) == {wanted.train + wanted.val}
    assert set(Counter(found.test.labels).values()) == {wanted.test}
    side = Recipe.tiny().image_size
    assert load_image(found.test.paths[0]).shape == (3, side, side)


def test_source(world: Path) -> None:
    wanted = Recipe.tiny().source
    found = read("image_folder", world / FOLDERS["source"])
    assert len(found.classes) == wanted.classes
    assert len(found.train) == wanted.classes * wanted.train
    assert len(found.test) == wanted.classes * wanted.val
