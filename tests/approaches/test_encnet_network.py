"""EncNet's parts against the published shapes and counts, and the encoding layer against its definition."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from l2sp.penalty import StartingPoint
from l2sp_suite.models.encnet import EncModule, EncNet, build_network
from l2sp_suite.models.encoding import Encoding
from l2sp_suite.tasks.segmentation.losses import pixel_loss, presence_loss
from l2sp_suite.utils.errors import UserError


def full_size(name: str) -> EncNet:
    with torch.device("meta"):
        return build_network(name, 1.0, 59, 32, 0.1)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "backbone"), [("resnet50s", 23_578_304), ("resnet101s", 42_518_208)])
def test_published_counts(name: str, backbone: int) -> None:
    net = full_size(name)
    assert count(net.head) == 17_908_438 and count(net.aux) == 2_374_971
    assert sum(m.weight.numel() for m in net.backbone.modules() if isinstance(m, nn.Conv2d)) == backbone


@pytest.mark.parametrize("name", ["resnet50s", "resnet101s"])
def test_what_is_penalised(name: str) -> None:
    net = full_size(name)
    start = {n: torch.ones(p.shape) for n, p in net.named_parameters() if n.startswith("backbone.")}
    split = StartingPoint(build_network(name, 1.0, 59, 32, 0.1), start, 1e-4, 1e-4).partition
    assert {n.partition(".")[0] for n in split.shared} == {"backbone"}
    assert len(split.shared) == {"resnet50s": 55, "resnet101s": 106}[name]
    assert set(split.new) == {
        "head.conv5.0.weight",
        "head.connect.0.0.weight",
        "head.connect.1.0.weight",
        "head.fusion.0.weight",
        "head.context.code.conv.0.weight",
        "head.context.gate.weight",
        "head.context.presence.weight",
        "head.conv6.1.weight",
        "aux.0.weight",
        "aux.4.weight",
    }
    assert {"head.context.code.encoding.codewords", "head.context.code.encoding.scales"} <= set(split.exempt)
    assert all(p.ndim == 1 or n.endswith("codewords") for n, p in split.exempt.items())
    new = 17_908_438 + 2_374_971 - sum(p.numel() for n, p in split.exempt.items() if not n.startswith("backbone."))
    assert split.counts()["new"] == new


def test_stages_dilate_as_published() -> None:
    net = full_size("resnet50s")
    dilations = {
        name: module.dilation[0]
        for name, module in net.backbone.named_modules()
        if isinstance(module, nn.Conv2d) and name.endswith("conv2")
    }
    assert [dilations[f"layer3.{block}.conv2"] for block in range(6)] == [1, 2, 2, 2, 2, 2]
    assert [dilations[f"layer4.{block}.conv2"] for block in range(3)] == [2, 4, 4]


def test_shapes_at_stride_8() -> None:
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


def direct(layer: Encoding, features: torch.Tensor) -> torch.Tensor:
    x = features.flatten(2).transpose(1, 2).unsqueeze(2)
    residuals = x - layer.codewords
    assigned = torch.softmax(layer.scales * residuals.square().sum(-1), dim=-1)
    return (assigned.unsqueeze(-1) * residuals).sum(1)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 6), st.tuples(st.integers(1, 4), st.integers(1, 4)))
@settings(deadline=None)
def test_encoding_is_its_definition(batch: int, channels: int, codes: int, size: tuple[int, int]) -> None:
    torch.manual_seed(batch + 10 * channels + 100 * codes)
    layer = Encoding(channels, codes).double()
    features = torch.randn(batch, channels, *size, dtype=torch.float64, requires_grad=True)
    ours, theirs = layer(features), direct(layer, features)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    wanted = (features, layer.codewords, layer.scales)
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), wanted),
        torch.autograd.grad((theirs * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_encoding_initialisation_and_permutation() -> None:
    torch.manual_seed(0)
    layer = Encoding(32, 8)
    assert layer.codewords.abs().max() <= 1 / 16 and layer.scales.min() >= -1 and layer.scales.max() <= 0
    features = torch.randn(2, 32, 3, 5)
    shuffled = features.flatten(2)[..., torch.randperm(15)].reshape(2, 32, 3, 5)
    torch.testing.assert_close(layer(features), layer(shuffled))


_MEMORY = """
import resource, torch
from l2sp_suite.models.encoding import Encoding
torch.manual_seed(0)
layer = Encoding(512, 32)
layer(torch.randn(1, 512, 4, 4)).sum().backward()
features = torch.randn(4, 512, 60, 60, requires_grad=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
layer(features).square().sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes on Linux only")
def test_encoding_needs_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024  # the direct formula's residuals alone take 900 MB


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


def test_pixel_loss_is_the_mean_over_labelled_pixels() -> None:
    torch.manual_seed(0)
    logits, maps = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    maps[0, :2] = 255
    torch.testing.assert_close(pixel_loss(logits, maps, 255), F.cross_entropy(logits, maps, ignore_index=255))
    nothing = pixel_loss(logits.requires_grad_(), torch.full_like(maps, 255), 255)
    nothing.backward()
    assert nothing.item() == 0 and not logits.grad.any()


def test_presence_loss_asks_which_classes_occur() -> None:
    maps = torch.tensor([[[0, 0], [255, 2]], [[255, 255], [255, 255]]])
    logits = torch.randn(2, 4)
    occurs = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    expected = F.binary_cross_entropy_with_logits(logits, occurs)
    torch.testing.assert_close(presence_loss(logits, maps, 255), expected)
