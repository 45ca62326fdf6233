"""EncNet's parts against the published shapes and counts, its backbones against other libraries on the same weights."""

from __future__ import annotations

from typing import Any

import networks
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn import functional as F

from l2sp import L2SP
from l2sp_suite.models.encnet import EncModule, EncNet, build_network
from l2sp_suite.utils.errors import UserError

# docs/protocols/encnet.md#backbone to #context-encoding-module, for 480x480: channels and side of what a layer gives.
PUBLISHED = {
    "backbone.conv1.0": (64, 240), "backbone.conv1.3": (64, 240), "backbone.conv1.6": (128, 240),
    "backbone.maxpool": (128, 120), "backbone.layer1": (256, 120), "backbone.layer2": (512, 60),
    "backbone.layer3": (1024, 60), "backbone.layer4": (2048, 60), "head.conv5": (512, 60), "head.connect.0": (512, 60),
    "head.connect.1": (512, 60), "head.fusion": (512, 60), "head.context.code.conv": (512, 60), "head.conv6": (59, 60),
    "aux.0": (256, 60), "aux": (59, 60),
}  # fmt: skip
NEW = {
    *(f"head.{layer}.0.weight" for layer in ("conv5", "connect.0", "connect.1", "fusion", "context.code.conv")),
    *(f"head.{layer}.weight" for layer in ("context.gate", "context.presence", "conv6.1")),
    *("aux.0.weight", "aux.4.weight"),
}


def full_size(name: str) -> EncNet:
    with torch.device("meta"):
        return build_network(name, 1.0, 59, 32, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50s", "resnet101s"])
def test_published_sizes(name: str) -> None:
    with FakeTensorMode():  # shapes alone
        net = build_network(name, 1.0, 59, 32, 0.1)
        sizes = networks.watch({layer: net.get_submodule(layer) for layer in PUBLISHED})
        inner = ["head.fusion", "head.conv6", "head.context.code.norm", "head.context.gate"]
        given = networks.watch({layer: net.get_submodule(layer) for layer in inner}, inputs=True)
        out = net(torch.empty(2, 3, 480, 480))
    assert networks.shapes(sizes) == {layer: (n, side, side) for layer, (n, side) in PUBLISHED.items()}
    assert networks.shapes(given) == {
        "head.fusion": (1536, 60, 60),
        "head.conv6": (512, 60, 60),
        "head.context.code.norm": (32, 512),  # K codewords, D channels
        "head.context.gate": (512,),
    }
    assert out.logits.shape == out.aux.shape == (2, 59, 480, 480) and out.presence.shape == (2, 59)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backbone", "shared"), [("resnet50s", 23_578_304, 55), ("resnet101s", 42_518_208, 106)]
)
def test_published_counts_and_what_is_penalised(name: str, backbone: int, shared: int) -> None:
    """docs/protocols/encnet.md#penalised-weights: the backbone's to w0, the heads' to zero, codewords to neither."""
    net = build_network(name, 1.0, 59, 32, 0.1)
    assert networks.count(net.head) == 17_908_438 and networks.count(net.aux) == 2_374_971
    w0 = {n: torch.ones(p.shape) for n, p in net.named_parameters() if n.startswith("backbone.")}
    split = L2SP(net, w0, alpha=1e-4, beta=1e-4).partition
    assert {n.partition(".")[0] for n in split.shared} == {"backbone"} and len(split.shared) == shared
    assert split.counts()["shared"] == backbone and set(split.new) == NEW
    assert {"head.context.code.encoding.codewords", "head.context.code.encoding.scales"} <= set(split.exempt)
    assert all(p.ndim == 1 or n.endswith("codewords") for n, p in split.exempt.items())
    exempt = sum(p.numel() for n, p in split.exempt.items() if not n.startswith("backbone."))
    assert split.counts()["new"] == 17_908_438 + 2_374_971 - exempt


