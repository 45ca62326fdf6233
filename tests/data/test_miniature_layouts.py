"""The six official layouts: counts, ids, splits, boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from miniworld import Recipe, build_world

RECIPE = Recipe.tiny()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("layouts") / "tiny", RECIPE, workers=1)


def _table(path: Path) -> list[list[str]]:
    return [line.split(" ", 1) for line in path.read_text().splitlines()]


def test_source_is_an_image_folder(root: Path) -> None:
    for split, count in (("train", 6), ("val", 2)):
        folders = sorted((root / "source" / split).iterdir())
        assert len(folders) == 10
        assert all(len(list(f.glob("*.jpg"))) == count for f in folders)


def test_images_are_square_rgb(root: Path) -> None:
    for path in list(root.rglob("*.jpg"))[::17]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((80, 80), "RGB")


@pytest.mark.parametrize("folder", ["CUB_200_2011", "nabirds"])
def test_bird_tables_agree(root: Path, folder: str) -> None:
    base = root / folder
    images, labels = dict(_table(base / "images.txt")), dict(_table(base / "image_class_labels.txt"))
    split, boxes = dict(_table(base / "train_test_split.txt")), dict(_table(base / "bounding_boxes.txt"))
    assert images.keys() == labels.keys() == split.keys() == boxes.keys()
    assert len(images) == len(set(images.values())) == 3 * 8
    assert all((base / "images" / path).is_file() for path in images.values())
    assert sorted(split.values()) == ["0"] * 12 + ["1"] * 12
    for path, label in zip(images.values(), labels.values(), strict=True):
        assert int(path.split("/")[0].split(".")[0]) == int(label)
    for text in boxes.values():
        x, y, w, h = map(float, text.split())
        assert 0 <= x < x + w <= 80 and 0 <= y < y + h <= 80


def test_nabirds_ids_have_gaps_and_parents(root: Path) -> None:
    base = root / "nabirds"
    classes = {int(a): b for a, b in _table(base / "classes.txt")}
    used = {int(b) for _, b in _table(base / "image_class_labels.txt")}
    parent = {int(a): int(b) for a, b in _table(base / "hierarchy.txt")}
    assert len(used) == 3 < len(classes)
    assert max(used) - min(used) + 1 > len(used)
    for leaf in used:
        assert parent[parent[leaf]] == 0


def test_cub_classes_are_numbered_folders(root: Path) -> None:
    classes = _table(root / "CUB_200_2011" / "classes.txt")
    assert [int(a) for a, _ in classes] == [1, 2, 3]
    assert {p.name for p in (root / "CUB_200_2011" / "images").iterdir()} == {b for _, b in classes}


def test_flowers(root: Path) -> None:
    base = root / "flowers-102"
    labels = scipy.io.loadmat(base / "imagelabels.mat", squeeze_me=True)["labels"]
    sets = scipy.io.loadmat(base / "setid.mat", squeeze_me=True)
    parts = [sets[key].tolist() for key in ("trnid", "valid", "tstid")]
    assert [len(p) for p in parts] == [12, 6, 12]
    assert sorted(k for part in parts for k in part) == list(range(1, 31))
    assert set(labels.tolist()) == {1, 2, 3}
    assert np.bincount(labels[np.array(parts[0]) - 1]).tolist() == [0, 4, 4, 4]
    assert all((base / "jpg" / f"image_{k:05d}.jpg").is_file() for k in range(1, 31))


def test_stanford_cars(root: Path) -> None:
    base = root / "stanford_cars"
    names = scipy.io.loadmat(base / "devkit" / "cars_meta.mat", squeeze_me=True)["class_names"].tolist()
    assert len(names) == len(set(names)) == 3
    for split, file in (("train", "cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = scipy.io.loadmat(base / "devkit" / file, squeeze_me=True)["annotations"]
        assert sorted(int(r["class"]) for r in rows) == [1] * 4 + [2] * 4 + [3] * 4
        assert {str(r["fname"]) for r in rows} == {p.name for p in (base / f"cars_{split}").iterdir()}
        for r in rows:
            assert 1 <= r["bbox_x1"] <= r["bbox_x2"] <= 80 and 1 <= r["bbox_y1"] <= r["bbox_y2"] <= 80
    copy = base / "cars_test_annos_withlabels.mat"
    assert copy.read_bytes() == (base / "devkit" / "cars_test_annos_withlabels.mat").read_bytes()


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
    assert len(set(seen)) == 24
    assert all((base / "images" / f"{entry}.jpg").is_file() for entry in seen)
