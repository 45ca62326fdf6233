"""Semantic segmentation: EncNet on scenes with label maps, from a pre-trained backbone (docs/protocols/encnet.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from l2sp_suite.config import TrainConfig
from l2sp_suite.datasets import (
    IGNORED,
    Examples,
    Normalize,
    Pair,
    ScaledCrop,
    Segmentation,
    SegmentationSplit,
    collate_maps,
    equal_sizes,
    map_cache,
    official_size,
    run_splits,
    spread,
    steps_per_epoch,
    stored_pairs,
    train_batches,
)
from l2sp_suite.metrics import ConfusionMatrix
from l2sp_suite.models.batch_norm import freeze_statistics
from l2sp_suite.models.encnet import EncNet, build_network
from l2sp_suite.pretrained import CLASSIFIERS
from l2sp_suite.tasks import base
from l2sp_suite.tasks.base import Evaluation, ModelSummary, PretrainedPart, TrainStep
from l2sp_suite.tasks.segmentation.config import Config
from l2sp_suite.tasks.segmentation.losses import pixel_loss, presence_loss
from l2sp_suite.tasks.segmentation.multi_scale import Windows, scores
from l2sp_suite.tasks.segmentation.samples import sample_pictures

__all__ = ["Task"]

_HEADS = {"head": ("head.",), "aux": ("aux.",)}


class Task(base.Task):
    """Images with a label map each; the metric is mIoU over several scales.

    The training split is evaluated at one scale only, as is the test split beside it (`mIoU_single`,
    `pixAcc_single`).
    """

    kind = Segmentation
    metric, train_metric = "mIoU", "mIoU_single"

    @property
    def config(self) -> Config:
        """The task's part of the configuration."""
        return _config(self.cfg)

    @property
    def lr_factors(self) -> Mapping[str, float]:  # type: ignore[override]
        """Both heads learn faster than the backbone."""
        return _lr_factors(self.config)

    @property
    def steps_per_epoch(self) -> int:
        """Batches that hold every training image once."""
        return steps_per_epoch(len(self.splits["train"]), self.cfg.optim.batch_size)

    def split(self, data: Segmentation) -> dict[str, SegmentationSplit]:
        """`train` and `test`, or `train` and `val`: the data set's own, or a part of train."""
        self._cache = map_cache(data.decode)
        return run_splits(data, self.cfg.evaluate)

    def sizes(self) -> dict[str, Any]:
        """Names of the classes, numbers of images."""
        return {"class_names": list(self.sets["data"].classes), **super().sizes()}

    def build(self) -> EncNet:
        """EncNet, with weights drawn from the run's seed."""
        return _network(self.cfg, len(self.sets["data"].classes))

    @staticmethod
    def parts(model: EncNet) -> dict[str, PretrainedPart]:
        """The backbone."""
        return {"weights": PretrainedPart(model.backbone, "backbone.", CLASSIFIERS)}

    @classmethod
    def summary(cls, cfg: TrainConfig) -> ModelSummary:
        """The network with its two heads; items are one training crop and one image of PASCAL VOC's usual size."""
        config, classes = _config(cfg), official_size(cfg, "classes")
        model, size = _network(cfg, classes), config.crop_size
        batch = torch.rand(1, 3, size, size), torch.randint(classes, (1, size, size))
        image = torch.randint(256, (1, 3, 375, 500), dtype=torch.uint8)
        scales = config.multi_scale
        return ModelSummary(
            model,
            _HEADS,
            _lr_factors(config),
            (TrainStep(lambda: _loss(model, *batch, config), 1),),
            lambda: _predict(model, image, cfg, scales.scales, flip=scales.flip),
            f"one training crop of {size}x{size}, one test image of 500x375 at all scales",
            steps_per_epoch(official_size(cfg, "train"), cfg.optim.batch_size),
            cls.parts(model),
        )

    def batches(self, first: int, last: int) -> Iterator[Pair]:
        """Images (N, 3, S, S) and maps (N, S, S) of the steps first..last-1."""
        cfg = self.cfg
        items = Examples(self.splits["train"].files, _augmentation(self.config), self._cache, cfg.seed)
        return train_batches(
            items, collate_maps, cfg.optim.batch_size, cfg.seed, first, last, workers=cfg.runtime.workers
        )

    def loss(self, model: nn.Module, batch: Pair) -> Tensor:
        """Pixel loss of the main head, plus that of the auxiliary head and the presence loss by their weights."""
        images, maps = (t.to(self.device, non_blocking=True) for t in batch)
        return _loss(model, images, maps, self.config)

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """mIoU and pixel accuracy in [0, 1]; the confusion matrices for the log; samples of predictions."""
        data, scales = self.sets["data"], self.config.multi_scale
        multi, single = (ConfusionMatrix(len(data.classes), IGNORED) for _ in range(2))
        whole = self.splits[split]
        maps_of = whole.select(range(len(whole))[:limit])
        shown, samples = spread(len(maps_of), self.config.samples), dict[str, bytes]()
        self.model.eval()
        cache = self._cache if split == "train" else map_cache(data.decode, limit_bytes=0)
        stored = stored_pairs(maps_of.files, cache, self.cfg.runtime.workers)
        for first, images, maps in equal_sizes(stored, self.cfg.evaluate.batch_size):
            single.update(self._classify(images, [1.0], flip=False), maps)
            if split == "train":
                continue
            predictions = self._classify(images, scales.scales, flip=scales.flip)
            multi.update(predictions, maps)
            for index in shown & set(range(first, first + len(images))):
                row = index - first
                samples |= sample_pictures(index, images[row], maps[row], predictions[row])
        metrics = {"mIoU_single": single.miou(), "pixAcc_single": single.pixel_accuracy()}
        log = {"confusion_single": single.tolist()}
        if split != "train":
            metrics |= {"mIoU": multi.miou(), "pixAcc": multi.pixel_accuracy()}
            log |= {"confusion": multi.tolist()}
        return Evaluation(metrics, len(maps_of), log, samples)

    def _classify(self, images: Tensor, scales: list[float], flip: bool) -> Tensor:
        return _predict(cast(EncNet, self.model), images, self.cfg, scales, flip).cpu()


