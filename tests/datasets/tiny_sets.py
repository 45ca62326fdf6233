"""The smallest copies of the official layouts: 3 classes, each with 2 training images and 1 test image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

CLASSES = 3
FOLDERS = {
    "cub200": "CUB_200_2011",
    "nabirds": "nabirds",
    "flowers102": "flowers-102",
    "stanford_cars": "stanford_cars",
    "aircraft": "fgvc-aircraft-2013b",
    "food101": "food-101",
    "stanford_dogs": "stanford_dogs",
    "imagenet": "imagenet",
    "inat2017": "inat2017",
    "imagenet_inat": ".",
    "image_folder": "folders",
}
TEXTS = {
    "cub200": ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"),
    "nabirds": ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"),
    "aircraft": ("data/variants.txt", "data/images_variant_trainval.txt", "data/images_variant_test.txt"),
    "food101": ("meta/classes.txt", "meta/train.txt", "meta/test.txt"),
}
MATS = {
    "flowers102": ("imagelabels.mat", "setid.mat"),
    "stanford_cars": (
        "devkit/cars_meta.mat",
        "devkit/cars_train_annos.mat",
        "cars_test_annos_withlabels.mat",
    ),
}


def write(name: str, parent: Path) -> Path:
    """Write tiny set `name` under `parent` in its official folder; returns that folder."""
    root = parent / FOLDERS[name]
    root.mkdir(parents=True, exist_ok=True)
    _WRITERS[name](root)
    return root


def image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def text(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _samples() -> list[tuple[int, int, bool]]:
    """(number from 1, class from 0, is training); the third of each class is for the test."""
    return [(3 * c + k + 1, c, k < 2) for c in range(CLASSES) for k in range(3)]


def _caltech(root: Path, ids: dict[int, str], label: Callable[[int], int], extra: list[str]) -> None:
    paths = {n: f"{label(c):04d}.Bird_{c}/{n}.jpg" for n, c, _ in _samples()}
    for n, path in paths.items():
        image(root / "images" / path, n)
    text(root / "images.txt", (f"{ids[n]} {paths[n]}" for n in paths))
    text(root / "image_class_labels.txt", (f"{ids[n]} {label(c)}" for n, c, _ in _samples()))
    text(root / "train_test_split.txt", (f"{ids[n]} {int(train)}" for n, _, train in _samples()))
    text(root / "classes.txt", [*(f"{label(c)} Bird {c}" for c in range(CLASSES)), *extra])


def _cub(root: Path) -> None:
    _caltech(root, {n: str(n) for n, _, _ in _samples()}, lambda c: c + 1, [])


def _nabirds(root: Path) -> None:
    ids = {n: f"0000139e-21dc-{n:04x}" for n, _, _ in _samples()}
    _caltech(root, ids, lambda c: (817, 295, 1010)[c], ["0 Birds", "1 Ducks, Geese, and Swans"])


def _flowers(root: Path) -> None:
    samples = _samples()
    for n, _, _ in samples:
        image(root / f"jpg/image_{n:05d}.jpg", n)
    labels = np.array([[c + 1 for _, c, _ in samples]], dtype=np.uint8)
    scipy.io.savemat(root / "imagelabels.mat", {"labels": labels})
    parts = {"trnid": [1, 4, 7], "valid": [2, 5, 8], "tstid": [3, 6, 9]}
    sets = {key: np.array([v], dtype=np.uint16) for key, v in parts.items()}
    scipy.io.savemat(root / "setid.mat", sets)


def cars_annotations(path: Path, rows: list[tuple[int, str]]) -> None:
    kinds = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    table = np.array([(1, label, name) for label, name in rows], dtype=kinds)
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"annotations": table[None]})


def _cars(root: Path) -> None:
    train = [(c + 1, f"{n:05d}.jpg") for n, c, is_train in _samples() if is_train]
    test = [(c + 1, f"{n:05d}.jpg") for n, c, is_train in _samples() if not is_train]
    for folder, rows in (("cars_train", train), ("cars_test", test)):
        for shade, (_, name) in enumerate(rows):
            image(root / folder / name, shade)
    cars_annotations(root / "devkit/cars_train_annos.mat", train)
    cars_annotations(root / "cars_test_annos_withlabels.mat", test)
    names = np.array([[f"Make {c} 2012" for c in range(CLASSES)]], dtype=object)
    scipy.io.savemat(root / "devkit/cars_meta.mat", {"class_names": names})


def _aircraft(root: Path) -> None:
    names = ["707-320", "DC-3 of old", "F/A-18"]
    text(root / "data/variants.txt", names)
    for part, wanted in (("trainval", True), ("test", False)):
        rows = [(n, c) for n, c, is_train in _samples() if is_train == wanted]
        for n, _ in rows:
            image(root / f"data/images/{n:07d}.jpg", n)
        text(root / f"data/images_variant_{part}.txt", (f"{n:07d} {names[c]}" for n, c in rows))


def _food(root: Path) -> None:
    names = ["apple_pie", "beignets", "waffles"]
    text(root / "meta/classes.txt", names)
    for part, wanted in (("train", True), ("test", False)):
        rows = [f"{names[c]}/{n}" for n, c, is_train in _samples() if is_train == wanted]
        for shade, row in enumerate(rows):
            image(root / f"images/{row}.jpg", shade)
        text(root / f"meta/{part}.txt", rows)
        by_class = {name: [row for row in rows if row.startswith(name)] for name in names}
        (root / f"meta/{part}.json").write_text(json.dumps(by_class))


def _dogs(root: Path) -> None:
    for part, wanted in (("train", True), ("test", False)):
        rows = [(f"n0{c}-breed_{c}/n0{c}_{n}.jpg", c + 1, n) for n, c, is_train in _samples() if is_train == wanted]
        for path, _, n in rows:
            image(root / "Images" / path, n)
        files = np.array([[path] for path, _, _ in rows], dtype=object)
        labels = np.array([[label] for _, label, _ in rows], dtype=np.uint8)
        scipy.io.savemat(root / f"{part}_list.mat", {"file_list": files, "labels": labels})


def _inat(root: Path) -> None:
    categories = [{"id": c, "name": f"species {c}", "supercategory": "Aves"} for c in range(CLASSES)]
    for part, wanted in (("train", True), ("val", False)):
        samples = [(n, c) for n, c, is_train in _samples() if is_train == wanted]
        images = [{"id": n, "file_name": f"train_val_images/Aves/species {c}/{n}.jpg"} for n, c in samples]
        annotations = [{"id": n, "image_id": n, "category_id": c} for n, c in samples]
        for entry in images:
            image(root / str(entry["file_name"]), int(str(entry["id"])))
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{part}2017.json").write_text(json.dumps(content))


def _imagenet_inat(root: Path) -> None:
    for name in ("imagenet", "inat2017"):
        write(name, root)


def _folders(root: Path) -> None:
    for n, c, train in _samples():
        image(root / ("train" if train else "val") / f"class_{c}" / f"{n}.png", n)


_WRITERS: dict[str, Callable[[Path], None]] = {
    "cub200": _cub,
    "nabirds": _nabirds,
    "flowers102": _flowers,
    "stanford_cars": _cars,
    "aircraft": _aircraft,
    "food101": _food,
    "stanford_dogs": _dogs,
    "imagenet": _folders,
    "inat2017": _inat,
    "imagenet_inat": _imagenet_inat,
    "image_folder": _folders,
}
