"""Drawing: geometry, masks and boxes, classes and their closeness."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from miniworld.categories import FAMILIES, Individual
from miniworld.geometry import Array, Pose, whole
from miniworld.paint import PATTERNS, Texture, stream
from miniworld.render import photograph
from miniworld.samples import Sample, draw_sample, traits_of
from miniworld.scene import Placed, compose
from miniworld.traits import class_traits, individual, trait_distance

from miniworld import Recipe

LIGHT = (0.0, -0.5, math.sqrt(0.75))
few = settings(max_examples=25, deadline=None)


def _someone(family: str, seed: int, variation: float = 0.05) -> Individual:
    rng = stream("test", family, seed)
    names = FAMILIES[family].names
    return Individual(FAMILIES[family], individual(names, rng.uniform(-1, 1, len(names)), rng, variation))


@few
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 10**6), st.floats(0.0, 1.5))
def test_box_is_the_smallest_that_contains_the_mask(family: str, seed: int, nuisance: float) -> None:
    photo = photograph(_someone(family, seed), stream(seed), 64, nuisance)
    left, top, right, bottom = photo.box
    inside = photo.mask > 0.5
    assert inside.any()
    assert inside[top:bottom, left:right].sum() == inside.sum()
    assert inside[top].any() and inside[bottom - 1].any()
    assert inside[:, left].any() and inside[:, right - 1].any()


@few
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 10**6))
def test_objects_stay_within_their_reach(family: str, seed: int) -> None:
    one = _someone(family, seed, 0.5)
    left, top, right, bottom = one.reach
    line = np.linspace(-2, 2, 121, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    alpha = one.paint(u, v, 0.03, LIGHT).alpha
    outside = (u < left) | (u > right) | (v < top) | (v > bottom)
    assert float(alpha[outside].max()) < 0.05
    assert float(alpha.max()) > 0.99


@few
@given(
    st.floats(-3.2, 3.2),
    st.floats(5.0, 60.0),
    st.floats(0.5, 1.0),
    st.booleans(),
    st.floats(-0.15, 0.15),
    st.floats(-0.15, 0.15),
)
def test_pose_is_inverted_exactly(
    angle: float, scale: float, squeeze: float, mirror: bool, kx: float, ky: float
) -> None:
    pose = Pose(30.0, 25.0, scale, angle, squeeze, mirror, (kx, ky))
    line = np.linspace(-1, 1, 7, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    x, y = pose.to_image(u, v)
    window = pose.bounds((-1, -1, 1, 1), 10_000, 10_000)
    inside = (x >= 0) & (y >= 0)
    assert (x[inside] >= window.left).all() and (x[inside] <= window.right).all()
    assert (y[inside] >= window.top).all() and (y[inside] <= window.bottom).all()
    gu, gv = pose.to_canonical(whole(50, 60))
    back_x, back_y = pose.to_image(gu, gv)
    near = (np.abs(gu) < 2) & (np.abs(gv) < 2)
    px, py = whole(50, 60).centres()
    assert np.abs(back_x - px)[near].max(initial=0) < 0.02
    assert np.abs(back_y - py)[near].max(initial=0) < 0.02


def test_light_turns_against_the_object() -> None:
    pose = Pose(0, 0, 1.0, angle=math.pi / 2)
    x, y, z = pose.light((1.0, 0.0, 0.0))
    assert (round(x, 6), round(y, 6), z) == (0.0, -1.0, 0.0)


@pytest.mark.parametrize("kind", PATTERNS)
def test_textures_lie_between_zero_and_one(kind: str) -> None:
    x, y = np.meshgrid(np.linspace(-1e6, 1e6, 40, dtype=np.float32), np.linspace(-1, 1, 40, dtype=np.float32))
    mask = Texture(kind, 4.0, 0.3, 0.2).mask(x, y)
    assert mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1


def test_front_object_hides_the_one_behind() -> None:
    pose = Pose(32, 32, 25.0)
    items = [Placed(_someone("dish", 1), pose), Placed(_someone("dish", 2), pose)]
    picture = compose(np.zeros((3, 64, 64), dtype=np.float32), items, LIGHT)
    assert float(picture.full[0].sum()) > 100
    assert float((picture.seen[0] * (picture.full[1] > 0.99)).max()) < 0.02
    assert np.array_equal(picture.seen[1], picture.full[1])
    assert float(picture.seen.sum(axis=0).max()) <= 1.0001


def test_object_out_of_view_changes_nothing() -> None:
    background: Array = np.full((3, 32, 32), 0.4, dtype=np.float32)
    picture = compose(background, [Placed(_someone("fish", 1), Pose(900, 900, 10.0), 0.5)], LIGHT)
    assert np.array_equal(picture.image, background) and not picture.full.any()


def test_spread_sets_the_distance_of_classes() -> None:
    gaps = [trait_distance(class_traits(0, "x", 24, 20, spread, 0.3)) for spread in (0.1, 0.2, 0.4, 0.8)]
    assert all(2.1 > b / a > 1.5 for a, b in pairwise(gaps))


def test_sets_of_one_family_hold_different_classes() -> None:
    recipe = Recipe()
    cub, nabirds = (traits_of(recipe, name, "bird") for name in ("cub200", "nabirds"))
    source = traits_of(recipe, "source", "bird")
    assert source.shape[0] == 10
    for a, b in ((cub, nabirds), (cub, source), (nabirds, source)):
        assert np.linalg.norm(a[:, None] - b[None], axis=-1).min() > 0.5


def test_a_sample_does_not_depend_on_the_sizes_of_its_set() -> None:
    small = Recipe.tiny()
    larger = dataclasses.replace(small, source=dataclasses.replace(small.source, train=9, val=5))
    sample = Sample("source", 4, "val", 1)
    assert np.array_equal(draw_sample(small, sample).image, draw_sample(larger, sample).image)


def _features(image: np.ndarray) -> np.ndarray:
    """Mean colour on a coarse grid and the spread of colour: no learning, no shape."""
    grid = image.reshape(4, image.shape[0] // 4, 4, image.shape[1] // 4, 3).astype(np.float64) / 255
    return np.concatenate([grid.mean(axis=(1, 3)).ravel(), grid.std(axis=(1, 3)).ravel()])


def _nearest_mean(spread: float, nuisance: float, classes: int = 10) -> float:
    """Test accuracy of the nearest class mean on classes of dishes, 12 train and 12 test images each."""
    family = FAMILIES["dish"]
    kinds = class_traits(5, "probe", len(family.names), classes, spread, 0.0)

    def shot(label: int, index: int) -> np.ndarray:
        rng = stream("probe", label, index)
        return _features(
            photograph(Individual(family, individual(family.names, kinds[label], rng, 0.05)), rng, 64, nuisance).image
        )

    train = np.stack([[shot(k, i) for i in range(12)] for k in range(classes)]).mean(axis=1)
    test = np.stack([[shot(k, 100 + i) for i in range(12)] for k in range(classes)])
    guess = np.linalg.norm(test[:, :, None] - train[None, None], axis=-1).argmin(axis=-1)
    return float((guess == np.arange(classes)[:, None]).mean())


def test_closer_classes_and_more_clutter_are_harder() -> None:
    far, close, plain = _nearest_mean(1.0, 0.5), _nearest_mean(0.1, 0.5), _nearest_mean(1.0, 0.05)
    assert far > 0.2  # chance is 0.1
    assert plain > far > close
