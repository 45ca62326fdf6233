"""Converters of published networks to our names and conventions (docs/protocols/segflow.md#released-material)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.models.segflow import segmentation_branch
from l2sp_suite.pretrained.convert.caffe import Blobs, read_caffemodel
from l2sp_suite.pretrained.convert.inception import output_difference, read_inception, trunk
from l2sp_suite.pretrained.convert.tensorflow import checkpoint_files
from l2sp_suite.pretrained.files import Tensors, check_values, file_sha256, read_weights, save_weights
from l2sp_suite.utils.errors import UserError

__all__ = ["CONVERTERS", "Converter", "convert"]

_TOLERANCE = 1e-3  # rounding leaves less than a tenth of this


@dataclass(frozen=True)
class Converter:
    """How a published file is read and checked."""

    about: str  # what it reads, for people
    read: Callable[[Path], Tensors]  # gives a file's tensors by our names
    network: Callable[[], Mapping[str, Tensor]]  # the tensors that they are held against
    # Relative difference of the outputs of our network and of an independent implementation with these tensors; only
    # Inception-V3 has one, as no library here has the other networks.
    output_difference: Callable[[Tensors], float] | None = None
    files: Callable[[Path], Sequence[Path]] = lambda source: (source,)  # all that `read` reads of a source


def convert(name: str, source: Path, target: Path) -> str:
    """Makes `target`, a safetensors file, of `source`; returns the source's SHA-256.

    Of a checkpoint of several files it is that of the list of theirs. The file made says what it was made of. Nothing
    is written unless every tensor of the network is there, in its shape, finite and not all zeros (but for biases).

    Raises:
        UserError: no such converter or file, a damaged file, or one of another network.
    """
    converter = CONVERTERS.get(name)
    if converter is None:
        raise UserError(f"{name}: no such converter; use one of {', '.join(CONVERTERS)}")
    if target.suffix != ".safetensors":
        raise UserError(f"{target}: give a name that ends in .safetensors")
    tensors = converter.read(source)
    _check(source, tensors, {key: value for key, value in converter.network().items() if value.is_floating_point()})
    if converter.output_difference and not (difference := converter.output_difference(tensors)) <= _TOLERANCE:  # or NaN
        raise UserError(f"{source}: outputs differ by {difference:.1e} from those of timm's network with these weights")
    checksum = _checksum(converter.files(source))
    save_weights(target, tensors, {"converter": name, "source": source.name, "sha256": checksum})
    return checksum


def _checksum(files: Sequence[Path]) -> str:
    """SHA-256 of a file; of several, of the lines that `sha256sum` would print of them."""
    sums = [file_sha256(path) for path in files]
    lines = "".join(f"{checksum}  {path.name}\n" for checksum, path in zip(sums, files, strict=True))
    return sums[0] if len(sums) == 1 else hashlib.sha256(lines.encode()).hexdigest()


def _check(source: Path, tensors: Tensors, network: Mapping[str, Tensor]) -> None:
    lacking = [name for name in network if name not in tensors]
    if lacking:
        raise UserError(f"{source}: has nothing for {len(lacking)} tensors of the network, first {lacking[0]}")
    for name, tensor in tensors.items():
        if name not in network or tensor.shape != network[name].shape:
            shape = tuple(network[name].shape) if name in network else "none"
            raise UserError(f"{source}: {name} has shape {tuple(tensor.shape)}, the network {shape}")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise UserError(f"{source}: {name} holds negative variances: damaged")
    check_values(str(source), tensors)


def _rgb(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A first layer (out, 3 k, h, w) of k pictures in BGR as one that reads RGB."""
    out, channels, *kernel = weight.shape
    return np.ascontiguousarray(weight.reshape(out, channels // 3, 3, *kernel)[:, :, ::-1].reshape(weight.shape))


# ResNet-101 of 2015

_BLOCKS = (3, 4, 23, 3)


def _resnet_layers() -> Iterator[tuple[str, str, str]]:
    """Of each convolution: its name in Caffe, the end of its normalisation's names, and `ours:our norm`."""
    yield "conv1", "_conv1", "conv1:bn1"
    for stage, count in enumerate(_BLOCKS):
        for block in range(count):
            letter = "abc"[block] if stage in (0, 3) else "a" if block == 0 else f"b{block}"
            unit, ours = f"{stage + 2}{letter}", f"layer{stage + 1}.{block}"
            if block == 0:
                yield f"res{unit}_branch1", f"{unit}_branch1", f"{ours}.downsample.0:{ours}.downsample.1"
            for k, branch in enumerate("abc", 1):
                yield f"res{unit}_branch2{branch}", f"{unit}_branch2{branch}", f"{ours}.conv{k}:{ours}.bn{k}"


def _resnet101(path: Path) -> Tensors:
    """Caffe's BatchNorm (sums and their count) and Scale become one batch norm; the first layer reads RGB."""
    layers, arrays = read_caffemodel(path), {}
    for caffe, norm, ours in _resnet_layers():
        conv, bn = ours.split(":")
        (weight,) = _blobs(path, layers, caffe, 1)
        mean, variance, count = _blobs(path, layers, f"bn{norm}", 3)
        gamma, beta = _blobs(path, layers, f"scale{norm}", 2)
        times = float(count.ravel()[0])
        if times == 0:
            raise UserError(f"{path}: bn{norm} has statistics of no batch")
        arrays[f"{conv}.weight"] = _rgb(weight) if caffe == "conv1" else weight
        arrays |= {f"{bn}.weight": gamma.ravel(), f"{bn}.bias": beta.ravel()}
        arrays |= {f"{bn}.running_mean": mean.ravel() / times, f"{bn}.running_var": variance.ravel() / times}
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _blobs(path: Path, layers: Blobs, name: str, count: int) -> list[NDArray[np.float32]]:
    blobs = layers.get(name)
    if blobs is None or len(blobs) < count:
        fault = "is not there" if blobs is None else f"has {len(blobs)} arrays, not {count}"
        near = ", ".join(list(layers)[:3])
        raise UserError(f"{path}: layer {name} {fault}; is it the right network? Its first layers are {near}")
    return blobs[:count]


# FlowNetS

_FLOW_CONVS = ("conv1", "conv2", "conv3", "conv3_1", "conv4", "conv4_1", "conv5", "conv5_1", "conv6", "conv6_1")
_FLOW_UP = {5: "6to5", 4: "5to4", 3: "4to3", 2: "3to2"}


def _flownet_caffe(path: Path) -> Tensors:
    """As the authors of FlowNet published it, or SegFlow's, in which names of convolutions begin with `flow_`."""
    layers = read_caffemodel(path)
    start = "flow_" if "flow_conv1" in layers else ""
    names = {name: f"{start}{name}" for name in _FLOW_CONVS}
    names |= {f"predict_flow{scale}": f"Convolution{k}" for k, scale in enumerate((6, 5, 4, 3, 2), 1)}
    names |= {f"deconv{scale}": f"deconv{scale}" for scale in _FLOW_UP}
    names |= {f"upsample_flow{up}": f"upsample_flow{up}" for up in _FLOW_UP.values()}
    tensors: Tensors = {}
    for ours, caffe in names.items():
        weight, bias = _blobs(path, layers, caffe, 2)
        weight = _rgb(weight) if ours == "conv1" else weight
        tensors |= {f"flow.{ours}.weight": torch.from_numpy(weight.copy())}
        tensors |= {f"flow.{ours}.bias": torch.from_numpy(bias.ravel().copy())}
    return tensors


def _flownet_torch_caffe(path: Path) -> Tensors:
    """As `_flownet_torch`, of a file that was itself made of Caffe's, whose first layer reads BGR."""
    tensors = _flownet_torch(path)
    first = tensors["flow.conv1.weight"]
    return {**tensors, "flow.conv1.weight": torch.from_numpy(_rgb(first.numpy()).copy())}


def _flownet_torch(path: Path) -> Tensors:
    """As trained by the usual ports to PyTorch: RGB, layers within `Sequential`s, perhaps without biases: then zero."""
    read, _ = read_weights(path)
    tensors: Tensors = {}
    for ours, theirs in _flownet_names().items():
        weight = read.get(f"{theirs}.weight")
        if weight is None:
            raise UserError(f"{path}: no {theirs}.weight; is it FlowNetS, without batch norms?")
        bias = read.get(f"{theirs}.bias")
        if bias is None:
            bias = weight.new_zeros(weight.shape[1] if ours.startswith(("deconv", "upsample")) else weight.shape[0])
        tensors |= {f"flow.{ours}.weight": weight.float(), f"flow.{ours}.bias": bias.float()}
    return tensors


def _flownet_names() -> dict[str, str]:
    names = {name: f"{name}.0" for name in (*_FLOW_CONVS, *(f"deconv{scale}" for scale in _FLOW_UP))}
    names |= {f"predict_flow{scale}": f"predict_flow{scale}" for scale in (6, 5, 4, 3, 2)}
    return names | {f"upsample_flow{up}": f"upsampled_flow{up[0]}_to_{up[-1]}" for up in _FLOW_UP.values()}


def _flownet_shapes() -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return {f"flow.{name}": tensor for name, tensor in FlowNetS(1.0).state_dict().items()}


def _resnet101_shapes() -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return segmentation_branch("resnet101_caffe", 1.0, True).state_dict()


CONVERTERS: Mapping[str, Converter] = {
    "resnet101_caffe": Converter("ResNet-101 of 2015 (.caffemodel), SegFlow's backbone", _resnet101, _resnet101_shapes),
    "flownets_caffe": Converter("FlowNetS (.caffemodel), SegFlow's flow branch", _flownet_caffe, _flownet_shapes),
    "inception_v3_slim": Converter(
        "Inception-V3 of TF-slim (a checkpoint's .index), DSTL's net",
        read_inception,
        trunk,
        output_difference,
        checkpoint_files,
    ),
    "flownets_torch": Converter("FlowNetS (.pth, .pth.tar, .pt) trained in PyTorch", _flownet_torch, _flownet_shapes),
    "flownets_torch_caffe": Converter(
        "FlowNetS (.pth, .pth.tar, .pt) in PyTorch's format, made of Caffe's", _flownet_torch_caffe, _flownet_shapes
    ),
}
