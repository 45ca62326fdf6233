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

from l2sp_suite.datasets.class_names import PASCAL_CLASSES
from l2sp_suite.datasets.images import Decode, load_indices
from l2sp_suite.datasets.layout import Release, quoted
from l2sp_suite.datasets.records import check_listed, divide
from l2sp_suite.utils.errors import UserError

__all__ = [
    "CAMVID_CLASSES", "IGNORED", "PASCAL_CLASSES", "PASCAL_IDS", "SEGMENTATION_READERS", "Decoder", "Maps",
    "Segmentation", "hold_out", "read",
]  # fmt: skip

IGNORED = 255
"""Value of a pixel that has no label: it counts neither in a loss nor in a metric."""

_UNKNOWN = 254  # what a decoder makes of a value that must not occur

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


@dataclass(frozen=True)
class Maps:
    """Images and their maps: the labels of `images[i]` are in file `maps[i]`."""

    images: tuple[Path, ...]
    maps: tuple[Path, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.maps):
            raise ValueError(f"{len(self.images)} images but {len(self.maps)} maps")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def keys(self) -> tuple[tuple[Path, Path], ...]:
        """Image and map of each item: its key in a `MapCache`."""
        return tuple(zip(self.images, self.maps, strict=True))

    def select(self, indices: Iterable[int]) -> Maps:
        """Return the pairs at `indices`, in their order."""
        chosen = list(indices)
        return Maps(tuple(self.images[i] for i in chosen), tuple(self.maps[i] for i in chosen))


@dataclass(frozen=True)
class Segmentation:
    """A data set of maps: `decode` reads one as uint8 (H, W) of labels 0 .. C-1 and `IGNORED`.

    `classes[c]` is the name of label c; `val` is None where the release has no such part. `decode` raises
    UserError for a file that is damaged or holds a value that its release does not define, and can be pickled.
    """

    name: str
    classes: tuple[str, ...]
    train: Maps
    val: Maps | None
    test: Maps
    decode: Decode

    @property
    def parts(self) -> Mapping[str, Maps]:
        """The parts that the release has, by name."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: maps for name, maps in parts.items() if maps is not None}

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of classes and of images by part."""
        return {"classes": len(self.classes), **{name: len(maps) for name, maps in self.parts.items()}}

    def facts(self, root: Path) -> Iterable[str]:
        """The classes, and part, paths below `root` and sizes in bytes of every image and its map."""
        for label, name in enumerate(self.classes):
            yield f"class {label} {name}"
        for part, maps in self.parts.items():
            for pair in zip(maps.images, maps.maps, strict=True):
                files = (f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in pair)
                yield " ".join((part, *files))


def read(name: str, root: Path, remedy: str = "fetch the official release again") -> Segmentation:
    """Read data set `name` (a key of `SEGMENTATION_READERS`) from its own folder.

    Raises UserError, which ends in `remedy`, for whatever is missing, malformed or inconsistent on disk, and
    for an unknown name. Maps are opened later, by `decode`, whose errors name the file and say what to do.
    """
    if name not in SEGMENTATION_READERS:
        raise UserError(f"unknown segmentation data set {name!r}; known: {', '.join(SEGMENTATION_READERS)}")
    return SEGMENTATION_READERS[name](Release(Path(root), remedy))


