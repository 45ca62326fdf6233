"""What readers return: data sets of three kinds, their parts, and what is done with them before a file is opened."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal, Self, TypeVar

from l2sp_suite.datasets.images import Decode, Files, image_size
from l2sp_suite.datasets.layout import DatasetLayout
from l2sp_suite.datasets.seeding import permutation
from l2sp_suite.utils.errors import UserError

__all__ = [
    "Classification", "ClassificationSplit", "DataSet", "Segmentation", "SegmentationSplit", "Split", "Video",
    "VideoSplit", "assemble", "check_counts", "check_listed", "combined", "differences", "digest", "hold_out",
]  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """The examples of one part of a data set, as columns of one length."""

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of different lengths: {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    @property
    def _columns(self) -> dict[str, tuple[Any, ...]]:
        return {column.name: getattr(self, column.name) for column in fields(self)}

    @property
    def files(self) -> tuple[Files, ...]:
        """The files of each example, which are its key in a `Cache`."""
        raise NotImplementedError

    def labels_of(self, index: int) -> tuple[str, ...]:
        """What a digest has to say of an example beside its files."""
        return ()

    def strata(self) -> Mapping[int, Sequence[Sequence[int]]]:
        """The groups of examples, by index, that `hold_out` draws from, by stratum.

        A group is never divided.
        """
        return {0: [[index] for index in range(len(self))]}

    def select(self, indices: Iterable[int]) -> Self:
        """The examples at `indices`, in their order."""
        chosen = list(indices)
        return replace(self, **{name: tuple(column[i] for i in chosen) for name, column in self._columns.items()})


@dataclass(frozen=True)
class ClassificationSplit(Split):
    """Labelled images: `paths[i]` shows class `labels[i]`, in 0 .. C-1."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    @property
    def files(self) -> tuple[Files, ...]:
        """The image of each example."""
        return tuple((path,) for path in self.paths)

    def labels_of(self, index: int) -> tuple[str, ...]:
        """The class."""
        return (str(self.labels[index]),)

    def strata(self) -> Mapping[int, Sequence[Sequence[int]]]:
        """The images of each class, one by one."""
        members: dict[int, list[list[int]]] = {}
        for index, label in enumerate(self.labels):
            members.setdefault(label, []).append([index])
        return members


@dataclass(frozen=True)
class SegmentationSplit(Split):
    """Images with label maps: the labels of `images[i]` are in file `maps[i]`."""

    images: tuple[Path, ...]
    maps: tuple[Path, ...]

    @property
    def files(self) -> tuple[Files, ...]:
        """Image and map of each example."""
        return tuple(zip(self.images, self.maps, strict=True))


@dataclass(frozen=True)
class VideoSplit(Split):
    """Pairs of frames: pair i is of clip `sequences[i]`.

    The pairs of a clip are neighbours, in order of time.
    `first[i]`: frame at time t; `second[i]`: the frame that the motion goes to, at t + 1 or t - 1;
    `truth[i]`: the mask of the first, or the flow from the first to the second.
    """

    first: tuple[Path, ...]
    second: tuple[Path, ...]
    truth: tuple[Path, ...]
    sequences: tuple[str, ...]

    @property
    def clips(self) -> tuple[str, ...]:
        """The names of the clips, each once, in order."""
        return tuple(dict.fromkeys(self.sequences))

    @property
    def files(self) -> tuple[Files, ...]:
        """First frame, second frame and truth of each pair."""
        return tuple(zip(self.first, self.second, self.truth, strict=True))

    def labels_of(self, index: int) -> tuple[str, ...]:
        """The clip."""
        return (self.sequences[index],)

    def strata(self) -> Mapping[int, Sequence[Sequence[int]]]:
        """Whole clips, whose frames are nearly the same: one held out alone would leak."""
        clips: dict[str, list[int]] = {}
        for index, sequence in enumerate(self.sequences):
            clips.setdefault(sequence, []).append(index)
        if len(clips) < 2:
            raise UserError(
                f"cannot hold out a clip of {len(clips)}: at least 2 are needed; add clips to the training part"
            )
        return {0: list(clips.values())}


S = TypeVar("S", bound=Split)
S_co = TypeVar("S_co", bound=Split, covariant=True)


@dataclass(frozen=True)
class DataSet(Generic[S_co]):
    """A data set as read from disk.

    `name`: its reader's; `classes[c]`: the name of label c, none for videos; `val`: None where the release has none.
    """

    name: str
    classes: tuple[str, ...]
    train: S_co
    test: S_co
    val: S_co | None = None

    @property
    def parts(self) -> Mapping[str, S_co]:
        """The parts that the release has, by name."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in parts.items() if split is not None}

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of classes and of examples by part."""
        return {"classes": len(self.classes), **{name: len(split) for name, split in self.parts.items()}}

    def facts(self, root: Path) -> Iterable[str]:
        """All that a run sees, as lines in any order.

        Labels, paths below `root` and sizes in bytes.
        """
        for part, split in self.parts.items():
            for index, paths in enumerate(split.files):
                files = (f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in paths)
                yield " ".join((part, *split.labels_of(index), *files))


@dataclass(frozen=True)
class Classification(DataSet[ClassificationSplit]):
    """A data set of labelled images."""


@dataclass(frozen=True)
class Segmentation(DataSet[SegmentationSplit]):
    """A data set of images with label maps.

    `decode` reads a map as uint8 (H, W) of labels 0 .. C-1 and 255 (no label).
    `decode` can be pickled, and raises UserError for a file that is damaged or has a value that its release does not
    define.
    """

    decode: Decode = field(kw_only=True)

    def facts(self, root: Path) -> Iterable[str]:
        """The classes too, for the maps hold their numbers."""
        yield from (f"class {label} {name}" for label, name in enumerate(self.classes))
        yield from super().facts(root)


