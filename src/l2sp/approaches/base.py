"""What an approach is to the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

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
    """What env.json should say: data sizes and checksum, origin of the weights."""

    def batches(self, first: int, last: int) -> Iterator[Any]:
        """Training batches of the steps first..last-1: a pure function of (seed, epoch, index)."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """Scalar training loss of a batch, mean over its items, without any penalty."""
        ...

    def evaluate(self, split: str) -> dict[str, float]:
        """Metrics on `train`, `val` or `test`, with `n`, the number of items."""
        ...
