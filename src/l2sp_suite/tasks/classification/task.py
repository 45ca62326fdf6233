"""DSTL as the training loop sees it: fine-grained classification from a pre-trained network (protocol 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets import (
    Classification,
    ClassificationSplit,
    LabelledImages,
    collate_labels,
    eval_batches,
    eval_transform,
    image_cache,
    official_size,
    read_dataset,
    run_splits,
    steps_per_epoch,
    train_batches,
    train_transform,
)
from l2sp_suite.metrics import correct
from l2sp_suite.models.batch_norm import freeze_statistics, set_bn_momentum
from l2sp_suite.models.classifier import build_network, head_prefixes, logits_of, zero_head
from l2sp_suite.pretrained.load import Start, apply_start, load_start
from l2sp_suite.tasks.base import Evaluation, Outline, Work
from l2sp_suite.tasks.classification.config import DSTLConfig

__all__ = ["APPROACH", "DSTL"]

Batch = tuple[Tensor, Tensor]


class DSTL:
    """Network, data, loss and accuracy of one DSTL run.

    Args:
        cfg: the run.
        data_root: folder that holds the data set's folder.
        start_files: of the pre-trained weights, by key (`weights`), for the sources that read one.
        device: where the network lies; batches are moved there.

    Raises:
        UserError: data or weights are missing or damaged.
    """

    def __init__(
        self, cfg: TrainConfig, data_root: Path, start_files: Mapping[str, Path], device: torch.device
    ) -> None:
        self.metric = self.train_metric = "accuracy"
        self.lr_factors: Mapping[str, float] = {}
        self._cfg, self._protocol, self._device = cfg, cast(DSTLConfig, cfg.approach), device
        data, data_digest = read_dataset(cfg.data, cfg.scale, data_root, Classification)
        self._splits = run_splits(data, cfg.evaluate)
        model = _network(cfg, len(data.classes))
        start = load_start(
            cfg.weights.source, model, start_files.get("weights"), cfg.weights.sha256, head_prefixes(model)
        )
        report = apply_start(model, start, cfg.weights.statistics) if start.tensors else "from scratch"
        self.model: nn.Module = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.start: Mapping[str, Tensor] = start.tensors
        self.steps_per_epoch = steps_per_epoch(len(self._splits["train"]), cfg.optim.batch_size)
        # The training images are seen many times; those for testing once.
        keep = {} if self._protocol.cache_size else {"limit_bytes": 0}
        self._cache = image_cache(self._protocol.cache_size, **keep)
        self.notes = {"data": data_digest, **_notes(data, self._splits, start, str(report))}

    @staticmethod
    def data_digest(cfg: TrainConfig, data_root: Path) -> str:
        """What tells one data set from another: see `l2sp_suite.datasets.records.digest`."""
        return read_dataset(cfg.data, cfg.scale, data_root, Classification)[1]

    @staticmethod
    def outline(cfg: TrainConfig) -> Outline:
        """The network with its head and, where it has one, its auxiliary head; an item is one image."""
        protocol, model = cast(DSTLConfig, cfg.approach), _network(cfg, official_size(cfg, "classes"))
        size = protocol.input_size
        images = torch.rand(2, 3, size, size)  # batch norm needs two values a channel
        prefixes = head_prefixes(model)
        names = {prefix: "aux" if prefix.startswith("Aux") else "head" for prefix in prefixes}
        return Outline(
            model,
            {part: tuple(p for p in prefixes if names[p] == part) for part in dict.fromkeys(names.values())},
            {},
            (Work(lambda: _loss(model, images, torch.zeros(2, dtype=torch.long), protocol), 2),),
            lambda: logits_of(model(images[:1])),
            f"two training images and one test image of {size}x{size}",
            steps_per_epoch(official_size(cfg, "train"), cfg.optim.batch_size),
            {"weights": model},
        )

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Images (N, 3, S, S) and labels (N,) of the steps first..last-1."""
        protocol, augment = self._protocol, self._protocol.augment
        transform = train_transform(
            size=protocol.input_size,
            scale=_pair(augment.scale),
            ratio=_pair(augment.ratio),
            flip=augment.flip,
            brightness=augment.brightness,
            saturation=augment.saturation,
            mean=protocol.mean,
            std=protocol.std,
            antialias=augment.antialias,
        )
        cfg = self._cfg
        items = LabelledImages(self._splits["train"], transform, self._cache, cfg.seed)
        return train_batches(
            items, collate_labels, cfg.optim.batch_size, cfg.seed, first, last, workers=cfg.runtime.workers
        )

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of the logits, plus that of the auxiliary head by its weight."""
        images, labels = (t.to(self._device, non_blocking=True) for t in batch)
        return _loss(self.model, images, labels, self._protocol)

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """Accuracy in [0, 1] on the central crop."""
        protocol = self._protocol
        transform = eval_transform(
            protocol.input_size,
            protocol.crop,
            protocol.mean,
            protocol.std,
            antialias=protocol.augment.antialias,
        )
        whole, hits = self._splits[split], 0
        part = whole.select(range(len(whole))[:limit])
        cache = self._cache if split == "train" else image_cache(protocol.cache_size, limit_bytes=0)
        items = LabelledImages(part, transform, cache)
        self.model.eval()
        for images, labels in eval_batches(
            items, collate_labels, self._cfg.evaluate.batch_size, workers=self._cfg.runtime.workers
        ):
            logits, _ = logits_of(self.model(images.to(self._device)))
            hits += correct(logits, labels.to(self._device))
        return Evaluation({"accuracy": hits / len(part)}, len(part))


def _network(cfg: TrainConfig, classes: int) -> nn.Module:
    """The run's network, with weights drawn from its seed."""
    protocol = cast(DSTLConfig, cfg.approach)
    network = protocol.network
    torch.manual_seed(cfg.seed)
    model = build_network(network.name, classes, network.width, network.dropout, network.aux, protocol.input_size)
    if network.zero_head:
        zero_head(model)
    if network.frozen_bn:
        freeze_statistics(model)
    if network.bn_momentum is not None:
        set_bn_momentum(model, network.bn_momentum)
    return model


def _loss(model: nn.Module, images: Tensor, labels: Tensor, protocol: DSTLConfig) -> Tensor:
    criterion = partial(F.cross_entropy, target=labels, label_smoothing=protocol.label_smoothing)
    logits, aux = logits_of(model(images))
    loss = criterion(logits)
    return loss if aux is None else loss + protocol.aux_weight * criterion(aux)


def _notes(data: Classification, splits: dict[str, ClassificationSplit], start: Start, report: str) -> dict[str, Any]:
    return {
        "classes": len(data.classes),
        "images": {name: len(split) for name, split in splits.items()},
        "start": {"origin": start.origin, "sha256": start.sha256, "report": report},
    }


def _pair(values: list[float]) -> tuple[float, float]:
    low, high = values
    return low, high


APPROACH = DSTL
