"""Published networks against forward passes by their own conventions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from caffe_files import caffemodel
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.models.segflow import segmentation_branch
from l2sp_suite.pretrained import CONVERTERS, convert, file_sha256, load_pretrained, load_weights
from l2sp_suite.utils.errors import UserError

WIDTH = 1 / 32


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few hundred kilobytes instead of 170 megabytes: the converters ask the network for its shapes."""
    flow = {f"flow.{name}": tensor for name, tensor in FlowNetS(WIDTH).state_dict().items()}
    resnet = segmentation_branch("resnet101_caffe", WIDTH, True).state_dict()
    for name in CONVERTERS:
        network = (lambda: resnet) if name.startswith("resnet") else (lambda: flow)
        monkeypatch.setitem(CONVERTERS, name, replace(CONVERTERS[name], network=network))  # type: ignore[index, arg-type]


# ResNet-101, with a forward pass as Caffe makes it, in BGR


def resnet_layers(seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Random weights by Caffe's names; statistics are sums over 3.5 batches, as Caffe stores them."""
    rng, layers = np.random.default_rng(seed), {}

    def add(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        out = shape[0]
        fan = np.prod(shape[1:])
        layers[conv] = [rng.normal(size=shape) * np.sqrt(2 / fan)]
        layers[f"bn{norm}"] = [rng.normal(size=out), 3.5 * rng.uniform(0.5, 2, out), np.array([3.5])]
        layers[f"scale{norm}"] = [rng.uniform(0.5, 1.5, out), rng.normal(size=out) * 0.1]

    add("conv1", "_conv1", (64, 3, 7, 7))
    inputs = 64  # timm keeps the stem as it is
    for stage, (width, blocks) in enumerate(zip((2, 4, 8, 16), (3, 4, 23, 3), strict=True), 2):
        for unit in [f"{stage}{letter}" for letter in letters(stage, blocks)]:
            if unit.endswith("a"):
                add(f"res{unit}_branch1", f"{unit}_branch1", (4 * width, inputs, 1, 1))
            add(f"res{unit}_branch2a", f"{unit}_branch2a", (width, inputs, 1, 1))
            add(f"res{unit}_branch2b", f"{unit}_branch2b", (width, width, 3, 3))
            add(f"res{unit}_branch2c", f"{unit}_branch2c", (4 * width, width, 1, 1))
            inputs = 4 * width
    return {name: [np.asarray(a, np.float32) for a in arrays] for name, arrays in layers.items()}


def letters(stage: int, blocks: int) -> list[str]:
    return list("abc") if blocks == 3 else ["a", *(f"b{k}" for k in range(1, blocks))]


def caffe_forward(layers: dict[str, list[np.ndarray]], image: Tensor) -> list[Tensor]:
    """The outputs of stages 3 to 5 for an image in BGR."""

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1, pad: int = 0) -> Tensor:
        x = F.conv2d(x, torch.tensor(layers[conv][0]).double(), stride=stride, padding=pad)
        mean, variance, count = (torch.tensor(a).double() for a in layers[f"bn{norm}"])
        gamma, beta = (torch.tensor(a).double()[:, None, None] for a in layers[f"scale{norm}"])
        x = (x - (mean / count)[:, None, None]) / torch.sqrt((variance / count)[:, None, None] + 1e-5)
        return gamma * x + beta

    x = F.max_pool2d(F.relu(layer(image, "conv1", "_conv1", 2, 3)), 3, 2, ceil_mode=True)
    outputs = []
    for stage, blocks in zip((2, 3, 4, 5), (3, 4, 23, 3), strict=True):
        for letter in letters(stage, blocks):
            unit, stride = f"{stage}{letter}", 2 if stage > 2 and letter == "a" else 1
            short = layer(x, f"res{unit}_branch1", f"{unit}_branch1", stride) if letter == "a" else x
            x1 = F.relu(layer(x, f"res{unit}_branch2a", f"{unit}_branch2a", stride))
            x2 = F.relu(layer(x1, f"res{unit}_branch2b", f"{unit}_branch2b", 1, 1))
            x = F.relu(short + layer(x2, f"res{unit}_branch2c", f"{unit}_branch2c"))
        outputs.append(x)
    return outputs[1:]


def test_a_converted_resnet_sees_what_caffe_s_does(tmp_path: Path) -> None:
    layers = resnet_layers()
    source, target = tmp_path / "r.caffemodel", tmp_path / "r.safetensors"
    source.write_bytes(caffemodel(layers))
    assert convert("resnet101_caffe", source, target) == file_sha256(source)
    net = segmentation_branch("resnet101_caffe", WIDTH, True)
    result = load_pretrained(net, load_weights("file", net, target, None, ()))
    assert not result.missing and not result.mismatched and not result.unused
    torch.manual_seed(0)
    image = torch.rand(2, 3, 64, 96, dtype=torch.float64)  # what differs is then no matter of rounding
    with torch.no_grad():
        for ours, theirs in zip(net.double().eval()(image), caffe_forward(layers, image.flip(1)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    origin = {"converter": "resnet101_caffe", "source": "r.caffemodel", "sha256": file_sha256(source)}
    with safe_open(target, "pt") as file:
        assert file.metadata() == origin


# FlowNetS


def flow_arrays(net: FlowNetS) -> dict[str, list[np.ndarray]]:
    """A net's weights by Caffe's names; its first layer reads what is given to it."""
    names = dict(
        zip((f"predict_flow{k}" for k in (6, 5, 4, 3, 2)), (f"Convolution{k}" for k in range(1, 6)), strict=True)
    )
    layers = {}
    for name, module in net.named_children():
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None
        layers[names.get(name, name)] = [module.weight.detach().numpy(), module.bias.detach().numpy()]
    return layers


def random_flownet(seed: int = 0) -> FlowNetS:
    torch.manual_seed(seed)
    net = FlowNetS(WIDTH)
    for module in net.children():
        nn.init.normal_(module.bias, std=0.1)  # type: ignore[arg-type, union-attr]
    return net


def loaded_flownet(target: Path) -> FlowNetS:
    net = FlowNetS(WIDTH)
    holder = nn.ModuleDict({"flow": net})
    load_pretrained(holder, load_weights("file", holder, target, None, ()))
    return net


def assert_reads_rgb_where_bgr_was(net: FlowNetS, target: Path) -> None:
    frames = torch.rand(1, 2, 3, 64, 128)
    with torch.no_grad():
        theirs = net(frames.flip(2).flatten(1, 2)).flows  # the file's net, which wants BGR
        ours = loaded_flownet(target)(frames.flatten(1, 2)).flows
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "flow_"])
def test_a_converted_flownet_reads_rgb(tmp_path: Path, prefix: str) -> None:
    net = random_flownet()
    layers = {f"{prefix}{name}" if name.startswith("conv") else name: blobs for name, blobs in flow_arrays(net).items()}
    source, target = tmp_path / "f.caffemodel", tmp_path / "f.safetensors"
    source.write_bytes(caffemodel(layers, old=True))
    convert("flownets_caffe", source, target)
    assert_reads_rgb_where_bgr_was(net, target)


@pytest.mark.parametrize("biases", [True, False])
def test_ports_to_pytorch_are_read(tmp_path: Path, biases: bool) -> None:
    net = random_flownet()
    state = {}
    for name, module in net.named_children():
        theirs = f"{name}.0" if name.startswith(("conv", "deconv")) else name
        theirs = f"upsampled_flow{name[-4]}_to_{name[-1]}" if name.startswith("upsample") else theirs
        state[f"{theirs}.weight"] = module.weight.detach()
        if biases or name.startswith("conv"):
            state[f"{theirs}.bias"] = module.bias.detach()
        else:
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    source, target = tmp_path / "f.pth.tar", tmp_path / "f.safetensors"
    torch.save({"arch": "flownets", "state_dict": state, "div_flow": 20}, source)
    convert("flownets_torch", source, target)
    again = loaded_flownet(target).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in net.state_dict().items())
    convert("flownets_torch_caffe", source, target)
    assert_reads_rgb_where_bgr_was(net, target)


