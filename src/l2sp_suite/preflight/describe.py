"""What a run's network holds, what of it is penalised, and what a step costs, before any data is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from l2sp_suite.config import TrainConfig
from l2sp_suite.tasks import ModelSummary, task_class
from l2sp_suite.training import PenalizedOptimizer, build_optimizer
from l2sp_suite.utils.machine import peak_memory

__all__ = ["describe"]

_WITH_WEIGHTS = (nn.modules.conv._ConvNd, nn.Linear)


def describe(cfg: TrainConfig, step: bool) -> dict[str, Any]:
    """Numbers of scalars by part of the network and by what the penalty does to them, and the optimiser's groups.

    The number of classes is the official release's; weights are new: nothing is read or fetched. With `step`, also the
    seconds and peak memory of a step, in single precision, which every processor has, whatever `optim.bf16` says.

    Raises:
        UserError: the data set has no official number of classes, on which the network depends.
    """
    summary = task_class(cfg).summary(cfg)
    heads = tuple(prefix for prefixes in summary.heads.values() for prefix in prefixes)
    # Which weights are shared is a matter of names and shapes; any values do.
    pretrained = {
        name: torch.ones_like(p) for name, p in summary.model.named_parameters() if not name.startswith(heads)
    }
    penalized = build_optimizer(summary.model, pretrained, cfg.arm, cfg.optim, summary.lr_factors)
    partition = penalized.describe()["partition"]
    layers = {id(layer.weight) for layer in summary.model.modules() if isinstance(layer, _WITH_WEIGHTS)}
    return {
        "experiment": cfg.experiment,
        "scale": cfg.scale.name,
        "classes": (cfg.data.official or {}).get("classes"),
        "parameters": _by_part(summary, lambda parameter: True),
        "weights": _by_part(summary, lambda parameter: id(parameter) in layers),
        "penalised": {key: partition[key] for key in ("shared", "new", "exempt", "new_names")},
        "groups": list(_groups(penalized, cfg.optim.lr)),
        **({"step": _measure(summary, penalized)} if step else {}),
    }


def _by_part(summary: ModelSummary, counts: Callable[[nn.Parameter], bool]) -> dict[str, int]:
    """Numbers of scalars in each part of the network, of the parameters that count."""
    prefixes = {**(summary.branches or {"backbone": ()}), **summary.heads}
    scalars = dict.fromkeys(prefixes, 0)
    for name, parameter in summary.model.named_parameters():
        if counts(parameter):
            part = next((part for part, starts in prefixes.items() if name.startswith(starts)), "backbone")
            scalars[part] += parameter.numel()
    return {**scalars, "all": sum(scalars.values())}


def _groups(penalized: PenalizedOptimizer, lr: float) -> Iterator[dict[str, Any]]:
    """The optimiser's groups: how many scalars, at which first learning rate, with which decay."""
    for group in penalized.optimizer.param_groups:
        scalars = sum(parameter.numel() for parameter in group["params"])
        yield {
            "name": group["name"],
            "scalars": scalars,
            "lr": lr * group["lr_factor"],
            "decay": group["weight_decay"],
        }


def _measure(summary: ModelSummary, penalized: PenalizedOptimizer) -> dict[str, Any]:
    """Seconds of one training step and of one evaluation, each the first, and the peak of the process's memory."""

    def train() -> None:
        torch.autograd.backward(summary.steps[0].loss())
        penalized.optimizer.step()
        penalized.optimizer.zero_grad(set_to_none=True)

    summary.model.train()
    trained = _timed(train)
    summary.model.eval()
    with torch.inference_mode():
        evaluated = _timed(summary.evaluate)
    conditions = {"items": summary.items, "precision": "float32", "threads": torch.get_num_threads()}
    return {**conditions, "train": trained, "evaluate": evaluated}


def _timed(call: Callable[[], Any]) -> dict[str, float]:
    started = time.monotonic()
    call()
    return {"seconds": round(time.monotonic() - started, 2), "peak_memory_so_far_mb": round(peak_memory() / 2**20)}
