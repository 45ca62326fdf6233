"""Clips: the flow is exact and that of what the frames show; the files hold it; the sets differ as they should."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from miniworld import ClipRecipe
from miniworld.clips import sequences
from miniworld.clips.files import SequenceId, clip_of, plan, render
from miniworld.clips.motion import Background, Clip, Frame, MovingObject, drift
from miniworld.clips.scene_names import SCENE_NAMES
from miniworld.drawing.camera import to_bytes
from miniworld.drawing.geometry import Array, Light, Pose, Reach, whole
from miniworld.drawing.paint import Layer, stream
from miniworld.formats.flow import read_flow

LIGHT: Light = (0.0, 0.0, 1.0)
HEIGHT, WIDTH, FRAMES = 72, 120, 3
SIZE = HEIGHT, WIDTH
KINDS = {
    "chairs": lambda rng: sequences.chairs_clip(rng, *SIZE),
    "monkaa": lambda rng: sequences.monkaa_clip(rng, *SIZE, FRAMES),
    "near": lambda rng: sequences.driving_clip(rng, *SIZE, FRAMES, 0.06),
    "leave": lambda rng: sequences.driving_clip(rng, *SIZE, FRAMES, -0.06),
    "davis": lambda rng: sequences.davis_clip(rng, *SIZE, FRAMES),
}
SEEDS = range(2)
RECIPE = ClipRecipe()


@dataclass(frozen=True)
class _Disc:
    """A disc of one grey, which may show what is behind it."""

    grey: float = 0.8
    alpha: float = 1.0
    reach: Reach = (-1.0, -1.0, 1.0, 1.0)

    def paint(self, u: Array, v: Array, pixel: float, light: Light) -> Layer:
        alpha = np.where(u * u + v * v < 1, np.float32(self.alpha), np.float32(0))
        return Layer(np.float32(self.grey) * np.stack([alpha] * 3), alpha)


@lru_cache
def _clip(kind: str, seed: int) -> tuple[Clip, tuple[Frame, ...]]:
    clip = KINDS[kind](stream("motion", kind, seed))
    return clip, tuple(clip.frame(time) for time in range(clip.length))


def _before_grey(*objects: MovingObject, height: int = 40, width: int = 60) -> Clip:
    """A clip before a background that stays, of a grey that no disc has."""
    background = Background(np.full((3, 2 * height, 2 * width), 0.25, dtype=np.float32))
    still = (Pose(width / 2, height / 2, height),) * len(objects[0].poses)
    return Clip(height, width, (MovingObject(background, still, LIGHT), *objects))


def _centres(clip: Clip) -> tuple[Array, Array]:
    x, y = whole(clip.height, clip.width).centres()
    return np.broadcast_to(x, (clip.height, clip.width)), np.broadcast_to(y, (clip.height, clip.width))


def _near_border(owner: NDArray[np.intp], reach: int) -> NDArray[np.bool_]:
    """Whether another owner's pixel is within `reach` pixels, along the axes or diagonally."""
    return maximum_filter(owner, 2 * reach + 1) != minimum_filter(owner, 2 * reach + 1)