FULL = {name: converter.network for name, converter in CONVERTERS.items()}  # before any test narrows them


def test_converters_are_for_the_published_widths() -> None:
    sizes = {name: sum(t.numel() for t in network().values() if t.ndim > 1) for name, network in FULL.items()}
    # Weights without biases and normalisations: ResNet-101's convolutions, FlowNetS's 38,676,514 less its biases.
    biases = sum(t.numel() for t in FULL["flownets_torch"]().values() if t.ndim == 1)
    assert sizes["flownets_torch"] + biases == sizes["flownets_caffe"] + biases == 38_676_514
    assert sizes["resnet101_caffe"] == 42_394_816
    assert {t.device.type for t in FULL["resnet101_caffe"]().values()} == {"meta"}


# Refusals


def refused(name: str, source: Path, target: Path) -> str:
    with pytest.raises(UserError) as caught:
        convert(name, source, target)
    assert not target.exists() and "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_converted_leaves_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "n.caffemodel", tmp_path / "n.safetensors"
    assert "no such converter; use one of resnet101_caffe" in refused("vgg", source, target)
    assert "ends in .safetensors" in refused("resnet101_caffe", source, tmp_path / "n.pt")
    assert "No such file" in refused("resnet101_caffe", source, target)
    source.write_bytes(caffemodel(flow_arrays(random_flownet())))
    assert "layer bn_conv1 is not there; is it the right network?" in refused("resnet101_caffe", source, target)


