"""Views: which class a window shows, where it is cut, what lies on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from miniworld.context import CLASSES, LABELS
from miniworld.paint import stream
from PIL import Image

from l2sp_suite.datasets.classification import read_image_folder
from l2sp_suite.datasets.layout import Release
from l2sp_suite.utils.errors import UserError
from miniworld import SceneRecipe, ViewRecipe, build_world, views
from miniworld.scenes import Shot, draw_scene

TINY = ViewRecipe.tiny()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("views") / "tiny", TINY, workers=1)


def _scene(recipe: ViewRecipe, shot: Shot) -> np.ndarray:
    return draw_scene(recipe.scenes, Shot(f"views {shot.split}", shot.index)).labels


@pytest.mark.parametrize("index", range(8))
def test_windows_are_cut_from_the_scene_around_their_class(index: int) -> None:
    recipe, shot = ViewRecipe(), Shot("train", index)
    scene = draw_scene(recipe.scenes, Shot("views train", index))
    shown = views.views_of(recipe, shot)
    assert 1 <= len(shown) <= recipe.most
    for name, view in shown.items():
        assert view.shape == (recipe.side, recipe.side, 3)
        places = np.argwhere(
            (np.lib.stride_tricks.sliding_window_view(scene.image, view.shape)[:, :, 0] == view).all(axis=(2, 3, 4))
        )
        assert len(places) == 1
        top, left = places[0]
        inside = scene.labels[top : top + recipe.side, left : left + recipe.side]
        assert (inside == LABELS[name]).any()
        assert (scene.labels == LABELS[name]).sum() >= recipe.least


def test_a_window_in_the_open_has_its_class_in_the_middle() -> None:
    image = np.arange(60 * 80 * 3, dtype=np.int64).reshape(60, 80, 3).astype(np.uint8)
    mine = np.zeros((60, 80), dtype=bool)
    mine[30, 40] = True
    assert np.array_equal(views._window(image, mine, 20, stream("w")), image[20:40, 30:50])
    mine[:] = False
    mine[0, 79] = True  # a corner: moved inside
    assert np.array_equal(views._window(image, mine, 20, stream("w")), image[:20, 60:])


def test_small_classes_are_not_shown_and_no_more_than_asked_for() -> None:
    strict = dataclasses.replace(ViewRecipe(), least=400, most=17)
    for index in range(8):
        sizes = np.bincount(_scene(strict, Shot("val", index)).ravel(), minlength=60)
        large = [name for name in CLASSES if sizes[LABELS[name]] >= 400]
        assert sorted(views.views_of(strict, Shot("val", index))) == sorted(large)
        few = views.views_of(dataclasses.replace(strict, most=1), Shot("val", index))
        assert len(few) == 1 and set(few) <= set(large)


def test_views_are_of_scenes_that_no_other_part_has() -> None:
    scene = draw_scene(TINY.scenes, Shot("train", 0)).labels
    assert not np.array_equal(scene, _scene(TINY, Shot("train", 0)))
    assert not np.array_equal(_scene(TINY, Shot("val", 0)), _scene(TINY, Shot("train", 0)))


def test_a_reader_of_image_folders_finds_classes_and_parts(world: Path) -> None:
    data = read_image_folder(Release(world / views.FOLDER, "make it anew"))
    assert set(data.classes) <= set(CLASSES) and len(data.classes) >= 12
    for part, split, count in ((data.train, "train", TINY.train), (data.test, "val", TINY.val)):
        found = {(path.stem, path.parent.name) for path in part.paths}
        wanted = {(f"{k:05d}", name) for k in range(count) for name in views.views_of(TINY, Shot(split, k))}
        assert found == wanted
        for path, label in zip(part.paths, part.labels, strict=True):
            assert path.parent.name == data.classes[label]
    with Image.open(data.train.paths[0]) as image:
        assert image.size == (TINY.side, TINY.side)


def test_same_bytes_for_any_number_of_workers(world: Path, tmp_path: Path) -> None:
    other = build_world(tmp_path / "two", TINY, workers=2)
    assert (other / "checksums.txt").read_bytes() == (world / "checksums.txt").read_bytes()


def test_digest_sees_every_field() -> None:
    base = ViewRecipe()
    changed = [
        dataclasses.replace(base, scenes=SceneRecipe(seed=1)),
        *(dataclasses.replace(base, **{name: 7}) for name in ("side", "train", "val", "most", "least")),
    ]
    assert len({recipe.digest() for recipe in (base, *changed)}) == 7 and base.digest() == ViewRecipe().digest()


@pytest.mark.parametrize(
    "field,value,words", [("side", 99, "do not fit"), ("side", 0, "do not fit"), ("most", 0, "> 0")]
)
def test_recipe_refuses_nonsense(field: str, value: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        dataclasses.replace(ViewRecipe(), **{field: value})