@dataclass(frozen=True)
class Video(DataSet[VideoSplit]):
    """A data set of videos: `decode` reads a file of truth.

    Kind "mask": as uint8 (H, W), 1 on the object and 0 elsewhere. Kind "flow": as float32 (3, H, W): motion to the
    right and down in pixels, and 1 where it is known, else 0. `decode` can be pickled, and raises UserError for a file
    that is damaged or of another kind.
    """

    kind: Literal["mask", "flow"] = field(kw_only=True)
    decode: Decode = field(kw_only=True)

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of pairs and sequences by part; height and width of the first frame."""
        sequences = {f"{name}_sequences": len(split.clips) for name, split in self.parts.items()}
        height, width = image_size(self.train.first[0])
        pairs = {name: len(split) for name, split in self.parts.items()}
        return {**pairs, **sequences, "height": height, "width": width}


def assemble(
    name: str,
    layout: DatasetLayout,
    names: Mapping[int, str],
    train: Sequence[tuple[Path, int]],
    test: Sequence[tuple[Path, int]],
) -> Classification:
    """A classification data set with dense labels.

    The labels that occur in train or test, in ascending order, become 0 .. C-1.
    `names` maps every label that the release knows to its class name. A remapping is logged; so are classes
    that only the test part has, which are kept: dropping them would flatter the accuracy.
    Raises UserError if a part is empty or an image is listed twice (in both parts, it would leak).
    """
    check_listed(layout, {"training": [path for path, _ in train], "test": [path for path, _ in test]})
    present = sorted({label for _, label in (*train, *test)})
    dense = {label: position for position, label in enumerate(present)}
    if len(present) < len(names):
        last = dense[present[-1]]
        logger.info("%s: %d of %d labels present, remapped to 0..%d", name, len(present), len(names), last)
    unseen = [names[label] for label in sorted({label for _, label in test} - {label for _, label in train})]
    if unseen:
        some = ", ".join(unseen[:5])
        logger.warning("%s: no training image of %d classes, among them %s", name, len(unseen), some)
    parts = [
        ClassificationSplit(tuple(path for path, _ in samples), tuple(dense[label] for _, label in samples))
        for samples in (train, test)
    ]
    return Classification(name, tuple(names[label] for label in present), *parts)


def check_listed(layout: DatasetLayout, parts: Mapping[str, Sequence[Path]]) -> None:
    """Raise UserError if a part lists no file, or if a file is listed twice.

    Listed in two parts, it would leak.
    """
    for part, paths in parts.items():
        if not paths:
            raise layout.error("", f"has no {part} image")
    repeated, times = Counter(chain.from_iterable(parts.values())).most_common(1)[0]
    if times > 1:
        raise layout.error(repeated, f"is listed {times} times in {' and '.join(parts)} together")


def hold_out(split: S, fraction: float, seed: int) -> tuple[S, S]:
    """Divide a training part into (kept, held out), both in its order.

    See docs: protocol 8, rows 22 and 25.
    Stratified by class for classification, by whole clips for videos. Of a stratum of n round(fraction * n) are held
    out, but at least one (if n >= 2) and at most n - 1. A pure function of its arguments.
    Raises UserError unless 0 < fraction < 1, and for fewer than two clips.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the fraction held out must lie between 0 and 1, found {fraction}")
    held: set[int] = set()
    for key, groups in split.strata().items():
        count = min(max(1, round(fraction * len(groups))), len(groups) - 1)
        held.update(chain.from_iterable(groups[i] for i in permutation(len(groups), seed, key)[:count]))
    return split.select(i for i in range(len(split)) if i not in held), split.select(sorted(held))


def digest(data: DataSet[Split], root: Path) -> str:
    """sha256 (hex) of what a run sees of a data set.

    That is its facts, such as label, path and size of every image.
    """
    return hashlib.sha256("\n".join(sorted(data.facts(root))).encode()).hexdigest()


def combined(digests: Sequence[str]) -> str:
    """One digest for several data sets, in their order; a single one keeps its own."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def check_counts(
    data: DataSet[Split], official: Mapping[str, int], at_least: Mapping[str, int] = MappingProxyType({})
) -> str | None:
    """How a data set differs from the official numbers and bounds, or None.

    By the names of `data.counts` (docs: protocol 3.5, 1.6).
    Returns a line that says how `data` differs (a subset is fine, but must not pass for the whole), or None.
    Raises UserError for a name that `data` does not count.
    """
    counts = data.counts
    unknown = sorted({*official, *at_least} - set(counts))
    if unknown:
        raise UserError(
            f"data.official, data.at_least: {data.name} counts {', '.join(counts)}, not {', '.join(unknown)}"
        )
    differing = [
        f"{counts[key]:,} {key} (official {number})" for key, number in differences(counts, official, at_least).items()
    ]
    return f"{data.name} is not the official release: {', '.join(differing)}" if differing else None


def differences(counts: Mapping[str, int], official: Mapping[str, int], at_least: Mapping[str, int]) -> dict[str, str]:
    """The official numbers and bounds that `counts` does not meet, in words, by name."""
    wrong = {key: f"{number:,}" for key, number in official.items() if counts[key] != number}
    return wrong | {key: f"{number:,} or more" for key, number in at_least.items() if counts[key] < number}
