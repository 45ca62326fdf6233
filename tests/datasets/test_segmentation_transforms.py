"""Joint transforms: image and map stay aligned, with PIL as oracle; both presets reach their ranges."""

from __future__ import annotations

import pickle
from typing import Literal
from unittest import mock

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from l2sp_suite.datasets import IGNORED, Pair, ScaledCrop, seeded
from l2sp_suite.datasets.images import resize_map
from l2sp_suite.utils.errors import UserError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ZERO, ONE = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)  # normalisation that gives back 0 .. 255
Edge = Literal["short", "long"]


def plain(crop: int, base: int, **settings: object) -> ScaledCrop:
    """No flip, no blur, no scaling and no normalisation, unless asked."""
    return ScaledCrop(crop, base, ZERO, ONE, **{"scale": (1, 1), "blur": 0, "flip": 0, **settings})  # type: ignore[arg-type]


def pair(height: int, width: int, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    return torch.from_numpy(image), torch.from_numpy(rng.integers(0, 59, (height, width), dtype=np.uint8))


def draws(*values: float) -> object:
    """Makes the six draws (flip, size, top, left, blur, radius) what they are said to be."""
    return mock.patch(
        "l2sp_suite.datasets.segmentation_transforms.torch.rand", return_value=torch.tensor(values, dtype=torch.float64)
    )


# The whole transform


@given(st.integers(0, 2**40), st.integers(5, 60), st.integers(5, 60), st.sampled_from(["short", "long"]))
def test_same_as_the_steps_one_by_one(seed: int, height: int, width: int, edge: Edge) -> None:
    transform = ScaledCrop(24, 30, MEAN, STD, edge=edge)
    found, found_map = seeded(transform, pair(height, width), seed)
    expected, expected_map = seeded(lambda item: reference(transform, item), pair(height, width), seed)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found_map, expected_map)


def reference(transform: ScaledCrop, item: Pair) -> Pair:
    """The published steps on whole PIL images: flip, resize, pad, crop, blur, normalise."""
    flip, size, top, left, blur, radius = torch.rand(6, dtype=torch.float64).tolist()
    image, labels = Image.fromarray(item[0].permute(1, 2, 0).numpy()), Image.fromarray(item[1].numpy())
    if flip < 0.5:
        image, labels = (part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for part in (image, labels))
    target = 15 + int(size * 46)
    width, height = image.size
    if transform.edge == "short":
        scaled = (target, int(height * target / width)) if height > width else (int(width * target / height), target)
    elif height > width:
        scaled = int(width * target / height + 0.5), target
    else:
        scaled = target, int(height * target / width + 0.5)
    crop = transform.crop
    canvas = tuple(max(side, crop) for side in scaled)
    whole, whole_map = Image.new("RGB", canvas), Image.new("L", canvas, IGNORED)
    whole.paste(image.resize(scaled, Image.Resampling.BILINEAR))
    whole_map.paste(labels.resize(scaled, Image.Resampling.NEAREST))
    x, y = int(left * (canvas[0] - crop + 1)), int(top * (canvas[1] - crop + 1))
    box = (x, y, x + crop, y + crop)
    whole, whole_map = whole.crop(box), whole_map.crop(box)
    if blur < 0.5:
        whole = whole.filter(ImageFilter.GaussianBlur(radius))
    pixels = torch.from_numpy(np.array(whole)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std, torch.from_numpy(np.array(whole_map))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 80), st.integers(1, 80))
def test_maps_are_resized_as_by_pil(height: int, width: int, new_height: int, new_width: int) -> None:
    labels = pair(height, width)[1]
    expected = Image.fromarray(labels.numpy()).resize((new_width, new_height), Image.Resampling.NEAREST)
    found = resize_map(labels, new_height, new_width)
    assert found.shape == (new_height, new_width) and np.array_equal(found.numpy(), np.array(expected))
    assert set(found.flatten().tolist()) <= set(labels.flatten().tolist())


# Single steps


def test_whole_image_unscaled_and_flipped() -> None:
    image, labels = pair(20, 20)
    found, found_map = plain(20, 20)((image, labels))
    torch.testing.assert_close(found, image.float())
    assert found.dtype == torch.float32 and torch.equal(found_map, labels) and found_map.dtype == torch.uint8
    found, found_map = plain(20, 20, flip=1)((image, labels))
    torch.testing.assert_close(found, image.flip(-1).float())
    assert torch.equal(found_map, labels.flip(-1))
    half = plain(20, 20, flip=0.5)
    flipped = [not torch.equal(seeded(half, (image, labels), k)[1], labels) for k in range(400)]
    assert scipy.stats.binomtest(sum(flipped), 400, 0.5).pvalue > 1e-4


