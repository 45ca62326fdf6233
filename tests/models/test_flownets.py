"""FlowNetS against the published table of layers (docs/protocols/segflow.md#flow-branch)."""

from __future__ import annotations

import math

import networks
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.models.flownets import STRIDE, FlowNetS, flow_size
from l2sp_suite.models.segflow import _bilinear
from l2sp_suite.utils.errors import UserError

# Output channels, height and width of each layer for 6x512x896.
LAYERS = {
    "conv1": (64, 256, 448), "conv2": (128, 128, 224), "conv3": (256, 64, 112), "conv3_1": (256, 64, 112),
    "conv4": (512, 32, 56), "conv4_1": (512, 32, 56), "conv5": (512, 16, 28), "conv5_1": (512, 16, 28),
    "conv6": (1024, 8, 14), "conv6_1": (1024, 8, 14), "predict_flow6": (2, 8, 14),
    "deconv5": (512, 16, 28), "upsample_flow6to5": (2, 16, 28), "predict_flow5": (2, 16, 28),
    "deconv4": (256, 32, 56), "upsample_flow5to4": (2, 32, 56), "predict_flow4": (2, 32, 56),
    "deconv3": (128, 64, 112), "upsample_flow4to3": (2, 64, 112), "predict_flow3": (2, 64, 112),
    "deconv2": (64, 128, 224), "upsample_flow3to2": (2, 128, 224), "predict_flow2": (2, 128, 224),
}  # fmt: skip


def on_meta(width: float = 1.0) -> FlowNetS:
    with torch.device("meta"):
        return FlowNetS(width)


def test_published_sizes_and_parameters_and_biases_everywhere() -> None:
    net = on_meta()
    layers = dict(net.named_children())
    assert networks.count(net) == 38_676_514 and all(layer.bias is not None for layer in layers.values())
    outputs, inputs = networks.watch(layers), networks.watch(layers, inputs=True)
    out = net(torch.empty(1, 6, 512, 896, device="meta"))
    assert networks.shapes(outputs) == LAYERS
    assert {tuple(inputs[name].shape[1:]) for name in ("deconv4", "predict_flow5")} == {(1026, 16, 28)}  # concat5
    assert [tuple(m.shape[1:]) for m in out.maps] == [(194, 128, 224), (386, 64, 112), (770, 32, 56)]
    assert net.channels == (194, 386, 770)
    assert [tuple(flow.shape[1:]) for flow in out.flows] == [LAYERS[f"predict_flow{k}"] for k in (6, 5, 4, 3, 2)]


def by_the_table(net: FlowNetS, frames: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Line by line: concat2, concat3 and concat4, and flow6 to flow2."""
    parameters = dict(net.named_parameters())

    def conv(name: str, x: Tensor, kernel: int, stride: int) -> Tensor:
        return F.conv2d(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"], stride, (kernel - 1) // 2)

    def up(name: str, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"], 2, 1)

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.1 * x)

    conv2 = leaky(conv("conv2", leaky(conv("conv1", frames, 7, 2)), 5, 2))
    encoded = {2: conv2, 3: leaky(conv("conv3_1", leaky(conv("conv3", conv2, 5, 2)), 3, 1))}
    for k in (4, 5, 6):
        encoded[k] = leaky(conv(f"conv{k}_1", leaky(conv(f"conv{k}", encoded[k - 1], 3, 2)), 3, 1))
    concat, flows, maps = encoded[6], [conv("predict_flow6", encoded[6], 3, 1)], []
    for k in (5, 4, 3, 2):
        raised = up(f"upsample_flow{k + 1}to{k}", flows[-1])
        concat = torch.cat([encoded[k], leaky(up(f"deconv{k}", concat)), raised], 1)
        flows.append(conv(f"predict_flow{k}", concat, 3, 1))
        maps.insert(0, concat)
    return maps[:3], flows


def test_it_computes_what_the_table_of_layers_says() -> None:
    torch.manual_seed(0)
    net = FlowNetS(1 / 32)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    frames = torch.randn(2, 6, 64, 128)
    out, (maps, flows) = net(frames), by_the_table(net, frames)
    for a, b in zip((*out.maps, *out.flows), (*maps, *flows), strict=True):
        torch.testing.assert_close(a, b)


def test_width_scales_every_layer() -> None:
    full, half = on_meta(), on_meta(0.5)
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


def test_upsampling_kernels_keep_their_random_start() -> None:
    """The released surgery overwrites the diagonal of every layer called "up" by bilinear kernels; here none is."""
    net = FlowNetS(1 / 32)
    for name in ("6to5", "5to4", "4to3", "3to2"):
        kernel = net.get_parameter(f"upsample_flow{name}.weight")
        assert all(not torch.allclose(kernel[k, k], _bilinear(4)) for k in (0, 1))
        assert kernel[0, 1].any() and kernel[1, 0].any()


def test_it_sees_the_published_size() -> None:
    assert flow_size(480, 854) == (512, 896)


@given(st.integers(32, 5000), st.integers(32, 5000))
def test_flow_size_is_the_least_that_leaves_what_the_crops_cut_off(height: int, width: int) -> None:
    for side, seen in zip((height, width), flow_size(height, width), strict=True):
        needed = math.ceil(side / 32) + 1  # cells of stride 32: the segmentation branch's, and one to cut off
        assert seen % STRIDE == 0 and seen / 32 >= needed > (seen - STRIDE) / 32
