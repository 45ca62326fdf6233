"""Readers of data sets whose labels are maps, one class for each pixel, in the layouts of their releases.

A reader checks every name that the release lists; the maps are checked one by one as `Segmentation.decode`
reads them, for opening thousands at the start would take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2sp_suite.datasets.images import IGNORED, load_indices
from l2sp_suite.datasets.layout import DatasetLayout, quoted
from l2sp_suite.datasets.records import Segmentation, SegmentationSplit, check_listed
from l2sp_suite.utils.errors import UserError

__all__ = ["CAMVID_CLASSES", "PASCAL_CLASSES", "PASCAL_IDS", "SEGMENTATION_READERS", "Decoder"]

_UNKNOWN = 254  # what a decoder makes of a value that must not occur

PASCAL_CLASSES = (
    "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building", "bus",
    "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
    "person", "plate", "platform", "pottedplant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky", "snow",
    "sofa", "table", "track", "train", "tree", "truck", "tvmonitor", "wall", "water", "window", "wood",
)  # fmt: skip
"""The 59 classes of PASCAL-Context in the order of their numbers (protocol 1.6)."""

# The numbers of the 59 classes in the release's own list of 459 (protocol 1.6).
PASCAL_IDS = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159,
    162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397,
    415, 416, 420, 424, 427, 440, 445, 454, 458,
)  # fmt: skip
_LAST_PASCAL_ID = 459

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"
)  # fmt: skip
_CAMVID_PREFIX = "/SegNet/CamVid/"  # where the authors of the lists had unpacked them


Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Decoder:
    """Reads a map file and replaces each value v in it by `targets[v]`.

    See `Segmentation.decode`.
    `values`: path to the stored integers (H, W), >= 0; raises UserError for a damaged file.
    `unlisted`: names of values that are classes of the layout, but not of this copy of it.
    """

    values: Callable[[Path], Values]
    targets: tuple[int, ...]
    unlisted: Mapping[int, str]
    remedy: str

    def __call__(self, path: Path) -> Tensor:
        """Return uint8 (H, W); see the class."""
        values = self.values(path).astype(np.intp)
        table = np.array([*self.targets, _UNKNOWN], dtype=np.uint8)
        labels = table[np.minimum(values, len(self.targets))]
        unknown = labels == _UNKNOWN
        if unknown.any():
            raise self._error(path, int(values[unknown].min()))
        return torch.from_numpy(labels)

    def _error(self, path: Path, value: int) -> UserError:
        if value in self.unlisted:
            what = f"shows class {self.unlisted[value]!r}, which classes.txt does not list"
        else:
            what = f"holds the value {value}, which is no label of the release"
        return DatasetLayout(path.parent, self.remedy).error(path.name, what)


def _png_values(path: Path) -> Values:
    return load_indices(path).numpy()


def _mat_values(remedy: str, path: Path) -> Values:
    return DatasetLayout(path.parent, remedy).matrix(path.name, "LabelMap")


def read_pascal_context(layout: DatasetLayout) -> Segmentation:
    """Read PASCAL-Context (protocol 1.6).

    From the folder that holds VOCdevkit/VOC2010, or from VOC2010 itself.
    Images: JPEGImages/<id>.jpg. Labels: SegmentationClassContext/<id>.png (0: no label; k: class k-1 of the 59)
    with the lists ImageSets/SegmentationContext/{train,val}.txt; else the authors' trainval/<id>.mat, beside
    VOCdevkit or in VOC2010 (LabelMap, of whose 459 numbers 400 have no label here), with ImageSets/Main/.
    classes.txt in VOC2010, one name a line, is for a subset: its classes, in the order of the 59, are 0 .. C-1.
    Trains on VOC's train part and tests on its val, as published: 4,998 and 5,105 images.
    """
    base = "VOCdevkit/VOC2010/" if (layout.root / "VOCdevkit/VOC2010").is_dir() else ""
    classes = _pascal_classes(layout, f"{base}classes.txt")
    folder = _first_folder(layout, (f"{base}SegmentationClassContext", f"{base}trainval", "trainval"))
    if folder.endswith("trainval"):
        lists, suffix = "Main", "mat"
        values = partial(_mat_values, layout.remedy)
        decode = _pascal_decoder(values, PASCAL_IDS, _LAST_PASCAL_ID + 1, classes, layout.remedy)
    else:
        lists, suffix = "SegmentationContext", "png"
        decode = _pascal_decoder(_png_values, range(1, 60), 60, classes, layout.remedy)
    train, test = (
        _pascal_part(
            layout, f"{base}ImageSets/{lists}/{part}.txt", f"{base}JPEGImages/{{}}.jpg", f"{folder}/{{}}.{suffix}"
        )
        for part in ("train", "val")
    )
    return _checked(layout, Segmentation("pascal_context", classes, train, test, decode=decode))


def _pascal_part(layout: DatasetLayout, file: str, image: str, labels: str) -> SegmentationSplit:
    """Return what a list of ids names; `image` and `labels` are patterns of the two paths."""
    rows = [
        [layout.image(pattern.format(entry.value), file, entry.line) for pattern in (image, labels)]
        for entry in layout.lines(file)
    ]
    return SegmentationSplit(*zip(*rows, strict=True))


def _first_folder(layout: DatasetLayout, folders: tuple[str, ...]) -> str:
    for folder in folders:
        if (layout.root / folder).is_dir():
            return folder
    raise layout.error("", f"has no folder of labels ({' or '.join(dict.fromkeys(folders))})")


def _pascal_classes(layout: DatasetLayout, file: str) -> tuple[str, ...]:
    if not (layout.root / file).exists():
        return PASCAL_CLASSES
    listed = layout.names(file)
    for name in listed:
        if name not in PASCAL_CLASSES:
            raise layout.error(file, f"{quoted(name)} is none of the 59 classes")
    return tuple(name for name in PASCAL_CLASSES if name in listed)


def _pascal_decoder(
    values: Callable[[Path], Values], numbers: Iterable[int], size: int, classes: tuple[str, ...], remedy: str
) -> Decoder:
    """Return the decoder of files that hold `numbers[k]` for class k of the 59, and only values below `size`."""
    targets, unlisted = [IGNORED] * size, {}
    for number, name in zip(numbers, PASCAL_CLASSES, strict=True):
        if name in classes:
            targets[number] = classes.index(name)
        else:
            targets[number], unlisted[number] = _UNKNOWN, name
    return Decoder(values, tuple(targets), unlisted, remedy)


def read_camvid(layout: DatasetLayout) -> Segmentation:
    """Read CamVid as SegNet's authors released it: 11 classes, 367 / 101 / 233 images.

    {train,val,test}.txt name an image and its map a line, below /SegNet/CamVid/ or relative to the folder;
    grey value 11 is void.
    """
    train, val, test = (_camvid_part(layout, f"{part}.txt") for part in ("train", "val", "test"))
    decode = Decoder(_png_values, (*range(len(CAMVID_CLASSES)), IGNORED), {}, layout.remedy)
    return _checked(layout, Segmentation("camvid", CAMVID_CLASSES, train, test, val, decode=decode))


def _camvid_part(layout: DatasetLayout, file: str) -> SegmentationSplit:
    rows = [
        [layout.image(text.removeprefix(_CAMVID_PREFIX), file, entry.line) for text in (name, entry.value)]
        for name, entry in layout.pairs(file).items()
    ]
    return SegmentationSplit(*zip(*rows, strict=True))


def _checked(layout: DatasetLayout, data: Segmentation) -> Segmentation:
    """The data set; raise UserError if a part is empty or a file is listed twice, be it as an image or as a map."""
    check_listed(layout, {part: (*split.images, *split.maps) for part, split in data.parts.items()})
    return data


SEGMENTATION_READERS: Mapping[str, Callable[[DatasetLayout], Segmentation]] = MappingProxyType(
    {"pascal_context": read_pascal_context, "camvid": read_camvid}
)
