"""Whole networks at the published size, layer by layer, and backbones against other libraries on the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from l2sp_suite.models.encnet import build_network

# Protocol 1.2 to 1.4 for 480x480: channels and side of what a layer gives.
BACKBONE = {
    "conv1.0": (64, 240),
    "conv1.3": (64, 240),
    "conv1.6": (128, 240),
    "maxpool": (128, 120),
    "layer1": (256, 120),
    "layer2": (512, 60),
    "layer3": (1024, 60),
    "layer4": (2048, 60),
}
HEADS = {
    "head.conv5": (512, 60),
    "head.connect.0": (512, 60),
    "head.connect.1": (512, 60),
    "head.fusion": (512, 60),
    "head.context.code.conv": (512, 60),
    "head.conv6": (59, 60),
    "aux.0": (256, 60),
    "aux": (59, 60),
}


def seen(net: nn.Module, names: list[str], inputs: bool = False) -> dict[str, tuple[int, ...]]:
    """Fills with the shapes, without the batch, that layers give or are given in the next forward pass."""
    found: dict[str, tuple[int, ...]] = {}
    for name in names:

        def note(_: nn.Module, args: tuple[Tensor, ...], out: Any = None, name: str = name) -> None:
            found[name] = tuple((args[0] if inputs else out).shape[1:])

        layer = net.get_submodule(name)
        layer.register_forward_pre_hook(note) if inputs else layer.register_forward_hook(note)
    return found


@pytest.mark.parametrize("name", ["resnet50s", "resnet101s"])
def test_encnet_has_the_published_sizes(name: str) -> None:
    published = {**{f"backbone.{layer}": size for layer, size in BACKBONE.items()}, **HEADS}
    with FakeTensorMode():  # shapes alone
        net = build_network(name, 1.0, 59, 32, 0.1)
        sizes = seen(net, list(published))
        given = seen(net, ["head.fusion", "head.conv6", "head.context.code.norm", "head.context.gate"], inputs=True)
        out = net(torch.empty(2, 3, 480, 480))
    assert sizes == {layer: (channels, side, side) for layer, (channels, side) in published.items()}
    assert given == {
        "head.fusion": (1536, 60, 60),
        "head.conv6": (512, 60, 60),
        "head.context.code.norm": (32, 512),  # K codewords, D channels
        "head.context.gate": (512,),
    }
    assert out.logits.shape == out.aux.shape == (2, 59, 480, 480) and out.presence.shape == (2, 59)


def random_norms(net: nn.Module) -> None:
    """As after training, so that statistics, scales and shifts matter and no residual branch is switched off."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.0)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.2, 0.2)


def stages(net: Any, images: Tensor) -> list[Tensor]:
    """What layer2, layer3 and layer4 of a classifier give."""
    x = net.layer1(net.maxpool(torch.relu(net.bn1(net.conv1(images)))))
    c2 = net.layer2(x)
    c3 = net.layer3(c2)
    return [c2, c3, net.layer4(c3)]


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet50s", "resnet101s"])
def test_backbone_is_timm_s_classifier_at_stride_8(name: str) -> None:
    torch.manual_seed(0)
    theirs: Any = timm.create_model(name, output_stride=8).eval()
    random_norms(theirs)
    ours = build_network(name, 1.0, 59, 32, 0.1).backbone.eval()
    ours.load_state_dict({n: t for n, t in theirs.state_dict().items() if not n.startswith("fc.")})
    images = torch.randn(1, 3, 72, 56)
    found = ours(images)
    assert [tuple(m.shape[-2:]) for m in found] == [(9, 7)] * 3
    for a, b in zip(found, stages(theirs, images), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(found[-1], theirs.forward_features(images))


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_dilation_is_torchvision_s_where_both_have_the_network(name: str) -> None:
    """With its 7x7 stem; the first block of a dilated stage keeps the dilation of the stage before (protocol 1.2)."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None, replace_stride_with_dilation=[False, True, True]).eval()
    random_norms(theirs)
    ours = build_network(name, 1.0, 59, 32, 0.1).backbone.eval()
    ours.load_state_dict({n: t for n, t in theirs.state_dict().items() if not n.startswith("fc.")})
    images = torch.randn(1, 3, 72, 56)
    for a, b in zip(ours(images), stages(theirs, images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))
