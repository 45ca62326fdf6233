"""The one training loop. It calls an optimiser and knows nothing of what that penalises."""

from __future__ import annotations

import time

import torch
from tqdm import tqdm

from l2sp_suite.config import OptimConfig, RuntimeConfig
from l2sp_suite.runs import Run
from l2sp_suite.tasks import Task
from l2sp_suite.training import checkpoint
from l2sp_suite.training.optimizer import PenalizedOptimizer
from l2sp_suite.training.schedule import lr_factor
from l2sp_suite.utils.errors import Diverged

__all__ = ["fit", "total_steps"]


def total_steps(optim: OptimConfig, steps_per_epoch: int) -> int:
    """Number of optimiser steps of a run."""
    return optim.steps if optim.steps is not None else int(optim.epochs or 0) * steps_per_epoch


def fit(
    task: Task,
    penalized: PenalizedOptimizer,
    optim: OptimConfig,
    runtime: RuntimeConfig,
    run: Run,
    until: int | None = None,
) -> int:
    """Trains from the run's checkpoint, or from the start, to the end of the schedule; returns the steps done.

    Interrupted at any moment and called again it ends bitwise where an undisturbed run ends. With `until` it stops
    after that many steps of the schedule, leaving a checkpoint.

    Raises:
        Diverged: the loss, or at the end a weight, is not finite (the message has step and learning rate).
        UserError: the checkpoint is unusable.
    """
    model, optimizer = task.model, penalized.optimizer
    total = total_steps(optim, task.steps_per_epoch)
    last = total if until is None else min(until, total)
    first = checkpoint.restore(run.checkpoint, model, penalized)
    run.truncate_log(first)
    model.train()
    device = next(model.parameters()).device.type
    started = time.monotonic()
    steps = enumerate(task.batches(first, last), start=first)
    for step, batch in tqdm(steps, total=last, initial=first, desc=run.path.parent.name, disable=None, leave=False):
        lr = optim.lr * lr_factor(optim.schedule, step, total, task.steps_per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_factor"]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=optim.bf16):
            loss = task.loss(model, batch)
        if not torch.isfinite(loss):
            raise Diverged(f"the loss is {loss.item()} at step {step} with learning rate {lr:g}: lower optim.lr", step)
        torch.autograd.backward(loss)
        optimizer.step()
        finished = step + 1
        if finished % runtime.log_every == 0 or finished == last:
            seconds = round(time.monotonic() - started, 3)
            run.log(step=finished, split="fit", loss=loss.item(), lr=lr, seconds=seconds, **penalized.monitor())
        if finished % runtime.checkpoint_every == 0 or finished == last:
            checkpoint.save(run.checkpoint, finished, model, penalized)
    if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
        raise Diverged(f"a weight is not finite after the last step, {last}: lower optim.lr", last)
    return last