def _config(cfg: TrainConfig) -> Config:
    assert isinstance(cfg.task, Config)
    return cfg.task


def _augmentation(config: Config) -> ScaledCrop:
    augment = config.augment
    low, high = augment.scale
    return ScaledCrop(
        config.crop_size,
        config.base_size,
        *config.mean_and_std,
        scale=(low, high),
        edge=cast(Any, augment.edge),
        blur=augment.blur,
        flip=augment.flip,
    )


def _network(cfg: TrainConfig, classes: int) -> EncNet:
    network = _config(cfg).network
    torch.manual_seed(cfg.seed)
    model = build_network(network.name, network.width, classes, network.codes, network.dropout)
    if network.frozen_bn:
        freeze_statistics(model.backbone)
    return model


def _lr_factors(config: Config) -> dict[str, float]:
    return {prefix: config.head_lr_factor for prefixes in _HEADS.values() for prefix in prefixes}


def _loss(model: nn.Module, images: Tensor, maps: Tensor, config: Config) -> Tensor:
    out = model(images)
    loss = pixel_loss(out.logits, maps, IGNORED) + config.aux_weight * pixel_loss(out.aux, maps, IGNORED)
    return loss + config.presence_weight * presence_loss(out.presence, maps, IGNORED)


def _predict(model: EncNet, images: Tensor, cfg: TrainConfig, scales: list[float], flip: bool) -> Tensor:
    """Classes (B, H, W) of images uint8 (B, 3, H, W) of one size."""
    config = _config(cfg)
    normalize = Normalize(*config.mean_and_std)
    device = next(model.parameters()).device
    normalized = torch.stack([normalize(image) for image in images]).to(device)
    windows = Windows(
        base=config.base_size,
        crop=config.crop_size,
        stride=max(1, int(config.crop_size * config.multi_scale.stride)),
        flip=flip,
        black=normalize(torch.zeros(3, 1, 1)).flatten(),
        batch=cfg.evaluate.batch_size,
    )
    return scores(model.segment, normalized, scales, windows).argmax(1)
