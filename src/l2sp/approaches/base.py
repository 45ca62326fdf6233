"""What an approach is to the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from l2sp.config import TrainConfig

__all__ = ["Approach"]


class Approach(Protocol):
    """Network, data, loss and metrics of one approach. It knows of no regulariser and no optimiser."""

    model: nn.Module
    start: Mapping[str, Tensor]
    """w0 by parameter name; empty when training from scratch."""
    steps_per_epoch: int
    metric: str
    """The one of `evaluate`'s metrics that stands in the table."""
    notes: dict[str, Any]
    """What env.json should say: `data` (its digest) and sizes, origin of the weights."""

    @staticmethod
    def data_digest(cfg: TrainConfig, data_root: Path) -> str:
        """Digest of the data that the run would see, without building a network.

        Raises:
            UserError: the data is missing or malformed.
        """
        ...

    def batches(self, first: int, last: int) -> Iterator[Any]:
        """Training batches of the steps first..last-1: a pure function of (seed, epoch, index)."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """Scalar training loss of a batch, mean over its items, without any penalty."""
        ...

    def evaluate(self, split: str) -> dict[str, float]:
        """Metrics on `train`, `val` or `test`, with `n`, the number of items."""
        ...
