"""Pairs: frames and their truth are moved as one, the vectors too; held by closed forms, by scipy and by warping."""

from __future__ import annotations

import functools
import math
import pickle
from unittest import mock

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
import torchvision.transforms.v2.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2sp_suite.datasets import IGNORED, Pair, RandomAffine, resize_fields, resize_flow, resize_frames, seeded, warp
from l2sp_suite.utils.errors import UserError

HEIGHT, WIDTH = 48, 64
ALL = {"scale": 0.3, "shift": 0.1, "rotation": 40.0, "flip": 0.5}
TOLERANCE = 0.005  # of values in [0, 1]; half a grey value is 0.002


def plain(size: tuple[int, int] = (HEIGHT, WIDTH), **ranges: float) -> RandomAffine:
    """Nothing random, unless asked."""
    return RandomAffine(size, **{"scale": 0.0, "shift": 0.0, "rotation": 0.0, "flip": 0.0, **ranges})


def noise(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 3, height, width), dtype=np.uint8))


def mask(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).choice([0, 1, IGNORED], (height, width)).astype(np.uint8)
    return torch.from_numpy(drawn)


def field(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Tensor:
    """Random vectors, a fifth of them not valid."""
    rng = np.random.default_rng(seed)
    flow = torch.from_numpy(rng.normal(0, 3, (3, height, width)).astype(np.float32))
    flow[2] = torch.from_numpy(rng.random((height, width)) < 0.8)
    return flow


def constant(u: float, v: float, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.tensor([u, v, 1.0])[:, None, None].expand(3, height, width).contiguous()


def draws(*, zoom: float = 0.5, angle: float = 0.5, x: float = 0.5, y: float = 0.5, flip: float = 0.99) -> object:
    """Makes the five draws what they are said to be; 0.5 is the middle of a range."""
    values = torch.tensor([zoom, angle, x, y, flip], dtype=torch.float64)
    return mock.patch("l2sp_suite.datasets.video_transforms.torch.rand", return_value=values)


def same(a: Pair, b: Pair) -> bool:
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a, b, strict=True))


# Closed forms


@pytest.mark.parametrize("truth", [mask(), field()])
def test_nothing_random_and_same_size_gives_back_the_input(truth: Tensor) -> None:
    with mock.patch("l2sp_suite.datasets.video_transforms.grid_sample", side_effect=AssertionError("not cheap")):
        frames, found = plain()((noise(), truth))
    assert frames.dtype == torch.float32 and torch.equal(frames, noise() / 255)
    assert found.dtype == truth.dtype and torch.equal(found, truth)


def test_flip_mirrors_the_picture_and_u() -> None:
    frames, flow = plain(flip=1)((noise(), field()))
    torch.testing.assert_close(frames, noise().flip(-1) / 255, atol=1e-4, rtol=0)
    assert torch.equal(flow, field().flip(-1) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None])
    assert torch.equal(plain(flip=1)((noise(), mask()))[1], mask().flip(-1))


def test_a_quarter_turn() -> None:
    # A positive angle turns x (right) to y (down), clockwise as one sees it; rot90 turns the other way for k = 1.
    with draws(angle=1.0):
        frames, flow = plain((40, 40), rotation=90)((noise(40, 40), constant(3, -1, 40, 40)))
    torch.testing.assert_close(frames, torch.rot90(noise(40, 40), -1, (-2, -1)) / 255, atol=1e-4, rtol=0)
    torch.testing.assert_close(flow, constant(1, 3, 40, 40))
    with draws(angle=0.0):
        found = plain((40, 40), rotation=90)((noise(40, 40), mask(40, 40)))[1]
    assert torch.equal(found, torch.rot90(mask(40, 40)))
    with draws(angle=1.0, flip=0.0):  # the flip comes before the turn
        flow = plain((40, 40), rotation=90, flip=1)((noise(40, 40), constant(3, -1, 40, 40)))[1]
    torch.testing.assert_close(flow, constant(1, -3, 40, 40))


def test_shift_is_a_share_of_each_side() -> None:
    with draws(x=1.0, y=0.0):
        frames, truth = plain(shift=0.25)((noise(), mask()))
    expected, expected_mask = torch.zeros(2, 3, HEIGHT, WIDTH), torch.full((HEIGHT, WIDTH), IGNORED)
    right, up = WIDTH // 4, HEIGHT // 4
    expected[..., :-up, right:] = noise()[..., up:, :-right] / 255
    expected_mask[:-up, right:] = mask()[up:, :-right]
    torch.testing.assert_close(frames, expected, atol=1e-4, rtol=0)
    assert torch.equal(truth.long(), expected_mask)
    with draws(x=1.0, y=0.0):
        flow = plain(shift=0.25)((noise(), field()))[1]
    moved = torch.zeros(3, HEIGHT, WIDTH)
    moved[:, :-up, right:] = field()[:, up:, :-right]
    torch.testing.assert_close(flow, moved, atol=0, rtol=0)


