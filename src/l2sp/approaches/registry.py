"""Approaches by name."""

from __future__ import annotations

from pathlib import Path

import torch

from l2sp.approaches.base import Approach
from l2sp.config import TrainConfig
from l2sp.errors import UserError

__all__ = ["build_approach"]


def build_approach(cfg: TrainConfig, data_root: Path, start_file: Path | None, device: torch.device) -> Approach:
    """The approach of a run, with its data read and its starting weights loaded.

    Raises:
        UserError: no such approach; data or weights are missing or damaged.
    """
    from l2sp.approaches.dstl.task import DSTL

    approaches = {"dstl": DSTL}
    if cfg.approach.name not in approaches:
        raise UserError(f"approach.name={cfg.approach.name}: use one of {', '.join(approaches)}")
    return approaches[cfg.approach.name](cfg, data_root, start_file, device)
