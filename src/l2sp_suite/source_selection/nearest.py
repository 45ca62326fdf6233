"""The source classes nearest to some targets: DSTL's greedy selection (docs/protocols/dstl.md#greedy-selection)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from l2sp_suite.datasets import label_of, superclass_of
from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.source_selection.emd import similarity, single_class_distances
from l2sp_suite.utils.errors import UserError

__all__ = ["Nearest", "check_k", "nearest", "nearest_to_each"]


@dataclass(frozen=True)
class Nearest:
    """A source class and how near it alone is to a target."""

    target: str  # the target's name
    rank: int  # among the source's classes, from 1
    source: str  # the class's name
    similarity: float  # in (0, 1]
    images: int  # of the class

    @property
    def label(self) -> str:
        """The class's name for people."""
        return label_of(self.source)

    @property
    def superclass(self) -> str:
        """What kind of thing the class is."""
        return superclass_of(self.source)


def check_k(k: int, target: str, source: str, classes: int) -> None:
    """Refuses a number of classes that a source cannot give.

    Raises:
        UserError: `k` is not in 1 .. classes.
    """
    if not 1 <= k <= classes:
        raise UserError(f"k={k} for {target}: the source {source} has {classes} classes; give 1 to that many")


def nearest(source: Domain, target: Domain, k: int, gamma: float) -> list[Nearest]:
    """The `k` source classes that are most similar to a target, each alone, the most similar first.

    Of equals the earlier in the source's order comes first.

    Raises:
        UserError: `k` is not in 1 .. len(source), or the features have different lengths.
    """
    check_k(k, target.name, source.name, len(source))
    similarities = similarity(single_class_distances(source, target), gamma)
    order = np.argsort(-similarities, kind="stable")[:k]
    return [
        Nearest(target.name, rank, source.classes[index], float(similarities[index]), int(source.images[index]))
        for rank, index in enumerate(order.tolist(), start=1)
    ]


def nearest_to_each(source: Domain, targets: Mapping[str, Domain], k: Mapping[str, int], gamma: float) -> list[Nearest]:
    """The nearest classes of every target, by its `k`; their union is the new source, as Subset B was made.

    Raises:
        UserError: as `nearest`.
    """
    return [item for name, target in targets.items() for item in nearest(source, target, k[name], gamma)]
