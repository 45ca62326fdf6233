"""Synthetic data sets of scale mini: drawn by `miniworld`, once, in the official layouts."""

from __future__ import annotations

from pathlib import Path

from miniworld import ensure_world

__all__ = ["synthetic_root"]


def synthetic_root(artifacts: Path, world: str, part: str | None) -> Path:
    """The folder of the synthetic data sets of a part; draws them first where they are not there."""
    return ensure_world(artifacts, world, part)
