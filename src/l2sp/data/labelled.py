"""Labelled images as every reader returns them, and what can be done with them before an image is opened."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp.data.release import Release
from l2sp.data.seeding import permutation
from l2sp.errors import UserError

__all__ = ["Classification", "Split", "assemble", "check_counts", "digest", "hold_out"]

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Classification:
    """A classification data set: `classes[c]` is the name of label c."""

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split


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
    for part, samples in (("training", train), ("test", test)):
        if not samples:
            raise release.error("", f"has no {part} image")
    repeated, times = Counter(path for path, _ in (*train, *test)).most_common(1)[0]
    if times > 1:
        raise release.error(repeated, f"is listed {times} times in train and test together")
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


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Divide a training split into (kept, held out), stratified by class; both keep the order of `split`.

    Of a class with n images round(fraction * n) are held out, but at least one (if n >= 2) and at most n - 1.
    A pure function of its arguments (docs: protocol 8, rows 22 and 25).
    Raises UserError unless 0 < fraction < 1.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the fraction held out must lie between 0 and 1, found {fraction}")
    members: dict[int, list[int]] = {}
    for index, label in enumerate(split.labels):
        members.setdefault(label, []).append(index)
    held: set[int] = set()
    for label, indices in members.items():
        count = min(max(1, round(fraction * len(indices))), len(indices) - 1)
        held.update(indices[position] for position in permutation(len(indices), seed, label)[:count])
    return _select(split, [i for i in range(len(split)) if i not in held]), _select(split, sorted(held))


def _select(split: Split, indices: Sequence[int]) -> Split:
    return Split(tuple(split.paths[i] for i in indices), tuple(split.labels[i] for i in indices))


def digest(data: Classification, root: Path) -> str:
    """sha256 (hex) of what a run sees of a data set: part, label, path below `root` and size of every image."""
    lines = sorted(
        f"{part} {label} {path.relative_to(root).as_posix()} {path.stat().st_size}"
        for part, split in (("train", data.train), ("test", data.test))
        for path, label in zip(split.paths, split.labels, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_counts(found: Classification, official: Mapping[str, int]) -> str | None:
    """Compare with the official numbers, {"classes", "train", "test"} (docs: protocol 3.5).

    Returns a line that says how `found` differs (a subset is fine, but must not pass for the whole), or None.
    """
    counts = {"classes": len(found.classes), "train": len(found.train), "test": len(found.test)}
    unknown = sorted(set(official) - set(counts))
    if unknown:
        raise ValueError(f"official counts of unknown things: {unknown}")
    wrong = [key for key, number in official.items() if counts[key] != number]
    differing = [f"{counts[key]} {key} (official {official[key]})" for key in wrong]
    return f"{found.name} is not the official release: {', '.join(differing)}" if differing else None
