"""Penalties that pull fine-tuned weights towards the pre-trained ones (L2-SP). Imports torch alone."""

from __future__ import annotations

from l2sp.partition import Partition
from l2sp.penalty import L2, L2SP, Penalty, StartingPoint

__version__ = "0.2.0.dev0"
__all__ = ["L2", "L2SP", "Partition", "Penalty", "StartingPoint", "__version__"]
