"""Sliding windows over scales and flips: against a direct computation, constants, small images, overlaps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from l2sp_suite.tasks.segmentation.multi_scale import Windows, scores

BLACK = torch.tensor([-2.0, -1.5, -1.0])


def windows(base: int = 20, crop: int = 16, stride: int = 10, flip: bool = True, batch: int = 3) -> Windows:
    return Windows(base, crop, stride, flip, BLACK, batch)


def constant(logits: list[float]):  # type: ignore[no-untyped-def]
    def segment(images: torch.Tensor) -> torch.Tensor:
        values = torch.tensor(logits)[None, :, None, None]
        return values.expand(len(images), -1, *images.shape[-2:])

    return segment


@given(st.integers(5, 60), st.integers(5, 60), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_constant_net_scores_constants(height: int, width: int, flip: bool) -> None:
    scales = [0.5, 1.0, 1.75]
    total = scores(constant([0.5, -1.0]), torch.zeros(2, 3, height, width), scales, windows(flip=flip))
    assert total.dtype == torch.float64 and total.shape == (2, 2, height, width)
    expected = torch.tensor([0.5, -1.0], dtype=torch.float64).mul(2 if flip else 1).exp() * len(scales)
    torch.testing.assert_close(total, expected[None, :, None, None].expand_as(total))


def test_large_logits_do_not_overflow() -> None:
    total = scores(constant([150.0, 149.0]), torch.zeros(1, 3, 8, 8), [1.0], windows())
    assert torch.isfinite(total).all() and (total.argmax(1) == 0).all()


def seen_windows(size: tuple[int, int], scale: float, setting: Windows) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []

    def segment(images: torch.Tensor) -> torch.Tensor:
        seen.extend(images)
        return images[:, :1]

    scores(segment, torch.ones(1, 3, *size), [scale], setting)
    return seen


@pytest.mark.parametrize(
    ("size", "scale", "count"),
    [
        ((20, 10), 0.5, 1),  # long side 10: one padded window
        ((20, 10), 0.8, 1),  # 16, the crop itself
        ((20, 10), 1.0, 2),  # 20 x 10: two rows
        ((20, 20), 1.0, 4),
        ((20, 20), 1.3, 4),  # 26 = 16 + 10
        ((20, 20), 1.35, 9),  # 27 needs a third
    ],
)
def test_how_many_windows_cover_an_image(size: tuple[int, int], scale: float, count: int) -> None:
    seen = seen_windows(size, scale, windows(flip=False))
    assert len(seen) == count and {w.shape for w in seen} == {torch.Size([3, 16, 16])}


def test_a_small_image_is_padded_with_black_right_and_below() -> None:
    (window,) = seen_windows((20, 10), 0.5, windows(flip=False))
    assert (window[:, :10, :5] == 1).all()
    assert (window[:, 10:] == BLACK[:, None, None]).all() and (window[:, :, 5:] == BLACK[:, None, None]).all()


def brute_force(image: torch.Tensor, scale: float, setting: Windows) -> torch.Tensor:
    """docs/protocols/encnet.md#evaluation, step by step, for the net that gives each pixel's own colours as logits."""
    _, height, width = image.shape
    long_side = math.ceil(setting.base * scale)
    size = [int(side * long_side / max(height, width) + 0.5) for side in (height, width)]
    small = F.interpolate(image[None], size, mode="bilinear", align_corners=True)[0].double()
    total, count = torch.zeros_like(small), torch.zeros(size)
    tops, lefts = (range(0, max(1, math.ceil((s - setting.crop) / setting.stride) + 1)) for s in size)
    for top in tops:
        for left in lefts:
            rows = slice(top * setting.stride, top * setting.stride + setting.crop)
            columns = slice(left * setting.stride, left * setting.stride + setting.crop)
            total[:, rows, columns] += (2 * small[:, rows, columns]).exp()  # the mirrored mirror is the same
            count[rows, columns] += 1
    return F.interpolate((total / count)[None], (height, width), mode="bilinear", align_corners=True)[0]


@pytest.mark.parametrize("batch", [1, 5])
def test_against_the_procedure_done_step_by_step(batch: int) -> None:
    torch.manual_seed(0)
    images, setting = torch.randn(2, 3, 21, 33), windows(batch=batch)
    scales = [0.5, 1.0, 1.75]
    for image, ours in zip(images, scores(lambda x: x, images, scales, setting), strict=True):
        torch.testing.assert_close(ours, sum(brute_force(image, scale, setting) for scale in scales))


def test_flipping_makes_the_scores_mirror_symmetric() -> None:
    torch.manual_seed(0)
    kernel = torch.randn(2, 3, 3, 3)

    def segment(images: torch.Tensor) -> torch.Tensor:
        return F.conv2d(images, kernel, padding=1)

    image = torch.randn(1, 3, 16, 16)
    setting = windows(base=16)
    plain, mirrored = (scores(segment, x, [1.0], setting) for x in (image, image.flip(-1)))
    torch.testing.assert_close(plain, mirrored.flip(-1))
    lopsided = scores(segment, image, [1.0], windows(base=16, flip=False))
    assert not torch.allclose(lopsided, plain)
