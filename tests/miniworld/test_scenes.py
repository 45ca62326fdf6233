"""Scenes and views: what is drawn, what is labelled, where windows are cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from miniworld import SceneRecipe, ViewRecipe
from miniworld.drawing.paint import stream
from miniworld.objects.families import FAMILIES
from miniworld.scenes import draw, files, views
from miniworld.scenes.canvas import Canvas
from miniworld.scenes.draw import SceneId, draw_scene
from miniworld.scenes.labels import CLASSES, FAMILY_CLASS, LABELS
from miniworld.scenes.scene_types import SCENE_TYPES, Spot

RECIPE = SceneRecipe()
CALM = dataclasses.replace(RECIPE, size=1.0, nuisance=0.0, borders=0.0)
LIGHT = (0.0, -0.5, 0.75**0.5)
OBJECTS = {LABELS[name] for name in FAMILY_CLASS.values()}
SURROUNDINGS = set(LABELS.values()) - OBJECTS
Stack = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def parts() -> dict[str, Stack]:
    """Images and labels of 64 scenes of the default recipe's splits."""
    scenes = {split: [draw_scene(RECIPE, SceneId(split, k)) for k in range(64)] for split in ("train", "val")}
    return {
        split: (np.stack([s.image for s in all_]), np.stack([s.labels for s in all_])) for split, all_ in scenes.items()
    }


def test_families_and_classes_fit_together() -> None:
    assert set(FAMILY_CLASS) < set(FAMILIES) and set(FAMILY_CLASS.values()) < set(CLASSES)
    assert list(LABELS.values()) == sorted(LABELS.values()) and len(CLASSES) == 17


@pytest.mark.slow
def test_every_class_is_common_and_some_pixels_are_unlabelled(parts: Mapping[str, Stack]) -> None:
    for _, labels in parts.values():
        assert set(np.unique(labels).tolist()) == {0} | SURROUNDINGS | OBJECTS
        for name in CLASSES:
            assert (labels == LABELS[name]).any(axis=(1, 2)).mean() >= 0.1, name
        assert 0.05 <= (labels == 0).mean() <= 0.15


