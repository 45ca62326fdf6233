"""The official layouts of single objects: where each image goes, and the annotation files beside the images.

A plan maps samples to paths below the set's folder, in the order of the set's image ids. Annotations are the content
of files by path; ``boxes`` has each sample's pixel box (left, top, right, bottom; right and bottom exclusive).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from miniworld.drawing.compose import Box
from miniworld.drawing.paint import stream
from miniworld.formats.matlab import mat_file
from miniworld.formats.pictures import lines
from miniworld.objects.class_names import aircraft_names, bird_names, car_names, dish_names
from miniworld.objects.samples import Sample, family_of, samples_of
from miniworld.recipes import ObjectRecipe

__all__ = ["LAYOUTS", "Boxes", "Layout", "Plan", "annotate", "plan"]

Boxes = Mapping[Sample, Box]
Plan = dict[Sample, str]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Layout:
    """The top folder of a set, and what makes the paths of its images and its annotations."""

    folder: str
    plan: Callable[[ObjectRecipe, list[Sample]], Plan]
    annotate: Callable[[ObjectRecipe, Plan, Boxes], Files]


def plan(recipe: ObjectRecipe, group: str) -> Plan:
    """Return the path of every sample of a set, relative to the root; in the order of the set's image ids."""
    layout = LAYOUTS[group]
    return {s: f"{layout.folder}/{path}" for s, path in layout.plan(recipe, samples_of(recipe, group)).items()}


def annotate(recipe: ObjectRecipe, group: str, paths: Plan, boxes: Boxes) -> Files:
    """Return the annotation files of a set by path relative to the root; ``paths`` as :func:`plan` gives them."""
    layout = LAYOUTS[group]
    below = {s: path.removeprefix(f"{layout.folder}/") for s, path in paths.items()}
    return {f"{layout.folder}/{name}": content for name, content in layout.annotate(recipe, below, boxes).items()}


def _shuffled(recipe: ObjectRecipe, samples: list[Sample]) -> list[Sample]:
    """A fixed random order, for sets whose image ids do not run class by class."""
    order = stream(recipe.seed, "order", samples[0].group).permutation(len(samples))
    return [samples[int(k)] for k in order]


def _below_images(path: str) -> str:
    return path.removeprefix("images/")


