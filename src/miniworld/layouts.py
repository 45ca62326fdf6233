"""Official on-disk layouts: where each image goes (before drawing) and the annotation files (after).

A plan is a dict from sample to path below the world's root; ``Boxes`` gives each sample's pixel box
(left, top, right, bottom; right and bottom exclusive).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io

from miniworld.names import aircraft_names, bird_names, car_names, dish_names
from miniworld.paint import stream
from miniworld.recipe import Recipe
from miniworld.samples import Sample, family_of, samples_of

__all__ = ["FOLDERS", "Boxes", "Plan", "annotate", "plan"]

Boxes = Mapping[Sample, tuple[int, int, int, int]]
Plan = dict[Sample, str]

FOLDERS: Mapping[str, str] = {
    "source": "source",
    "cub200": "CUB_200_2011",
    "flowers102": "flowers-102",
    "stanford_cars": "stanford_cars",
    "aircraft": "fgvc-aircraft-2013b",
    "food101": "food-101",
    "nabirds": "nabirds",
}
"""Top folder of each set below the world's root."""


def plan(recipe: Recipe, group: str) -> Plan:
    """Path of every sample of a set, relative to the world's root; in the order of the set's image ids."""
    planner = {
        "source": _plan_source,
        "cub200": _plan_cub,
        "flowers102": _plan_flowers,
        "stanford_cars": _plan_cars,
        "aircraft": _plan_aircraft,
        "food101": _plan_food,
        "nabirds": _plan_nabirds,
    }[group]
    return {s: f"{FOLDERS[group]}/{path}" for s, path in planner(recipe, samples_of(recipe, group)).items()}


def annotate(recipe: Recipe, group: str, root: Path, paths: Plan, boxes: Boxes) -> list[str]:
    """Write the annotation files of a set; returns their paths relative to ``root``."""
    out = _Writer(root, FOLDERS[group])
    if group == "cub200":
        _annotate_cub(recipe, out, paths, boxes)
    elif group == "flowers102":
        _annotate_flowers(out, paths)
    elif group == "stanford_cars":
        _annotate_cars(recipe, out, paths, boxes)
    elif group == "aircraft":
        _annotate_aircraft(recipe, out, paths, boxes)
    elif group == "food101":
        _annotate_food(recipe, out, paths)
    elif group == "nabirds":
        _annotate_nabirds(recipe, out, paths, boxes)
    return out.written


@dataclass
class _Writer:
    root: Path
    folder: str

    def __post_init__(self) -> None:
        self.written: list[str] = []

    def path(self, name: str) -> Path:
        relative = f"{self.folder}/{name}"
        self.written.append(relative)
        target = self.root / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def lines(self, name: str, lines: Iterable[str]) -> None:
        self.path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def mat(self, name: str, content: dict[str, object]) -> None:
        path = self.path(name)
        scipy.io.savemat(path, content)
        # The first 116 bytes are free text where scipy puts the date; equal worlds shall have equal bytes.
        with path.open("r+b") as file:
            file.write(b"MATLAB 5.0 MAT-file, miniature world".ljust(116))


def _shuffled(recipe: Recipe, samples: list[Sample]) -> list[Sample]:
    """A fixed random order, for sets whose image ids do not run class by class."""
    order = stream(recipe.seed, "order", samples[0].group).permutation(len(samples))
    return [samples[int(k)] for k in order]


def _below(path: str, folder: str) -> str:
    """The path from the first occurrence of ``folder/`` on, without it."""
    return path.split(f"{folder}/", 1)[1]


def _box_text(box: tuple[int, int, int, int]) -> str:
    """x, y, width, height as CUB and NABirds write them."""
    left, top, right, bottom = box
    return f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}"


def _plan_source(recipe: Recipe, samples: list[Sample]) -> Plan:
    def path(s: Sample) -> str:
        return f"{s.split}/{s.label:03d}.{family_of(recipe, 'source', s.label)}/{s.split}_{s.index:04d}.jpg"

    return {s: path(s) for s in samples}


def _cub_classes(recipe: Recipe) -> list[str]:
    names = bird_names(recipe.targets["cub200"].classes)
    return [f"{k + 1:03d}.{name.replace('-', '_').replace(' ', '_')}" for k, name in enumerate(names)]


