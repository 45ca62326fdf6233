"""Training: from a `RunSpec` to a finished run directory."""

from l2sp_suite.training.loop import total_steps
from l2sp_suite.training.optimizer import build_optimizer
from l2sp_suite.training.trainer import data_root, train

__all__ = ["build_optimizer", "data_root", "total_steps", "train"]