def hold_out(maps: Maps, fraction: float, seed: int) -> tuple[Maps, Maps]:
    """Divide a training part into (kept, held out), not stratified; both keep the order of `maps`.

    For releases without a part for validation; see `labelled.divide`. Raises UserError unless 0 < fraction < 1.
    """
    kept, held = divide({0: range(len(maps))}, fraction, seed)
    return maps.select(kept), maps.select(held)


Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Decoder:
    """Reads a map file and replaces each value v in it by `targets[v]`; see `Segmentation.decode`.

    `values`: path to the stored integers (H, W), >= 0; raises UserError for a damaged file.
    `unlisted`: names of values that are classes of the release, but not of this copy of it.
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
        return Release(path.parent, self.remedy).error(path.name, what)


def _png_values(path: Path) -> Values:
    return load_indices(path).numpy()


def _mat_values(remedy: str, path: Path) -> Values:
    return Release(path.parent, remedy).matrix(path.name, "LabelMap")


def read_pascal_context(release: Release) -> Segmentation:
    """Read PASCAL-Context from the folder that holds VOCdevkit/VOC2010, or from VOC2010 itself (protocol 1.6).

    Images: JPEGImages/<id>.jpg. Labels: SegmentationClassContext/<id>.png (0: no label; k: class k-1 of the 59)
    with the lists ImageSets/SegmentationContext/{train,val}.txt; else the authors' trainval/<id>.mat, beside
    VOCdevkit or in VOC2010 (LabelMap, of whose 459 numbers 400 have no label here), with ImageSets/Main/.
    classes.txt in VOC2010, one name a line, is for a subset: its classes, in the order of the 59, are 0 .. C-1.
    Trains on VOC's train part and tests on its val, as published: 4,998 and 5,105 images.
    """
    base = "VOCdevkit/VOC2010/" if (release.root / "VOCdevkit/VOC2010").is_dir() else ""
    classes = _pascal_classes(release, f"{base}classes.txt")
    folder = _first_folder(release, (f"{base}SegmentationClassContext", f"{base}trainval", "trainval"))
    if folder.endswith("trainval"):
        lists, suffix = "Main", "mat"
        values = partial(_mat_values, release.remedy)
        decode = _pascal_decoder(values, PASCAL_IDS, _LAST_PASCAL_ID + 1, classes, release.remedy)
    else:
        lists, suffix = "SegmentationContext", "png"
        decode = _pascal_decoder(_png_values, range(1, 60), 60, classes, release.remedy)
    train, test = (
        _pascal_part(
            release, f"{base}ImageSets/{lists}/{part}.txt", f"{base}JPEGImages/{{}}.jpg", f"{folder}/{{}}.{suffix}"
        )
        for part in ("train", "val")
    )
    return _assemble("pascal_context", release, classes, train, None, test, decode)


def _pascal_part(release: Release, file: str, image: str, labels: str) -> Maps:
    """Return what a list of ids names; `image` and `labels` are patterns of the two paths."""
    found = [
        tuple(release.image(pattern.format(entry.value), file, entry.line) for pattern in (image, labels))
        for entry in release.lines(file)
    ]
    return Maps(*map(tuple, zip(*found, strict=True)))


def _first_folder(release: Release, folders: tuple[str, ...]) -> str:
    for folder in folders:
        if (release.root / folder).is_dir():
            return folder
    raise release.error("", f"has no folder of labels ({' or '.join(dict.fromkeys(folders))})")


def _pascal_classes(release: Release, file: str) -> tuple[str, ...]:
    if not (release.root / file).exists():
        return PASCAL_CLASSES
    listed = release.names(file)
    for name in listed:
        if name not in PASCAL_CLASSES:
            raise release.error(file, f"{quoted(name)} is none of the 59 classes")
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


def read_camvid(release: Release) -> Segmentation:
    """Read CamVid as SegNet's authors released it: 11 classes, 367 / 101 / 233 images.

    {train,val,test}.txt name an image and its map a line, below /SegNet/CamVid/ or relative to the folder;
    grey value 11 is void.
    """
    train, val, test = (_camvid_part(release, f"{part}.txt") for part in ("train", "val", "test"))
    decode = Decoder(_png_values, (*range(len(CAMVID_CLASSES)), IGNORED), {}, release.remedy)
    return _assemble("camvid", release, CAMVID_CLASSES, train, val, test, decode)


def _camvid_part(release: Release, file: str) -> Maps:
    found = [
        tuple(release.image(text.removeprefix(_CAMVID_PREFIX), file, entry.line) for text in (name, entry.value))
        for name, entry in release.pairs(file).items()
    ]
    return Maps(*map(tuple, zip(*found, strict=True)))


def _assemble(
    name: str,
    release: Release,
    classes: tuple[str, ...],
    train: Maps,
    val: Maps | None,
    test: Maps,
    decode: Decode,
) -> Segmentation:
    """Check that no part is empty and that no file is listed twice, be it as an image or as a map."""
    data = Segmentation(name, classes, train, val, test, decode)
    check_listed(release, {part: (*maps.images, *maps.maps) for part, maps in data.parts.items()})
    return data


SEGMENTATION_READERS: Mapping[str, Callable[[Release], Segmentation]] = MappingProxyType(
    {"pascal_context": read_pascal_context, "camvid": read_camvid}
)
