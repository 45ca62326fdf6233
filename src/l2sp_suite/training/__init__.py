"""Training: from a `RunSpec` to a finished run directory."""

from l2sp_suite.training.checkpoint import restore
from l2sp_suite.training.loop import fit, total_steps
from l2sp_suite.training.optimizer import PenalizedOptimizer, build_optimizer
from l2sp_suite.training.schedule import lr_factor
from l2sp_suite.training.trainer import data_root, train

__all__ = [
    "PenalizedOptimizer", "build_optimizer", "data_root", "fit", "lr_factor", "restore", "total_steps", "train",
]  # fmt: skip
