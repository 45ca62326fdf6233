"""SegFlow's network against the published sizes and counts, its wiring against definitions and other libraries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import timm
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp.penalty import StartingPoint
from l2sp_suite.models import timm_models as timm_nets
from l2sp_suite.models.flownets import STRIDE, FlowFeatures, FlowNetS, flow_size
from l2sp_suite.models.segflow import (
    FCNHead,
    SegFlow,
    Wiring,
    _bilinear,
    _enlarge,
    check_cover,
    segmentation_branch,
)
from l2sp_suite.pretrained.load import load_weights
from l2sp_suite.utils.errors import UserError

NARROW = 1 / 32
PLAIN = Wiring(
    factors=(1.0, 1.0, 1.0),
    flow_factor=1.0,
    flow_unit=1.0,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
    flow_mean=(0.45, 0.2, 0.6),
    flow_std=1.0,
    residual=False,
    head_crops=(2, 2, 8),
    pooled=False,
)
LOUD = replace(PLAIN, flow_factor=25.0)
SCORES = [f"{head}.score{k}" for head in ("segmentation_head", "flow_head") for k in (3, 4, 5)]

# Protocol 2.4: output channels, height and width of each layer for 6x512x896.
LAYERS = {
    "conv1": (64, 256, 448),
    "conv2": (128, 128, 224),
    "conv3": (256, 64, 112),
    "conv3_1": (256, 64, 112),
    "conv4": (512, 32, 56),
    "conv4_1": (512, 32, 56),
    "conv5": (512, 16, 28),
    "conv5_1": (512, 16, 28),
    "conv6": (1024, 8, 14),
    "conv6_1": (1024, 8, 14),
    "predict_flow6": (2, 8, 14),
    "deconv5": (512, 16, 28),
    "upsample_flow6to5": (2, 16, 28),
    "predict_flow5": (2, 16, 28),
    "deconv4": (256, 32, 56),
    "upsample_flow5to4": (2, 32, 56),
    "predict_flow4": (2, 32, 56),
    "deconv3": (128, 64, 112),
    "upsample_flow4to3": (2, 64, 112),
    "predict_flow3": (2, 64, 112),
    "deconv2": (64, 128, 224),
    "upsample_flow3to2": (2, 128, 224),
    "predict_flow2": (2, 128, 224),
}


def watch(modules: Mapping[str, nn.Module], inputs: bool = False) -> dict[str, Any]:
    """Fills with what each module gives, or is given, in the next forward pass."""
    seen: dict[str, Any] = {}
    for name, module in modules.items():
        if inputs:
            module.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
        else:
            module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    return seen


def shapes(seen: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(out.shape[1:]) for name, out in seen.items()}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def full_size(flow: bool = True) -> SegFlow:
    with torch.device("meta"):
        branch = segmentation_branch("resnet101_caffe", 1.0, True)
        return SegFlow(branch, FlowNetS() if flow else None, PLAIN)


def meta_frames(height: int, width: int) -> Tensor:
    return torch.empty(1, 2, 3, height, width, device="meta")


def randomise(parameters: Iterable[nn.Parameter], std: float = 0.1) -> None:
    for parameter in parameters:
        nn.init.normal_(parameter, std=std)


def narrow(
    name: str | None = "resnet26_caffe", flow: bool = True, wiring: Wiring = PLAIN, scored: bool = True, seed: int = 0
) -> SegFlow:
    """A small network whose scores are no longer zero, and whose blocks are no longer the identity."""
    torch.manual_seed(seed)
    branch = None if name is None else segmentation_branch(name, NARROW if name.startswith("resnet") else 1.0, True)
    net = SegFlow(branch, FlowNetS(NARROW) if flow else None, wiring)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    for head in (net.segmentation_head, net.flow_head):
        if head is not None and scored:
            randomise(head.parameters())
    return net


def random_frames(seed: int = 0, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(1, 2, 3, height, width, generator=torch.Generator().manual_seed(seed))


# The flow branch


def test_flow_branch_has_the_published_number_of_parameters_and_biases_everywhere() -> None:
    with torch.device("meta"):
        net = FlowNetS()
    assert count(net) == 38_676_514
    assert set(dict(net.named_children())) == set(LAYERS)
    assert all(layer.bias is not None for layer in net.children())


def test_flow_branch_has_the_published_sizes() -> None:
    with torch.device("meta"):
        net = FlowNetS()
    layers = dict(net.named_children())
    outputs, inputs = watch(layers), watch(layers, inputs=True)
    found = net(torch.empty(1, 6, 512, 896, device="meta"))
    assert shapes(outputs) == LAYERS
    concat5 = {tuple(inputs[name].shape[1:]) for name in ("deconv4", "predict_flow5")}
    assert concat5 == {(1026, 16, 28)}
    assert [tuple(m.shape[1:]) for m in found.maps] == [(194, 128, 224), (386, 64, 112), (770, 32, 56)]
    assert net.channels == (194, 386, 770)
    sizes = [(2, 8, 14), (2, 16, 28), (2, 32, 56), (2, 64, 112), (2, 128, 224)]
    assert [tuple(flow.shape[1:]) for flow in found.flows] == sizes


def by_the_table(net: FlowNetS, frames: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Protocol 2.4, line by line: concat2, concat3 and concat4, and flow6 to flow2."""
    own = dict(net.named_parameters())

    def conv(name: str, x: Tensor, kernel: int, stride: int) -> Tensor:
        return F.conv2d(x, own[f"{name}.weight"], own[f"{name}.bias"], stride, (kernel - 1) // 2)

    def up(name: str, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, own[f"{name}.weight"], own[f"{name}.bias"], 2, 1)

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.1 * x)

    conv2 = leaky(conv("conv2", leaky(conv("conv1", frames, 7, 2)), 5, 2))
    encoded = {2: conv2, 3: leaky(conv("conv3_1", leaky(conv("conv3", conv2, 5, 2)), 3, 1))}
    for k in (4, 5, 6):
        encoded[k] = leaky(conv(f"conv{k}_1", leaky(conv(f"conv{k}", encoded[k - 1], 3, 2)), 3, 1))
    concat, flows, maps = encoded[6], [conv("predict_flow6", encoded[6], 3, 1)], []
    for k in (5, 4, 3, 2):
        concat = torch.cat(
            [encoded[k], leaky(up(f"deconv{k}", concat)), up(f"upsample_flow{k + 1}to{k}", flows[-1])], 1
        )
        flows.append(conv(f"predict_flow{k}", concat, 3, 1))
        maps.insert(0, concat)
    return maps[:3], flows