def test_every_crop_is_reached_equally() -> None:
    image, labels = torch.zeros(3, 6, 8, dtype=torch.uint8), torch.arange(48, dtype=torch.uint8).view(6, 8)
    corners = [int(seeded(plain(4, 6), (image, labels), k)[1][0, 0]) for k in range(600)]
    allowed = [8 * y + x for y in range(3) for x in range(5)]
    assert set(corners) == set(allowed)
    assert scipy.stats.chisquare([corners.count(c) for c in allowed]).pvalue > 1e-4


@pytest.mark.parametrize(("edge", "blur"), [("short", 0.5), ("long", 0.0)])
def test_both_presets_reach_their_whole_range(edge: Edge, blur: float) -> None:
    transform = ScaledCrop(8, 10, MEAN, STD, edge=edge, blur=blur)
    item, sizes = pair(12, 18), []
    with mock.patch.object(ScaledCrop, "resized", lambda _, h, w, target: (sizes.append(target), (8, 12))[1]):
        for k in range(600):
            seeded(transform, item, k)
    assert set(sizes) == set(range(5, 21))  # 0.5 and 2 times the base, both ends included
    assert scipy.stats.chisquare([sizes.count(n) for n in range(5, 21)]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("edge", "height", "width", "expected"),
    [("short", 375, 500, (520, 693)), ("short", 500, 375, (693, 520)), ("long", 375, 500, (390, 520)),
     ("long", 500, 333, (520, 346)), ("long", 3, 1000, (2, 520)), ("long", 1, 5000, (1, 520))],
)  # fmt: skip
def test_sizes_of_the_published_base(edge: Edge, height: int, width: int, expected: tuple[int, int]) -> None:
    assert plain(480, 520, edge=edge).resized(height, width, 520) == expected


def test_blur_on_and_off() -> None:
    item = pair(20, 20)
    sharp = item[0].float()
    for chance, drawn, radius in ((1, 0.999, 0.8), (0.5, 0.49, 0.3), (0.5, 0.51, 0.8), (0, 0.0, 0.8)):
        with draws(0.9, 0, 0, 0, drawn, radius):
            found, labels = plain(20, 20, blur=chance)(item)
        assert torch.equal(labels, item[1])
        picture = Image.fromarray(item[0].permute(1, 2, 0).numpy())
        blurred = torch.from_numpy(np.array(picture.filter(ImageFilter.GaussianBlur(radius)))).permute(2, 0, 1)
        torch.testing.assert_close(found, blurred.float() if drawn < chance else sharp)
    half = plain(20, 20, blur=0.5)
    hit = [not torch.allclose(seeded(half, item, k)[0], sharp, atol=0.01) for k in range(400)]
    assert 130 < sum(hit) <= 220  # a tiny radius changes nothing


# Randomness


def tensors_equal(a: Pair, b: Pair) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@given(st.integers(0, 2**40))
def test_pure_function_of_the_seed(seed: int) -> None:
    transform, item = ScaledCrop(16, 20, MEAN, STD), pair(20, 26)
    before = (item[0].clone(), item[1].clone())
    first = seeded(transform, item, seed)
    torch.rand(3)
    state = torch.get_rng_state()
    again = pickle.loads(pickle.dumps(transform))  # as loader workers that are spawned need
    assert tensors_equal(seeded(again, item, seed), first)
    assert torch.equal(torch.get_rng_state(), state) and tensors_equal(item, before)
    assert not tensors_equal(seeded(transform, item, seed + 1), first)
    last = item[0].permute(1, 2, 0).contiguous().permute(2, 0, 1)  # the order of the memory does not matter
    assert tensors_equal(seeded(transform, (last, item[1]), seed), first)


# Faults


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"crop": 0}, "side of the crop"),
        ({"base": 0}, "at least one pixel size"),
        ({"scale": (2.0, 0.5)}, "at least one pixel size"),
        ({"scale": (0.01, 2.0)}, "at least one pixel size"),
        ({"edge": "both"}, "'both'"),
        ({"blur": 1.5}, "probability of a blur"),
        ({"flip": -0.1}, "probability of a flip"),
        ({"std": (0.0, 1.0, 1.0)}, "standard deviations"),
    ],
)
def test_settings_out_of_range(change: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        ScaledCrop(**{"crop": 8, "base": 10, "mean": MEAN, "std": STD, **change})  # type: ignore[arg-type]
