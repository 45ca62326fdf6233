"""Single objects: classes and their closeness, images of individuals, the six official layouts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from miniworld import ObjectRecipe
from miniworld.drawing.paint import stream
from miniworld.objects import class_names, files
from miniworld.objects.families import FAMILIES
from miniworld.objects.render import render_object
from miniworld.objects.samples import Sample, draw_sample, traits_of
from miniworld.objects.traits import class_traits, trait_distance

few = settings(max_examples=25, deadline=None)


@few
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 10**6), st.floats(0.0, 1.5))
def test_the_box_is_the_smallest_that_contains_the_mask(family: str, seed: int, nuisance: float) -> None:
    subject = FAMILIES[family].any_individual(stream("test", family, seed), 0.05)
    image = render_object(subject, stream(seed), 48, nuisance)
    left, top, right, bottom = image.box
    inside = image.mask > 0.5
    assert inside.any() and inside[top:bottom, left:right].sum() == inside.sum()
    assert all(edge.any() for edge in (inside[top], inside[bottom - 1], inside[:, left], inside[:, right - 1]))


@few
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 10**6))
def test_objects_stay_within_their_reach(family: str, seed: int) -> None:
    subject = FAMILIES[family].any_individual(stream("test", family, seed), 0.5)
    left, top, right, bottom = subject.reach
    u, v = np.meshgrid(*[np.linspace(-2, 2, 121, dtype=np.float32)] * 2)
    alpha = subject.paint(u, v, 0.03, (0.0, -0.5, 0.75**0.5)).alpha
    assert alpha[(u < left) | (u > right) | (v < top) | (v > bottom)].max() < 0.05 and alpha.max() > 0.99


def test_spread_sets_the_distance_of_classes() -> None:
    gaps = [trait_distance(class_traits(0, "x", 24, 20, spread, 0.3)) for spread in (0.1, 0.2, 0.4, 0.8)]
    assert all(2.1 > b / a > 1.5 for a, b in pairwise(gaps))


def test_sets_of_one_family_hold_different_classes() -> None:
    recipe = ObjectRecipe()
    sets = [traits_of(recipe, name, "bird") for name in ("cub200", "nabirds", "source")]
    assert [len(traits) for traits in sets] == [24, 30, 10] and all(np.abs(traits).max() <= 1 for traits in sets)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(sets[a][:, None] - sets[b][None], axis=-1).min() > 0.5


def test_a_sample_depends_on_its_ids_and_the_seed_but_not_on_the_sizes_of_its_set() -> None:
    small, sample = ObjectRecipe.tiny(), Sample("source", 4, "val", 1)
    larger = dataclasses.replace(small, source=dataclasses.replace(small.source, train=9, val=5))
    image = draw_sample(small, sample).image
    assert np.array_equal(draw_sample(larger, sample).image, image)
    others = [
        (ObjectRecipe.tiny(seed=1), sample),
        *((small, Sample("source", 4, s, k)) for s, k in (("val", 0), ("train", 1))),
    ]
    assert not any(np.array_equal(draw_sample(recipe, other).image, image) for recipe, other in others)


def _nearest_mean(spread: float, nuisance: float, classes: int = 6) -> float:
    """Accuracy of the nearest class mean of coarse colours on classes of dishes, 6 images to train and 6 to test."""
    family = FAMILIES["dish"]
    kinds = class_traits(5, "probe", len(family.names), classes, spread, 0.0)

    def features(label: int, index: int) -> np.ndarray:
        rng = stream("probe", label, index)
        image = render_object(family.individual(kinds[label], rng, 0.05), rng, 48, nuisance).image
        grid = image.reshape(4, 12, 4, 12, 3) / 255
        return np.concatenate([grid.mean(axis=(1, 3)).ravel(), grid.std(axis=(1, 3)).ravel()])

    train = np.stack([[features(k, i) for i in range(6)] for k in range(classes)]).mean(axis=1)
    test = np.stack([[features(k, 100 + i) for i in range(6)] for k in range(classes)])
    guess = np.linalg.norm(test[:, :, None] - train[None, None], axis=-1).argmin(axis=-1)
    return float((guess == np.arange(classes)[:, None]).mean())


@pytest.mark.slow
def test_closer_classes_and_more_clutter_are_harder() -> None:
    far, close, plain = _nearest_mean(1.0, 0.5), _nearest_mean(0.1, 0.5), _nearest_mean(1.0, 0.05)
    assert plain > far > close and far > 0.3, "chance is 0.17"


@pytest.mark.parametrize("make", [getattr(class_names, name) for name in class_names.__all__])
def test_class_names_are_unique_however_many(make) -> None:
    for total in (3, 555, 2000):
        assert len(set(make(total))) == len(make(total)) == total


# Layouts


@pytest.fixture(scope="module")
def root(worlds: Mapping[str, Path]) -> Path:
    return worlds["objects"]


def _table(path: Path) -> list[list[str]]:
    return [line.split(" ", 1) for line in path.read_text().splitlines()]


def test_images_are_square_rgb_and_the_source_is_a_folder_a_class(root: Path) -> None:
    for split, count in (("train", 6), ("val", 2)):
        folders = sorted((root / "source" / split).iterdir())
        assert [f.name for f in folders] == [f"{k:03d}.{name}" for k, name in enumerate(FAMILIES)]
        assert all(len(list(f.glob("*.jpg"))) == count for f in folders)
    for path in list(root.rglob("*.jpg"))[::17]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((48, 48), "RGB")


@pytest.mark.parametrize("folder", ["CUB_200_2011", "nabirds"])
def test_bird_tables_agree(root: Path, folder: str) -> None:
    base = root / folder
    names = ("images", "image_class_labels", "train_test_split", "bounding_boxes")
    images, labels, split, boxes = (dict(_table(base / f"{name}.txt")) for name in names)
    assert images.keys() == labels.keys() == split.keys() == boxes.keys()
    assert len(images) == len(set(images.values())) == 3 * 8
    assert all((base / "images" / path).is_file() for path in images.values())
    assert sorted(split.values()) == ["0"] * 12 + ["1"] * 12
    for path, label in zip(images.values(), labels.values(), strict=True):
        assert int(path.split("/")[0].split(".")[0]) == int(label)
    for text in boxes.values():
        x, y, w, h = map(float, text.split())
        assert 0 <= x < x + w <= 48 and 0 <= y < y + h <= 48
    classes = {int(a): b for a, b in _table(base / "classes.txt")}
    if folder == "nabirds":
        used = set(map(int, labels.values()))
        parent = {int(a): int(b) for a, b in _table(base / "hierarchy.txt")}
        assert len(used) == 3 and max(used) - min(used) + 1 > len(used) < len(classes), "ids with gaps"
        assert all(parent[parent[leaf]] == 0 for leaf in used)
    else:
        assert list(classes) == [1, 2, 3]
        assert {p.name for p in (base / "images").iterdir()} == set(classes.values())


def test_boxes_of_all_layouts_are_those_of_the_objects(root: Path, small) -> None:
    """One box each, in every layout's own convention: corner and size, or both corners counted from 1, inclusive."""
    recipe, base = small["objects"], root / "stanford_cars"
    plan = {path: sample for sample, path in files.plan(recipe).items()}
    for folder in ("CUB_200_2011", "nabirds"):
        image, path = _table(root / folder / "images.txt")[5]
        left, top, right, bottom = draw_sample(recipe, plan[f"{folder}/images/{path}"]).box
        stored = [float(x) for x in dict(_table(root / folder / "bounding_boxes.txt"))[image].split()]
        assert stored == [left, top, right - left, bottom - top]
    row = scipy.io.loadmat(base / "devkit" / "cars_train_annos.mat", squeeze_me=True)["annotations"][5]
    left, top, right, bottom = draw_sample(recipe, plan[f"stanford_cars/cars_train/{row['fname']}"]).box
    assert [int(row[f"bbox_{k}"]) for k in ("x1", "y1", "x2", "y2")] == [left + 1, top + 1, right, bottom]
    copy = base / "cars_test_annos_withlabels.mat"
    assert copy.read_bytes() == (base / "devkit" / copy.name).read_bytes(), "people keep it in either place"
    base = root / "fgvc-aircraft-2013b"
    name, text = _table(base / "data" / "images_box.txt")[5]
    left, top, right, bottom = draw_sample(recipe, plan[f"{base.name}/data/images/{name}.jpg"]).box
    assert list(map(int, text.split())) == [left + 1, top + 1, right, bottom]


