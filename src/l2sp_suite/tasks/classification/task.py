"""Classification: DSTL's fine-grained sets, or anyone's, from a pre-trained network (docs/protocols/dstl.md)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.config import TrainConfig
from l2sp_suite.datasets import (
    Classification,
    ClassificationSplit,
    LabelledImages,
    Transform,
    collate_labels,
    eval_batches,
    eval_transform,
    image_cache,
    official_size,
    run_splits,
    steps_per_epoch,
    train_batches,
    train_transform,
)
from l2sp_suite.metrics import correct
from l2sp_suite.models.batch_norm import freeze_statistics, set_bn_momentum
from l2sp_suite.models.classifier import build_network, head_prefixes, logits_of, zero_head
from l2sp_suite.tasks import base
from l2sp_suite.tasks.base import Evaluation, ModelSummary, PretrainedPart, TrainStep
from l2sp_suite.tasks.classification.config import Config

__all__ = ["Task"]

Batch = tuple[Tensor, Tensor]


class Task(base.Task):
    """Images with one label each; the metric is accuracy on the central crop."""

    kind = Classification
    metric = train_metric = "accuracy"

    @property
    def config(self) -> Config:
        """The task's part of the configuration."""
        return _config(self.cfg)

    @property
    def steps_per_epoch(self) -> int:
        """Batches that hold every training image once."""
        return steps_per_epoch(len(self.splits["train"]), self.cfg.optim.batch_size)

    def split(self, data: Classification) -> dict[str, ClassificationSplit]:
        """`train` and `test`, or `train` and `val`, which is the same for every seed and setting."""
        # The training images are seen many times; those for testing once.
        limit = {} if self.config.cache_size else {"limit_bytes": 0}
        self._cache = image_cache(self.config.cache_size, **limit)
        return run_splits(data, self.cfg.evaluate)

    def sizes(self) -> dict[str, Any]:
        """Numbers of classes and images."""
        return {"classes": len(self.sets["data"].classes), **super().sizes()}

    def build(self) -> nn.Module:
        """The classifier, with weights drawn from the run's seed."""
        return _network(self.cfg, len(self.sets["data"].classes))

    @staticmethod
    def parts(model: nn.Module) -> dict[str, PretrainedPart]:
        """All but the classifier."""
        return {"weights": PretrainedPart(model, drop=head_prefixes(model), whole=False)}

    @classmethod
    def summary(cls, cfg: TrainConfig) -> ModelSummary:
        """The classifier; items are two training images, the least that batch norm takes, and one of the test."""
        config, classes = _config(cfg), official_size(cfg, "classes")
        model, size = _network(cfg, classes), config.input_size
        images, labels = torch.rand(2, 3, size or 0, size or 0), torch.randint(classes, (2,))
        return ModelSummary(
            model,
            {"head": head_prefixes(model)},
            {},
            (TrainStep(lambda: _loss(model, images, labels, config), 2),),
            lambda: logits_of(model(images[:1])),
            f"two training images and one test image of {size}x{size}",
            steps_per_epoch(official_size(cfg, "train"), cfg.optim.batch_size),
            cls.parts(model),
        )

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Images (N, 3, S, S) and labels (N,) of the steps first..last-1."""
        cfg, items = (
            self.cfg,
            LabelledImages(self.splits["train"], _augmentation(self.config), self._cache, self.cfg.seed),
        )
        return train_batches(
            items, collate_labels, cfg.optim.batch_size, cfg.seed, first, last, workers=cfg.runtime.workers
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy of the logits, plus that of the auxiliary head by its weight."""
        images, labels = (t.to(self.device, non_blocking=True) for t in batch)
        return _loss(model, images, labels, self.config)

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """Accuracy in [0, 1] on the central crop."""
        whole, hits = self.splits[split], 0
        part = whole.select(range(len(whole))[:limit])
        cache = self._cache if split == "train" else image_cache(self.config.cache_size, limit_bytes=0)
        items = LabelledImages(part, _central_crop(self.config), cache)
        self.model.eval()
        batch_size, workers = self.cfg.evaluate.batch_size, self.cfg.runtime.workers
        for images, labels in eval_batches(items, collate_labels, batch_size, workers=workers):
            logits, _ = logits_of(self.model(images.to(self.device)))
            hits += correct(logits, labels.to(self.device))
        return Evaluation({"accuracy": hits / len(part)}, len(part))


def _config(cfg: TrainConfig) -> Config:
    assert isinstance(cfg.task, Config)
    return cfg.task


def _augmentation(config: Config) -> Transform:
    augment = config.augment
    return train_transform(
        **_preprocessing(config),
        scale=_range(augment.scale),
        ratio=_range(augment.ratio),
        flip=augment.flip,
        brightness=augment.brightness,
        saturation=augment.saturation,
    )


def _central_crop(config: Config) -> Transform:
    return eval_transform(**_preprocessing(config), crop_fraction=config.crop or 1.0)


def _preprocessing(config: Config) -> dict[str, Any]:
    return {
        "size": config.input_size,
        "mean": config.mean,
        "std": config.std,
        "antialias": config.augment.antialias,
        "interpolation": config.interpolation,
    }


def _range(values: list[float]) -> tuple[float, float]:
    low, high = values
    return low, high


def _network(cfg: TrainConfig, classes: int) -> nn.Module:
    config = _config(cfg)
    network = config.network
    torch.manual_seed(cfg.seed)
    model = build_network(network.name, classes, network.width, network.dropout, network.aux, config.input_size or 0)
    if network.zero_head:
        zero_head(model)
    if network.frozen_bn:
        freeze_statistics(model)
    if network.bn_momentum is not None:
        set_bn_momentum(model, network.bn_momentum)
    return model


def _loss(model: nn.Module, images: Tensor, labels: Tensor, config: Config) -> Tensor:
    criterion = partial(F.cross_entropy, target=labels, label_smoothing=config.label_smoothing)
    logits, aux = logits_of(model(images))
    loss = criterion(logits)
    return loss if aux is None else loss + config.aux_weight * criterion(aux)
