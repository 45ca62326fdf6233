"""Which source classes are nearest to some targets: the greedy selection of DSTL (protocol 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.source_selection.emd import similarity, single_class_distances
from l2sp_suite.utils.errors import UserError

__all__ = ["Chosen", "check_k", "chosen_classes", "nearest"]


@dataclass(frozen=True)
class Chosen:
    """A source class that is among the nearest to a target: `rank` from 1, similarity of the class alone, in (0, 1]."""

    target: str
    rank: int
    source: str
    similarity: float
    images: int


def check_k(k: int, target: str, source: str, classes: int) -> None:
    """Refuses a number of classes that a source cannot give.

    Raises:
        UserError: `k` is not in 1 .. classes.
    """
    if not 1 <= k <= classes:
        raise UserError(f"k={k} for {target}: the source {source} has {classes} classes; give 1 to that many")


def nearest(source: Domain, target: Domain, k: int, gamma: float) -> list[Chosen]:
    """The `k` source classes that are most similar to a target, each alone, the most similar first.

    Of equals the earlier in the source's order comes first.

    Raises:
        UserError: `k` is not in 1 .. len(source), or the features have different lengths.
    """
    check_k(k, target.name, source.name, len(source))
    found = similarity(single_class_distances(source, target), gamma)
    order = np.argsort(-found, kind="stable")[:k]
    return [
        Chosen(target.name, rank, source.classes[index], float(found[index]), int(source.images[index]))
        for rank, index in enumerate(order.tolist(), start=1)
    ]


def chosen_classes(source: Domain, targets: Mapping[str, Domain], k: Mapping[str, int], gamma: float) -> list[Chosen]:
    """The nearest classes of every target, by its `k`; their union is the new source, as Subset B was made.

    Raises:
        UserError: as `nearest`, or a target has no `k` or the reverse.
    """
    if set(k) != set(targets):
        odd = sorted(set(k) ^ set(targets))[0]
        raise UserError(f"{odd} is in one of targets and k only: give each target its number of classes")
    return [one for name, target in targets.items() for one in nearest(source, target, k[name], gamma)]