def test_resize_takes_the_nearest_of_truths_and_scales_vectors_by_axis() -> None:
    frames, flow = plain((24, 128))((noise(), constant(3, -1)))
    assert torch.equal(flow, constant(6, -0.5, 24, 128))
    assert torch.equal(frames, F.resize(noise(), [24, 128], antialias=True) / 255)
    rows, columns = 2 * torch.arange(24), torch.arange(128) // 2
    flow, found = field(), plain((24, 128))((noise(), field()))[1]
    # Halved, a pixel's centre lies between two rows: either will do.
    scaled = flow * torch.tensor([2, 0.5, 1])[:, None, None]
    expected = [scaled[:, rows + k][:, :, columns] for k in (0, 1)]
    assert ((found == expected[0]).all(0) | (found == expected[1]).all(0)).all()
    third = plain((16, 64))((noise(), mask()))[1]
    assert torch.equal(third, mask()[1::3])
    third = plain((16, 64))((noise(), field()))[1]
    assert torch.equal(third, flow[:, 1::3] * torch.tensor([1, 1 / 3, 1])[:, None, None])


def test_what_is_not_valid_stays_apart() -> None:
    flow = field(30, 30)
    flow[:2, flow[2] == 0] = math.nan
    for size in ((30, 30), (41, 37)):
        for k in range(10):
            found = seeded(RandomAffine(size, **ALL), (noise(30, 30), flow), k)[1]
            assert ((found[2] == 0) | (found[2] == 1)).all()
            assert found[:2, found[2] == 1].isfinite().all()


# One map for all, with scipy as oracle


def sources(transform: RandomAffine, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """L, and where each pixel of the result lies in the source: (2, H, W), rows and columns, float64."""
    linear, shift = seeded(lambda _: transform.draw(), None, seed)
    height, width = transform.size
    centre = np.array([width / 2, height / 2])
    moved = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1) - centre
    points = (moved - np.array(shift) * [width, height]) @ np.linalg.inv(linear).T + centre
    return np.array(linear), points[..., ::-1].transpose(2, 0, 1) - 0.5


@given(st.integers(0, 2**40), st.integers(6, 40), st.integers(6, 40))
def test_is_what_scipy_samples(seed: int, height: int, width: int) -> None:
    transform, item = RandomAffine((height, width), **ALL), (noise(height, width), mask(height, width))
    linear, at = sources(transform, seed)
    frames, found = seeded(transform, item, seed)
    for channel, source in zip(frames.flatten(0, 1), item[0].flatten(0, 1), strict=True):
        wanted = scipy.ndimage.map_coordinates(source.double().numpy(), at, order=1, mode="grid-constant") / 255
        assert np.abs(channel.numpy() - wanted).max() < 1e-3
    clear = torch.from_numpy((np.abs(at - np.floor(at) - 0.5) > 1e-3).all(0))  # one pixel is the nearest
    row, column = np.rint(at).astype(int)
    outside = torch.from_numpy((row < 0) | (row >= height) | (column < 0) | (column >= width))
    row, column = row.clip(0, height - 1), column.clip(0, width - 1)
    assert torch.equal(found[clear], item[1][row, column].masked_fill(outside, IGNORED)[clear])
    flow = field(height, width)
    wanted = flow[:, row, column].masked_fill(outside, 0).double()
    wanted[:2] = torch.from_numpy(np.einsum("ij,jhw->ihw", linear, wanted[:2].numpy()))
    moved = seeded(transform, (item[0], flow), seed)[1].double()
    torch.testing.assert_close(moved[:, clear], wanted[:, clear], atol=1e-5, rtol=0)


# Warping the second frame by the flow restores the first, whatever was done to both