def _landing(clip: Clip, flow: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the pixel to which each pixel moves, clipped to the frame."""
    x, y = _centres(clip)
    column, row = (np.floor(at + d).astype(np.intp) for at, d in zip((x, y), flow, strict=True))
    return np.clip(row, 0, clip.height - 1), np.clip(column, 0, clip.width - 1)


def _warped(image: Array, flow: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The image (C, H, W) sampled where the flow leads, bilinearly, and where that is inside."""
    rows, columns = np.indices(image.shape[1:]) + flow[::-1].astype(np.float64)
    inside = (rows >= 0) & (rows <= image.shape[1] - 1) & (columns >= 0) & (columns <= image.shape[2] - 1)
    return np.stack([map_coordinates(c, (rows, columns), order=1, mode="nearest") for c in image]), inside


# Motion and flow, on shapes whose truth is known


@settings(max_examples=25, deadline=None)
@given(
    start=st.tuples(st.floats(20, 40), st.floats(15, 25), st.floats(6, 14), st.floats(-3, 3), st.booleans()),
    step=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    turn=st.floats(-0.4, 0.4),
    zoom=st.floats(0.8, 1.25),
    times=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_steady_motion_gives_the_flow_of_its_formula(start, step, turn, zoom, times) -> None:
    *at, mirror = start
    clip = _before_grey(MovingObject(_Disc(), drift(Pose(*at, mirror=mirror), 3, *step, turn, zoom), LIGHT))
    time, other = times
    mine = clip.frame(time).owner == 1
    assert mine.any()
    # About where the disc's middle is: a rotation, clockwise as y points down, and a zoom.
    passed = other - time
    p = np.stack(_centres(clip)).astype(np.float64)[:, mine]
    middles = [np.array([[at[k] + t * step[k]] for k in (0, 1)]) for t in times]
    c, s = math.cos(passed * turn), math.sin(passed * turn)
    expected = middles[1] + zoom**passed * np.array([[c, -s], [s, c]]) @ (p - middles[0]) - p
    flow = clip.flow(time, other)
    assert flow.dtype == np.float32 and flow[:, mine] == pytest.approx(expected, abs=1e-3)
    assert np.abs(flow[:, ~mine]).max() < 1e-4, "the background stays"


def test_flow_goes_on_where_the_other_frame_hides_or_leaves_the_point() -> None:
    hidden = MovingObject(_Disc(), drift(Pose(10, 20, 5), 2, 20, 0), LIGHT)
    gone = MovingObject(_Disc(), drift(Pose(50, 20, 5), 2, 100, 0), LIGHT)
    clip = _before_grey(hidden, gone, MovingObject(_Disc(), (Pose(30, 20, 8),) * 2, LIGHT))
    owner, flow = clip.frame(0).owner, clip.flow(0, 1)
    assert not {1, 2} & set(np.unique(clip.frame(1).owner).tolist()) and {1, 2} <= set(np.unique(owner).tolist())
    assert flow[0][owner == 1] == pytest.approx(20, abs=1e-3) and flow[0][owner == 2] == pytest.approx(100, abs=1e-3)


@pytest.mark.parametrize("first,second", [(0.3, 0.9), (0.9, 0.3)])
def test_the_foremost_object_owns_the_shared_pixels(first: float, second: float) -> None:
    discs = [MovingObject(_Disc(grey), (Pose(x, 20, 10),), LIGHT) for grey, x in ((first, 25), (second, 35))]
    frame = _before_grey(*discs).frame(0)
    assert (frame.owner[20, 16], frame.owner[20, 30], frame.owner[20, 43], frame.owner[2, 2]) == (1, 2, 2, 0)
    for number, grey in ((0, 0.25), (1, first), (2, second)):
        assert frame.image[:, frame.owner == number] == pytest.approx(grey)


@pytest.mark.parametrize("alpha,owner", [(0.45, 0), (0.55, 1)])
def test_what_covers_less_than_half_owns_nothing(alpha: float, owner: int) -> None:
    frame = _before_grey(MovingObject(_Disc(1.0, alpha), (Pose(30, 20, 10),), LIGHT)).frame(0)
    assert frame.owner[20, 30] == owner and set(np.unique(frame.owner).tolist()) == {0, owner}
    assert frame.image[0, 20, 30] == pytest.approx(0.25 * (1 - alpha) + alpha)


def test_a_background_is_its_picture_goes_on_at_its_rim_and_is_interpolated() -> None:
    picture = stream("ground").random((3, 20, 30), dtype=np.float32)
    poses = (Pose(15, 10, 10), Pose(15 + 4, 10 - 3, 10), Pose(15 + 500, 10, 10), Pose(15.3, 9.6, 10))
    clip = Clip(20, 30, (MovingObject(Background(picture), poses, LIGHT),))
    assert clip.frame(0).image == pytest.approx(picture, abs=1e-5)
    shifted = clip.frame(1).image
    assert shifted[:, :17, 4:] == pytest.approx(picture[:, 3:, :26], abs=1e-5)
    assert shifted[:, :17, :4] == pytest.approx(np.repeat(picture[:, 3:, :1], 4, axis=2), abs=1e-5)
    assert clip.frame(2).image == pytest.approx(np.repeat(picture[:, :, :1], 30, axis=2), abs=1e-5)
    between, inside = _warped(picture, np.stack([np.full((20, 30), -0.3), np.full((20, 30), 0.4)]))
    assert clip.frame(3).image[:, inside] == pytest.approx(between[:, inside], abs=1e-5)


# The clips of each set


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_where_it_began(kind: str) -> None:
    """The way back is interpolated between four pixels of one owner: exactly, as an owner's motion is affine."""
    for seed in SEEDS:
        clip, frames = _clip(kind, seed)
        assert np.abs(clip.flow(1, 1)).max() < 1e-3 and np.abs(clip.flow(0, 1)).max() > 0.5
        for time, other in ((0, 1), (1, 0), (0, clip.length - 1)):
            there = clip.flow(time, other)
            back, within = _warped(clip.flow(other, time), there)
            owner, landing = frames[other].owner, _landing(clip, there)
            seen = within & (owner[landing] == frames[time].owner) & ~_near_border(owner, 1)[landing]
            assert seen.mean() > 0.3 and np.abs(there + back)[:, seen].max() < 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_warping_a_frame_by_the_flow_restores_its_neighbour(kind: str) -> None:
    """Interpolation between pixels costs 0.5 to 1.5 % of the range of a channel, as measured; the limit is 2 %."""
    moving = 0
    for seed in SEEDS:
        clip, frames = _clip(kind, seed)
        for time, other in ((0, 1), (1, 0)):
            here, there, flow = frames[time], frames[other], clip.flow(time, other)
            moved, inside = _warped(there.image, flow)
            landing = _landing(clip, flow)
            clear = inside & (there.owner[landing] == here.owner)
            clear &= ~_near_border(here.owner, 2) & ~_near_border(there.owner, 2)[landing]
            errors = [np.abs(image - here.image).mean(axis=0)[clear].mean() for image in (moved, there.image)]
            off = np.abs(_warped(there.image, flow + 0.5)[0] - here.image).mean(axis=0)[clear].mean()
            assert clear.mean() > 0.5 and errors[0] < 0.02 and off > 1.2 * errors[0], "tells half a pixel"
            if np.hypot(*flow).mean() > 1:
                moving += 1
                assert errors[1] > 2.5 * errors[0]
    assert moving >= 2, "most clips move"


@pytest.mark.parametrize("kind", KINDS)
def test_owners_are_the_foremost_objects_and_frames_are_pictures(kind: str) -> None:
    clip, frames = _clip(kind, 0)
    time = clip.length - 1
    assert len(frames) == (2 if kind == "chairs" else FRAMES) == len(clip.objects[-1].poses)
    owner = np.full(SIZE, -1)
    for number in reversed(range(len(clip.objects))):
        moving, pose = clip.objects[number], clip.objects[number].poses[time]
        layer = moving.item.paint(*pose.to_canonical(whole(*SIZE)), pose.pixel(), moving.light)
        owner[(owner < 0) & (layer.alpha > 0.5)] = number
    assert np.array_equal(owner, frames[time].owner) and len(np.unique(owner)) > 1
    for frame in frames:
        assert frame.image.shape == (3, *SIZE) and frame.image.dtype == np.float32 and frame.image.std() > 0.03
        assert frame.image.min() >= -1e-6 and frame.image.max() <= 1 + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_background_s_picture_fills_every_frame(kind: str) -> None:
    for seed in SEEDS:
        background = _clip(kind, seed)[0].objects[0]
        assert isinstance(background.item, Background)
        _, high, wide = background.item.image.shape
        for pose in background.poses:
            u, v = pose.to_canonical(whole(*SIZE))
            # In units of half its height: beyond its picture it repeats the rim, which shows no motion.
            assert np.abs(u).max() < wide / high and np.abs(v).max() < 1


def test_only_the_foreground_of_davis_moves_apart_from_the_background() -> None:
    for seed in SEEDS:
        clip, frames = _clip("davis", seed)
        flow, mine = clip.flow(0, 1), frames[0].owner == 1
        assert len(clip.objects) == 2 and flow[:, ~mine].std(axis=1) == pytest.approx([0, 0], abs=1e-3)
        assert np.hypot(*(flow[:, mine].mean(axis=1) - flow[:, ~mine].mean(axis=1))) > 0.5


@pytest.mark.parametrize("kind,sign", [("near", 1), ("leave", -1)])
def test_driving_nears_or_leaves_a_point_in_the_picture(kind: str, sign: int) -> None:
    for seed in SEEDS:
        clip, frames = _clip(kind, seed)
        owned, (x, y), flow = frames[0].owner == 0, _centres(clip), clip.flow(0, 1)
        gain, _ = np.polyfit(x[owned], flow[0][owned], 1)
        assert gain == pytest.approx(sign * 0.06, abs=1e-3)
        focus = [float((at - d / gain)[owned].mean()) for at, d in zip((x, y), flow, strict=True)]
        assert 0.39 * WIDTH < focus[0] < 0.61 * WIDTH and 0.34 * HEIGHT < focus[1] < 0.51 * HEIGHT


def test_the_final_pass_is_softer_paler_and_alike_in_all_frames() -> None:
    first, second = stream("pass").random((2, 3, 20, 30), dtype=np.float32)
    one, two, three = sequences.final_pass(stream("final"), [first, second, first])
    assert np.array_equal(one, three) and not np.array_equal(one, two)
    assert np.square(np.diff(one)).mean() < 0.4 * np.square(np.diff(first)).mean() and one.std() < 0.8 * first.std()
    assert not np.array_equal(sequences.final_pass(stream("other"), [first])[0], one)
    # Blur leaves a flat picture flat: what remains is the haze, which is thicker above.
    grey = sequences.final_pass(stream("final"), [np.full((3, 20, 30), 0.5, dtype=np.float32)])[0]
    assert np.ptp(grey, axis=2).max() < 1e-6 and (np.diff(np.abs(grey - 0.5).max(axis=(0, 2))) < 0).all()


# What lies on disk


@pytest.fixture(scope="module")
def recipe(small) -> ClipRecipe:
    return small["clips"]


def _of(recipe: ClipRecipe, dataset: str) -> list[SequenceId]:
    return [sequence for sequence in plan(recipe) if sequence.dataset == dataset]


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("dataset", ["monkaa", "driving"])
def test_a_scene_has_shots_numbered_through_and_flow_within_them_only(recipe, tmp_path, dataset: str) -> None:
    recipe = dataclasses.replace(recipe, shots=2, monkaa_frames=2, slow_frames=3)
    scene = SCENE_NAMES[dataset, "val"][0]
    files, _ = render(recipe, SequenceId(dataset, scene, "val"), dataset)
    expected, number, finals = set(), 1, []
    for shot in range(2):
        clip = clip_of(recipe, SequenceId(dataset, scene, "val"), shot)
        for time in range(clip.length):
            clean, final = (f"{dataset}/frames_{kind}pass/{scene}/left/{number:04d}.png" for kind in ("clean", "final"))
            assert np.array_equal(_pixels(files[clean]), to_bytes(clip.frame(time).image))
            finals.append(np.diff(_pixels(files[final]).astype(float), axis=1).std())
            assert finals[-1] < 0.8 * np.diff(_pixels(files[clean]).astype(float), axis=1).std()
            expected |= {clean, final}
            for way, step in (("Future", 1), ("Past", -1)):
                if 0 <= time + step < clip.length:
                    name = f"optical_flow/{scene}/into_{way.lower()}/left/OpticalFlowInto{way}_{number:04d}_L.pfm"
                    (tmp_path / "a.pfm").write_bytes(files[f"{dataset}/{name}"])
                    assert np.array_equal(read_flow(tmp_path / "a.pfm"), clip.flow(time, time + step))
                    expected.add(f"{dataset}/{name}")
            number += 1
    assert files.keys() == expected and len({files[name] for name in files if "clean" in name}) == number - 1


def test_davis_has_its_foreground_s_mask_and_one_camera_a_sequence(recipe: ClipRecipe) -> None:
    still, gaps = dataclasses.replace(recipe, nuisance=0.0, quality=95), {"still": [], "shaken": []}
    for sequence in _of(recipe, "davis"):
        clip = clip_of(recipe, sequence)
        for kind, files in (("still", render(still, sequence, "D")[0]), ("shaken", render(recipe, sequence, "D")[0])):
            for time in range(clip.length):
                frame, name = clip.frame(time), f"480p/{sequence.name}/{time:05d}"
                mask = _pixels(files[f"D/Annotations/{name}.png"])
                assert mask.dtype == np.uint8 and np.array_equal(mask, 255 * (frame.owner == len(clip.objects) - 1))
                photo = _pixels(files[f"D/JPEGImages/{name}.jpg"]).astype(float)
                gaps[kind].append(np.abs(photo - to_bytes(frame.image)).mean())
    assert max(gaps["still"]) < 5 and np.mean(gaps["shaken"]) > 1.5 * np.mean(gaps["still"])
    shaken = np.reshape(gaps["shaken"], (-1, recipe.davis_frames))
    assert shaken.std(axis=1).mean() < 0.3 * shaken.mean(axis=1).std(), "alike in all frames of a sequence"


def test_chairs_are_pairs_with_their_flow(recipe: ClipRecipe, worlds: Mapping[str, Path]) -> None:
    folder = worlds["clips"] / "FlyingChairs_release"
    assert (folder / "FlyingChairs_train_val.txt").read_text().split() == ["1"] * recipe.chairs + ["2"] * 2
    for sequence in _of(recipe, "chairs"):
        clip, stem = clip_of(recipe, sequence), folder / "data" / sequence.name
        assert np.array_equal(read_flow(stem.with_name(f"{sequence.name}_flow.flo")), clip.flow(0, 1))
        for k in range(2):
            with Image.open(stem.with_name(f"{sequence.name}_img{k + 1}.ppm")) as image:
                assert np.array_equal(np.asarray(image), to_bytes(clip.frame(k).image))


@pytest.mark.parametrize("dataset", ["davis", "monkaa", "driving", "chairs"])
def test_a_clip_is_a_function_of_its_ids_and_the_seed(recipe: ClipRecipe, dataset: str) -> None:
    first, second = _of(recipe, dataset)[:2]
    larger = dataclasses.replace(recipe, davis_train=5, davis_val=9, chairs=7, chairs_val=3, nuisance=0.0, quality=50)

    def picture(recipe: ClipRecipe, sequence: SequenceId) -> bytes:
        clip = clip_of(recipe, sequence)
        return clip.frame(0).image.tobytes() + clip.flow(0, 1).tobytes()

    assert picture(recipe, first) == picture(larger, first)
    others = [picture(recipe, second), picture(dataclasses.replace(recipe, seed=1), first)]
    assert picture(recipe, first) not in others
    lights = {
        clip_of(recipe, SequenceId(name, "00001", "train")).objects[0].light for name in ("davis", "monkaa", "chairs")
    }
    assert len(lights) == 3, "sets have clips of their own, even those of one name"


# The default recipe, of which a sample is drawn here


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["davis", "monkaa", "driving", "chairs"])
def test_default_clips_move_by_a_few_pixels(dataset: str) -> None:
    ids, lengths = _of(RECIPE, dataset), []
    for sequence in ids[:: max(1, len(ids) // 8)]:
        clip = clip_of(RECIPE, sequence)
        lengths.append(np.hypot(*clip.flow(clip.length // 2 - 1, clip.length // 2)))
    means = [length.mean() for length in lengths]
    assert 1 < np.mean(means) < 8 and max(means) < 12
    assert max(length.max() for length in lengths) < 40, "no object crosses the frame at once"


def test_default_slow_drives_are_slower_than_the_fast() -> None:
    means = {}
    for sequence in _of(RECIPE, "driving"):
        clip = clip_of(RECIPE, sequence)
        assert clip.length == (RECIPE.slow_frames if sequence.name.endswith("slow") else RECIPE.fast_frames)
        pose = [clip.objects[0].poses[k] for k in range(2)]
        means[sequence.name] = abs(math.log(pose[1].scale / pose[0].scale))
    pairs = [(means[name], means[name.replace("fast", "slow")]) for name in means if name.endswith("fast")]
    assert len(pairs) == 4 and all(fast > 1.3 * slow for fast, slow in pairs)


@pytest.mark.slow
def test_default_foregrounds_are_neither_specks_nor_all_of_the_picture() -> None:
    shares = []
    for sequence in _of(RECIPE, "davis")[::5]:
        clip = clip_of(RECIPE, sequence)
        shares.append([(clip.frame(time).owner == 1).mean() for time in (0, clip.length - 1)])
    assert np.mean([all(0.02 <= share <= 0.4 for share in each) for each in shares]) > 0.85
    assert np.std(np.mean(shares, axis=1)) > 0.01, "of several sizes"
