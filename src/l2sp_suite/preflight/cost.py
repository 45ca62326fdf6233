"""What a run costs: multiplications and memory, counted on the real network with tensors that hold no numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from l2sp_suite.config import TrainConfig
from l2sp_suite.tasks import ModelSummary, TrainStep
from l2sp_suite.training import total_steps

__all__ = ["DEVICES", "EFFICIENCY", "LAUNCH", "Cost", "Device", "measure"]

EFFICIENCY = 0.3
"""Share of a device's rate that training convolutions reaches: a guess, to be replaced by a measurement on yours."""

LAUNCH = 1e-5
"""Seconds that starting one operation on a device takes: a guess; it is what small batches wait for."""


@dataclass(frozen=True)
class Device:
    """A GPU by its maker's data sheet: memory in GB, dense tensor rates in FLOP/s (bfloat16; single as TF32)."""

    name: str
    memory: float
    bf16: float
    single: float


DEVICES = {
    "a100": Device("NVIDIA A100 40 GB (SXM)", 40, 312e12, 156e12),
    "h100": Device("NVIDIA H100 80 GB (SXM)", 80, 989e12, 494e12),
    "l4": Device("NVIDIA L4", 24, 121e12, 60e12),
    "rtx4090": Device("NVIDIA GeForce RTX 4090", 24, 165e12, 82.6e12),
}


@dataclass(frozen=True)
class Cost:
    """What one run (one arm, one seed) costs; a multiplication and its addition are two operations."""

    parameters: int  # scalars
    steps: int  # optimiser steps of the run
    batch: int  # items in a step
    bf16: bool  # whether training is in bfloat16
    train_flops: float  # forward and backward of one item, averaged over the kinds of steps
    test_flops: float  # of one test item by the full protocol
    item_bytes: int  # activations kept for the backward pass of one item, in the kind of step that keeps most
    launches: float  # operations started in a step

    @property
    def fixed_bytes(self) -> int:
        """Weights, gradients, momentum and w0 in single precision."""
        return 16 * self.parameters

    @property
    def memory(self) -> float:
        """Estimated GB of a device's memory, with 1 GB for the driver and for workspaces."""
        return (self.fixed_bytes + self.batch * self.item_bytes) / 1e9 + 1

    def hours(self, device: Device, test_items: int, efficiency: float = EFFICIENCY) -> float:
        """Estimated hours on a device, if data comes fast enough: training, and testing in single precision."""
        rate = (device.bf16 if self.bf16 else device.single) * efficiency
        step = max(self.batch * self.train_flops / rate, self.launches * LAUNCH)
        return (self.steps * step + test_items * self.test_flops / (device.single * efficiency)) / 3600


def measure(cfg: TrainConfig, summary: ModelSummary) -> Cost:
    """Counts what a run costs at the official release's sizes; a few seconds, without data or weights."""
    model = summary.model
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.train()
        counted = [(step, _count_step(step, model, cfg.optim.bf16)) for step in summary.steps]
        model.eval()
        with torch.no_grad():
            test = _count(summary.evaluate)
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        steps=total_steps(cfg.optim, summary.steps_per_epoch),
        batch=cfg.optim.batch_size,
        bf16=cfg.optim.bf16,
        train_flops=sum(step.share * count.flops / step.items for step, count in counted),
        test_flops=test.flops,
        item_bytes=max(round(count.kept / step.items) for step, count in counted),
        launches=sum(step.share * count.launches for step, count in counted),
    )


@dataclass(frozen=True)
class _Count:
    flops: float
    launches: int
    kept: int = 0


def _count_step(step: TrainStep, model: nn.Module, bf16: bool) -> _Count:
    """What a kind of step does, and the bytes that its forward pass keeps."""
    kept: dict[int, int] = {}
    weights = {parameter.shape for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.shape not in weights:  # those are counted once, not for each item
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    def loss() -> Tensor:
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), hooks:
            return step.loss()

    return replace(_count(lambda: torch.autograd.backward(loss())), kept=sum(kept.values()))


def _count(call: Callable[[], Any]) -> _Count:
    flops, launches = FlopCounterMode(display=False), _Launches()
    with flops, launches:
        call()
    return _Count(float(flops.get_total_flops()), launches.count)


class _Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is computed; views compute nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.namespace == "aten" and not func.is_view
        return func(*args, **(kwargs or {}))
