"""Moving pictures: the flow is exact, and it is that of what the pictures show."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniworld.geometry import Array, Pose, Reach, whole
from miniworld.motion import Film, Frame, Ground, Mover, drift, zoom_about
from miniworld.paint import Layer, stream
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from l2sp_suite.datasets.video_transforms import warp
from miniworld import sequences as films
from miniworld.clips import ClipRecipe, Take, film_of, plan

LIGHT = (0.0, 0.0, 1.0)
HEIGHT, WIDTH, FRAMES = 96, 160, 4
KINDS: dict[str, Callable[[np.random.Generator], Film]] = {
    "chairs": lambda rng: films.chairs(rng, HEIGHT, WIDTH),
    "cartoon": lambda rng: films.cartoon(rng, HEIGHT, WIDTH, FRAMES),
    "near": lambda rng: films.drive(rng, HEIGHT, WIDTH, FRAMES, 0.06),
    "leave": lambda rng: films.drive(rng, HEIGHT, WIDTH, FRAMES, -0.06),
    "hero": lambda rng: films.scene_with_hero(rng, HEIGHT, WIDTH, FRAMES),
}
SEEDS = range(5)
RECIPE = ClipRecipe()
GROUPS = ("davis", "monkaa", "driving", "chairs")


@dataclass(frozen=True)
class _Disc:
    """A disc of one grey, which may show what is behind it."""

    grey: float = 0.8
    alpha: float = 1.0
    reach: Reach = (-1.0, -1.0, 1.0, 1.0)

    def paint(self, u: Array, v: Array, pixel: float, light: tuple[float, float, float]) -> Layer:
        alpha = np.where(u * u + v * v < 1, np.float32(self.alpha), np.float32(0))
        return Layer(np.float32(self.grey) * np.stack([alpha] * 3), alpha)


@lru_cache(maxsize=len(KINDS) * len(SEEDS))
def _film(kind: str, seed: int) -> tuple[Film, tuple[Frame, ...]]:
    film = KINDS[kind](stream("motion", kind, seed))
    return film, tuple(film.frame(time) for time in range(film.length))


def _scene(*movers: Mover, height: int = 40, width: int = 60) -> Film:
    """A film before a ground that stays, of a grey that no disc has."""
    ground = Ground(np.full((3, 2 * height, 2 * width), 0.25, dtype=np.float32))
    length = len(movers[0].poses) if movers else 1
    return Film(height, width, (Mover(ground, (Pose(width / 2, height / 2, height),) * length, LIGHT), *movers))


def _centres(film: Film) -> tuple[Array, Array]:
    x, y = whole(film.height, film.width).centres()
    return np.broadcast_to(x, (film.height, film.width)), np.broadcast_to(y, (film.height, film.width))


def _near_border(owner: NDArray[np.intp], reach: int) -> NDArray[np.bool_]:
    """Whether another owner's pixel is within `reach` pixels, along the axes or diagonally."""
    return maximum_filter(owner, 2 * reach + 1) != minimum_filter(owner, 2 * reach + 1)


