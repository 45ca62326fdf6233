"""L2-SP: weight decay towards the pre-trained weights, for any torch training loop. Imports torch alone."""

from __future__ import annotations

from l2sp.penalty import Partition, StartingPoint

__version__ = "0.2.0.dev0"
__all__ = ["Partition", "StartingPoint", "__version__"]