@functools.cache
def film(seed: int, height: int = 72, width: int = 96) -> Pair:
    """Two frames of a smooth picture that moves by an affine map, both computed in closed form, and the exact flow."""
    rng = np.random.default_rng(seed)
    centre = np.array([width / 2, height / 2])
    points = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    motion = np.eye(2) + rng.uniform(-0.06, 0.06, (2, 2))
    angle = rng.uniform(0, 2 * np.pi)
    step = rng.uniform(4, 6) * np.array([np.cos(angle), np.sin(angle)])
    waves = rng.uniform(-0.25, 0.25, (3, 6, 2)), rng.uniform(0, 2 * np.pi, (3, 6))

    def picture(at: np.ndarray) -> np.ndarray:
        phases = np.einsum("hwx,ckx->ckhw", at, waves[0]) + waves[1][..., None, None]
        return 0.5 + np.cos(phases).sum(1) / 12

    before = (points - centre - step) @ np.linalg.inv(motion).T + centre  # where what is seen now was
    frames = np.stack([picture(points), picture(before)])
    ends = (points - centre) @ motion.T + centre + step
    flow = np.concatenate([(ends - points).transpose(2, 0, 1), np.ones((1, height, width))])
    return torch.from_numpy((frames * 255).round().astype(np.uint8)), torch.from_numpy(flow.astype(np.float32))


def interior(transform: RandomAffine, item: Pair, flow: Tensor, seed: int) -> Tensor:
    """Pixels (H, W) that show the source, and whose ends do."""
    white = seeded(transform, (torch.full_like(item[0], 255), item[1]), seed)[0][:, 0] > 0.999
    ends, inside = warp(white[1].float().expand(3, -1, -1), flow[:2])
    return white[0] & (ends[0] > 0.999) & inside & (flow[2] == 1)


def misfit(transform: RandomAffine, item: Pair, seed: int) -> float:
    """RMS difference, in [0, 1], of the first frame and the second one warped."""
    frames, flow = seeded(transform, item, seed)
    known = interior(transform, item, flow, seed)
    assert known.sum() > 0.25 * known.numel()
    return float((warp(frames[1], flow[:2])[0] - frames[0])[:, known].square().mean().sqrt())


def test_the_film_itself_is_restored() -> None:
    for item in map(film, range(4)):
        assert misfit(plain((72, 96)), item, 0) < TOLERANCE
        still = float((item[0][0] / 255 - item[0][1] / 255).square().mean().sqrt())
        assert still > 0.05  # what a flow of zero leaves


