from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toy_task.config import Config

from l2sp_suite.config import TrainConfig
from l2sp_suite.datasets import find_root
from l2sp_suite.tasks import Evaluation, ModelSummary, PretrainedPart, TrainStep, base
from l2sp_suite.utils.errors import UserError


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(1, width), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(torch.tanh(self.hidden(x))))


@dataclass(frozen=True)
class Points:
    train: Tensor
    test: Tensor


class Task(base.Task):
    """Points of a curve, held in two CSV files; a kind of data that the suite has no reader for."""

    metric = train_metric = "error"
    better = "lower"

    @staticmethod
    def read(name: str, root: Path, remedy: str = "") -> Points:
        try:
            texts = [(root / f"{part}.csv").read_text() for part in ("train", "test")]
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: no such file of {name}; {remedy}") from error
        rows = [[[float(cell) for cell in row] for row in csv.reader(text.splitlines())] for text in texts]
        return Points(*map(torch.tensor, rows))

    @classmethod
    def read_data(cls, cfg: TrainConfig, data_root: Path) -> tuple[dict[str, Any], str]:
        data = cls.read(cfg.data.reader, find_root(data_root, cfg.data.folders, cfg.data.remedy), cfg.data.remedy)
        return {"data": data}, hashlib.sha256(str((data.train.tolist(), data.test.tolist())).encode()).hexdigest()

    def split(self, data: Points) -> dict[str, Tensor]:
        return {"train": data.train, self.cfg.evaluate.split: data.test}

    @property
    def steps_per_epoch(self) -> int:
        return len(self.splits["train"]) // self.cfg.optim.batch_size

    def build(self) -> nn.Module:
        torch.manual_seed(self.cfg.seed)
        return Net(cast(Config, self.cfg.task).width)

    @staticmethod
    def parts(model: Any) -> dict[str, PretrainedPart]:
        return {"weights": PretrainedPart(nn.ModuleDict({"hidden": model.hidden}))}

    @classmethod
    def summary(cls, cfg: TrainConfig) -> ModelSummary:
        model, points = Net(cast(Config, cfg.task).width), torch.zeros(1, 2)
        step = TrainStep(lambda: _loss(model, points), 1)
        return ModelSummary(model, {"head": ("head.",)}, {}, (step,), lambda: model(points[:, :1]), "a point", 1, {})

    def batches(self, first: int, last: int) -> Iterator[Tensor]:
        config = cast(Config, self.cfg.task)
        for step in range(first, last):
            time.sleep(config.pause)
            generator = torch.Generator().manual_seed(1000 * self.cfg.seed + step)
            drawn = torch.randint(len(self.splits["train"]), (self.cfg.optim.batch_size,), generator=generator)
            yield self.splits["train"][drawn] + config.noise * torch.rand(1, 2, generator=generator)

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        return _loss(model, batch.to(self.device))

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        points = self.splits[split][:limit].to(self.device)
        return Evaluation({"error": float(_loss(self.model.eval(), points))}, len(points))


def _loss(model: nn.Module, points: Tensor) -> Tensor:
    return F.mse_loss(model(points[:, :1]), points[:, 1:])
