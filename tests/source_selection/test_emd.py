"""The distance against scipy's linear programme, its invariances, and the closed form for a single class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.source_selection.emd import distances, emd, similarity, single_class_distances
from l2sp_suite.utils.errors import UserError


def domain(name: str, rng: np.random.Generator, classes: int, length: int = 5, spread: float = 1.0) -> Domain:
    features = rng.normal(0, spread, (classes, length)) + rng.normal(0, 3, length)
    return Domain(name, tuple(f"{name}{k}" for k in range(classes)), features, rng.integers(1, 50, classes))


seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 7)


def by_linear_programme(a: Domain, b: Domain) -> float:
    """Minimise sum c_ij f_ij subject to the flows out of i and into j being the weights."""
    cost = cdist(a.features, b.features)
    rows, columns = cost.shape
    out = np.kron(np.eye(rows), np.ones(columns))
    into = np.kron(np.ones(rows), np.eye(columns))
    solution = linprog(cost.ravel(), A_eq=np.vstack([out, into])[:-1], b_eq=np.concatenate([a.weights, b.weights])[:-1])
    assert solution.success
    return float(solution.fun)


@settings(deadline=None)
@given(seeds, sizes, sizes)
def test_equal_to_scipys_linear_programme(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = domain("a", rng, rows), domain("b", rng, columns)
    assert emd(a, b) == pytest.approx(by_linear_programme(a, b), abs=1e-9, rel=1e-9)


@settings(deadline=None)
@given(seeds, sizes, sizes)
def test_symmetric_and_blind_to_the_order_of_classes(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = domain("a", rng, rows), domain("b", rng, columns)
    assert emd(a, b) == pytest.approx(emd(b, a), abs=1e-9)
    shuffled = a.select(rng.permutation(rows).tolist())
    assert emd(shuffled, b) == pytest.approx(emd(a, b), abs=1e-9)
    assert emd(a, a) == emd(a, shuffled) == 0


@settings(deadline=None)
@given(seeds, sizes, sizes)
def test_a_single_class_has_a_closed_form(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = domain("s", rng, rows), domain("t", rng, columns)
    alone = [by_linear_programme(source.select([k]), target) for k in range(rows)]
    np.testing.assert_allclose(single_class_distances(source, target), alone, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(seeds, st.floats(1e-9, 1e3), st.floats(0, 1e6))
def test_distances_are_exact_near_and_far(seed: int, spread: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    a = domain("a", rng, 6, spread=spread)
    a = Domain("a", a.classes, a.features + offset, a.images)
    b = Domain("b", a.classes[:4], a.features[:4] * (1 + 1e-12), a.images[:4])
    expected = cdist(a.features, b.features)
    np.testing.assert_allclose(distances(a, b), expected, rtol=1e-9, atol=1e-12 * (1 + offset))


def test_similarity_is_that_of_the_published_notebook() -> None:
    assert similarity(57.532, 0.01) == pytest.approx(
        0.5625, abs=5e-5
    )  # docs/protocols/dstl.md#similarity: ImageNet and CUB
    values: NDArray[np.float64] = similarity(np.array([42.961, 61.340, 37.703]), 0.01)
    np.testing.assert_allclose(values, [0.651, 0.542, 0.686], atol=5e-4)  # iNat: CUB, Flowers, NABirds
    assert similarity(0.0, 0.01) == 1


def test_features_of_two_networks_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="length 5 and 6: make both with one network"):
        emd(domain("a", rng, 2, 5), domain("b", rng, 2, 6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": np.array([3, 0])}, "class y has no image"),
        ({"features": np.array([[0.0, np.nan], [1.0, 1.0]])}, "features of class x are NaN or infinite"),
        ({"features": np.array([[0.0, 1.0], [1.0, np.inf]])}, "features of class y are NaN or infinite"),
        ({"classes": ("x", "x")}, "class x is there twice"),
    ],
)
def test_what_is_no_domain_is_one_clear_line(change: dict[str, object], words: str) -> None:
    sound: dict[str, object] = {"name": "d", "classes": ("x", "y"), "features": np.eye(2), "images": np.array([1, 2])}
    with pytest.raises(UserError, match=f"^d: .*{words}"):
        Domain(**{**sound, **change})  # type: ignore[arg-type]


def test_small_classes_are_left_out() -> None:
    kept = Domain("d", ("x", "y", "z"), np.eye(3), np.array([199, 200, 500])).at_least(200)
    assert kept.classes == ("y", "z") and kept.weights.tolist() == [200 / 700, 500 / 700]
    with pytest.raises(UserError, match="no class is left"):
        kept.at_least(501)
