"""SegFlow's wiring against the published sizes, definitions and other libraries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import networks
import pytest
import torch
from segflow_nets import PLAIN, meta_frames, narrow, random_frames, randomise
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp import L2SP
from l2sp_suite.models.flownets import FlowFeatures, FlowNetS, flow_size
from l2sp_suite.models.segflow import FCNHead, SegFlow, _bilinear, _enlarge, segmentation_branch

SCORES = [f"{head}.score{k}" for head in ("segmentation_head", "flow_head") for k in (3, 4, 5)]


def full_size(flow: bool = True) -> SegFlow:
    with torch.device("meta"):
        branch = segmentation_branch("resnet101_caffe", 1.0, True)
        return SegFlow(branch, FlowNetS() if flow else None, PLAIN)


# What stands between the branches


@pytest.mark.slow
@pytest.mark.parametrize("flow", [True, False])
def test_fused_features_have_the_published_sizes(flow: bool) -> None:
    """Without a flow branch only its parts are missing (docs/protocols/segflow.md#segflow-star)."""
    net, scores = full_size(flow), SCORES if flow else SCORES[:3]
    seen = networks.watch({name: net.get_submodule(name) for name in scores}, inputs=True)
    out = net(meta_frames(480, 854))
    channels = {"5": 2048 + 770 * flow, "4": 1024 + 386 * flow, "3": 512 + 194 * flow}
    cells = {"5": (15, 27), "4": (30, 54), "3": (60, 107)}
    assert networks.shapes(seen) == {name: (channels[name[-1]], *cells[name[-1]]) for name in scores}
    assert out.mask.shape == (1, 2, 480, 854)
    if flow:
        assert out.flow.shape == (1, 2, 480, 854)
    else:
        assert out.flow is None and out.flows == ()
        kept = {n for n in full_size().state_dict() if n.startswith(("segmentation.", "segmentation_head."))}
        assert set(net.state_dict()) == kept


@torch.no_grad()
def test_heads_read_what_the_protocol_says() -> None:
    """Normalised frames, fixed factors that leave the branch's own prediction, each head's crops of the pooled flow.

    docs/protocols/segflow.md#inputs and #exchange-and-heads.
    """
    wiring = replace(PLAIN, factors=(0.25, 0.5, 3.0), flow_factor=1.5, flow_std=0.7)
    net, frames = narrow(wiring=wiring), random_frames(3, 90, 133)
    read = networks.watch({name: net.get_submodule(name) for name in SCORES}, inputs=True)
    out = net(frames)
    mean, std, other = (torch.tensor(values)[:, None, None] for values in (wiring.mean, wiring.std, wiring.flow_mean))
    pair = torch.cat([(frames[:, k] - other) / 0.7 for k in (0, 1)], dim=1)  # the earlier frame first
    maps = net.segmentation((frames[:, 0] - mean) / std)
    flow = net.flow(F.interpolate(pair, flow_size(90, 133), mode="bilinear", align_corners=False))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(out.flows, flow.flows, strict=True))
    for head, crops in {"segmentation_head": (4, 2, 1), "flow_head": (0, 0, 1)}.items():
        for k, own, factor, other, crop in zip((3, 4, 5), maps, wiring.factors, flow.maps, crops, strict=True):
            height, width = own.shape[-2:]
            pooled = F.max_pool2d(F.pad(other, (0, 1, 0, 1), value=-math.inf), 3, 2)
            other = pooled[:, :, crop : crop + height, crop : crop + width]
            expected = torch.cat([factor * own, 1.5 * other], dim=1)
            torch.testing.assert_close(read[f"{head}.score{k}"], expected, rtol=1e-4, atol=1e-5)


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
def test_a_head_that_is_not_wanted_changes_nothing() -> None:
    net, frames = narrow(), random_frames()
    both, mask, flow = net(frames), net(frames, flow=False), net(frames, mask=False)
    assert mask.flow is None and flow.mask is None
    assert torch.equal(mask.mask, both.mask) and torch.equal(flow.flow, both.flow)


@torch.no_grad()
def test_new_scores_are_zero_no_motion_and_no_preference() -> None:
    net = narrow(scored=False)
    assert not any(p.any() for name in SCORES for p in net.get_submodule(name).parameters())
    out = net(random_frames())
    assert not out.flow.any() and not out.mask.any()


@pytest.mark.parametrize("scored", [True, False])
@torch.no_grad()
def test_a_residual_head_adds_to_the_branch_s_own_prediction(scored: bool) -> None:
    """So that it is what the pre-trained branch predicts as long as the scores are zero; only scores have a unit."""
    changes = ({}, {"flow_unit": 3.0}, {"flow_unit": 3.0, "residual": True})
    nets = [narrow(wiring=replace(PLAIN, **change), scored=scored) for change in changes]
    plain, scaled, residual = (net(random_frames()) for net in nets)
    prediction = nets[-1].own_flow(residual.flows, (64, 96))
    assert prediction.any() and plain.flow.any() == scored
    torch.testing.assert_close(scaled.flow, 3 * plain.flow)
    torch.testing.assert_close(residual.flow, scaled.flow + prediction)
    assert torch.equal(plain.mask, residual.mask)


# The flow branch's own prediction


@pytest.mark.parametrize(
    ("name", "size", "pooled", "seen", "factors"),
    [
        ("resnet26_caffe", (480, 854), False, (512, 896), (0.953125, 0.9375)),  # published
        (None, (480, 854), False, (512, 896), (0.953125, 0.9375)),
        (None, (96, 128), True, (128, 128), (1, 0.75)),
    ],
)
def test_own_flow_is_in_pixels_of_the_frames(
    name: str | None, size: tuple[int, int], pooled: bool, seen: tuple[int, int], factors: tuple[float, float]
) -> None:
    """docs/protocols/segflow.md#flow-branch: 20 times the prediction, bilinear, and a factor for either component."""
    net = narrow(name, wiring=replace(PLAIN, pooled=pooled))
    assert net.flow_input(size) == seen
    prediction = torch.randn(1, 2, seen[0] // 4, seen[1] // 4)
    flow = net.own_flow([torch.full((1, 2, 1, 1), math.nan), prediction], size)
    enlarged = F.interpolate(prediction, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(flow, 20 * torch.tensor(factors)[:, None, None] * enlarged)


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
    enlarged = _enlarge(scores, _bilinear(side), stride)
    assert enlarged.shape == (2, 3, 6 * stride, 8 * stride)
    expected = F.interpolate(scores, scale_factor=stride, mode="bilinear", align_corners=False)
    # It begins half a cell before the first one; half a cell at each edge, where zeros come in, is left out.
    half = stride // 2
    torch.testing.assert_close(enlarged[..., stride:-stride, stride:-stride], expected[..., half:-half, half:-half])


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
    """docs/protocols/segflow.md#penalised-weights: the branches' convolutions to w0, the six scores' to zero."""
    net = narrow("resnet101_caffe")
    w0 = {n: torch.randn(p.shape) for n, p in net.named_parameters() if n.startswith(("segmentation.", "flow."))}
    split = L2SP(net, w0, alpha=0.1, beta=0.1).partition
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
    seen = networks.watch({"segmentation": net.segmentation, "flow": net.flow})
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
