"""Losses of segmentation and video against their definitions, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from l2sp_suite.tasks.segmentation.losses import pixel_loss, presence_loss
from l2sp_suite.tasks.video.losses import flow_loss, mask_loss, mean_error, scale_losses

IGNORED = 255
SEEN = (48, 128)  # the size of frames that the flow branch saw, where the truth's is another


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Label maps


def test_pixel_loss_is_the_mean_over_labelled_pixels() -> None:
    torch.manual_seed(0)
    logits, maps = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    maps[0, :2] = IGNORED
    torch.testing.assert_close(pixel_loss(logits, maps, IGNORED), F.cross_entropy(logits, maps, ignore_index=IGNORED))
    nothing = pixel_loss(logits.requires_grad_(), torch.full_like(maps, IGNORED), IGNORED)
    nothing.backward()
    assert nothing.item() == 0 and not logits.grad.any()


def test_presence_loss_asks_which_classes_occur() -> None:
    maps = torch.tensor([[[0, 0], [255, 2]], [[255, 255], [255, 255]]])
    logits = torch.randn(2, 4)
    occurs = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    expected = F.binary_cross_entropy_with_logits(logits, occurs)
    torch.testing.assert_close(presence_loss(logits, maps, IGNORED), expected)


# Masks


def scores(seed: int, images: int = 2, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    logits = 2 * torch.randn(images, 2, 4, 5, generator=generator(seed))
    masks = (torch.rand(images, 4, 5, generator=generator(seed + 1)) < 0.3).to(torch.uint8)
    masks[torch.rand(images, 4, 5, generator=generator(seed + 2)) < ignored] = IGNORED
    masks[:, 0, 0], masks[:, 0, 1] = 0, 1
    return logits, masks


def pixel_losses(logits: Tensor, masks: Tensor, balanced: bool) -> list[float]:
    """Of all labelled pixels, in order."""
    losses = []
    for image, mask in zip(logits.double().numpy(), masks.numpy(), strict=True):
        counts = {label: int((mask == label).sum()) for label in (0, 1)}
        for y, x in np.argwhere(mask != IGNORED):
            label = int(mask[y, x])
            weight = 1 - counts[label] / (counts[0] + counts[1]) if balanced else 1.0
            probability = math.exp(image[label, y, x]) / sum(math.exp(image[k, y, x]) for k in (0, 1))
            losses.append(-weight * math.log(probability))
    return losses


@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_mask_loss_is_its_definition(seed: int, images: int, balanced: bool) -> None:
    logits, masks = scores(seed, images)
    each = pixel_losses(logits, masks, balanced)
    mean = mask_loss(logits, masks, IGNORED, summed=False, balanced=balanced)
    assert mean.item() == pytest.approx(sum(each) / len(each), rel=1e-5)
    released = mask_loss(logits, masks, IGNORED, summed=True, balanced=balanced)
    assert released.item() == pytest.approx(sum(each) / images, rel=1e-5)
    if not balanced:
        torch.testing.assert_close(mean, F.cross_entropy(logits, masks.long(), ignore_index=IGNORED))


def test_balance_gives_both_classes_of_an_image_the_same_total_weight() -> None:
    logits, masks = torch.zeros(1, 2, 4, 5), torch.zeros(1, 4, 5, dtype=torch.uint8)
    masks[0, 0, :3], masks[0, 3] = 1, IGNORED  # 3 pixels of 15: weights 12/15 and 3/15
    balanced = mask_loss(logits, masks, IGNORED, summed=True, balanced=True)
    assert balanced.item() == pytest.approx((3 * 12 / 15 + 12 * 3 / 15) * math.log(2))


@pytest.mark.parametrize("summed", [True, False])
def test_without_any_label_there_is_no_mask_loss(summed: bool) -> None:
    logits, masks = scores(3)
    nothing = mask_loss(logits.requires_grad_(), torch.full_like(masks, IGNORED), IGNORED, summed=summed, balanced=True)
    nothing.backward()
    assert nothing.item() == 0 and logits.grad is not None and not logits.grad.any()


# Flow


def field(seed: int, shape: tuple[int, int, int] = (2, 24, 40), valid: float = 0.7) -> Tensor:
    """A truth (B, 3, H, W), also where it is not valid: vectors that must not count."""
    images, height, width = shape
    truth = torch.randn(images, 3, height, width, generator=generator(seed)) * 5
    truth[:, 2] = (torch.rand(images, height, width, generator=generator(seed + 1)) < valid).float()
    return truth


def predictions(
    seed: int, shape: tuple[int, int, int] = (2, 24, 40), coarsest: tuple[int, int] = (1, 2)
) -> list[Tensor]:
    """Five fields, each twice as fine as the one before."""
    height, width = coarsest
    sizes = [(height << k, width << k) for k in range(5)]
    return [torch.randn(shape[0], 2, *size, generator=generator(seed + k)) for k, size in enumerate(sizes)]


def looped_error(flow: Tensor, truth: Tensor) -> float:
    """Mean length of the difference over the valid pixels of the batch."""
    errors = [
        math.hypot(*(f[:, y, x] - t[:2, y, x]))
        for f, t in zip(flow.numpy(), truth.numpy(), strict=True)
        for y, x in np.argwhere(t[2] == 1)
    ]
    return sum(errors) / len(errors)


def looped_cells(truth: Tensor, size: tuple[int, int], seen: tuple[int, int]) -> Tensor:
    """The mean of a cell's valid vectors, in units of 20 px of the frames seen; a cell is valid if one of them is."""
    images, _, height, width = truth.shape
    cells = np.zeros((images, 3, *size))
    for image, i, j in np.ndindex(images, *size):
        rows = slice(i * height // size[0], -(-(i + 1) * height // size[0]))
        columns = slice(j * width // size[1], -(-(j + 1) * width // size[1]))
        u, v, valid = truth[image, :, rows, columns].double().numpy()
        if valid.any():
            mean = [u[valid == 1].mean() * seen[1] / width / 20, v[valid == 1].mean() * seen[0] / height / 20]
            cells[image, :, i, j] = [*mean, 1]
    return torch.from_numpy(cells).float()


@given(st.integers(0, 10**6), st.floats(0.1, 1))
@settings(max_examples=15, deadline=None)
def test_mean_error_pools_the_valid_pixels_of_the_batch(seed: int, valid: float) -> None:
    truth = field(seed, (2, 5, 7), valid)
    truth[:, 2, 0, 0] = 1
    flow = torch.randn(2, 2, 5, 7, generator=generator(seed)) * 5
    assert mean_error(flow, truth).item() == pytest.approx(looped_error(flow, truth), rel=1e-5)


@pytest.mark.parametrize("coarsest", [(1, 2), (2, 3)], ids=["some cells of whole pixels", "cells that overlap"])
def test_scale_losses_compare_with_the_mean_of_what_is_valid_in_a_cell(coarsest: tuple[int, int]) -> None:
    truth, flows = field(5, valid=0.3), predictions(1, coarsest=coarsest)
    losses = scale_losses(flows, truth, SEEN)
    expected = [looped_error(flow, looped_cells(truth, tuple(flow.shape[-2:]), SEEN)) for flow in flows]
    assert [loss.item() for loss in losses] == pytest.approx(expected, rel=1e-4)


def test_means_weigh_as_flownet_s_published_sums_over_pixels() -> None:
    """.32, .08, .02, .01, .005 from coarse to fine, and 1/4, 1/4, 1/4, 1/2, 1 of the means, differ by 1.28 x cells."""
    height, width = 128, 192
    truth, flows = field(7, (3, height, width), 1.0), predictions(11, (3, height, width), coarsest=(2, 3))
    published = 0.0
    for weight, flow in zip((0.32, 0.08, 0.02, 0.01, 0.005), flows, strict=True):
        cells = F.avg_pool2d(truth[:, :2] / 20, height // flow.shape[-2])
        published += weight * float((flow - cells).square().sum(1).sqrt().sum()) / len(truth)
    ours = flow_loss(None, flows, truth, (height, width), 0.0, [0.25, 0.25, 0.25, 0.5, 1.0])
    assert published == pytest.approx(1.28 * 2 * 3 * ours.item(), rel=1e-5)


def test_flow_loss_is_the_weighted_sum() -> None:
    truth, flows, flow = field(5), predictions(1), torch.randn(2, 2, 24, 40, generator=generator(9))
    final, scales = mean_error(flow, truth), scale_losses(flows, truth, SEEN)
    weights = [0.1, 0.2, 0.4, 0.8, 1.6]
    expected = 3 * final + sum(weight * part for weight, part in zip(weights, scales, strict=True))
    assert len({round(part.item(), 4) for part in (final, *scales)}) == 6
    torch.testing.assert_close(flow_loss(flow, flows, truth, SEEN, 3.0, weights), expected)
    torch.testing.assert_close(flow_loss(flow, (), truth, SEEN, 3.0, []), 3 * final)
    torch.testing.assert_close(flow_loss(None, flows, truth, SEEN, 0.0, weights), expected - 3 * final)


@pytest.mark.parametrize("case", ["nothing is valid", "no error"])
def test_loss_is_zero_and_gradients_are_finite(case: str) -> None:
    truth = field(5, valid=0.0 if case == "nothing is valid" else 1.0)
    flow, flows = torch.randn(2, 2, 24, 40, generator=generator(9)), predictions(1)
    if case == "no error":
        truth[:, :2] = torch.tensor([20.0, -40.0])[:, None, None]
        flow = truth[:, :2].clone()
        for k, prediction in enumerate(flows):
            flows[k] = torch.tensor([1.0, -2.0])[:, None, None].expand_as(prediction).clone()
    leaves = [flow.requires_grad_(), *(prediction.requires_grad_() for prediction in flows)]
    loss = flow_loss(flow, flows, truth, truth.shape[-2:], 1.0, [1.0] * 5)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)
    if case == "nothing is valid":
        assert not any(leaf.grad.any() for leaf in leaves)  # type: ignore[union-attr]
