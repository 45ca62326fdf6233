"""Labelled images as every reader returns them, and what can be done with data before an image is opened.

What does not depend on the kind of label (`check_counts`, `check_listed`, `digest`, `divide`) serves every kind.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from l2sp_suite.datasets.layout import Release
from l2sp_suite.datasets.seeding import permutation
from l2sp_suite.utils.errors import UserError

__all__ = [
    "Classification", "DataSet", "Split", "assemble", "check_counts", "check_listed", "combined", "differences",
    "digest", "divide", "hold_out",
]  # fmt: skip

logger = logging.getLogger(__name__)


class DataSet(Protocol):
    """What a data set of any kind tells of itself."""

    @property
    def name(self) -> str:
        """Its key among the readers."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of things by name, at least of the items of each part ("train", "test")."""

    def facts(self, root: Path) -> Iterable[str]:
        """Lines, in any order, of all that a run sees of it; paths in them are below `root`."""


@dataclass(frozen=True)
class Split:
    """Images and their labels: `paths[i]` shows class `labels[i]`, in 0 .. C-1."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.labels):
            raise ValueError(f"{len(self.paths)} paths but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, indices: Iterable[int]) -> Split:
        """Return the images at `indices`, in their order."""
        chosen = list(indices)
        return Split(tuple(self.paths[i] for i in chosen), tuple(self.labels[i] for i in chosen))


@dataclass(frozen=True)
class Classification:
    """A classification data set: `classes[c]` is the name of label c."""

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of classes and of images by part."""
        return {"classes": len(self.classes), "train": len(self.train), "test": len(self.test)}

    def facts(self, root: Path) -> Iterable[str]:
        """Part, label, path below `root` and size in bytes of every image."""
        for part, split in (("train", self.train), ("test", self.test)):
            for path, label in zip(split.paths, split.labels, strict=True):
                yield f"{part} {label} {path.relative_to(root).as_posix()} {path.stat().st_size}"


def assemble(
    name: str,
    release: Release,
    names: Mapping[int, str],
    train: Sequence[tuple[Path, int]],
    test: Sequence[tuple[Path, int]],
) -> Classification:
    """Make labels dense: the labels that occur in train or test, in ascending order, become 0 .. C-1.

    `names` maps every label that the release knows to its class name. A remapping is logged; so are classes
    that only the test part has, which are kept: dropping them would flatter the accuracy.
    Raises UserError if a part is empty or an image is listed twice (in both parts, it would leak).
    """
    check_listed(release, {"training": [path for path, _ in train], "test": [path for path, _ in test]})
    present = sorted({label for _, label in (*train, *test)})
    dense = {label: position for position, label in enumerate(present)}
    if len(present) < len(names):
        logger.info(
            "%s: %d of %d labels present, remapped to 0..%d",
            name,
            len(present),
            len(names),
            dense[present[-1]],
        )
    unseen = [names[label] for label in sorted({label for _, label in test} - {label for _, label in train})]
    if unseen:
        some = ", ".join(unseen[:5])
        logger.warning("%s: no training image of %d classes, among them %s", name, len(unseen), some)
    parts = [
        Split(tuple(path for path, _ in samples), tuple(dense[label] for _, label in samples))
        for samples in (train, test)
    ]
    return Classification(name, tuple(names[label] for label in present), *parts)


def check_listed(release: Release, parts: Mapping[str, Sequence[Path]]) -> None:
    """Raise UserError if a part lists no file, or if a file is listed twice (in two parts, it would leak)."""
    for part, paths in parts.items():
        if not paths:
            raise release.error("", f"has no {part} image")
    repeated, times = Counter(chain.from_iterable(parts.values())).most_common(1)[0]
    if times > 1:
        raise release.error(repeated, f"is listed {times} times in {' and '.join(parts)} together")


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Divide a training split into (kept, held out), stratified by class; both keep the order of `split`.

    See `divide` (docs: protocol 8, rows 22 and 25). Raises UserError unless 0 < fraction < 1.
    """
    members: dict[int, list[int]] = {}
    for index, label in enumerate(split.labels):
        members.setdefault(label, []).append(index)
    kept, held = divide(members, fraction, seed)
    return split.select(kept), split.select(held)


def divide(groups: Mapping[int, Sequence[int]], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Divide the indices of disjoint groups into (kept, held out), both ascending.

    Of a group of n round(fraction * n) are held out, but at least one (if n >= 2) and at most n - 1.
    A pure function of its arguments. Raises UserError unless 0 < fraction < 1.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the fraction held out must lie between 0 and 1, found {fraction}")
    held: set[int] = set()
    for key, indices in groups.items():
        count = min(max(1, round(fraction * len(indices))), len(indices) - 1)
        held.update(indices[position] for position in permutation(len(indices), seed, key)[:count])
    return sorted(set(chain.from_iterable(groups.values())) - held), sorted(held)


def digest(data: DataSet, root: Path) -> str:
    """sha256 (hex) of what a run sees of a data set: its facts, such as label, path and size of every image."""
    return hashlib.sha256("\n".join(sorted(data.facts(root))).encode()).hexdigest()


def check_counts(
    found: DataSet, official: Mapping[str, int], at_least: Mapping[str, int] = MappingProxyType({})
) -> str | None:
    """Compare with the official numbers and bounds, by the names of `found.counts` (docs: protocol 3.5, 1.6).

    Returns a line that says how `found` differs (a subset is fine, but must not pass for the whole), or None.
    Raises UserError for a name that `found` does not count.
    """
    counts = found.counts
    unknown = sorted({*official, *at_least} - set(counts))
    if unknown:
        raise UserError(
            f"data.official, data.at_least: {found.name} counts {', '.join(counts)}, not {', '.join(unknown)}"
        )
    wrong = differences(counts, official, at_least)
    differing = [f"{counts[key]:,} {key} (official {told})" for key, told in wrong.items()]
    return f"{found.name} is not the official release: {', '.join(differing)}" if differing else None


def differences(counts: Mapping[str, int], official: Mapping[str, int], at_least: Mapping[str, int]) -> dict[str, str]:
    """By name the official numbers and bounds, as a person reads them, that `counts` does not agree with."""
    wrong = {key: f"{number:,}" for key, number in official.items() if counts[key] != number}
    return wrong | {key: f"{number:,} or more" for key, number in at_least.items() if counts[key] < number}


def combined(digests: Sequence[str]) -> str:
    """One digest for several data sets, in their order; that of a single one is its own."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