def test_flow_branch_computes_what_the_table_of_layers_says() -> None:
    torch.manual_seed(0)
    net = FlowNetS(NARROW)
    randomise(net.parameters(), 0.2)
    frames = torch.randn(2, 6, 64, 128)
    found, (maps, flows) = net(frames), by_the_table(net, frames)
    for a, b in zip((*found.maps, *found.flows), (*maps, *flows), strict=True):
        torch.testing.assert_close(a, b)


def test_width_scales_the_flow_branch() -> None:
    with torch.device("meta"):
        full, half = FlowNetS(), FlowNetS(0.5)
    # Frames have six channels and flows two at any width, and the concatenations hold a flow each.
    halves = {6: 6, 2: 2, 1026: 514, 770: 386, 386: 194, 194: 98}
    for (name, wide), slim in zip(full.named_parameters(), half.parameters(), strict=True):
        assert slim.shape[:2] == tuple(halves.get(n, n // 2) for n in wide.shape[:2]), name
        assert slim.shape[2:] == wide.shape[2:], name
    assert half.channels == (98, 194, 386)


@pytest.mark.parametrize("width", [0.3, 1 / 128])
def test_widths_that_do_not_divide(width: float) -> None:
    with pytest.raises(UserError, match="does not divide the 64 channels of FlowNetS's first layer"):
        FlowNetS(width)
    with pytest.raises(UserError, match="does not divide the 64 channels of a ResNet's first stage"):
        segmentation_branch("resnet50_caffe", width, True)


def test_upsampling_kernels_keep_their_random_start() -> None:
    """The released surgery overwrites the diagonal of every layer called "up" by bilinear kernels; here none is."""
    torch.manual_seed(0)
    alone = FlowNetS(NARROW)
    torch.manual_seed(0)
    flow = FlowNetS(NARROW)
    net = SegFlow(segmentation_branch("resnet26_caffe", NARROW, True), flow, PLAIN)
    assert net.flow is flow
    for name in ("6to5", "5to4", "4to3", "3to2"):
        kernel = flow.get_parameter(f"upsample_flow{name}.weight")
        assert torch.equal(kernel, alone.get_parameter(f"upsample_flow{name}.weight"))
        assert all(not torch.allclose(kernel[k, k], _bilinear(4)) for k in (0, 1))
        assert kernel[0, 1].any() and kernel[1, 0].any()


def test_flow_branch_sees_the_published_size() -> None:
    assert flow_size(480, 854) == (512, 896)


@given(st.integers(32, 5000), st.integers(32, 5000))
def test_flow_size_is_the_least_that_leaves_what_the_crops_cut_off(height: int, width: int) -> None:
    for side, found in zip((height, width), flow_size(height, width), strict=True):
        needed = math.ceil(side / 32) + 1  # cells of stride 32: the segmentation branch's, and one to cut off
        assert found % STRIDE == 0 and found / 32 >= needed > (found - STRIDE) / 32


# The segmentation branch


def test_segmentation_branch_has_the_published_sizes() -> None:
    with torch.device("meta"):
        branch = segmentation_branch("resnet101_caffe", 1.0, True)
    seen = watch({n: m for n, m in branch.named_children() if n in ("conv1", "maxpool") or n.startswith("layer")})
    maps = branch(torch.empty(1, 3, 480, 854, device="meta"))
    assert shapes(seen) == {
        "conv1": (64, 240, 427),
        "maxpool": (64, 120, 213),
        "layer1": (256, 120, 213),
        "layer2": (512, 60, 107),
        "layer3": (1024, 30, 54),
        "layer4": (2048, 15, 27),
    }
    assert [tuple(m.shape) for m in maps] == [(1, 512, 60, 107), (1, 1024, 30, 54), (1, 2048, 15, 27)]


def test_the_original_has_the_weights_of_timm_s_resnet_101() -> None:
    with torch.device("meta"):
        original, usual = timm_nets.create("resnet101_caffe"), timm.create_model("resnet101")
        branch = segmentation_branch("resnet101_caffe", 1.0, True)
    tensors = {name: t.shape for name, t in usual.state_dict().items()}
    assert {name: t.shape for name, t in original.state_dict().items()} == tensors
    backbone = {name: shape for name, shape in tensors.items() if not name.startswith("fc.")}
    assert {name: t.shape for name, t in branch.state_dict().items()} == backbone
    assert sum(isinstance(module, nn.Conv2d) for module in branch.modules()) == 104


def test_the_original_halves_the_map_in_the_first_convolution_of_a_stage() -> None:
    with torch.device("meta"):
        net = timm_nets.create("resnet101_caffe")
    halving = {n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)}
    stages = [f"layer{k}.0.{layer}" for k in (2, 3, 4) for layer in ("conv1", "downsample.0")]
    assert halving == {"conv1", *stages}
    assert all(net.get_submodule(name).stride == (2, 2) for name in halving)


def random_bn(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)


def test_the_original_is_torchvision_s_resnet_with_its_strides_moved() -> None:
    torch.manual_seed(0)
    other = torchvision.models.resnet50(weights=None).eval()
    random_bn(other)
    for stage in (other.layer2, other.layer3, other.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    branch = segmentation_branch("resnet50_caffe", 1.0, True).eval()
    branch.load_state_dict({n: t for n, t in other.state_dict().items() if not n.startswith("fc.")})
    for size in ((65, 70), (64, 83)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            found = branch(images)
            x = other.relu(other.bn1(other.conv1(images)))
            # Caffe's pooling takes in a last row and column of which it only half has: as if they were less than all.
            x = other.layer1(F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2))
            for own, stage in zip(found, (other.layer2, other.layer3, other.layer4), strict=True):
                x = stage(x)
                torch.testing.assert_close(own, x, rtol=1e-4, atol=1e-4 * float(x.abs().max()))


def test_frozen_statistics_normalise_in_training_too() -> None:
    torch.manual_seed(0)
    frozen, moving = (segmentation_branch("resnet26_caffe", NARROW, frozen) for frozen in (True, False))
    random_bn(frozen)
    moving.load_state_dict(frozen.state_dict())
    before = {name: t.clone() for name, t in frozen.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tested, trained = frozen.eval()(images), frozen.train()(images)
        assert all(torch.equal(a, b) for a, b in zip(tested, trained, strict=True))
        assert all(torch.equal(t, before[name]) for name, t in frozen.state_dict().items())
        assert not any(torch.allclose(a, b) for a, b in zip(tested, moving.train()(images), strict=True))
    assert frozen.get_parameter("bn1.weight").requires_grad


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv2_035"])
def test_other_backbones_work(name: str) -> None:
    net = narrow(name)
    seen = watch({"branch": net.segmentation})
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
        ("tf_efficientnet_lite0", 0.5, "width: 0.5 is for .*ResNets"),
        ("resnet101x_caffe", 1.0, "no network is called 'resnet101x'; nearest: .*resnet101"),
    ],
)
def test_backbones_that_cannot_be(name: str, width: float, message: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=message):
        segmentation_branch(name, width, True)


# What stands between the branches


def test_fused_features_have_the_published_sizes() -> None:
    net = full_size()
    seen = watch({name: net.get_submodule(name) for name in SCORES}, inputs=True)
    out = net(meta_frames(480, 854))
    sizes = {"5": (2818, 15, 27), "4": (1410, 30, 54), "3": (706, 60, 107)}
    assert shapes(seen) == {name: sizes[name[-1]] for name in SCORES}
    assert out.mask.shape == out.flow.shape == (1, 2, 480, 854)


def test_without_a_flow_branch_only_its_parts_are_missing() -> None:
    net, both = full_size(flow=False), full_size()
    seen = watch({name: net.get_submodule(name) for name in SCORES[:3]}, inputs=True)
    out = net(meta_frames(480, 854))
    sizes = {"5": (2048, 15, 27), "4": (1024, 30, 54), "3": (512, 60, 107)}
    assert shapes(seen) == {name: sizes[name[-1]] for name in SCORES[:3]}
    assert out.mask.shape == (1, 2, 480, 854) and out.flow is None and out.flows == ()
    kept = {name for name in both.state_dict() if name.startswith(("segmentation.", "segmentation_head."))}
    assert set(net.state_dict()) == kept


@cache
def on_meta(name: str) -> SegFlow:
    with torch.device("meta"):
        return SegFlow(segmentation_branch(name, NARROW, True), FlowNetS(NARROW), PLAIN)


def check_size(net: SegFlow, height: int, width: int) -> None:
    with torch.no_grad():
        out = net(meta_frames(height, width))
    assert out.mask.shape == out.flow.shape == (1, 2, height, width)


@given(st.integers(32, 900), st.integers(32, 900))
@settings(max_examples=30, deadline=None)
def test_scores_have_the_size_of_the_frames(height: int, width: int) -> None:
    check_size(on_meta("resnet26"), height, width)


@given(st.integers(32, 900), st.integers(32, 900))
@settings(max_examples=30, deadline=None)
def test_scores_of_the_original_have_the_size_of_the_frames(height: int, width: int) -> None:
    assume(not {height % 8, width % 8} & {1, 2})
    check_size(on_meta("resnet26_caffe"), height, width)


@pytest.mark.parametrize(("height", "width"), [(481, 854), (480, 850), (490, 854)])
def test_sides_that_the_original_s_pooling_does_not_cover_are_refused(height: int, width: int) -> None:
    """It loses a cell there: the scores would end 1 or 2 pixels before the frame does."""
    branch = segmentation_branch("resnet26_caffe", NARROW, True)
    with pytest.raises(UserError, match=rf"resnet26_caffe do not cover frames of {height}x{width}"):
        check_cover("resnet26_caffe", branch, (height, width), PLAIN.head_crops)
    check_cover("resnet26_caffe", branch, (480, 854), PLAIN.head_crops)
    scores = SegFlow(branch, None, PLAIN).eval()(torch.rand(1, 2, 3, height, width)).mask
    assert scores is not None and scores.shape[-2:] != (height, width)


@pytest.mark.parametrize("name", ["inception_v3", "swin_tiny_patch4_window7_224"])
def test_backbones_that_cannot_take_the_frames_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        check_cover(name, segmentation_branch(name, 1.0, True), (96, 160), PLAIN.head_crops)


def test_only_what_strides_in_the_middle_has_an_original() -> None:
    for name in ("resnetaa50_caffe", "resnet18_caffe"):
        with pytest.raises(UserError, match="only ResNets of bottlenecks"):
            timm_nets.create(name)


def test_timm_publishes_no_weights_of_the_original() -> None:
    with pytest.raises(UserError, match="publishes no weights"):
        load_weights("timm", segmentation_branch("resnet50_caffe", 0.25, True), None, None, ())


def captured(net: SegFlow, frames: Tensor) -> dict[str, Tensor]:
    seen = watch({name: net.get_submodule(name) for name in SCORES}, inputs=True)
    with torch.no_grad():
        net(frames)
    return seen


def test_heads_read_what_the_protocol_says() -> None:
    """Protocol 2.2 and 2.5: normalised frames, fixed factors, and for each head its own crops of the pooled flow."""
    wiring = replace(PLAIN, factors=(0.25, 0.5, 3.0), flow_factor=1.5, flow_std=0.7)
    net, frames = narrow(wiring=wiring), random_frames(3, 90, 133)
    found = captured(net, frames)
    mean, std, other = (torch.tensor(values)[:, None, None] for values in (wiring.mean, wiring.std, wiring.flow_mean))
    pair = torch.cat([(frames[:, k] - other) / 0.7 for k in (0, 1)], dim=1)  # the earlier frame first
    with torch.no_grad():
        maps = net.segmentation((frames[:, 0] - mean) / std)
        flow = net.flow(F.interpolate(pair, flow_size(90, 133), mode="bilinear", align_corners=False))
    for head, crops in {"segmentation_head": (4, 2, 1), "flow_head": (0, 0, 1)}.items():
        for k, own, factor, other, crop in zip((3, 4, 5), maps, wiring.factors, flow.maps, crops, strict=True):
            height, width = own.shape[-2:]
            pooled = F.max_pool2d(F.pad(other, (0, 1, 0, 1), value=-math.inf), 3, 2)
            other = pooled[:, :, crop : crop + height, crop : crop + width]
            expected = torch.cat([factor * own, 1.5 * other], dim=1)
            torch.testing.assert_close(found[f"{head}.score{k}"], expected, rtol=1e-4, atol=1e-5)


def test_fixed_factors_scale_the_features_of_their_branch_alone() -> None:
    published = replace(PLAIN, factors=(1e-4, 1e-2, 1.0))
    plain, scaled, flow = (captured(narrow(wiring=w), random_frames()) for w in (PLAIN, published, LOUD))
    for name in SCORES:
        factor = {"3": 1e-4, "4": 1e-2, "5": 1.0}[name[-1]]
        own = {"3": 16, "4": 32, "5": 64}[name[-1]]
        assert plain[name][:, :own].any() and plain[name][:, own:].any()
        torch.testing.assert_close(scaled[name][:, :own], factor * plain[name][:, :own])
        torch.testing.assert_close(flow[name][:, own:], 25 * plain[name][:, own:])
        assert torch.equal(scaled[name][:, own:], plain[name][:, own:])
        assert torch.equal(flow[name][:, :own], plain[name][:, :own])


@torch.no_grad()
def test_the_factor_of_the_flow_features_leaves_the_branch_s_own_prediction() -> None:
    plain, loud = (narrow(wiring=w)(random_frames()) for w in (PLAIN, LOUD))
    assert equal_flows(plain.flows, loud.flows) and not torch.allclose(plain.flow, loud.flow)


def equal_flows(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("flow", [True, False])
@torch.no_grad()
def test_the_mask_follows_the_second_frame_just_if_there_is_a_flow_branch(flow: bool) -> None:
    net, frames = narrow(flow=flow), random_frames()
    other = frames.clone()
    other[:, 1] = random_frames(1)[:, 1]
    assert torch.equal(net(frames).mask, net(other).mask) != flow
    other[:, 0] = random_frames(2)[:, 0]
    assert not torch.equal(net(frames).mask, net(other).mask)


@torch.no_grad()
def test_the_flow_follows_the_segmentation_features() -> None:
    net, frames = narrow(), random_frames()
    before = net(frames)
    net.segmentation.get_parameter("layer2.0.conv1.weight").mul_(1.5)
    after = net(frames)
    assert not torch.allclose(before.flow, after.flow)
    assert equal_flows(before.flows, after.flows)  # the branch's own does not


@torch.no_grad()
def test_a_head_that_is_not_wanted_changes_nothing() -> None:
    net, frames = narrow(), random_frames()
    both, mask, flow = net(frames), net(frames, flow=False), net(frames, mask=False)
    assert mask.flow is None and flow.mask is None
    assert torch.equal(mask.mask, both.mask) and torch.equal(flow.flow, both.flow)


@torch.no_grad()
def test_flow_unit_scales_the_flow() -> None:
    plain, scaled = (narrow(wiring=w)(random_frames()) for w in (PLAIN, replace(PLAIN, flow_unit=20.0)))
    assert plain.flow.any()
    torch.testing.assert_close(scaled.flow, 20 * plain.flow)
    assert torch.equal(scaled.mask, plain.mask)


@torch.no_grad()
def test_new_scores_are_zero_no_motion_and_no_preference() -> None:
    net = narrow(scored=False)
    assert not any(p.any() for name in SCORES for p in net.get_submodule(name).parameters())
    out = net(random_frames())
    assert not out.flow.any() and not out.mask.any()


@pytest.mark.parametrize("scored", [True, False])
@torch.no_grad()
def test_a_residual_head_adds_to_the_branch_s_own_prediction(scored: bool) -> None:
    """So that it is what the pre-trained branch predicts as long as the scores are zero."""
    frames = random_frames()
    alone, both = (
        narrow(wiring=replace(PLAIN, flow_unit=3.0, residual=residual), scored=scored) for residual in (False, True)
    )
    head, out = alone(frames), both(frames)
    prediction = both.own_flow(out.flows, (64, 96))
    assert prediction.any() and head.flow.any() == scored
    torch.testing.assert_close(out.flow, head.flow + prediction)
    assert torch.equal(out.mask, head.mask)


# The flow branch's own prediction


@pytest.mark.parametrize(
    ("name", "size", "pooled"),
    [("resnet26_caffe", (480, 854), False), (None, (480, 854), False), (None, (96, 128), True)],
)
def test_own_flow_is_in_pixels_of_the_frames(name: str | None, size: tuple[int, int], pooled: bool) -> None:
    """Protocol 2.4: 20 times the prediction, bilinear, and a factor for either component."""
    net, (height, width) = narrow(name, wiring=replace(PLAIN, pooled=pooled)), size
    tall, wide = {(480, 854): (512, 896), (96, 128): (128, 128)}[size]
    assert net.flow_input(size) == (tall, wide)
    prediction = torch.randn(1, 2, tall // 4, wide // 4)
    found = net.own_flow([torch.full((1, 2, 1, 1), math.nan), prediction], size)
    enlarged = F.interpolate(prediction, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[:, 0], 20 * width / wide * enlarged[:, 0])
    torch.testing.assert_close(found[:, 1], 20 * height / tall * enlarged[:, 1])


def test_published_factors_of_own_flow() -> None:
    net = narrow()
    constant = torch.ones(1, 2, 128, 224)
    found = net.own_flow([constant], (480, 854))
    torch.testing.assert_close(found[:, 0], torch.full((1, 480, 854), 20 * 0.953125))
    torch.testing.assert_close(found[:, 1], torch.full((1, 480, 854), 20 * 0.9375))


@torch.no_grad()
def test_the_flow_branch_alone_gives_its_own_prediction() -> None:
    net, frames = narrow(None, wiring=replace(PLAIN, pooled=True)), random_frames(0, 60, 120)  # seen at 64x128
    out = net(frames)
    mean = torch.tensor(PLAIN.flow_mean)[:, None, None]
    pair = F.interpolate((frames - mean).flatten(1, 2), (64, 128), mode="bilinear", align_corners=False)
    flows = net.flow(pair).flows
    assert out.mask is None and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(out.flows, flows, strict=True))
    torch.testing.assert_close(out.flow, net.own_flow(flows, (60, 120)))


# The heads


@pytest.mark.parametrize(("side", "stride"), [(4, 2), (16, 8)])
def test_enlargement_is_bilinear_in_the_interior(side: int, stride: int) -> None:
    scores = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    found = _enlarge(scores, _bilinear(side), stride)
    assert found.shape == (2, 3, 6 * stride, 8 * stride)
    expected = F.interpolate(scores, scale_factor=stride, mode="bilinear", align_corners=False)
    # It begins half a cell before the first one; half a cell at each edge, where zeros come in, is left out.
    half = stride // 2
    torch.testing.assert_close(found[..., stride:-stride, stride:-stride], expected[..., half:-half, half:-half])


def caffe_kernel(side: int) -> Tensor:
    """Caffe's bilinear filler."""
    f = math.ceil(side / 2)
    c = (2 * f - 1 - f % 2) / (2 * f)
    return torch.tensor([[(1 - abs(x / f - c)) * (1 - abs(y / f - c)) for x in range(side)] for y in range(side)])


def caffe_upscore(scores: Tensor, side: int, stride: int) -> Tensor:
    """A dense transposed convolution whose kernels across channels are zero, as Caffe's is."""
    layer = nn.ConvTranspose2d(2, 2, side, stride, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for k in (0, 1):
            layer.weight[k, k] = caffe_kernel(side)
        return layer(scores)


@torch.no_grad()
def test_head_is_the_published_chain_with_its_sizes_and_crops() -> None:
    torch.manual_seed(0)
    head = FCNHead((3, 4, 5), 2, PLAIN.head_crops)
    randomise(head.parameters(), 1.0)
    maps = [torch.randn(1, 3, 60, 107), torch.randn(1, 4, 30, 54), torch.randn(1, 5, 15, 27)]
    upscore2 = caffe_upscore(head.score5(maps[2]), 4, 2)
    assert upscore2.shape == (1, 2, 32, 56)
    upscore4 = caffe_upscore(head.score4(maps[1]) + upscore2[..., 2 : 2 + 30, 2 : 2 + 54], 4, 2)
    assert upscore4.shape == (1, 2, 62, 110)
    upscore8 = caffe_upscore(head.score3(maps[0]) + upscore4[..., 2 : 2 + 60, 2 : 2 + 107], 16, 8)
    assert upscore8.shape == (1, 2, 488, 864)
    torch.testing.assert_close(head(maps, (480, 854)), upscore8[..., 8 : 8 + 480, 8 : 8 + 854])


@torch.no_grad()
def test_a_head_with_half_the_crops_keeps_places() -> None:
    """Maps that hold the places of their cells' centres, in pixels, become each pixel's own place."""
    head = FCNHead((1, 1, 1), 2, (1, 1, 4))
    for score in (head.score3, head.score4, head.score5):
        for parameter in score.parameters():
            parameter.zero_()
    head.score5.weight.fill_(1.0)
    cells = (torch.arange(12) + 0.5) * 32
    maps = [torch.zeros(1, 1, 384 // stride, 384 // stride) for stride in (8, 16)] + [cells.expand(1, 1, 12, 12)]
    places = head(maps, (384, 384))[0, 0]
    inner = slice(48, -48)  # beyond the outermost cells there is nothing to interpolate with
    torch.testing.assert_close(places[inner, inner], (torch.arange(384) + 0.5)[inner].expand(288, 288))


@torch.no_grad()
@pytest.mark.parametrize("size", [(96, 160), (160, 284), (480, 854)])
def test_pooled_flow_features_lie_where_the_segmentation_features_do(size: tuple[int, int]) -> None:
    net = narrow(wiring=replace(PLAIN, pooled=True))
    seen = [torch.zeros(1, 1, *(-(-side // stride) for side in size)) for stride in (8, 16, 32)]
    tall, wide = net.flow_input(size)
    maps = []
    for stride in (4, 8, 16):
        rows, columns = ((torch.arange(side // stride) + 0.5) * stride for side in (tall, wide))
        places = torch.stack(torch.meshgrid(rows * size[0] / tall, columns * size[1] / wide, indexing="ij"))
        maps.append(places[None])
    for own, fused, stride in zip(
        seen, net._fused(seen, FlowFeatures(tuple(maps), ()), (1, 2, 4)), (8, 16, 32), strict=True
    ):
        rows, columns = ((torch.arange(side) + 0.5) * stride for side in own.shape[-2:])
        expected = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        assert (fused[0, 1:] - expected).abs().max() < 0.75 * stride


# What learns


def test_what_is_penalised() -> None:
    """Protocol 2.11: the branches' convolutions to w0, the six score convolutions to zero, nothing else anywhere."""
    net = narrow("resnet101_caffe")
    start = {n: torch.randn(p.shape) for n, p in net.named_parameters() if n.startswith(("segmentation.", "flow."))}
    split = StartingPoint(net, start, 0.1, 0.1).partition
    assert set(split.new) == {f"{name}.weight" for name in SCORES}
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    assert set(split.shared) == {f"{name}.weight" for name in layers if name not in SCORES}
    assert len(split.shared) == 104 + 23  # of ResNet-101 and of FlowNetS
    assert all(p.ndim == 1 for p in split.exempt.values())
    assert not split.mismatched and not split.zeros


def test_fixed_kernels_and_factors_are_no_parameters_and_in_no_file() -> None:
    net = narrow()
    parts = ("segmentation.", "flow.", "segmentation_head.score", "flow_head.score")
    assert all(name.startswith(parts) for name in net.state_dict())
    fixed = {name for name, _ in net.named_buffers()} - set(net.state_dict())
    heads = {f"{head}.{kernel}" for head in ("segmentation_head", "flow_head") for kernel in ("twice", "eightfold")}
    assert fixed == {"mean", "std", "flow_mean", *heads}


@pytest.mark.parametrize("frozen", [("segmentation",), ("flow",), ("segmentation", "flow"), ()])
def test_a_frozen_branch_has_no_graph_and_gets_no_gradient(frozen: Sequence[str]) -> None:
    net, frames = narrow(), random_frames()
    free = net(frames)
    seen = watch({"segmentation": net.segmentation, "flow": net.flow})
    out = net(frames, frozen)
    assert torch.equal(out.mask, free.mask) and torch.equal(out.flow, free.flow)
    graphs = {
        "segmentation": {features.requires_grad for features in seen["segmentation"]},
        "flow": {tensor.requires_grad for tensor in (*seen["flow"].maps, *out.flows)},
    }
    (out.mask.square().mean() + out.flow.square().mean()).backward()
    for part in ("segmentation", "flow"):
        assert graphs[part] == {part not in frozen}
        grads = [p.grad for n, p in net.named_parameters() if n.startswith(f"{part}.")]
        if part in frozen:
            assert all(grad is None for grad in grads)
        else:
            assert any(grad is not None and grad.any() for grad in grads)
    assert all(p.grad.any() for name in SCORES for p in net.get_submodule(name).parameters())
