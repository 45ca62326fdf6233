"""What a run's network holds, what of it is penalised, and what a step costs, before any data is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.tasks.base import ModelSummary
from l2sp_suite.tasks.registry import outline
from l2sp_suite.training.optimizer import PenalizedOptimizer, build_optimizer
from l2sp_suite.utils.machine import peak_memory

__all__ = ["describe"]


def describe(cfg: TrainConfig, step: bool) -> dict[str, Any]:
    """Counts of parameters by part and by what the penalty does to them; with `step`, times and peak memory.

    A step is measured in single precision, which every processor has, whatever `optim.bf16` says.

    The number of classes is the official release's. Weights are new: nothing is read or fetched.

    Raises:
        UserError: the data set has no official number of classes, on which the network depends.
    """
    found = outline(cfg)
    new = tuple(prefix for prefixes in found.new.values() for prefix in prefixes)
    # Which weights are shared is a matter of names and shapes; any values do.
    start = {name: torch.ones_like(p) for name, p in found.model.named_parameters() if not name.startswith(new)}
    penalized = build_optimizer(found.model, start, cfg.reg, cfg.optim, found.lr_factors)
    return {
        "experiment": cfg.experiment,
        "scale": cfg.scale.name,
        "classes": (cfg.data.official or {}).get("classes"),
        "parameters": _parts(found, nn.Module),
        "weights": _parts(found, (nn.modules.conv._ConvNd, nn.Linear)),
        "penalised": _penalised(penalized),
        "groups": _groups(penalized, cfg.optim.lr),
        **({"step": _measure(found, penalized)} if step else {}),
    }


def _parts(found: ModelSummary, kinds: Any) -> dict[str, int]:
    """Numbers of scalars in each part: of all parameters, or of the weights of some kinds of layers."""
    named = {**found.branches, **found.new}
    counts = dict.fromkeys([*(found.branches or ["backbone"]), *found.new], 0)
    for name, parameter in _parameters(found.model, kinds):
        part = next((part for part, prefixes in named.items() if name.startswith(prefixes)), "backbone")
        counts[part] += parameter.numel()
    return {**counts, "all": sum(counts.values())}


def _parameters(model: nn.Module, kinds: Any) -> list[tuple[str, nn.Parameter]]:
    if kinds is nn.Module:
        return list(model.named_parameters())
    weights = {id(module.weight) for module in model.modules() if isinstance(module, kinds)}
    return [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) in weights]


def _penalised(penalized: PenalizedOptimizer) -> dict[str, Any]:
    split = penalized.describe()["partition"]
    return {key: split[key] for key in ("shared", "new", "exempt", "new_names")}


def _groups(penalized: PenalizedOptimizer, lr: float) -> list[dict[str, Any]]:
    """The optimiser's groups: how many scalars, at which first learning rate, with which decay."""
    return [
        {
            "name": group["name"],
            "scalars": sum(parameter.numel() for parameter in group["params"]),
            "lr": lr * group["lr_factor"],
            "decay": group["weight_decay"],
        }
        for group in penalized.optimizer.param_groups
    ]


def _measure(found: ModelSummary, penalized: PenalizedOptimizer) -> dict[str, Any]:
    """Seconds of one training step and of one evaluation, each the first, and the peak of the process's memory."""

    def train() -> None:
        torch.autograd.backward(found.work[0].loss())
        penalized.optimizer.step()
        penalized.optimizer.zero_grad(set_to_none=True)

    found.model.train()
    trained = _timed(train)
    found.model.eval()
    with torch.inference_mode():
        evaluated = _timed(found.evaluate)
    how = {"items": found.items, "precision": "float32", "threads": torch.get_num_threads()}
    return {**how, "train": trained, "evaluate": evaluated}


def _timed(call: Callable[[], Any]) -> dict[str, float]:
    started = time.monotonic()
    call()
    return {"seconds": round(time.monotonic() - started, 2), "peak_memory_so_far_mb": round(peak_memory() / 2**20)}
