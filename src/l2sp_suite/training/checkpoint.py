"""Training state on disk: weights, momentum, random state, step, identity of the penalty."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from l2sp_suite.training.optimizer import PenalizedOptimizer
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["restore", "save"]


def save(path: Path, step: int, model: nn.Module, optimizer: PenalizedOptimizer) -> None:
    """Writes the state after `step` optimiser steps, atomically."""
    state: dict[str, Any] = {
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def restore(path: Path, model: nn.Module, optimizer: PenalizedOptimizer) -> int:
    """Loads the state if there is one; returns the number of steps it has done, 0 if there is none.

    Raises:
        UserError: the file is damaged, or of another network or penalty.
    """
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        return int(state["step"])
    except UserError:
        raise
    except Exception as error:  # a damaged pickle has a whole zoo of errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: cannot resume from this checkpoint ({reason}); delete it to start anew") from error
