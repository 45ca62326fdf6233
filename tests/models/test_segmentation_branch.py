"""SegFlow's segmentation branch: the original ResNet-101 of Caffe against other libraries, and other backbones."""

from __future__ import annotations

import math
from functools import cache

import networks
import pytest
import timm
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from segflow_nets import NARROW, PLAIN, meta_frames, narrow, random_frames
from torch import nn
from torch.nn import functional as F

from l2sp_suite.models import timm_models
from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.models.segflow import SegFlow, check_cover, segmentation_branch
from l2sp_suite.pretrained import load_weights
from l2sp_suite.utils.errors import UserError


def published() -> nn.Module:
    with torch.device("meta"):
        return segmentation_branch("resnet101_caffe", 1.0, True)


def test_published_sizes() -> None:
    """docs/protocols/segflow.md#segmentation-branch."""
    branch = published()
    named = branch.named_children()
    seen = networks.watch({n: m for n, m in named if n in ("conv1", "maxpool") or n.startswith("layer")})
    maps = branch(torch.empty(1, 3, 480, 854, device="meta"))
    assert networks.shapes(seen) == {
        "conv1": (64, 240, 427),
        "maxpool": (64, 120, 213),
        "layer1": (256, 120, 213),
        "layer2": (512, 60, 107),
        "layer3": (1024, 30, 54),
        "layer4": (2048, 15, 27),
    }
    assert [tuple(m.shape) for m in maps] == [(1, 512, 60, 107), (1, 1024, 30, 54), (1, 2048, 15, 27)]


def test_the_original_has_the_weights_of_timm_s_resnet_101_and_its_strides_in_the_first_convolutions() -> None:
    with torch.device("meta"):
        original, usual = timm_models.create("resnet101_caffe"), timm.create_model("resnet101")
    tensors = {name: t.shape for name, t in usual.state_dict().items()}
    assert {name: t.shape for name, t in original.state_dict().items()} == tensors
    branch = published()
    assert {name: t.shape for name, t in branch.state_dict().items()} == networks.without("fc.", tensors)
    assert sum(isinstance(module, nn.Conv2d) for module in branch.modules()) == 104
    halving = {n: m.stride for n, m in original.named_modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)}
    stages = [f"layer{k}.0.{layer}" for k in (2, 3, 4) for layer in ("conv1", "downsample.0")]
    assert halving == dict.fromkeys(("conv1", *stages), (2, 2))


@pytest.mark.slow
def test_the_original_is_torchvision_s_resnet_with_its_strides_moved() -> None:
    torch.manual_seed(0)
    other = torchvision.models.resnet50(weights=None).eval()
    networks.random_norms(other)
    for stage in (other.layer2, other.layer3, other.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    branch = segmentation_branch("resnet50_caffe", 1.0, True).eval()
    branch.load_state_dict(networks.without("fc.", other.state_dict()))
    for size in ((65, 70), (64, 83)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            maps = branch(images)
            x = other.relu(other.bn1(other.conv1(images)))
            # Caffe's pooling takes in a last row and column of which it only half has: as if they were less than all.
            x = other.layer1(F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2))
            for ours, stage in zip(maps, (other.layer2, other.layer3, other.layer4), strict=True):
                x = stage(x)
                torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4 * float(x.abs().max()))


def test_frozen_statistics_normalise_in_training_too() -> None:
    torch.manual_seed(0)
    frozen, moving = (segmentation_branch("resnet26_caffe", NARROW, frozen) for frozen in (True, False))
    networks.random_norms(frozen)
    moving.load_state_dict(frozen.state_dict())
    before = {name: t.clone() for name, t in frozen.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tested, trained = frozen.eval()(images), frozen.train()(images)
        assert all(torch.equal(a, b) for a, b in zip(tested, trained, strict=True))
        assert all(torch.equal(t, before[name]) for name, t in frozen.state_dict().items())
        assert not any(torch.allclose(a, b) for a, b in zip(tested, moving.train()(images), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv2_035"])
def test_other_backbones_work(name: str) -> None:
    net = narrow(name)
    seen = networks.watch({"branch": net.segmentation})
    with torch.no_grad():
        out = net(random_frames(0, 70, 90))
    assert [tuple(m.shape[-2:]) for m in seen["branch"]] == [(9, 12), (5, 6), (3, 3)]
    assert out.mask.shape == out.flow.shape == (1, 2, 70, 90) and out.mask.std() > 0 and out.flow.std() > 0


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("vit_tiny_patch16_224", 1.0, "vit_tiny_patch16_224 do not have strides 8, 16 and 32"),
        ("tf_efficientnet_lite0_caffe", 1.0, "tf_efficientnet_lite0_caffe: only ResNets of bottlenecks"),
        ("resnet18_caffe", 1.0, "resnet18_caffe: only ResNets of bottlenecks"),
        ("resnetaa50_caffe", 1.0, "only ResNets of bottlenecks"),
        ("tf_efficientnet_lite0", 0.5, "width: 0.5 is for .*ResNets"),
        ("resnet50_caffe", 0.3, "does not divide the 64 channels of a ResNet's first stage"),
        ("resnet101x_caffe", 1.0, "no network is called 'resnet101x'; nearest: .*resnet101"),
    ],
)
def test_backbones_that_cannot_be(name: str, width: float, message: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=message):
        segmentation_branch(name, width, True)


def test_timm_publishes_no_weights_of_the_original() -> None:
    with pytest.raises(UserError, match="publishes no weights"):
        load_weights("timm", segmentation_branch("resnet50_caffe", 0.25, True), None, None, ())


# Frames that a backbone's maps cover


@cache
def on_meta(name: str) -> SegFlow:
    with torch.device("meta"):
        return SegFlow(segmentation_branch(name, NARROW, True), FlowNetS(NARROW), PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet26", "resnet26_caffe"])
@given(height=st.integers(32, 900), width=st.integers(32, 900))
@settings(max_examples=30, deadline=None)
def test_scores_have_the_size_of_the_frames(name: str, height: int, width: int) -> None:
    if name.endswith("_caffe"):
        assume(not {height % 8, width % 8} & {1, 2})
    with torch.no_grad():
        out = on_meta(name)(meta_frames(height, width))
    assert out.mask.shape == out.flow.shape == (1, 2, height, width)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(481, 854), (480, 850), (490, 854)])
def test_sides_that_the_original_s_pooling_does_not_cover_are_refused(height: int, width: int) -> None:
    """It loses a cell there: the scores would end 1 or 2 pixels before the frame does."""
    branch = segmentation_branch("resnet26_caffe", NARROW, True)
    message = rf"resnet26_caffe do not cover frames of {height}x{width}: give task\.input_size"
    with pytest.raises(UserError, match=message):
        check_cover("resnet26_caffe", branch, (height, width), PLAIN.head_crops)
    check_cover("resnet26_caffe", branch, (480, 854), PLAIN.head_crops)
    scores = SegFlow(branch, None, PLAIN).eval()(torch.rand(1, 2, 3, height, width)).mask
    assert scores is not None and scores.shape[-2:] != (height, width)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3", "swin_tiny_patch4_window7_224"])
def test_backbones_that_cannot_take_the_frames_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        check_cover(name, segmentation_branch(name, 1.0, True), (96, 160), PLAIN.head_crops)