def _landing(film: Film, flow: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the pixel to which each pixel moves, clipped to the picture."""
    x, y = _centres(film)
    column, row = (np.floor(at + d).astype(np.intp) for at, d in zip((x, y), flow, strict=True))
    return np.clip(row, 0, film.height - 1), np.clip(column, 0, film.width - 1)


def _warped(image: Array, flow: Array) -> tuple[Array, NDArray[np.bool_]]:
    moved, inside = warp(torch.from_numpy(image), torch.from_numpy(flow))
    return moved.numpy(), inside.numpy()


@settings(max_examples=60, deadline=None)
@given(
    start=st.tuples(st.floats(20, 40), st.floats(15, 25), st.floats(6, 14), st.floats(-3, 3), st.booleans()),
    step=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    turn=st.floats(-0.4, 0.4),
    zoom=st.floats(0.8, 1.25),
    times=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_steady_motion_gives_the_flow_of_its_formula(start, step, turn, zoom, times) -> None:
    *place, mirror = start
    film = _scene(Mover(_Disc(), drift(Pose(*place, mirror=mirror), 3, *step, turn, zoom), LIGHT))
    time, other = times
    mine = film.frame(time).owner == 1
    assert mine.any()
    # About where the disc's middle is: a rotation, clockwise as y points down, and a zoom.
    passed = other - time
    p = np.stack(_centres(film)).astype(np.float64)[:, mine]
    middles = [np.array([[place[k] + at * step[k]] for k in (0, 1)]) for at in times]
    c, s = math.cos(passed * turn), math.sin(passed * turn)
    expected = middles[1] + zoom**passed * np.array([[c, -s], [s, c]]) @ (p - middles[0]) - p
    flow = film.flow(time, other)
    assert flow.dtype == np.float32
    assert flow[:, mine] == pytest.approx(expected, abs=1e-3)
    assert np.abs(flow[:, ~mine]).max() < 1e-4, "the ground stays"


def test_a_shift_moves_every_pixel_of_the_thing_by_as_much() -> None:
    film = _scene(Mover(_Disc(), drift(Pose(20, 20, 9), 3, 2.5, -1.25), LIGHT))
    flow, mine = film.flow(0, 2), film.frame(0).owner == 1
    assert mine.sum() == pytest.approx(math.pi * 81, rel=0.03)
    assert flow[:, mine] == pytest.approx(np.broadcast_to([[5.0], [-2.5]], (2, int(mine.sum()))), abs=1e-4)


@pytest.mark.parametrize("zoom", [1.1, 0.9])
def test_nearing_a_point_moves_all_away_from_it(zoom: float) -> None:
    ground = Ground(stream("ground").random((3, 80, 120), dtype=np.float32))
    disc = Mover(_Disc(), zoom_about(Pose(12, 30, 8), 3, 33.0, 14.0, zoom), LIGHT)
    film = Film(40, 60, (Mover(ground, zoom_about(Pose(30, 20, 40), 3, 33.0, 14.0, zoom), LIGHT), disc))
    x, y = _centres(film)
    for k in (1, 2):
        away = np.stack([x - 33, y - 14]) * (zoom**k - 1)
        assert film.flow(0, k) == pytest.approx(away, abs=1e-3), "of the ground and of the disc alike"
    assert np.abs(away).max() > 4


def test_flow_goes_on_where_the_other_frame_hides_or_leaves_the_point() -> None:
    hidden = Mover(_Disc(), drift(Pose(10, 20, 5), 2, 20, 0), LIGHT)
    gone = Mover(_Disc(), drift(Pose(50, 20, 5), 2, 100, 0), LIGHT)
    lid = Mover(_Disc(), (Pose(30, 20, 8),) * 2, LIGHT)
    film = _scene(hidden, gone, lid)
    owner, flow = film.frame(0).owner, film.flow(0, 1)
    assert not {1, 2} & set(np.unique(film.frame(1).owner).tolist()) and {1, 2} <= set(np.unique(owner).tolist())
    for number, distance in ((1, 20), (2, 100)):
        assert flow[0][owner == number] == pytest.approx(distance, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_no_time_no_flow(kind: str) -> None:
    for seed in SEEDS:
        film, _ = _film(kind, seed)
        for time in range(film.length):
            assert np.abs(film.flow(time, time)).max() < 1e-3
        assert np.abs(film.flow(0, 1)).max() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_where_it_began(kind: str) -> None:
    """The way back is interpolated between four pixels of one owner: exactly, as an owner's motion is affine."""
    for seed in SEEDS:
        film, frames = _film(kind, seed)
        for time, other in ((0, 1), (1, 0), (0, film.length - 1)):
            there = film.flow(time, other)
            back, _ = _warped(film.flow(other, time), there)
            x, y = (at + d for at, d in zip(_centres(film), there, strict=True))
            within = (x >= 0.5) & (x <= film.width - 0.5) & (y >= 0.5) & (y <= film.height - 0.5)
            owner, landing = frames[other].owner, _landing(film, there)
            alone = (owner[landing] == frames[time].owner) & ~_near_border(owner, 1)[landing]
            seen = within & alone
            assert seen.mean() > 0.3
            assert np.abs(there + back)[:, seen].max() < 1e-2


def _restored(film: Film, frames: tuple[Frame, ...], time: int, other: int) -> tuple[float, float, float]:
    """Mean absolute error of frame `time` made from the other by its flow, and left as it is; the mean motion."""
    here, there, flow = frames[time], frames[other], film.flow(time, other)
    moved, inside = _warped(there.image, flow)
    landing = _landing(film, flow)
    shown = inside & (there.owner[landing] == here.owner)
    clear = shown & ~_near_border(here.owner, 2) & ~_near_border(there.owner, 2)[landing]
    assert clear.mean() > 0.5
    wrong, still = (np.abs(image - here.image).mean(axis=0)[clear].mean() for image in (moved, there.image))
    return float(wrong), float(still), float(np.hypot(*flow).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_warping_a_frame_by_the_flow_restores_its_neighbour(kind: str) -> None:
    """Interpolation between pixels costs 0.5 to 1.5 % of the range of a channel, as measured; the limit is 2 %."""
    moving = 0
    for seed in SEEDS:
        film, frames = _film(kind, seed)
        for time in range(film.length - 1):
            for here, there in ((time, time + 1), (time + 1, time)):
                wrong, still, motion = _restored(film, frames, here, there)
                assert wrong < 0.02, (seed, here, there)
                if motion > 1:
                    moving += 1
                    assert still > 3 * wrong, (seed, here, there)
    assert moving >= 8, "most films move"


def test_a_flow_that_is_a_little_wrong_restores_worse() -> None:
    """So the errors above tell half a pixel."""
    film, frames = _film("cartoon", 0)
    flow = film.flow(0, 1)
    errors = {}
    for off in (0.0, 0.5, -0.5, 1.0):
        moved, inside = _warped(frames[1].image, flow + np.float32(off))
        errors[off] = np.abs(moved - frames[0].image).mean(axis=0)[inside].mean()
    assert errors[0.0] * 1.2 < min(errors[0.5], errors[-0.5]) and max(errors[0.5], errors[-0.5]) < errors[1.0]


@pytest.mark.parametrize("first,second", [(0.3, 0.9), (0.9, 0.3)])
def test_the_foremost_thing_owns_the_shared_pixels(first: float, second: float) -> None:
    back, front = (Mover(_Disc(grey), (Pose(x, 20, 10),), LIGHT) for grey, x in ((first, 25), (second, 35)))
    frame = _scene(back, front).frame(0)
    assert (frame.owner[20, 16], frame.owner[20, 30], frame.owner[20, 43], frame.owner[2, 2]) == (1, 2, 2, 0)
    assert frame.image[0, 20, [16, 30, 43]] == pytest.approx([first, second, second])
    for number, grey in ((0, 0.25), (1, first), (2, second)):
        assert frame.image[:, frame.owner == number] == pytest.approx(grey)


@pytest.mark.parametrize("alpha,owner", [(0.45, 0), (0.55, 1)])
def test_what_covers_less_than_half_owns_nothing(alpha: float, owner: int) -> None:
    frame = _scene(Mover(_Disc(1.0, alpha), (Pose(30, 20, 10),), LIGHT)).frame(0)
    assert frame.owner[20, 30] == owner and set(np.unique(frame.owner).tolist()) == {0, owner}
    assert frame.image[0, 20, 30] == pytest.approx(0.25 * (1 - alpha) + alpha)


def test_a_thing_outside_the_frame_leaves_no_trace() -> None:
    frame = _scene(Mover(_Disc(), (Pose(-50, 20, 10),), LIGHT)).frame(0)
    assert not frame.owner.any() and frame.image == pytest.approx(0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_owners_of_films_are_the_foremost_movers(kind: str) -> None:
    for seed in SEEDS:
        film, frames = _film(kind, seed)
        time = film.length - 1
        owner = np.full((film.height, film.width), -1)
        for number in reversed(range(len(film.movers))):
            mover = film.movers[number]
            pose = mover.poses[time]
            points = pose.to_canonical(whole(film.height, film.width))
            owner[(owner < 0) & (mover.item.paint(*points, pose.pixel(), mover.light).alpha > 0.5)] = number
        assert np.array_equal(owner, frames[time].owner)
        assert len(np.unique(owner)) > 1, "something is in front of the ground"


def test_ground_is_its_picture_pixel_by_pixel_and_goes_on_at_its_rim() -> None:
    picture = stream("ground").random((3, 20, 30), dtype=np.float32)
    mover = Mover(Ground(picture), (Pose(15, 10, 10), Pose(15 + 4, 10 - 3, 10), Pose(15 + 500, 10, 10)), LIGHT)
    film = Film(20, 30, (mover,))
    assert film.frame(0).image == pytest.approx(picture, abs=1e-5)
    shifted = film.frame(1).image
    assert shifted[:, :17, 4:] == pytest.approx(picture[:, 3:, :26], abs=1e-5)
    assert shifted[:, :17, :4] == pytest.approx(np.repeat(picture[:, 3:, :1], 4, axis=2), abs=1e-5)
    assert film.frame(2).image == pytest.approx(np.repeat(picture[:, :, :1], 30, axis=2), abs=1e-5)


def test_ground_is_interpolated_linearly_between_its_pixels() -> None:
    y, x = np.indices((20, 30), dtype=np.float32)
    picture: Array = np.stack([x / 30, y / 20, (x + 2 * y) / 70]).astype(np.float32)
    film = Film(10, 16, (Mover(Ground(picture), (Pose(8.3, 4.6, 10),), LIGHT),))
    at_x, at_y = (np.indices((10, 16))[k] + d for k, d in ((1, 7 - 0.3), (0, 5 + 0.4)))
    expected = np.stack([at_x / 30, at_y / 20, (at_x + 2 * at_y) / 70])
    assert film.frame(0).image == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_ground_fills_every_frame_and_its_picture_suffices(kind: str) -> None:
    for seed in SEEDS:
        film, _ = _film(kind, seed)
        ground = film.movers[0].item
        assert isinstance(ground, Ground)
        _, high, wide = ground.image.shape
        for pose in film.movers[0].poses:
            assert pose.bounds(ground.reach, film.height, film.width) == whole(film.height, film.width)
            u, v = pose.to_canonical(whole(film.height, film.width))
            assert (ground.paint(u, v, pose.pixel(), LIGHT).alpha == 1).all()
            # In units of half its height: beyond its picture a ground repeats the rim, which shows no motion.
            assert np.abs(u).max() < wide / high and np.abs(v).max() < 1


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_pictures_of_that_size(kind: str) -> None:
    film, frames = _film(kind, 0)
    assert film.length == len(frames) == (2 if kind == "chairs" else FRAMES)
    for frame in frames:
        assert frame.image.shape == (3, HEIGHT, WIDTH) and frame.image.dtype == np.float32
        assert frame.image.min() >= -1e-6 and frame.image.max() <= 1 + 1e-6
        assert frame.image.std() > 0.03, "no blank picture"
        assert frame.owner.min() >= 0 and frame.owner.max() < len(film.movers)
    assert {len(mover.poses) for mover in film.movers} == {film.length}


def test_only_the_hero_moves_apart_from_the_ground() -> None:
    for seed in SEEDS:
        film, frames = _film("hero", seed)
        assert len(film.movers) == 2
        flow, mine = film.flow(0, 1), frames[0].owner == 1
        assert flow[:, ~mine].std(axis=1) == pytest.approx([0, 0], abs=1e-3), "one shift of all that lies still"
        assert np.hypot(*(flow[:, mine].mean(axis=1) - flow[:, ~mine].mean(axis=1))) > 0.5


@pytest.mark.parametrize("kind,sign", [("near", 1), ("leave", -1)])
def test_driving_nears_or_leaves_a_point_in_the_picture(kind: str, sign: int) -> None:
    for seed in SEEDS:
        film, frames = _film(kind, seed)
        ground, (x, y), flow = frames[0].owner == 0, _centres(film), film.flow(0, 1)
        gain, _ = np.polyfit(x[ground], flow[0][ground], 1)
        assert gain == pytest.approx(sign * 0.06, abs=1e-3)
        focus = [float((at - d / gain)[ground].mean()) for at, d in zip((x, y), flow, strict=True)]
        assert 0.39 * WIDTH < focus[0] < 0.61 * WIDTH and 0.34 * HEIGHT < focus[1] < 0.51 * HEIGHT


def _take(group: str, place: int = 0) -> Take:
    return [take for take in plan(RECIPE) if take.group == group][place]


def _same(first: Film, second: Film) -> bool:
    times = range(min(first.length, second.length, 2))
    pairs = [(first.frame(time).image, second.frame(time).image) for time in times]
    return all(a.shape == b.shape and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("group", GROUPS)
def test_film_is_a_function_of_its_ids(group: str) -> None:
    take = _take(group)
    film = film_of(RECIPE, take)
    larger = dataclasses.replace(RECIPE, davis_train=3, davis_val=99, chairs=7, chairs_val=2, nuisance=0.0, quality=50)
    again = film_of(larger, take)
    assert _same(film, again) and np.array_equal(film.flow(0, 1), again.flow(0, 1))
    assert not _same(film, film_of(RECIPE, _take(group, 1)))
    assert not _same(film, film_of(dataclasses.replace(RECIPE, seed=1), take))


def test_sets_have_films_of_their_own() -> None:
    """Even those of one name: nothing that is drawn for one is drawn for another."""
    lights = {film_of(RECIPE, Take(group, "00001", "train")).movers[0].light for group in ("davis", "monkaa", "chairs")}
    assert len(lights) == 3
