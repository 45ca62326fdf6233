"""What an approach is to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from l2sp_suite.config.schema import TrainConfig

__all__ = ["Approach", "Evaluation", "Outline", "Work"]


@dataclass(frozen=True)
class Evaluation:
    """What was found on one part of the data.

    `metrics`: by name, fractions or pixels; `n`: number of items. `log`: what else metrics.jsonl should hold, such
    as a confusion matrix. `pictures`: files to keep beside the results, such as samples of predictions, by name.
    """

    metrics: dict[str, float]
    n: int
    log: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """One kind of training step: `share` of all steps are such.

    `loss`: training loss of `items` random items, whose number may differ from a batch's.
    """

    loss: Callable[[], Tensor]
    items: int
    share: float = 1.0


@dataclass(frozen=True)
class Outline:
    """A network as the protocol sizes it, with new weights and without any data: what can be known beforehand.

    `new`: the parts that fine-tuning adds to what is pre-trained, with the beginnings of their parameters' names;
    `branches`: those that are pre-trained, where there are several; else all of it is the backbone.
    `work`: the kinds of training steps. `evaluate`: one random test item by the full protocol. `items`: what the items
    of both are, in words. `steps_per_epoch`: of the official release. `starts`: by key of `starts_of` the modules whose
    names of tensors the files of starting weights have. `sets`: those of `sets_of` that the run reads, by key.
    """

    model: nn.Module
    new: Mapping[str, tuple[str, ...]]
    lr_factors: Mapping[str, float]
    work: tuple[Work, ...]
    evaluate: Callable[[], Any]
    items: str
    steps_per_epoch: int
    starts: Mapping[str, nn.Module]
    branches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sets: tuple[str, ...] = ("data",)


class Approach(Protocol):
    """Network, data, loss and metrics of one approach. It knows of no regulariser and no optimiser."""

    model: nn.Module
    start: Mapping[str, Tensor]
    """w0 by parameter name; empty when training from scratch."""
    steps_per_epoch: int
    metric: str
    """The one of `evaluate`'s metrics that stands in the table."""
    train_metric: str
    """The one that says how well the training set is fitted; it may be a cheaper relative of `metric`."""
    lr_factors: Mapping[str, float]
    """Learning rate relative to the schedule's, by the beginning of parameter names; 1 for all others."""
    notes: dict[str, Any]
    """What env.json should say: `data` (its digest) and sizes, origin of the weights."""

    @staticmethod
    def data_digest(cfg: TrainConfig, data_root: Path) -> str:
        """Digest of the data that the run would see, without building a network.

        Raises:
            UserError: the data is missing or malformed.
        """
        ...

    @staticmethod
    def outline(cfg: TrainConfig) -> Outline:
        """The network of a run at its official size, to see what it holds and costs.

        Raises:
            UserError: its size depends on data whose official sizes are not known.
        """
        ...

    def batches(self, first: int, last: int) -> Iterator[Any]:
        """Training batches of the steps first..last-1: a pure function of (seed, epoch, index)."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """Scalar training loss of a batch, mean over its items, without any penalty."""
        ...

    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """Metrics on `train`, `val` or `test`; of its first `limit` images or clips only, where that is given."""
        ...