def test_aircraft(root: Path) -> None:
    base = root / "fgvc-aircraft-2013b" / "data"
    variants = (base / "variants.txt").read_text().splitlines()
    assert len(variants) == 3 and all(" " in v for v in variants)
    parts = {s: _table(base / f"images_variant_{s}.txt") for s in ("train", "val", "trainval", "test")}
    assert {s: len(p) for s, p in parts.items()} == {"train": 12, "val": 6, "trainval": 18, "test": 12}
    assert sorted(parts["trainval"]) == sorted(parts["train"] + parts["val"])
    assert not {a for a, _ in parts["trainval"]} & {a for a, _ in parts["test"]}
    for name, variant in parts["trainval"] + parts["test"]:
        assert (base / "images" / f"{name}.jpg").is_file() and variant in variants


def test_food(root: Path) -> None:
    base = root / "food-101"
    classes = (base / "meta" / "classes.txt").read_text().splitlines()
    assert classes == sorted(classes) and len(classes) == 3
    assert len((base / "meta" / "labels.txt").read_text().splitlines()) == 3
    seen: list[str] = []
    for split in ("train", "test"):
        table = json.loads((base / "meta" / f"{split}.json").read_text())
        assert {k: len(v) for k, v in table.items()} == dict.fromkeys(classes, 4)
        flat = [entry for name in classes for entry in table[name]]
        assert flat == (base / "meta" / f"{split}.txt").read_text().splitlines()
        seen += flat
    assert len(set(seen)) == 24 and all((base / "images" / f"{entry}.jpg").is_file() for entry in seen)
