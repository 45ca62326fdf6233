"""The alternating schedule: which phase a training step belongs to, and whether a phase can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from l2sp_suite.datasets import Video
from l2sp_suite.models.segflow import SegFlow
from l2sp_suite.tasks.video.config import Config, FlowLossConfig, PhaseConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["PhaseSchedule", "active_phases", "check_phase"]

_KINDS = {"segmentation": "mask", "flow": "flow"}  # the kind of truth that a task needs


class PhaseSchedule:
    """Phases of some lengths in steps, one after the other, round after round: a pure function of the step.

    Args:
        steps_per_phase: each at least 1.
    """

    def __init__(self, steps_per_phase: Sequence[int]) -> None:
        if not steps_per_phase or min(steps_per_phase) < 1:
            raise ValueError(f"phases need at least one step each, found {list(steps_per_phase)}")
        self._steps = tuple(steps_per_phase)
        self.round = sum(steps_per_phase)
        """Steps of a round."""

    def phase(self, step: int) -> int:
        """Number of the phase that `step` (from 0) is in."""
        offset = step % self.round
        for number, steps in enumerate(self._steps):
            if offset < steps:
                return number
            offset -= steps
        raise AssertionError("a step of the round is in one of its phases")

    def done(self, step: int, phase: int) -> int:
        """How many steps of `phase` lie before `step`."""
        rounds, offset = divmod(step, self.round)
        before = sum(self._steps[:phase])
        return rounds * self._steps[phase] + min(max(offset - before, 0), self._steps[phase])


def active_phases(config: Config) -> list[PhaseConfig]:
    """Those of the phases that have steps."""
    return [phase for phase in config.phases if phase.steps]


def check_phase(phase: PhaseConfig, model: SegFlow, sets: Mapping[str, Video], weights: FlowLossConfig) -> None:
    """Refuses a phase that its network, data or loss do not fit. `sets`: by the names that phases have for them.

    Raises:
        UserError: what does not fit, and what would.
    """
    if phase.data not in sets:
        raise UserError(f"task.phases: the {phase.task} phase needs task.auxiliary_data, a data set")
    video = sets[phase.data]
    if video.kind != _KINDS[phase.task]:
        raise UserError(f"task.phases: {phase.task} cannot be trained on {video.name}, a set of {video.kind}s")
    lacking = [part for part in phase.trains if getattr(model, part) is None]
    if lacking:
        raise UserError(f"task.phases: this network has no {' and no '.join(lacking)} to train")
    unreached = set(phase.trains) - _reached(phase.task, weights)
    if unreached:
        raise UserError(
            f"task.phases: the loss of the {phase.task} phase does not reach {' and '.join(sorted(unreached))}: "
            "train other parts, or see task.flow_loss"
        )


def _reached(task: str, weights: FlowLossConfig) -> set[str]:
    """The parts that a task's loss has gradients for."""
    if task == "segmentation":
        return {"segmentation", "flow", "segmentation_head"}
    final = {"flow", "segmentation", "flow_head"} if weights.final else set()
    return final | ({"flow"} if any(weights.scales) else set())
