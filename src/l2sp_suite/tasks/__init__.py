"""Tasks: model, loss, metrics and transforms of each kind of problem; a package beside this module each."""

from l2sp_suite.tasks.base import Evaluation, ModelSummary, PretrainedPart, Task, TrainStep, task_class

__all__ = ["Evaluation", "ModelSummary", "PretrainedPart", "Task", "TrainStep", "task_class"]