def _plan_source(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    def path(s: Sample) -> str:
        return f"{s.split}/{s.label:03d}.{family_of(recipe, 'source', s.label)}/{s.split}_{s.index:04d}.jpg"

    return {s: path(s) for s in samples}


def _annotate_source(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    return {}  # the folders are the labels


def _cub_classes(recipe: ObjectRecipe) -> list[str]:
    names = bird_names(recipe.targets["cub200"].classes)
    return [f"{k + 1:03d}.{name.replace('-', '_').replace(' ', '_')}" for k, name in enumerate(names)]


def _plan_cub(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    classes = _cub_classes(recipe)
    # CUB mixes train and test within a class's ids; so does this.
    mixed = sorted(_shuffled(recipe, samples), key=lambda s: s.label)
    return {s: f"images/{classes[s.label]}/{classes[s.label][4:]}_{k + 1:04d}.jpg" for k, s in enumerate(mixed)}


def _annotate_cub(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    def box(s: Sample) -> str:
        left, top, right, bottom = boxes[s]
        return f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}"

    ids = {s: k + 1 for k, s in enumerate(paths)}
    return {
        "images.txt": lines(f"{k} {_below_images(paths[s])}" for s, k in ids.items()),
        "image_class_labels.txt": lines(f"{k} {s.label + 1}" for s, k in ids.items()),
        "train_test_split.txt": lines(f"{k} {int(s.split == 'train')}" for s, k in ids.items()),
        "classes.txt": lines(f"{k + 1} {name}" for k, name in enumerate(_cub_classes(recipe))),
        "bounding_boxes.txt": lines(f"{k} {box(s)}" for s, k in ids.items()),
    }


def _plan_flowers(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    return {s: f"jpg/image_{k + 1:05d}.jpg" for k, s in enumerate(_shuffled(recipe, samples))}


def _annotate_flowers(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    def ids(split: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
        return np.array([[k + 1 for k, s in enumerate(paths) if s.split == split]], dtype=np.uint16)

    labels = np.array([[s.label + 1 for s in paths]], dtype=np.uint8)
    return {
        "imagelabels.mat": mat_file({"labels": labels}),
        "setid.mat": mat_file({"trnid": ids("train"), "valid": ids("val"), "tstid": ids("test")}),
    }


def _plan_cars(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    mixed = _shuffled(recipe, samples)
    parts = {split: [s for s in mixed if s.split == split] for split in ("train", "test")}
    return {s: f"cars_{split}/{k + 1:05d}.jpg" for split, part in parts.items() for k, s in enumerate(part)}


def _annotate_cars(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    def record(s: Sample) -> dict[str, int | str]:
        left, top, right, bottom = boxes[s]  # the official boxes count from 1, both ends inclusive
        corners: dict[str, int | str] = {"bbox_x1": left + 1, "bbox_y1": top + 1, "bbox_x2": right, "bbox_y2": bottom}
        return {**corners, "class": s.label + 1, "fname": Path(paths[s]).name}

    def table(split: str) -> bytes:
        return mat_file({"annotations": [record(s) for s in paths if s.split == split]})

    return {
        "devkit/cars_meta.mat": mat_file({"class_names": car_names(recipe.targets["stanford_cars"].classes)}),
        "devkit/cars_train_annos.mat": table("train"),
        # The release's devkit has no test labels; people keep the separate file in either place.
        "devkit/cars_test_annos_withlabels.mat": table("test"),
        "cars_test_annos_withlabels.mat": table("test"),
    }


def _plan_aircraft(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    ids = 34309 + 7 * np.arange(len(samples))
    return {s: f"data/images/{ids[k]:07d}.jpg" for k, s in enumerate(_shuffled(recipe, samples))}


def _annotate_aircraft(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    def box(s: Sample) -> str:
        left, top, right, bottom = boxes[s]  # counted from 1, both ends inclusive
        return f"{Path(paths[s]).stem} {left + 1} {top + 1} {right} {bottom}"

    names = aircraft_names(recipe.targets["aircraft"].classes)
    ordered = sorted(paths, key=lambda s: (s.label, paths[s]))
    files = {"data/variants.txt": lines(names), "data/images_box.txt": lines(map(box, ordered))}
    splits = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}
    for name, members in splits.items():
        part = [s for s in ordered if s.split in members]
        files[f"data/images_variant_{name}.txt"] = lines(f"{Path(paths[s]).stem} {names[s.label]}" for s in part)
        files[f"data/images_{name}.txt"] = lines(Path(paths[s]).stem for s in part)
    return files


def _plan_food(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    classes = dish_names(recipe.targets["food101"].classes)
    numbers = stream(recipe.seed, "food ids").permutation(4_000_000 // 409)[: len(samples)] * 409 + 1005
    mixed = sorted(zip(samples, numbers.tolist(), strict=True), key=lambda pair: (pair[0].label, pair[1]))
    return {s: f"images/{classes[s.label]}/{number}.jpg" for s, number in mixed}


def _annotate_food(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    classes = dish_names(recipe.targets["food101"].classes)
    labels = (name.replace("_", " ").capitalize() for name in classes)
    files = {"meta/classes.txt": lines(classes), "meta/labels.txt": lines(labels)}
    for split in ("train", "test"):
        table: dict[str, list[str]] = {name: [] for name in classes}
        for s, path in paths.items():
            if s.split == split:
                table[classes[s.label]].append(_below_images(path).removesuffix(".jpg"))
        files[f"meta/{split}.json"] = json.dumps(table).encode()
        files[f"meta/{split}.txt"] = lines(entry for entries in table.values() for entry in entries)
    return files


def _nabirds_ids(recipe: ObjectRecipe) -> list[int]:
    """Class ids with gaps, as in the release, where only leaves of the hierarchy hold images."""
    return [295 + 2 * k + 5 * (k // 7) for k in range(recipe.targets["nabirds"].classes)]


def _nabirds_code(recipe: ObjectRecipe, sample: Sample) -> str:
    code = hashlib.sha256(f"{recipe.seed}/{sample}".encode()).hexdigest()
    return f"{code[:8]}-{code[8:12]}-{code[12:16]}-{code[16:20]}-{code[20:32]}"


def _plan_nabirds(recipe: ObjectRecipe, samples: list[Sample]) -> Plan:
    ids = _nabirds_ids(recipe)
    codes = sorted((_nabirds_code(recipe, s), s) for s in samples)
    return {s: f"images/{ids[s.label]:04d}/{code.replace('-', '')}.jpg" for code, s in codes}


def _annotate_nabirds(recipe: ObjectRecipe, paths: Plan, boxes: Boxes) -> Files:
    def box(s: Sample) -> str:
        left, top, right, bottom = boxes[s]
        return f"{left} {top} {right - left} {bottom - top}"

    ids = _nabirds_ids(recipe)
    codes = {s: _nabirds_code(recipe, s) for s in paths}
    parents = sorted({1 + k // 7 for k in range(len(ids))})
    names = [name.replace("-", " ") + " (Adult)" for name in bird_names(500 + len(ids))[500:]]
    groups = [f"{parent} Songbird Group {parent}" for parent in parents]
    leaves = [f"{i} {1 + k // 7}" for k, i in enumerate(ids)]
    return {
        "images.txt": lines(f"{code} {_below_images(paths[s])}" for s, code in codes.items()),
        "image_class_labels.txt": lines(f"{code} {ids[s.label]}" for s, code in codes.items()),
        "train_test_split.txt": lines(f"{code} {int(s.split == 'train')}" for s, code in codes.items()),
        "bounding_boxes.txt": lines(f"{code} {box(s)}" for s, code in codes.items()),
        "classes.txt": lines(["0 Birds", *groups, *(f"{i} {name}" for i, name in zip(ids, names, strict=True))]),
        "hierarchy.txt": lines([*(f"{parent} 0" for parent in parents), *leaves]),
    }


LAYOUTS: Mapping[str, Layout] = {
    "source": Layout("source", _plan_source, _annotate_source),
    "cub200": Layout("CUB_200_2011", _plan_cub, _annotate_cub),
    "flowers102": Layout("flowers-102", _plan_flowers, _annotate_flowers),
    "stanford_cars": Layout("stanford_cars", _plan_cars, _annotate_cars),
    "aircraft": Layout("fgvc-aircraft-2013b", _plan_aircraft, _annotate_aircraft),
    "food101": Layout("food-101", _plan_food, _annotate_food),
    "nabirds": Layout("nabirds", _plan_nabirds, _annotate_nabirds),
}
"""The layouts by the name of the set."""