def _plan_cub(recipe: Recipe, samples: list[Sample]) -> Plan:
    classes = _cub_classes(recipe)
    # CUB mixes train and test within a class's ids; so does this.
    mixed = sorted(_shuffled(recipe, samples), key=lambda s: s.label)
    return {s: f"images/{classes[s.label]}/{classes[s.label][4:]}_{k + 1:04d}.jpg" for k, s in enumerate(mixed)}


def _annotate_cub(recipe: Recipe, out: _Writer, paths: Plan, boxes: Boxes) -> None:
    ids = {s: k + 1 for k, s in enumerate(paths)}
    out.lines("images.txt", (f"{k} {_below(paths[s], 'images')}" for s, k in ids.items()))
    out.lines("image_class_labels.txt", (f"{k} {s.label + 1}" for s, k in ids.items()))
    out.lines("train_test_split.txt", (f"{k} {int(s.split == 'train')}" for s, k in ids.items()))
    out.lines("classes.txt", (f"{k + 1} {name}" for k, name in enumerate(_cub_classes(recipe))))
    out.lines("bounding_boxes.txt", (f"{k} {_box_text(boxes[s])}" for s, k in ids.items()))


def _plan_flowers(recipe: Recipe, samples: list[Sample]) -> Plan:
    return {s: f"jpg/image_{k + 1:05d}.jpg" for k, s in enumerate(_shuffled(recipe, samples))}


def _annotate_flowers(out: _Writer, paths: Plan) -> None:
    labels = np.array([[s.label + 1 for s in paths]], dtype=np.uint8)
    out.mat("imagelabels.mat", {"labels": labels})
    names = {"trnid": "train", "valid": "val", "tstid": "test"}
    ids = {
        key: np.array([[k + 1 for k, s in enumerate(paths) if s.split == split]], dtype=np.uint16)
        for key, split in names.items()
    }
    out.mat("setid.mat", dict(ids))


def _plan_cars(recipe: Recipe, samples: list[Sample]) -> Plan:
    paths: Plan = {}
    mixed = _shuffled(recipe, samples)
    for split in ("train", "test"):
        part = [s for s in mixed if s.split == split]
        paths |= {s: f"cars_{split}/{k + 1:05d}.jpg" for k, s in enumerate(part)}
    return paths


def _annotate_cars(recipe: Recipe, out: _Writer, paths: Plan, boxes: Boxes) -> None:
    names = np.array([car_names(recipe.targets["stanford_cars"].classes)], dtype=object)
    out.mat("devkit/cars_meta.mat", {"class_names": names})
    fields = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    kinds = [(name, object) for name in fields]
    tables = {}
    for split in ("train", "test"):
        rows = []
        for s, path in paths.items():
            if s.split == split:
                left, top, right, bottom = boxes[s]  # the official boxes count from 1, both ends inclusive
                rows.append((left + 1, top + 1, right, bottom, s.label + 1, Path(path).name))
        tables[split] = {"annotations": np.array([rows], dtype=kinds)}
    out.mat("devkit/cars_train_annos.mat", dict(tables["train"]))
    # The release's devkit has no test labels; people keep the separate file in either place.
    out.mat("devkit/cars_test_annos_withlabels.mat", dict(tables["test"]))
    out.mat("cars_test_annos_withlabels.mat", dict(tables["test"]))


def _plan_aircraft(recipe: Recipe, samples: list[Sample]) -> Plan:
    ids = 34309 + 7 * np.arange(len(samples))
    return {s: f"data/images/{ids[k]:07d}.jpg" for k, s in enumerate(_shuffled(recipe, samples))}


def _annotate_aircraft(recipe: Recipe, out: _Writer, paths: Plan, boxes: Boxes) -> None:
    names = aircraft_names(recipe.targets["aircraft"].classes)
    out.lines("data/variants.txt", names)
    splits = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}
    ordered = sorted(paths, key=lambda s: (s.label, paths[s]))
    for name, members in splits.items():
        part = [s for s in ordered if s.split in members]
        out.lines(f"data/images_variant_{name}.txt", (f"{Path(paths[s]).stem} {names[s.label]}" for s in part))
        out.lines(f"data/images_{name}.txt", (Path(paths[s]).stem for s in part))
    out.lines("data/images_box.txt", (_aircraft_box(paths[s], boxes[s]) for s in ordered))