def test_stages_dilate_as_published() -> None:
    net = full_size("resnet50s")
    dilations = {
        name: module.dilation[0]
        for name, module in net.backbone.named_modules()
        if isinstance(module, nn.Conv2d) and name.endswith("conv2")
    }
    assert [dilations[f"layer3.{block}.conv2"] for block in range(6)] == [1, 2, 2, 2, 2, 2]
    assert [dilations[f"layer4.{block}.conv2"] for block in range(3)] == [2, 4, 4]


def test_shapes_at_stride_8_and_what_evaluation_takes() -> None:
    torch.manual_seed(0)
    net = build_network("resnet50s", 0.125, 7, 4, 0.1)
    images = torch.randn(2, 3, 40, 48)
    assert [f.shape[-2:] for f in net.backbone(images)] == [(5, 6)] * 3
    out = net(images)
    assert out.logits.shape == out.aux.shape == (2, 7, 40, 48) and out.presence.shape == (2, 7)
    net.eval()
    assert torch.equal(net.segment(images), net(images).logits)


def test_width_scales_every_layer_and_other_backbones_work() -> None:
    full, narrow = full_size("resnet50s"), build_network("resnet50s", 0.25, 59, 32, 0.1)
    for (name, wide), slim in zip(full.backbone.named_parameters(), narrow.backbone.parameters(), strict=True):
        factors = [a / b for a, b in zip(wide.shape[:2], slim.shape[:2], strict=False)]
        assert set(factors) <= ({1.0, 4.0} if name == "conv1.0.weight" else {4.0}), name
    lite = build_network("tf_efficientnet_lite0", 1.0, 11, 32, 0.1)
    assert lite.segment(torch.zeros(1, 3, 64, 64)).shape == (1, 11, 64, 64)


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("resnet50z", 1.0, "nearest: .*resnet50"),
        ("tf_efficientnet_lite0", 0.5, "width"),
        ("resnet50s", 0.3, "does not divide"),
        ("vgg11", 1.0, "cannot build|strides"),
    ],
)
def test_backbones_that_cannot_be(name: str, width: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network(name, width, 5, 4, 0.1)


def test_gate_and_mean_code() -> None:
    torch.manual_seed(0)
    module = EncModule(6, 3, 4).eval()
    features = torch.randn(2, 6, 5, 5).relu()
    gated, presence = module(features)
    branch = module.code
    code = F.relu(branch.norm(branch.encoding(branch.conv(features)))).mean(1)
    torch.testing.assert_close(presence, module.presence(code))
    gate = torch.sigmoid(module.gate(code))
    torch.testing.assert_close(gated, features * (1 + gate)[:, :, None, None])


def stages(net: Any, images: Tensor) -> list[Tensor]:
    """What layer2, layer3 and layer4 of a classifier give."""
    c2 = net.layer2(net.layer1(net.maxpool(torch.relu(net.bn1(net.conv1(images))))))
    c3 = net.layer3(c2)
    return [c2, c3, net.layer4(c3)]


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50s", "resnet101s"])
def test_backbone_is_timm_s_classifier_at_stride_8(name: str) -> None:
    torch.manual_seed(0)
    theirs: Any = timm.create_model(name, output_stride=8).eval()
    networks.random_norms(theirs, 0.2)
    ours = build_network(name, 1.0, 59, 32, 0.1).backbone.eval()
    ours.load_state_dict(networks.without("fc.", theirs.state_dict()))
    images = torch.randn(1, 3, 72, 56)
    maps = ours(images)
    assert [tuple(m.shape[-2:]) for m in maps] == [(9, 7)] * 3
    assert all(torch.equal(a, b) for a, b in zip(maps, stages(theirs, images), strict=True))
    assert torch.equal(maps[-1], theirs.forward_features(images))


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_dilation_is_torchvision_s_where_both_have_the_network(name: str) -> None:
    """With its 7x7 stem; the first block of a dilated stage keeps the dilation of the stage before."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None, replace_stride_with_dilation=[False, True, True]).eval()
    networks.random_norms(theirs, 0.2)
    ours = build_network(name, 1.0, 59, 32, 0.1).backbone.eval()
    ours.load_state_dict(networks.without("fc.", theirs.state_dict()))
    images = torch.randn(1, 3, 72, 56)
    for a, b in zip(ours(images), stages(theirs, images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))
