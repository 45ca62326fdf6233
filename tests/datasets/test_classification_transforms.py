"""Augmentation: ranges, closed forms, torchvision and colorsys as oracles, and seeding."""

from __future__ import annotations

import colorsys
import pickle
from collections.abc import Callable

import pytest
import scipy.stats
import torch
import torchvision.transforms.v2.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import v2

from l2sp_suite.datasets import Normalize, Transform, eval_transform, seeded, train_transform
from l2sp_suite.datasets.classification_transforms import AddBrightness, DistortedCrop, ScaleSaturation
from l2sp_suite.utils.errors import UserError

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
HALF = (0.5, 0.5, 0.5)


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def dstl(size: int = 16) -> Transform:
    return train_transform(size, (0.05, 1), (0.75, 1.33), 0.5, 32 / 255, 0.5, HALF, HALF)


def normalized(image: Tensor) -> Tensor:
    """The oracle: torchvision's own conversion and normalisation."""
    found: Tensor = v2.Normalize(MEAN, STD)(v2.ToDtype(torch.float32, scale=True)(image))
    return found


# The whole pipelines


@given(st.integers(1, 70), st.integers(1, 70), st.integers(2, 40), st.integers(0, 2**40))
def test_train_transform_shape_and_range(height: int, width: int, size: int, seed: int) -> None:
    found = seeded(dstl(size), noise(height, width), seed)
    assert found.shape == (3, size, size) and found.dtype == torch.float32
    assert found.min() >= -1 - 1e-6 and found.max() <= 1 + 1e-6


def test_train_transform_without_randomness_is_normalisation() -> None:
    image = noise(20, 20)
    found = train_transform(20, (1, 1), (1, 1), 0, 0, 0, MEAN, STD)(image)
    torch.testing.assert_close(found, normalized(image))


def test_flip() -> None:
    image = noise(20, 20)
    always = train_transform(20, (1, 1), (1, 1), 1, 0, 0, MEAN, STD)
    torch.testing.assert_close(always(image), normalized(image.flip(-1)))
    half = train_transform(20, (1, 1), (1, 1), 0.5, 0, 0, MEAN, STD)
    flipped = [not torch.equal(seeded(half, image, k), half.transforms[-1](image)) for k in range(400)]
    assert scipy.stats.binomtest(sum(flipped), 400, 0.5).pvalue > 1e-4


def test_zero_leaves_a_step_out() -> None:
    def kinds(flip: float, brightness: float, saturation: float) -> list[str]:
        made = train_transform(8, (0.1, 1), (1, 1), flip, brightness, saturation, MEAN, STD)
        return [type(step).__name__ for step in made.transforms]

    assert kinds(0.5, 0.1, 0.5) == ["DistortedCrop", "AddBrightness", "ScaleSaturation", "Normalize"]
    assert kinds(0.5, 0.1, 0) == ["DistortedCrop", "AddBrightness", "Normalize"]
    assert kinds(0, 0, 0.5) == ["DistortedCrop", "ScaleSaturation", "Normalize"]


def test_input_is_left_alone() -> None:
    image = noise(16, 16)
    before = image.clone()
    for transform in (
        dstl(),
        train_transform(16, (1, 1), (1, 1), 0, 0, 0, MEAN, STD),
        eval_transform(16, 1, MEAN, STD),
    ):
        seeded(transform, image, 0)
        assert torch.equal(image, before)


@pytest.mark.parametrize(("height", "width"), [(96, 96), (64, 100), (7, 33)])
@pytest.mark.parametrize("antialias", [False, True])
def test_eval_transform_is_central_crop_and_resize(height: int, width: int, antialias: bool) -> None:
    image = noise(height, width)
    top, left = int(height * 0.125 / 2), int(width * 0.125 / 2)
    crop = F.crop(image, top, left, height - 2 * top, width - 2 * left)
    expected = normalized(F.resize(crop, [24, 24], antialias=antialias))
    found = eval_transform(24, 0.875, MEAN, STD, antialias=antialias)(image)
    torch.testing.assert_close(found, expected)


def test_eval_transform_does_not_draw_and_has_inceptions_range() -> None:
    state = torch.get_rng_state()
    ends = torch.tensor([0, 255], dtype=torch.uint8).expand(3, 2, 2)
    torch.testing.assert_close(eval_transform(2, 1, HALF, HALF)(ends)[:, 0], torch.tensor([[-1.0, 1.0]] * 3))
    assert torch.equal(torch.get_rng_state(), state)


def test_bicubic_is_that_of_torchvision() -> None:
    image = noise(40, 30)
    resized = F.resize(image.float(), [20, 20], F.InterpolationMode.BICUBIC, antialias=True)
    expected = normalized(resized.round().clamp(0, 255).to(torch.uint8))
    cubic = eval_transform(20, 1, MEAN, STD, antialias=True, interpolation="bicubic")(image)
    torch.testing.assert_close(cubic, expected)
    trained = train_transform(20, (1, 1), (0.75, 0.75), 0, 0, 0, MEAN, STD, antialias=True, interpolation="bicubic")
    torch.testing.assert_close(trained(image), expected)


def test_transforms_survive_pickling() -> None:  # as loader workers that are spawned need
    image = noise(30, 30)
    assert torch.equal(seeded(pickle.loads(pickle.dumps(dstl())), image, 5), seeded(dstl(), image, 5))