@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        ("bn3a_branch1", lambda a: a[:2], "layer bn3a_branch1 has 2 arrays, not 3"),
        ("res5c_branch2c", lambda a: [a[0][:-1]], "layer4.2.conv3.weight has shape (63, 16, 1, 1)"),
        ("res5c_branch2c", lambda a: [a[0] * np.nan], "layer4.2.conv3.weight holds NaN"),
        ("res5c_branch2c", lambda a: [a[0] * 0], "layer4.2.conv3.weight is all zeros"),
        ("bn3a_branch1", lambda a: [a[0], -a[1] - 1, a[2]], "holds negative variances"),
        ("bn4b7_branch2a", lambda a: [*a[:2], np.zeros(1)], "statistics of no batch"),
    ],
)
def test_damaged_layers_leave_nothing(tmp_path: Path, layer: str, change: Any, message: str) -> None:
    layers = resnet_layers()
    source = tmp_path / "n.caffemodel"
    source.write_bytes(caffemodel({**layers, layer: change(layers[layer])}))
    assert message in refused("resnet101_caffe", source, tmp_path / "n.safetensors")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("convert=[resnet101_caffe,none,x.safetensors]", "No such file"),
        ("convert=[resnet101_caffe,none]", "give [CONVERTER,SOURCE,TARGET]"),
        ("scale=big", "Table 3 has no row at this scale"),
    ],
)
def test_the_script_says_what_is_wrong_in_one_line(run_script: Any, option: str, message: str) -> None:
    status, _, err = run_script("scripts/prepare_weights.py", option)
    assert status == 2 and err.count("\n") == 1 and message in err


@pytest.mark.slow
def test_the_script_prints_each_line_once(run_script: Any, tmp_path: Path) -> None:
    status, out, err = run_script("scripts/prepare_weights.py", "scale=mini", f"data={tmp_path}")
    lines = out.splitlines()
    assert status == 0 and not err and len(set(lines)) == len(lines) >= 3
    assert all("pre-trained here, before the first run" in line for line in lines)
