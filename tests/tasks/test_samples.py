"""Samples of label maps, masks and flow: what their pixels say."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import flow_to_image

from l2sp_suite.tasks.segmentation.samples import sample_pictures
from l2sp_suite.tasks.video.samples import IGNORED, flow_pictures, mask_pictures

HEIGHT, WIDTH = 6, 9


def decoded(content: bytes) -> Tensor:
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (WIDTH, HEIGHT))
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def frame(seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_label_maps_keep_classes_and_colours() -> None:
    truth = torch.tensor([[0, IGNORED], [3, 1]], dtype=torch.uint8)
    files = sample_pictures(7, torch.full((3, 2, 2), 9, dtype=torch.uint8), truth, torch.zeros(2, 2).long())
    assert set(files) == {"7-image.png", "7-truth.png", "7-prediction.png"}
    with Image.open(io.BytesIO(files["7-truth.png"])) as picture:
        assert picture.mode == "P" and picture.tobytes() == bytes([0, 255, 3, 1])
        assert picture.convert("RGB").tobytes()[:6] == bytes([128, 0, 0, 0, 0, 0])


def masks() -> tuple[Tensor, Tensor]:
    truth, prediction = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.uint8)
    truth[1:4, 2:6], truth[5] = 1, IGNORED
    prediction[2:6, 3:8] = 1
    return truth, prediction


def test_masks_lie_over_the_frame() -> None:
    truth, prediction = masks()
    files = mask_pictures("clip03", frame(), truth, prediction)
    assert set(files) == {"clip03-image.png", "clip03-truth.png", "clip03-prediction.png"}
    assert torch.equal(decoded(files["clip03-image.png"]), frame())
    for kind, mask in (("truth", truth), ("prediction", prediction)):
        shown, values = decoded(files[f"clip03-{kind}.png"]).float(), frame().float()
        tinted = (values + torch.tensor([255.0, 64.0, 0.0])[:, None, None]) / 2
        expected = torch.where(mask == 1, tinted, 0.6 * values)
        expected[:, mask == IGNORED] = 0
        assert (shown - expected).abs().max() <= 0.5


@pytest.mark.parametrize("shade", [0, 90, 255])
def test_the_object_is_brighter_than_the_same_elsewhere_and_nothing_is_seen_without_a_label(shade: int) -> None:
    truth, prediction = masks()
    plain = torch.full((3, HEIGHT, WIDTH), shade, dtype=torch.uint8)
    shown = decoded(mask_pictures("a", plain, truth, prediction)["a-truth.png"]).float().sum(0)
    assert shown[truth == 1].min() > shown[truth == 0].max()
    assert not shown[truth == IGNORED].any()


# Flow


def field(seed: int = 0) -> Tensor:
    """A truth whose longest vector is valid; one corner is not valid and would be longer."""
    truth = torch.randn(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 4
    truth[2] = 1
    truth[0, 2, 3], truth[1, 2, 3] = 12.0, -16.0  # 20 pixels
    truth[:2, 4:, 7:], truth[2, 4:, 7:] = 300.0, 0.0
    return truth


def known(truth: Tensor) -> Tensor:
    return truth[:2] * truth[2:]


def wheel(flow: Tensor) -> Tensor:
    return cast(Tensor, flow_to_image(flow)).short()


def test_flow_has_the_colours_of_torchvision_where_both_are_as_long() -> None:
    truth = field()
    turned = torch.stack([-known(truth)[1], known(truth)[0]])  # by a right angle: no vector is longer or shorter
    files = flow_pictures("7", frame(), truth, turned)
    assert set(files) == {"7-image.png", "7-truth.png", "7-prediction.png"}
    assert torch.equal(decoded(files["7-image.png"]), frame())
    shown = {kind: decoded(files[f"7-{kind}.png"]).short() for kind in ("truth", "prediction")}
    valid = truth[2] == 1
    assert (shown["truth"] - wheel(known(truth)))[:, valid].abs().max() <= 1
    assert (shown["prediction"] - wheel(turned)).abs().max() <= 1
    assert not shown["truth"][:, ~valid].any()
    assert (shown["prediction"] - shown["truth"])[:, valid].abs().max() > 100


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_predictions_have_the_truth_s_scale_and_are_clipped_to_it(factor: float) -> None:
    truth = field()
    prediction = factor * torch.stack([-known(truth)[1], known(truth)[0]])
    shown = decoded(flow_pictures("7", frame(), truth, prediction)["7-prediction.png"]).short()
    lengths = prediction.square().sum(0).sqrt()
    assert lengths.max() == pytest.approx(20 * factor)
    clipped = torch.where(lengths > 20, prediction * 20 / lengths, prediction)
    both = wheel(torch.cat([known(truth), clipped], dim=2))  # one picture of both has one scale
    assert (shown - both[..., WIDTH:]).abs().max() <= 1


def test_no_motion_at_all_is_white() -> None:
    truth = torch.zeros(3, HEIGHT, WIDTH)
    truth[2] = 1
    files = flow_pictures("0", frame(), truth, torch.zeros(2, HEIGHT, WIDTH))
    assert all((decoded(files[f"0-{kind}.png"]) == 255).all() for kind in ("truth", "prediction"))
