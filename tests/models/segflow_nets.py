"""Small SegFlow networks and their frames."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.models.segflow import SegFlow, Wiring, segmentation_branch

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


def randomise(parameters: Iterable[nn.Parameter], std: float = 0.1) -> None:
    for parameter in parameters:
        nn.init.normal_(parameter, std=std)


def narrow(
    name: str | None = "resnet26_caffe", flow: bool = True, wiring: Wiring = PLAIN, scored: bool = True
) -> SegFlow:
    """A small network whose scores are no longer zero, and whose blocks are no longer the identity."""
    torch.manual_seed(0)
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


def meta_frames(height: int, width: int) -> Tensor:
    return torch.empty(1, 2, 3, height, width, device="meta")