def _aircraft_box(path: str, box: tuple[int, int, int, int]) -> str:
    """Image id, xmin, ymin, xmax, ymax; counted from 1, both ends inclusive."""
    return f"{Path(path).stem} {box[0] + 1} {box[1] + 1} {box[2]} {box[3]}"


def _plan_food(recipe: Recipe, samples: list[Sample]) -> Plan:
    classes = dish_names(recipe.targets["food101"].classes)
    numbers = stream(recipe.seed, "food ids").permutation(4_000_000 // 409)[: len(samples)] * 409 + 1005
    mixed = sorted(zip(samples, numbers.tolist(), strict=True), key=lambda pair: (pair[0].label, pair[1]))
    return {s: f"images/{classes[s.label]}/{number}.jpg" for s, number in mixed}


def _annotate_food(recipe: Recipe, out: _Writer, paths: Plan) -> None:
    classes = dish_names(recipe.targets["food101"].classes)
    out.lines("meta/classes.txt", classes)
    out.lines("meta/labels.txt", (name.replace("_", " ").capitalize() for name in classes))
    for split in ("train", "test"):
        table: dict[str, list[str]] = {name: [] for name in classes}
        for s, path in paths.items():
            if s.split == split:
                table[classes[s.label]].append(_below(path, "images").removesuffix(".jpg"))
        out.path(f"meta/{split}.json").write_text(json.dumps(table), encoding="utf-8")
        out.lines(f"meta/{split}.txt", (entry for name in classes for entry in table[name]))


def _nabirds_ids(recipe: Recipe) -> list[int]:
    """Class ids with gaps, as in the release, where only leaves of the hierarchy hold images."""
    return [295 + 2 * k + 5 * (k // 7) for k in range(recipe.targets["nabirds"].classes)]


def _nabirds_name(recipe: Recipe, sample: Sample) -> str:
    code = hashlib.sha256(f"{recipe.seed}/{sample}".encode()).hexdigest()
    return f"{code[:8]}-{code[8:12]}-{code[12:16]}-{code[16:20]}-{code[20:32]}"


def _plan_nabirds(recipe: Recipe, samples: list[Sample]) -> Plan:
    ids = _nabirds_ids(recipe)
    paths = {s: f"images/{ids[s.label]:04d}/{_nabirds_name(recipe, s).replace('-', '')}.jpg" for s in samples}
    return dict(sorted(paths.items(), key=lambda item: _nabirds_name(recipe, item[0])))


def _annotate_nabirds(recipe: Recipe, out: _Writer, paths: Plan, boxes: Boxes) -> None:
    ids = _nabirds_ids(recipe)
    code = {s: _nabirds_name(recipe, s) for s in paths}
    out.lines("images.txt", (f"{code[s]} {_below(paths[s], 'images')}" for s in paths))
    out.lines("image_class_labels.txt", (f"{code[s]} {ids[s.label]}" for s in paths))
    out.lines("train_test_split.txt", (f"{code[s]} {int(s.split == 'train')}" for s in paths))
    out.lines("bounding_boxes.txt", (f"{code[s]} {' '.join(map(str, _corner_size(boxes[s])))}" for s in paths))
    parents = sorted({1 + k // 7 for k in range(len(ids))})
    names = [name.replace("-", " ") + " (Adult)" for name in bird_names(500 + len(ids))[500:]]
    groups = [f"{parent} Songbird Group {parent}" for parent in parents]
    out.lines("classes.txt", ["0 Birds", *groups, *(f"{i} {n}" for i, n in zip(ids, names, strict=True))])
    leaves = (f"{i} {1 + k // 7}" for k, i in enumerate(ids))
    out.lines("hierarchy.txt", [*(f"{parent} 0" for parent in parents), *leaves])


def _corner_size(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return box[0], box[1], box[2] - box[0], box[3] - box[1]
