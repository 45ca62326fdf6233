"""Task: what the training loop trains and evaluates. A new task is a subclass and its configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from l2sp_suite.config import TrainConfig
from l2sp_suite.datasets import DataSet, combined, read_dataset
from l2sp_suite.pretrained import PretrainedPart, load_pretrained, read_part
from l2sp_suite.utils.errors import UserError

__all__ = ["Evaluation", "ModelSummary", "PretrainedPart", "Task", "TrainStep", "task_class"]


@dataclass(frozen=True)
class Evaluation:
    """Metrics on one split of the data.

    Attributes:
        metrics: by name, fractions or pixels.
        n: number of items.
        log: what else metrics.jsonl should hold, such as a confusion matrix.
        samples: files to keep beside the results, such as pictures of predictions, by name.
    """

    metrics: dict[str, float]
    n: int
    log: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainStep:
    """One kind of training step, for what a run costs: its loss on `items` random items, and its share of all steps."""

    loss: Callable[[], Tensor]
    items: int
    share: float = 1.0


@dataclass(frozen=True)
class ModelSummary:
    """A network at its official size, with new weights and without any data: what can be known before a run.

    Attributes:
        model: the whole network.
        heads: the parts that fine-tuning adds, with the beginnings of their parameters' names.
        branches: the pre-trained parts, where there are several; else all that is no head is the backbone.
        lr_factors: as of `Task`.
        steps: the kinds of training steps.
        evaluate: evaluates one random test item by the full protocol.
        items: what the items of both are, in words.
        steps_per_epoch: of the official release.
        parts: the parts that start from weights, by key of `TrainConfig.pretrained`.
        data_sets: those that the run reads, by key of `TrainConfig.data_sets`.
    """

    model: nn.Module
    heads: Mapping[str, tuple[str, ...]]
    lr_factors: Mapping[str, float]
    steps: tuple[TrainStep, ...]
    evaluate: Callable[[], Any]
    items: str
    steps_per_epoch: int
    parts: Mapping[str, PretrainedPart]
    branches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data_sets: tuple[str, ...] = ("data",)


class Task(ABC):
    """Network, data, loss and metrics of one run. It knows of no penalty and no optimiser.

    Made, it has read its data sets; `prepare` builds the network, loads the pre-trained weights and moves it.

    Args:
        cfg: the run.
        data_root: folder that holds the data sets' folders.

    Raises:
        UserError: a data set is missing or malformed.
    """

    kind: type[DataSet[Any]]
    """Of its data sets."""
    metric: str
    """The one of `evaluate`'s metrics that stands in the table."""
    train_metric: str
    """The one that says how well the training set is fitted; it may be a cheaper relative of `metric`."""
    better: str = "higher"
    """Which values of `metric` are better: `higher` or `lower`."""
    lr_factors: Mapping[str, float] = {}
    """Learning rate relative to the schedule's, by the beginning of parameter names; 1 for all others."""
    model: nn.Module
    pretrained: Mapping[str, Tensor]
    """w0 by parameter name; empty when training from scratch."""

    def __init__(self, cfg: TrainConfig, data_root: Path) -> None:
        self.cfg = cfg
        self.sets, self.data_digest = self.read_data(cfg, data_root)
        self.splits = self.split(self.sets["data"])
        self._weights: dict[str, dict[str, str]] = {}

    @classmethod
    def read_data(cls, cfg: TrainConfig, data_root: Path) -> tuple[dict[str, Any], str]:
        """The data sets of a run by key, and one digest of all that it would see.

        Raises:
            UserError: one is missing or malformed.
        """
        keys = cls.data_keys(cfg)
        configs = {key: data for key, data in cfg.data_sets().items() if key in keys}
        sets = {key: read_dataset(data, cfg.scale, data_root, cls.kind) for key, data in configs.items()}
        digests = [digest for _, digest in sets.values()]
        return {key: data for key, (data, _) in sets.items()}, combined(digests)

    def prepare(self, files: Mapping[str, Path], device: torch.device) -> None:
        """Builds the network, loads its pre-trained weights and moves it to the device.

        `files`: of the pre-trained weights, by key of `TrainConfig.pretrained`, for the sources that read one.

        Raises:
            UserError: weights are missing or damaged, or the network does not fit the data.
        """
        model = self.build()
        self.pretrained = {}
        parts, configs = self.parts(model), self.cfg.pretrained()
        for key in [key for key in parts if key in configs]:
            weights = read_part(key, configs[key], parts[key], files.get(key))
            result = load_pretrained(model, weights, configs[key].statistics)
            report = str(result) if weights.tensors else "from scratch"
            self.pretrained = {**self.pretrained, **weights.tensors}
            self._weights[key] = {"origin": weights.origin, "sha256": weights.sha256, "report": report}
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.model.parameters()).device

    @property
    def notes(self) -> dict[str, Any]:
        """What env.json should say: the digest of the data, sizes, origin of the weights."""
        return {"data": self.data_digest, **self.sizes(), "pretrained": self._weights}

    @classmethod
    def data_keys(cls, cfg: TrainConfig) -> tuple[str, ...]:
        """The data sets that a run reads, by key of `TrainConfig.data_sets`."""
        return ("data",)

    def sizes(self) -> dict[str, Any]:
        """Sizes of the data for env.json."""
        return {"images": {name: len(split) for name, split in self.splits.items()}}

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Optimiser steps that see the training split once."""

    @abstractmethod
    def split(self, data: Any) -> dict[str, Any]:
        """The splits of `data` by name: `train`, and `test`, or `val` where the run is evaluated on that."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The network, with weights drawn from the run's seed."""

    @staticmethod
    @abstractmethod
    def parts(model: Any) -> dict[str, PretrainedPart]:
        """The parts of the network that start from weights, by key of `TrainConfig.pretrained`."""

    @classmethod
    @abstractmethod
    def summary(cls, cfg: TrainConfig) -> ModelSummary:
        """The network of a run at its official size, to see what it holds and costs.

        Raises:
            UserError: its size depends on data whose official sizes are not known.
        """

    @abstractmethod
    def batches(self, first: int, last: int) -> Iterator[Any]:
        """Training batches of the steps first..last-1: a pure function of (seed, epoch, index)."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Scalar training loss of a batch under `model`, mean over its items, without any penalty."""

    @abstractmethod
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """Metrics on `train`, `val` or `test`; of its first `limit` images or clips only, where that is given."""


def task_class(cfg: TrainConfig) -> type[Task]:
    """The class of a run's task, `<task.package>.task.Task`; importing it brings torch.

    Raises:
        UserError: its package has none.
    """
    try:
        return cast("type[Task]", import_module(f"{cfg.task.package}.task").Task)
    except (ImportError, AttributeError) as error:
        raise UserError(f"task.package={cfg.task.package}: no class Task in its module task ({error})") from error