@pytest.mark.slow
def test_colour_alone_does_not_tell_the_classes(parts: Mapping[str, Stack]) -> None:
    """A table from colour (8 levels a channel) to the likeliest class is what a network has to beat."""
    (images, labels), (others, truth) = parts["train"], parts["val"]
    counts = np.zeros((512, 60))
    np.add.at(counts, (images // 32 @ np.array([64, 8, 1]), labels), 1)
    counts[:, 0] = 0
    guess, known = counts.argmax(axis=1)[others // 32 @ np.array([64, 8, 1])], truth > 0
    ious = [
        ((guess == k) & (truth == k)).sum() / (((guess == k) & known) | (truth == k)).sum() for k in LABELS.values()
    ]
    assert (guess == truth)[known].mean() < 0.5 and np.mean(ious) < 0.2


def test_a_scene_is_a_function_of_its_ids_and_the_seed() -> None:
    scene_id, larger = SceneId("val", 3), dataclasses.replace(RECIPE, train=999, val=7)
    one, two = draw_scene(RECIPE, scene_id), draw_scene(larger, scene_id)
    assert np.array_equal(one.image, two.image) and np.array_equal(one.labels, two.labels)
    assert one.image.shape == (72, 96, 3) and one.labels.shape == (72, 96) and one.labels.dtype == np.uint8
    others = [draw_scene(RECIPE, SceneId("train", 3)), draw_scene(RECIPE, SceneId("val", 3 + len(SCENE_TYPES)))]
    others.append(draw_scene(dataclasses.replace(RECIPE, seed=1), scene_id))
    assert not any(np.array_equal(other.image, one.image) for other in others)


@pytest.mark.parametrize("size", [(96, 72), (64, 48), (50, 50), (120, 60)])
def test_without_individuals_only_surroundings_are_labelled(size: tuple[int, int]) -> None:
    bare = dataclasses.replace(RECIPE, width=size[0], height=size[1], individuals=0)
    for index in range(len(SCENE_TYPES)):
        labels = draw_scene(bare, SceneId("train", index)).labels
        assert labels.shape == (size[1], size[0]) and set(np.unique(labels).tolist()) <= {0} | SURROUNDINGS


@pytest.mark.parametrize("name", SCENE_TYPES)
def test_scene_types_fill_the_canvas_and_give_spots_of_families(name: str) -> None:
    for seed in range(8):
        canvas = Canvas(72, 96, LIGHT)
        canvas.image[:] = -9
        spots = SCENE_TYPES[name](canvas, stream("layout", name, seed))
        assert canvas.image.min() >= 0 and canvas.image.max() <= 1.0001
        assert len(spots) >= RECIPE.individuals and {spot.family for spot in spots} <= set(FAMILIES)
        assert any(spot.family in FAMILY_CLASS for spot in spots)
        assert all(0 <= spot.y <= 1.1 and -0.1 <= spot.x <= canvas.wide + 0.1 for spot in spots)


def _bare_wall(monkeypatch: pytest.MonkeyPatch, *spots: Spot) -> None:
    """Every scene becomes a wall with these spots, without clutter."""

    def wall(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
        canvas.cover("wall", canvas.y - 9, np.full_like(canvas.image, 0.5))
        return list(spots)

    monkeypatch.setattr(draw, "SCENE_TYPES", {"wall": wall})
    monkeypatch.setattr(draw, "_place_clutter", lambda *_: pytest.fail("no clutter without nuisance"))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_an_individual_owns_its_pixels_and_only_those(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    _bare_wall(monkeypatch, Spot(family, 0.66, 0.5, 0.2))
    scene = draw_scene(CALM, SceneId("train", 0))
    value = LABELS[FAMILY_CLASS[family]] if family in FAMILY_CLASS else 0
    mine = scene.labels == value
    assert set(np.unique(scene.labels).tolist()) == {LABELS["wall"], value}
    # The wall is flat: what differs from it belongs to the individual, to within its soft edge.
    painted = np.abs(scene.image.astype(int) - scene.image[0, 0].astype(int)).max(axis=-1) > 2
    assert (mine & ~painted).sum() <= 0.1 * mine.sum() and painted.sum() * 0.6 < mine.sum() <= painted.sum() * 1.1


def test_the_object_in_front_owns_the_shared_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    _bare_wall(monkeypatch, Spot("dish", 0.66, 0.5, 0.3, squeeze=1.0), Spot("car", 0.66, 0.6, 0.2))
    scenes = [draw_scene(CALM, SceneId("train", k)).labels for k in range(12)]
    both = [labels for labels in scenes if len(np.unique(labels)) == 3]
    assert both and all((labels[43:47, 44:52] == LABELS["car"]).all() for labels in both), "the car's body"


def test_objects_nearer_the_viewer_are_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    spots = [Spot("vase", 0.66, 0.9, 0.2, stands=True), Spot("bird", 0.66, 0.8, 0.3, stands=True)]
    _bare_wall(monkeypatch, *spots)
    drawn = [draw._objects(dataclasses.replace(CALM, individuals=2), stream("front", k), spots) for k in range(20)]
    pairs = [[value for value, _, _ in objects] for objects in drawn if len(objects) == 2]
    assert pairs and all(pair == [LABELS["bird"], LABELS["bottle"]] for pair in pairs)


@pytest.mark.parametrize("family", ["car", "bird", "vase", "flower"])
def test_standing_objects_touch_the_ground_at_their_spot(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    _bare_wall(monkeypatch, Spot(family, 0.66, 0.9, 0.2, stands=True))
    mine = draw_scene(CALM, SceneId("train", 5)).labels == LABELS[FAMILY_CLASS[family]]
    assert abs(np.flatnonzero(mine.any(axis=1))[-1] - 0.9 * 72) <= 2


def test_size_scales_individuals_about_their_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    _bare_wall(monkeypatch, Spot("dish", 0.66, 0.5, 0.15, squeeze=1.0))
    areas = []
    for size in (1.0, 2.0):
        mine = draw_scene(dataclasses.replace(CALM, size=size), SceneId("train", 3)).labels == LABELS["plate"]
        assert np.argwhere(mine).mean(axis=0) == pytest.approx((36, 47.5), abs=1.5)
        areas.append(mine.sum())
    assert areas[1] / areas[0] == pytest.approx(4, rel=0.1)


def test_a_shadow_hides_less_than_half() -> None:
    u, v = np.meshgrid(*[np.linspace(-1.5, 1.5, 31, dtype=np.float32)] * 2)
    layer = draw._Shadow(0.48).paint(u, v, 0.1, LIGHT)
    assert 0.45 < layer.alpha.max() < 0.5 and layer.alpha.min() == 0 and not layer.rgb.any()


def test_gaps_lie_between_labels_only() -> None:
    labels = np.repeat(np.array([[7, 7, 7, 9, 9, 9]], dtype=np.uint8), 4, axis=0)
    assert draw._with_gaps(labels).tolist() == [[7, 7, 0, 0, 9, 9]] * 4
    assert draw._with_gaps(labels.T).T.tolist() == [[7, 7, 0, 0, 9, 9]] * 4
    assert labels.min() == 7, "the map itself is left alone"


def test_files_have_the_layout_of_pascal_context(worlds: Mapping[str, Path], small) -> None:
    recipe, voc = small["scenes"], worlds["scenes"] / files.FOLDER
    folder = voc / "ImageSets" / "SegmentationContext"
    lists = {split: (folder / f"{split}.txt").read_text().split() for split in ("train", "val")}
    assert {split: len(names) for split, names in lists.items()} == {"train": recipe.train, "val": recipe.val}
    ids = sorted(lists["train"] + lists["val"])
    assert ids == [f"2010_{k + 1:06d}" for k in range(recipe.train + recipe.val)]
    assert (voc / "classes.txt").read_text().split() == list(CLASSES)
    seen = {split: set[int]() for split in lists}
    for scene_id, path in files.plan(recipe).items():
        assert Path(path).stem in lists[scene_id.split]
        scene = draw_scene(recipe, scene_id)
        with Image.open(voc / "SegmentationClassContext" / f"{Path(path).stem}.png") as chart:
            assert np.array_equal(np.asarray(chart), scene.labels)
        with Image.open(worlds["scenes"] / path) as image:
            assert np.abs(np.asarray(image, dtype=int) - scene.image).mean() < 6, "its image, but for JPEG"
        seen[scene_id.split] |= set(scene.labels.ravel().tolist())
    assert all(values >= SURROUNDINGS and len(values & OBJECTS) >= 4 for values in seen.values())


# Views


@pytest.mark.parametrize("index", range(4))
def test_windows_are_cut_from_the_scene_around_their_class(index: int) -> None:
    recipe = ViewRecipe()
    scene = draw_scene(recipe.scenes, SceneId("views train", index))
    shown = views.views_of(recipe, SceneId("train", index))
    assert 1 <= len(shown) <= recipe.most
    for name, view in shown.items():
        assert view.shape == (recipe.side, recipe.side, 3)
        windows = np.lib.stride_tricks.sliding_window_view(scene.image, view.shape)[:, :, 0]
        ((top, left),) = np.argwhere((windows == view).all(axis=(2, 3, 4)))
        assert (scene.labels[top : top + recipe.side, left : left + recipe.side] == LABELS[name]).any()
        assert (scene.labels == LABELS[name]).sum() >= recipe.least


def test_a_window_in_the_open_has_its_class_in_the_middle_and_one_in_a_corner_moves_inside() -> None:
    image = np.arange(60 * 80 * 3, dtype=np.int64).reshape(60, 80, 3).astype(np.uint8)
    for pixel, part in (((30, 40), image[20:40, 30:50]), ((0, 79), image[:20, 60:])):
        mask = np.zeros((60, 80), dtype=bool)
        mask[pixel] = True
        assert np.array_equal(views._window(image, mask, 20, stream("w")), part)


def test_small_classes_are_not_shown_and_no_more_than_asked_for() -> None:
    strict = dataclasses.replace(ViewRecipe(), least=400, most=17)
    for index in range(6):
        labels = draw_scene(strict.scenes, SceneId("views val", index)).labels
        large = [name for name in CLASSES if (labels == LABELS[name]).sum() >= 400]
        assert sorted(views.views_of(strict, SceneId("val", index))) == sorted(large)
        few = views.views_of(dataclasses.replace(strict, most=1), SceneId("val", index))
        assert len(few) == 1 and set(few) <= set(large)


def test_views_are_of_scenes_that_no_other_part_has(worlds: Mapping[str, Path], small) -> None:
    recipe = small["views"]
    names = ["train", "val", "views train", "views val"]
    scenes = [draw_scene(recipe.scenes, SceneId(split, 0)).labels.tobytes() for split in names]
    assert len(set(scenes)) == 4
    stored = {path.relative_to(worlds["views"] / "views").as_posix() for path in worlds["views"].rglob("*.jpg")}
    expected = {
        f"{split}/{name}/{k:05d}.jpg"
        for split in ("train", "val")
        for k in range(getattr(recipe, split))
        for name in views.views_of(recipe, SceneId(split, k))
    }
    assert stored == expected
