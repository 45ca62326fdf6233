"""The part of a data set that a list of classes leaves."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from l2sp_suite.datasets.records import Classification, ClassificationSplit
from l2sp_suite.utils.errors import UserError

__all__ = ["keep_classes"]


def keep_classes(data: Classification, names: Sequence[str]) -> Classification:
    """The data set of these classes alone, in its own order, with dense labels.

    Raises UserError: it has no class of one of the names, or a part is left without an image.
    """
    listed = set(names)
    unknown = sorted(listed - set(data.classes))
    if unknown:
        near = get_close_matches(unknown[0], data.classes, n=1, cutoff=0.0)[0]
        raise UserError(
            f"data.classes: {data.name} has no class {unknown[0]!r} ({len(unknown)} of the list lack); "
            f"nearest: {near!r}"
        )
    kept = {label: index for index, label in enumerate(i for i, name in enumerate(data.classes) if name in listed)}
    train, test = (_keep(split, kept) for split in (data.train, data.test))
    if not train or not test:
        raise UserError(f"data.classes: {data.name} has no {'test' if train else 'training'} image of these classes")
    return Classification(data.name, tuple(data.classes[label] for label in kept), train, test)


def _keep(split: ClassificationSplit, kept: dict[int, int]) -> ClassificationSplit:
    part = split.select(index for index, label in enumerate(split.labels) if label in kept)
    return ClassificationSplit(part.paths, tuple(kept[label] for label in part.labels))
