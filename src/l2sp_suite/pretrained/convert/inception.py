"""Reads TF-slim's Inception-V3, DSTL's network (docs/protocols/dstl.md#network), by torchvision's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.inception import BasicConv2d

from l2sp_suite.models.inception_v3 import inception_v3
from l2sp_suite.pretrained.convert.tensorflow import Checkpoint, open_checkpoint
from l2sp_suite.utils.errors import UserError

__all__ = ["output_difference", "read_inception", "trunk"]

_STATISTICS = {"mean": "mean", "var": "variance"}
_AVERAGE = "/ExponentialMovingAverage"
_CONV = re.compile(r"InceptionV3/(?P<block>Conv2d_\w+|Mixed_\w+)(?:/Branch_(?P<branch>\d)/(?P<layer>\w+))?/weights")
_ORDER = re.compile(r"_(?P<digit>\d)(?P<letter>[a-z])_(?P<kernel>\dx\d)$")


def read_inception(path: Path) -> dict[str, Tensor]:
    """The trunk's weights; the heads, which fine-tuning makes anew, are left out.

    Moving averages of variables are taken where there are any, as DSTL evaluates and restores them. Slim's batch norm
    has no scale: it is one.

    Raises:
        UserError: damaged, or another network.
    """
    checkpoint = open_checkpoint(path)
    scopes, names = _slim_layers(checkpoint), _layers()
    if len(scopes) != len(names):
        raise UserError(f"{path}: {len(scopes)} convolutions of Inception-V3 in it, the network has {len(names)}")
    tensors: dict[str, Tensor] = {}
    for scope, name in zip(scopes, names, strict=True):
        weight = _read(checkpoint, f"{scope}/weights").transpose(3, 2, 0, 1)  # from height, width, in, out
        tensors[f"{name}.conv.weight"] = torch.from_numpy(np.ascontiguousarray(weight))
        norm, beta = f"{scope}/BatchNorm", _read(checkpoint, f"{scope}/BatchNorm/beta")
        scale = f"{norm}/gamma"
        gamma = _read(checkpoint, scale) if scale in checkpoint.entries else np.ones_like(beta)
        arrays = {"weight": gamma, "bias": beta}
        arrays |= {f"running_{part}": _read(checkpoint, f"{norm}/moving_{slim}") for part, slim in _STATISTICS.items()}
        tensors |= {f"{name}.bn.{part}": torch.from_numpy(array.copy()) for part, array in arrays.items()}
    return tensors


def _read(checkpoint: Checkpoint, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    average = f"{name}{_AVERAGE}"
    return checkpoint.read(average if average in checkpoint.entries else name)


def _slim_layers(checkpoint: Checkpoint) -> list[str]:
    """Scopes of the trunk's convolutions in the order in which they are built."""
    matches = [match for name in checkpoint.entries if (match := _CONV.fullmatch(name))]
    return [match[0].removesuffix("/weights") for match in sorted(matches, key=_build_order)]


def _build_order(match: re.Match[str]) -> tuple[object, ...]:
    """Blocks sort by their names, branches by number, layers by what ends their names."""
    order = _ORDER.search(match["layer"] or match["block"])
    parts = (order["digit"], order["letter"], order["kernel"]) if order else ("", "", "")
    block = match["block"] if match["layer"] else ""
    return (block, int(match["branch"] or 0), *parts)


def _layers() -> list[str]:
    """Names of the trunk's convolutions, in the order in which torchvision builds them, which is slim's."""
    with torch.device("meta"):
        net = inception_v3(1000)
    names = [name for name, module in net.named_modules() if isinstance(module, BasicConv2d)]
    return [name for name in names if not name.startswith("AuxLogits")]


def trunk() -> Mapping[str, Tensor]:
    """The tensors of the network that a file must have."""
    with torch.device("meta"):
        net: nn.Module = inception_v3(1000)
    heads = ("fc.", "AuxLogits.")
    return {name: tensor for name, tensor in net.state_dict().items() if not name.startswith(heads)}


@torch.no_grad()
def output_difference(tensors: Mapping[str, Tensor]) -> float:
    """Relative difference of the features of one image by our network (torchvision's) and by timm's."""
    import timm

    image = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    outputs = []
    for net in (inception_v3(1000, aux=False), timm.create_model("inception_v3", aux_logits=False)):
        net.load_state_dict(dict(tensors), strict=False)  # all but the head
        net.fc = nn.Identity()
        outputs.append(net.eval()(image).flatten())
    ours, theirs = outputs
    return float((ours - theirs).norm() / ours.norm())
