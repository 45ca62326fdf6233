"""Earth Mover's Distance between two sets of classes, and similarity (docs/protocols/dstl.md#similarity)."""

from __future__ import annotations

import numpy as np
import ot
from numpy.typing import NDArray

from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.utils.errors import UserError

__all__ = ["distances", "emd", "similarity", "single_class_distances"]

_CLOSE = 1e-4
_ITERATIONS = 10_000_000

Array = NDArray[np.float64]


def distances(a: Domain, b: Domain) -> Array:
    """Euclidean distances between the class means, (len(a), len(b)).

    By one matrix product, which rounds off where points are close by their norms; those are taken again one by one.

    Raises:
        UserError: the features have different lengths.
    """
    if a.features.shape[1] != b.features.shape[1]:
        raise UserError(
            f"{a.name} and {b.name} have features of length {a.features.shape[1]} and {b.features.shape[1]}: "
            "make both with one network"
        )
    centre = b.features.mean(0)
    left, right = a.features - centre, b.features - centre
    norms = np.square(left).sum(1)[:, None] + np.square(right).sum(1)
    squared = norms - 2 * left @ right.T
    rows, columns = np.nonzero(squared < _CLOSE * norms)
    for start in range(0, len(rows), 4096):
        i, j = rows[start : start + 4096], columns[start : start + 4096]
        squared[i, j] = np.square(a.features[i] - b.features[j]).sum(1)
    result: Array = np.sqrt(squared.clip(min=0))
    return result


def emd(a: Domain, b: Domain) -> float:
    """The least mean distance over which the weight of one set is moved onto the other's: a linear programme.

    Raises:
        UserError: features of different lengths, or the solver does not finish.
    """
    cost, log = ot.emd2(a.weights, b.weights, distances(a, b), numItermax=_ITERATIONS, log=True)
    if log["warning"] is not None:
        raise UserError(f"the distance of {a.name} and {b.name} was not found: {log['warning']}")
    return float(cost)


def single_class_distances(source: Domain, target: Domain) -> Array:
    """The distance of each source class alone from the whole target, (len(source),).

    All weight moves from one point, so the linear programme has one solution: sum_t w_t |f_s - f_t|.

    Raises:
        UserError: features of different lengths.
    """
    result: Array = distances(source, target) @ target.weights
    return result


def similarity(distance: Array | float, gamma: float) -> Array:
    """exp(-gamma distance), in (0, 1]; DSTL's gamma is 0.01."""
    return np.exp(-gamma * np.asarray(distance, dtype=np.float64))