# The crop


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**40))
def test_crop_lies_in_the_image_and_in_the_ranges(height: int, width: int, seed: int) -> None:
    crop = DistortedCrop(8, (0.05, 1), (0.75, 1.33))
    top, left, h, w = seeded(lambda _: torch.tensor(crop.draw(height, width)), torch.empty(0), seed).tolist()
    assert 0 <= top <= top + h <= height and 0 <= left <= left + w <= width and h > 0 and w > 0
    if (h, w) != (height, width):  # else it may be the way out after 100 attempts
        # Sides are rounded to pixels, so the ranges hold within half a pixel each.
        assert (h + 0.5) * (w + 0.5) >= 0.05 * height * width >= 0
        assert (w + 0.5) / (h - 0.5) >= 0.75 and (w - 0.5) / (h + 0.5) <= 1.33


def test_area_and_aspect_are_uniform() -> None:
    crop = DistortedCrop(8, (0.05, 0.5), (0.75, 1.33))  # a range in which every draw fits
    state = torch.get_rng_state()
    torch.manual_seed(0)
    boxes = [crop.draw(4000, 4000) for _ in range(2000)]
    torch.set_rng_state(state)
    area = [h * w / 4000**2 for _, _, h, w in boxes]
    aspect = [w / h for _, _, h, w in boxes]
    top = [y / (4000 - h) for y, _, h, _ in boxes]
    for sample, low, high in ((area, 0.05, 0.5), (aspect, 0.75, 1.33), (top, 0, 1)):
        assert scipy.stats.kstest(sample, "uniform", (low, high - low)).pvalue > 1e-4


def test_crop_that_never_fits_is_the_whole_image() -> None:
    assert DistortedCrop(8, (1, 1), (1.2, 1.3)).draw(50, 50) == (0, 0, 50, 50)


def test_crop_is_resized_without_keeping_the_aspect() -> None:
    image = noise(30, 50)
    crop = DistortedCrop(12, (1, 1), (5 / 3, 5 / 3))
    assert torch.equal(crop(image), F.resize(image, [12, 12], antialias=False))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: DistortedCrop(8, (0, 1), (1, 1)), "scale must be an increasing pair"),
        (lambda: DistortedCrop(8, (0.5, 2), (1, 1)), "scale must not exceed 1"),
        (lambda: DistortedCrop(8, (0.5, 1), (2, 1)), "ratio must be an increasing pair"),
        (lambda: eval_transform(8, 0, MEAN, STD), "central crop"),
        (lambda: eval_transform(8, -1, MEAN, STD), "central crop"),
        (lambda: eval_transform(8, 1.1, MEAN, STD), "central crop"),
        (lambda: eval_transform(1, 0.875, MEAN, STD), "at least 2 pixels"),
        (lambda: Normalize((0.5,), (0.0,)), "positive"),
        (lambda: Normalize((0.5,), (0.5, 0.5)), "as many standard deviations"),
    ],
)
def test_settings_out_of_range(make: Callable[[], object], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        make()


# Colour


@given(st.integers(0, 2**40))
def test_brightness_is_one_shift_within_the_bound(seed: int) -> None:
    image = noise(4, 4)
    shift = seeded(AddBrightness(32 / 255), image, seed) - image
    assert shift.max() - shift.min() < 1e-4 and shift.abs().max() <= 32 + 1e-4


@given(st.floats(0, 3), st.integers(0, 1000))
def test_saturation_is_that_of_hsv(factor: float, seed: int) -> None:
    image = noise(2, 3, seed).float() / 255
    image[:, 0, 0] = 0.25  # grey
    image[:, 0, 1] = 0  # black
    found = ScaleSaturation.scale(image, factor)
    for y in range(2):
        for x in range(3):
            hue, saturation, value = colorsys.rgb_to_hsv(*image[:, y, x].tolist())
            expected = torch.tensor(colorsys.hsv_to_rgb(hue, min(1, factor * saturation), value))
            torch.testing.assert_close(found[:, y, x], expected, atol=1e-5, rtol=0)


@given(st.integers(0, 2**40))
def test_saturation_factor_within_the_bound(seed: int) -> None:
    pixel = torch.tensor([200, 180, 180], dtype=torch.uint8)[:, None, None]  # S = 0.1, so it is never cut
    found = seeded(ScaleSaturation(0.5), pixel, seed)
    factor = (200 - found[1, 0, 0].item()) / 20
    assert found[0, 0, 0] == 200 and 0.5 - 1e-5 <= factor <= 1.5 + 1e-5


def test_negative_values_after_brightness_stay_finite() -> None:
    image = torch.tensor([[-20.0, -5.0, 0.0], [-30.0, 5.0, 0.0], [-25.0, -9.0, 0.0]])[:, None]
    found = ScaleSaturation.scale(image, 1.5)
    assert found.isfinite().all() and (found.amax(0) == image.amax(0)).all()


# Seeding


def test_seeded_is_a_pure_function_of_its_key() -> None:
    image, transform = noise(40, 40), dstl()
    first = seeded(transform, image, 1, 2, 3)
    torch.rand(7)
    assert torch.equal(seeded(transform, image, 1, 2, 3), first)
    others = [(1, 2, 4), (1, 3, 3), (2, 2, 3), (3, 2, 1), (1, 2)]
    assert not any(torch.equal(seeded(transform, image, *key), first) for key in others)


def test_seeded_leaves_the_global_state() -> None:
    state = torch.get_rng_state()
    seeded(dstl(), noise(9, 9), 0)
    assert torch.equal(torch.get_rng_state(), state)

    def broken(_: Tensor) -> Tensor:
        torch.rand(1)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        seeded(broken, noise(9, 9), 0)
    assert torch.equal(torch.get_rng_state(), state)
