"""The readers: what they return, with torchvision as oracle, and every fault that they must name."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import scipy.io
import tiny_sets
import torch
from torchvision import datasets

from l2sp_suite.datasets.classification import (
    READERS,
    Classification,
    Split,
    check_counts,
    find_root,
    hold_out,
    load_image,
    read,
)
from l2sp_suite.utils.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def fails(name: str, root: Path) -> str:
    """Reads, expects UserError, returns its message, which must be one line."""
    with pytest.raises(UserError) as caught:
        read(name, root)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000
    return message


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    tiny_sets.text(path, change(path.read_text().splitlines()))


# What they return


@pytest.mark.parametrize("name", [name for name in READERS if name != "imagenet_inat"])
def test_tiny_set_is_read(name: str, tmp_path: Path) -> None:
    found = read(name, tiny_sets.write(name, tmp_path))
    assert found.name == name
    assert len(found.classes) == 3
    assert Counter(found.train.labels) == {0: 2, 1: 2, 2: 2}
    assert Counter(found.test.labels) == {0: 1, 1: 1, 2: 1}
    assert all(load_image(path).shape == (3, 10, 12) for path in found.train.paths + found.test.paths)


def test_two_sources_are_one_with_all_classes_of_both(tmp_path: Path) -> None:
    found = read("imagenet_inat", tiny_sets.write("imagenet_inat", tmp_path))
    assert found.counts == {"classes": 6, "train": 12, "test": 6}
    assert found.classes[:3] == ("imagenet/class_0", "imagenet/class_1", "imagenet/class_2")
    for path, label in zip(found.train.paths, found.train.labels, strict=True):
        assert (
            found.classes[label].split("/")[-1] == path.parent.name and found.classes[label].split("/")[0] in path.parts
        )


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content["images"].pop(), "an entry lacks, or names what is not there"),
        (lambda content: content["categories"].clear(), "an entry lacks|is not among its categories"),
        (lambda content: content.pop("annotations"), "has no list of objects 'annotations'"),
        (lambda content: content["annotations"].append(7), "has no list of objects 'annotations'"),
    ],
)
def test_broken_lists_of_inat_are_one_line(tmp_path: Path, spoil: Callable[[Any], object], reason: str) -> None:
    root = tiny_sets.write("inat2017", tmp_path)
    for file in ("train2017.json", "val2017.json"):
        content = json.loads((root / file).read_text())
        spoil(content)
        (root / file).write_text(json.dumps(content))
    message = fails("inat2017", root)
    assert re.search(reason, message) and "train2017.json" in message
    (root / "train2017.json").write_text("{")
    assert "is not JSON" in fails("inat2017", root)


def test_lists_of_dogs_must_agree(tmp_path: Path) -> None:
    root = tiny_sets.write("stanford_dogs", tmp_path)
    content = scipy.io.loadmat(root / "train_list.mat")
    scipy.io.savemat(root / "train_list.mat", {"file_list": content["file_list"], "labels": content["labels"][::-1]})
    assert "test_list.mat: class 1 is 'n02-breed_2' and 'n00-breed_0'" in fails("stanford_dogs", root)
    scipy.io.savemat(root / "train_list.mat", {"file_list": content["file_list"], "labels": content["labels"][1:]})
    assert "has 6 images but 5 labels" in fails("stanford_dogs", root)


def test_label_and_image_belong_together(tmp_path: Path) -> None:
    for name in ("cub200", "nabirds", "image_folder", "food101"):
        found = read(name, tiny_sets.write(name, tmp_path))
        for part in (found.train, found.test):
            for path, label in zip(part.paths, part.labels, strict=True):
                folder = path.parent.name if name not in ("cub200", "nabirds") else path.parent.name[5:]
                assert folder == found.classes[label].replace(" ", "_")


def test_nabirds_ids_are_remapped_in_ascending_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = read("nabirds", tiny_sets.write("nabirds", tmp_path))
    assert found.classes == ("Bird 1", "Bird 0", "Bird 2")  # 295, 817, 1010
    assert "nabirds: 3 of 5 labels present, remapped to 0..2" in caplog.text


def test_flowers_train_on_train_and_val(tmp_path: Path) -> None:
    found = read("flowers102", tiny_sets.write("flowers102", tmp_path))
    assert [path.stem[-1] for path in found.train.paths] == ["1", "4", "7", "2", "5", "8"]
    assert found.classes == tuple(datasets.Flowers102.classes[:3])


def test_class_without_training_image_is_kept_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tiny_sets.write("cub200", tmp_path)
    edit(root / "train_test_split.txt", lambda lines: ["1 0", "2 0", *lines[2:]])
    found = read("cub200", root)
    assert len(found.classes) == 3 and set(found.train.labels) == {1, 2}
    assert "no training image of 1 classes, among them Bird 0" in caplog.text


def test_cars_test_list_may_lie_in_the_devkit(tmp_path: Path) -> None:
    root = tiny_sets.write("stanford_cars", tmp_path)
    at_root = read("stanford_cars", root)
    shutil.move(root / "cars_test_annos_withlabels.mat", root / "devkit")
    assert read("stanford_cars", root) == at_root


def test_mat_with_a_single_row(tmp_path: Path) -> None:
    root = tiny_sets.write("stanford_cars", tmp_path)
    tiny_sets.cars_annotations(root / "cars_test_annos_withlabels.mat", [(2, "00006.jpg")])
    found = read("stanford_cars", root)
    assert found.test == Split((root / "cars_test/00006.jpg",), (1,))


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    root = tiny_sets.write("cub200", tmp_path)
    before = read("cub200", root)
    for file in tiny_sets.TEXTS["cub200"]:
        content = (root / file).read_bytes().replace(b"\n", b"\r\n")
        (root / file).write_bytes(b"\xef\xbb\xbf" + content + b"\r\n")
    assert read("cub200", root) == before


# Torchvision as oracle


def same(split: Split, oracle: list[tuple[str | Path, int]]) -> bool:
    return [(str(p), label) for p, label in zip(split.paths, split.labels, strict=True)] == [
        (str(p), int(label)) for p, label in oracle
    ]


def test_as_torchvision_food101(tmp_path: Path) -> None:
    found = read("food101", tiny_sets.write("food101", tmp_path))
    for split, part in ((found.train, "train"), (found.test, "test")):
        oracle = datasets.Food101(tmp_path, part)
        assert same(split, list(zip(oracle._image_files, oracle._labels, strict=True)))
        assert list(found.classes) == oracle.classes


def test_as_torchvision_aircraft(tmp_path: Path) -> None:
    found = read("aircraft", tiny_sets.write("aircraft", tmp_path))
    for split, part in ((found.train, "trainval"), (found.test, "test")):
        oracle = datasets.FGVCAircraft(tmp_path, part)
        assert same(split, list(zip(oracle._image_files, oracle._labels, strict=True)))
        assert list(found.classes) == oracle.classes


def test_as_torchvision_stanford_cars(tmp_path: Path) -> None:
    found = read("stanford_cars", tiny_sets.write("stanford_cars", tmp_path))
    for split, part in ((found.train, "train"), (found.test, "test")):
        oracle = datasets.StanfordCars(tmp_path, part)
        assert same(split, oracle._samples)
        assert list(found.classes) == oracle.classes


def test_as_torchvision_flowers_once_its_md5_check_is_off(tmp_path: Path) -> None:
    found = read("flowers102", tiny_sets.write("flowers102", tmp_path))
    with pytest.raises(RuntimeError):  # the reason why the reader is ours
        datasets.Flowers102(tmp_path, "test")
    with mock.patch.object(datasets.Flowers102, "_check_integrity", lambda _: True):
        parts = {part: datasets.Flowers102(tmp_path, part) for part in ("train", "val", "test")}
    pairs = {k: list(zip(d._image_files, d._labels, strict=True)) for k, d in parts.items()}
    # Releases of torchvision differ in whether labels start at 0 or 1.
    first = min(label for _, label in pairs["test"])
    pairs = {k: [(path, label - first) for path, label in v] for k, v in pairs.items()}
    assert same(found.train, pairs["train"] + pairs["val"])
    assert same(found.test, pairs["test"])


# Faults


@pytest.mark.parametrize("name", READERS)
def test_missing_root(name: str, tmp_path: Path) -> None:
    message = fails(name, tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in message


@pytest.mark.parametrize("name", READERS)
def test_wrong_root(name: str, tmp_path: Path) -> None:
    assert str(tmp_path) in fails(name, tmp_path)


ALL_FILES = [(name, file) for group in (tiny_sets.TEXTS, tiny_sets.MATS) for name in group for file in group[name]]


@pytest.mark.parametrize(("name", "file"), ALL_FILES)
def test_missing_or_empty_index_file(name: str, file: str, tmp_path: Path) -> None:
    root = tiny_sets.write(name, tmp_path)
    (root / file).write_bytes(b"")
    assert str(root / file) in fails(name, root)
    (root / file).unlink()
    assert file in fails(name, root)


@pytest.mark.parametrize(
    "name", [name for name in READERS if name not in ("imagenet", "imagenet_inat", "image_folder")]
)
def test_absent_image(name: str, tmp_path: Path) -> None:
    root = tiny_sets.write(name, tmp_path)
    victim = read(name, root).test.paths[1]
    victim.unlink()
    message = fails(name, root)
    assert victim.name in message and "not on disk" in message


@pytest.mark.parametrize(
    ("name", "file", "line", "text", "expected"),
    [
        ("cub200", "images.txt", 2, "2", 'expected "key value"'),
        ("cub200", "images.txt", 2, "1 0001.Bird_0/2.jpg", "listed twice"),
        ("cub200", "images.txt", 2, "77 0001.Bird_0/2.jpg", "'2' is not in images.txt"),
        ("cub200", "images.txt", 2, "2 ../../2.jpg", "not a path inside"),
        ("cub200", "images.txt", 2, "2 /0001.Bird_0/2.jpg/\0/x", "not on disk"),
        ("cub200", "image_class_labels.txt", 3, "3 x", "not a class number"),
        ("cub200", "image_class_labels.txt", 3, "3 9", "class 9 is not in classes.txt"),
        ("cub200", "image_class_labels.txt", 3, "99 1", "'99' is not in images.txt"),
        ("cub200", "train_test_split.txt", 4, "4 2", "expected 1 (training) or 0 (test)"),
        ("cub200", "train_test_split.txt", 4, "3 0", "listed twice"),
        ("cub200", "classes.txt", 2, "01 again", "class 1 is listed twice"),
        ("nabirds", "classes.txt", 1, "-1 Bird", "not a class number"),
        ("aircraft", "data/images_variant_test.txt", 1, "0000003", 'expected "key value"'),
        ("aircraft", "data/images_variant_test.txt", 1, "0000003 Zeppelin", "not in variants.txt"),
        ("aircraft", "data/variants.txt", 2, "707-320", "listed twice"),
        ("food101", "meta/train.txt", 3, "pizza/3", "has no class of classes.txt"),
    ],
)
def test_bad_line(name: str, file: str, line: int, text: str, expected: str, tmp_path: Path) -> None:
    root = tiny_sets.write(name, tmp_path)
    edit(root / file, lambda lines: [*lines[: line - 1], text, *lines[line:]])
    message = fails(name, root)
    assert expected in message and str(root) in message
    # An id that images.txt lacks is an error of the file that uses it.
    place = "image_class_labels.txt" if file == "images.txt" and "not in images.txt" in expected else file
    assert f"{root / place}, line {line}:" in message


def test_image_id_without_label(tmp_path: Path) -> None:
    root = tiny_sets.write("cub200", tmp_path)
    edit(root / "image_class_labels.txt", lambda lines: lines[1:])
    assert "images.txt, line 1: image id '1' is not in image_class_labels.txt" in fails("cub200", root)


def test_same_image_in_train_and_test(tmp_path: Path) -> None:
    root = tiny_sets.write("food101", tmp_path)
    edit(root / "meta/test.txt", lambda lines: [*lines, "apple_pie/1"])
    assert "is listed 2 times" in fails("food101", root)


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    root = tiny_sets.write("aircraft", tmp_path)
    (root / "data/variants.txt").write_bytes(b"707\n\xff\xfe\n")
    assert "not UTF-8" in fails("aircraft", root)


def test_set_without_test_images(tmp_path: Path) -> None:
    root = tiny_sets.write("image_folder", tmp_path)
    shutil.rmtree(root / "val")
    assert str(root / "test") in fails("image_folder", root)
    (root / "val/class_0").mkdir(parents=True)
    assert "no test image" in fails("image_folder", root)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"labels": np.array([[1, 2, 3, 103, 5, 6, 7, 8, 9]])}, "label 103 of image 4"),
        ({"labels": np.array([[1.0, 2.5]])}, "no whole number"),
        ({"labels": np.array([[1, 2, 3]])}, "beyond imagelabels.mat"),
        ({"labels": np.array([["a", "b"]])}, "no whole number"),
        ({"labels": np.zeros((0, 0))}, "is empty"),
        ({"other": np.ones(3)}, "no variable 'labels'"),
    ],
)
def test_bad_flower_labels(content: dict[str, object], expected: str, tmp_path: Path) -> None:
    root = tiny_sets.write("flowers102", tmp_path)
    scipy.io.savemat(root / "imagelabels.mat", content)
    assert expected in fails("flowers102", root)


def test_bad_car_annotations(tmp_path: Path) -> None:
    root = tiny_sets.write("stanford_cars", tmp_path)
    file = root / "devkit/cars_train_annos.mat"
    tiny_sets.cars_annotations(file, [(4, "00001.jpg")])
    assert f"{file}: class 4 of '00001.jpg' is not in 1..3" in fails("stanford_cars", root)
    scipy.io.savemat(file, {"annotations": np.ones(3)})
    assert "no field 'class'" in fails("stanford_cars", root)


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown classification data set 'cub'; known: cub200"):
        read("cub", tmp_path)


def test_find_root(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    assert find_root(tmp_path, ["first", "second"], "fetch it") == tmp_path / "second"
    with pytest.raises(UserError, match=r"no folder first or third in .*; fetch it"):
        find_root(tmp_path, ["first", "third"], "fetch it")


@pytest.mark.parametrize("keep", [0, 4, 300])
def test_truncated_image(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    tiny_sets.image(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut\.jpg: cannot be decoded") as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.jpg: no such image"):
        load_image(tmp_path / "no.jpg")


def test_grey_image_becomes_rgb(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (5, 4), 7).save(tmp_path / "grey.png")
    assert torch.equal(load_image(tmp_path / "grey.png"), torch.full((3, 4, 5), 7, dtype=torch.uint8))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_hold_out_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        hold_out(Split((Path("a"),), (0,)), fraction, 0)


def test_check_counts() -> None:
    found = Classification("x", ("a",), Split((Path("1"), Path("2")), (0, 0)), Split((Path("3"),), (0,)))
    assert check_counts(found, {"classes": 1, "train": 2, "test": 1}) is None
    line = check_counts(found, {"classes": 1, "train": 20, "test": 10})
    assert line == "x is not the official release: 2 train (official 20), 1 test (official 10)"


# Real data


@pytest.mark.parametrize(
    ("name", "folder", "classes", "train", "test"),
    [
        ("cub200", "CUB_200_2010", 80, 1117, 1248),
        ("flowers102", "flowers102", 90, 728 + 706, 713),
        ("stanford_cars", "stanford_cars", 50, 1193, 590),
        ("food101", "food-101-10c", 10, 500, 300),
        ("image_folder", "mini-imagenet-84px", 100, 6000, 1500),
    ],
)
def test_real_subset(name: str, folder: str, classes: int, train: int, test: int) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no real data at {SHARED / folder}")
    found = read(name, SHARED / folder)
    assert (len(found.classes), len(found.train), len(found.test)) == (classes, train, test)
    assert set(found.train.labels) | set(found.test.labels) == set(range(classes))
    for path in (found.train.paths[0], found.test.paths[-1]):
        image = load_image(path)
        assert image.dtype == torch.uint8 and image.shape[0] == 3
