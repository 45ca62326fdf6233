"""The nearest classes: by hand on a line, in order, with the sizes that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.source_selection.nearest import nearest, nearest_to_each
from l2sp_suite.utils.errors import UserError


def on_a_line(name: str, points: list[float]) -> Domain:
    names = tuple(f"{name}{k}" for k in range(len(points)))
    return Domain(name, names, np.array(points)[:, None], np.arange(1, len(points) + 1))


SOURCE = on_a_line("s", [0.0, 10.0, 4.0, -3.0, 5.0])


def test_nearest_classes_in_order() -> None:
    entries = nearest(SOURCE, on_a_line("t", [4.0, 6.0]), 3, gamma=0.1)
    # Weights 1/3 and 2/3: the distances are 16/3, 14/3, 4/3, 25/3, 1.
    assert [(entry.source, entry.rank, entry.images) for entry in entries] == [("s4", 1, 5), ("s2", 2, 3), ("s1", 3, 2)]
    np.testing.assert_allclose([entry.similarity for entry in entries], np.exp(-0.1 * np.array([1, 4 / 3, 14 / 3])))


def test_equals_keep_the_sources_order() -> None:
    source = on_a_line("s", [1.0, -1.0, 1.0])
    assert [entry.source for entry in nearest(source, on_a_line("t", [0.0]), 3, 0.01)] == ["s0", "s1", "s2"]


def test_union_over_targets_with_sizes_of_their_own() -> None:
    targets = {"low": on_a_line("low", [-1.0]), "high": on_a_line("high", [9.0])}
    entries = nearest_to_each(SOURCE, targets, {"low": 2, "high": 1}, 0.01)
    assert [(entry.target, entry.source) for entry in entries] == [("low", "s0"), ("low", "s3"), ("high", "s1")]


@pytest.mark.parametrize("k", [0, 6])
def test_more_classes_than_there_are_is_an_error(k: int) -> None:
    with pytest.raises(UserError, match=f"k={k} for t: the source s has 5 classes"):
        nearest(SOURCE, on_a_line("t", [0.0]), k, 0.01)


def test_the_published_size_is_selected_as_by_the_plain_formula() -> None:
    rng = np.random.default_rng(0)
    sizes = {"source": 6089, "target": 200}
    source, target = (
        Domain(name, tuple(f"{name}{i}" for i in range(n)), rng.normal(size=(n, 256)), rng.integers(200, 1300, n))
        for name, n in sizes.items()
    )
    plain = cdist(source.features, target.features) @ (target.images / target.images.sum())
    first = np.argsort(plain, kind="stable")[:400]
    entries = nearest(source, target, 400, 0.01)
    assert [entry.source for entry in entries] == [source.classes[index] for index in first]
    np.testing.assert_allclose([entry.similarity for entry in entries], np.exp(-0.01 * plain[first]), rtol=1e-12)