@given(
    st.integers(0, 2**40),
    st.integers(0, 50),
    st.sampled_from([(72, 96), (54, 72), (90, 84)]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_warping_survives_the_transform(seed: int, number: int, size: tuple[int, int], flip: float) -> None:
    transform = RandomAffine(size, scale=0.25, shift=0.1, rotation=45, flip=flip)
    assert misfit(transform, film(number), seed) < TOLERANCE


# Helpers


@pytest.mark.parametrize("shape", [(2, 12, 16), (5, 2, 12, 16), (2, 3, 2, 12, 16)])
def test_resize_flow_of_any_leading_shape(shape: tuple[int, ...]) -> None:
    flow = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = resize_flow(flow, (48, 24))
    assert found.shape == (*shape[:-2], 48, 24)
    u, v = (
        torch.nn.functional.interpolate(flow[..., k, :, :].reshape(-1, 1, 12, 16), (48, 24), mode="bilinear")
        for k in (0, 1)
    )
    torch.testing.assert_close(found[..., 0, :, :].flatten(), 1.5 * u.flatten())
    torch.testing.assert_close(found[..., 1, :, :].flatten(), 4 * v.flatten())
    assert torch.equal(resize_flow(flow, (12, 16)), flow)


def test_resize_flow_keeps_an_affine_motion() -> None:
    def motion(height: int, width: int) -> Tensor:
        """In shares of the image, so that it is the same motion at every size; (2, height, width), pixels."""
        x, y = (torch.arange(width) + 0.5) / width, (torch.arange(height)[:, None] + 0.5) / height
        return torch.stack([(0.1 * x - 0.3 * y + 0.2) * width, (0.2 * x + 0.1 * y) * height])

    found = resize_flow(motion(12, 16), (48, 96))
    torch.testing.assert_close(found[:, 2:-2, 3:-3], motion(48, 96)[:, 2:-2, 3:-3])
    flow = torch.zeros(1, 2, 4, 4, requires_grad=True)  # and lets gradients through
    resize_flow(flow, (8, 4)).sum().backward()
    assert flow.grad is not None
    torch.testing.assert_close(flow.grad.sum((0, 2, 3)), torch.tensor([32.0, 64.0]))


def test_resize_fields_takes_the_nearest_of_whole_batches() -> None:
    fields = torch.stack([field(), field(seed=1)])
    assert resize_fields(fields, (HEIGHT, WIDTH)) is fields
    scaled = fields[:, :, 1::3] * torch.tensor([1, 1 / 3, 1])[:, None, None]
    assert torch.equal(resize_fields(fields, (16, WIDTH)), scaled)


def test_resize_frames() -> None:
    assert torch.equal(resize_frames(noise(), (HEIGHT, WIDTH)), noise() / 255)
    found = resize_frames(torch.full((2, 3, 40, 60), 51, dtype=torch.uint8), (13, 17))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((2, 3, 13, 17), 0.2))
    stripes = (torch.arange(64) % 2 * 255).to(torch.uint8).expand(2, 3, 32, 64)
    assert (resize_frames(stripes, (8, 16)) - 0.5).abs().max() < 0.05  # antialiased: grey, no moiré


def test_warp_takes_what_the_flow_points_at() -> None:
    frame = noise()[0].float()
    warped, inside = warp(frame, constant(3, -2)[:2])
    torch.testing.assert_close(warped[:, 2:, :-3], frame[:, :-2, 3:], atol=0.01, rtol=0)
    assert inside.dtype == torch.bool and inside[2:, :-3].all()
    assert not inside[:2].any() and not inside[:, -3:].any()
    torch.testing.assert_close(warped[:, 2:, -3:], frame[:, :-2, -1:].expand(-1, -1, 3), atol=0.01, rtol=0)
    half = warp(frame, constant(0.5, 0)[:2])[0]
    torch.testing.assert_close(half[..., :-1], (frame[..., :-1] + frame[..., 1:]) / 2, atol=0.01, rtol=0)


# Randomness


@given(st.integers(0, 2**40), st.booleans())
def test_pure_function_of_the_seed(seed: int, masked: bool) -> None:
    transform, item = RandomAffine((30, 40), **ALL), (noise(), mask() if masked else field())
    before = (item[0].clone(), item[1].clone())
    first = seeded(transform, item, seed)
    torch.rand(3)
    state = torch.get_rng_state()
    again = pickle.loads(pickle.dumps(transform))  # as loader workers that are spawned need
    assert same(seeded(again, item, seed), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(seeded(transform, item, seed + 1), first)
    assert same(item, before)


def test_number_of_draws_is_constant() -> None:
    items = [(noise(), mask()), (noise(), field()), (noise(20, 30), mask(20, 30))]
    states = []
    for transform in (plain(), plain((9, 7)), RandomAffine((HEIGHT, WIDTH), **ALL), plain(flip=1)):
        for item in items:
            torch.manual_seed(7)
            transform(item)
            states.append(torch.get_rng_state())
    assert all(torch.equal(state, states[0]) for state in states)


def test_ranges_are_reached_evenly() -> None:
    transform = RandomAffine((8, 8), scale=0.4, shift=0.2, rotation=30, flip=0.3)
    zooms, angles, shifts, flips = [], [], [], 0
    for k in range(800):
        linear, shift = seeded(lambda _: transform.draw(), None, k)
        (a, b), (_, d) = linear
        zooms.append(math.hypot(b, d))
        angles.append(math.degrees(math.atan2(-b, d)))
        shifts.append(shift)
        flips += a * d < 0
    for values, low, high in (
        (zooms, 0.6, 1.4), (angles, -30, 30), (np.array(shifts)[:, 0], -0.2, 0.2), (np.array(shifts)[:, 1], -0.2, 0.2)
    ):  # fmt: skip
        assert scipy.stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-4
    assert scipy.stats.binomtest(flips, 800, 0.3).pvalue > 1e-4
    for one, two in (
        (zooms, angles),
        (angles, np.array(shifts)[:, 0]),
        (np.array(shifts)[:, 0], [s[1] for s in shifts]),
    ):
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.15


# Faults


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"size": (1, 8)}, "each at least 2 pixels"),
        ({"size": (8,)}, "height, width"),
        ({"scale": 1.0}, r"range of the zoom must lie in \[0, 1\), found 1.0"),
        ({"scale": -0.1}, "range of the zoom"),
        ({"scale": math.nan}, "range of the zoom"),
        ({"shift": 1.5}, "the shift"),
        ({"shift": -0.1}, "the shift"),
        ({"rotation": 181}, "the rotation"),
        ({"rotation": -1}, "the rotation"),
        ({"flip": 1.1}, "probability of a flip"),
        ({"flip": -0.1}, "probability of a flip"),
    ],
)
def test_settings_out_of_range(change: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        RandomAffine(**{"size": (8, 8), **ALL, **change})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
