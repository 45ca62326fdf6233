"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math

from l2sp_suite.config import ScheduleConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["lr_factor"]


def lr_factor(schedule: ScheduleConfig, step: int, total: int, steps_per_epoch: int) -> float:
    """Factor of the base learning rate at `step` of 0..total-1.

    `step`: gamma^(step // step_size); `cosine`: from 1 to 0 at `total`; `poly`: (1 - step/total)^power; `constant`: 1.
    A warm-up rises linearly over its steps.

    Raises:
        UserError: no such schedule.
    """
    warmup = min(1.0, (step + 1) / (schedule.warmup_steps + 1))
    if schedule.kind == "step":
        size = schedule.step_size * (steps_per_epoch if schedule.step_unit == "epochs" else 1)
        return warmup * math.pow(schedule.gamma, step // size)
    if schedule.kind == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * step / total))
    if schedule.kind == "poly":
        return warmup * math.pow(1 - step / total, schedule.power)
    if schedule.kind == "constant":
        return warmup
    raise UserError(f"optim.schedule.kind={schedule.kind}: use step, cosine, poly or constant")
