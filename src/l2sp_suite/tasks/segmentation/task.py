"""EncNet as the training loop sees it: scenes with label maps, from a pre-trained backbone (protocol 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets import (
    IGNORED,
    Examples,
    Normalize,
    Pair,
    ScaledCrop,
    Segmentation,
    collate_maps,
    equal_sizes,
    map_cache,
    official_size,
    read_dataset,
    run_splits,
    spread,
    steps_per_epoch,
    stored_pairs,
    train_batches,
)
from l2sp_suite.metrics import ConfusionMatrix
from l2sp_suite.models.batch_norm import freeze_statistics
from l2sp_suite.models.encnet import EncNet, build_network
from l2sp_suite.pretrained.load import CLASSIFIERS, apply_start, load_branch
from l2sp_suite.tasks.base import Evaluation, Outline, Work
from l2sp_suite.tasks.segmentation.config import EncNetConfig
from l2sp_suite.tasks.segmentation.losses import pixel_loss, presence_loss
from l2sp_suite.tasks.segmentation.multi_scale import Windows, scores
from l2sp_suite.tasks.segmentation.samples import sample_pictures

__all__ = ["APPROACH", "EncNetTask"]

_HEADS = {"head": ("head.",), "aux": ("aux.",)}


class EncNetTask:
    """Network, data, losses and metrics of one EncNet run.

    The table's metric is mIoU over several scales; the training part is evaluated at one scale only, as is the
    test part beside it (`mIoU_single`, `pixAcc_single`).

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
        self.metric, self.train_metric = "mIoU", "mIoU_single"
        self._cfg, self._protocol, self._device = cfg, cast(EncNetConfig, cfg.approach), device
        self.lr_factors: Mapping[str, float] = _lr_factors(self._protocol)
        data, data_digest = read_dataset(cfg.data, cfg.scale, data_root, Segmentation)
        self._data, self._parts = data, run_splits(data, cfg.evaluate)
        self._cache = map_cache(data.decode)
        model = _network(cfg, len(data.classes))
        file = start_files.get("weights")
        start = load_branch(cfg.weights.source, model.backbone, "backbone.", file, cfg.weights.sha256, CLASSIFIERS)
        report = apply_start(model, start, cfg.weights.statistics) if start.tensors else "from scratch"
        self.model: nn.Module = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net = model
        self.start: Mapping[str, Tensor] = start.tensors
        self.steps_per_epoch = steps_per_epoch(len(self._parts["train"]), cfg.optim.batch_size)
        self.notes = {
            "data": data_digest,
            "class_names": list(data.classes),
            "images": {name: len(maps) for name, maps in self._parts.items()},
            "start": {"origin": start.origin, "sha256": start.sha256, "report": str(report)},
        }

    @staticmethod
    def data_digest(cfg: TrainConfig, data_root: Path) -> str:
        """What tells one data set from another: see `l2sp_suite.datasets.segmentation.digest`."""
        return read_dataset(cfg.data, cfg.scale, data_root, Segmentation)[1]

    @staticmethod
    def outline(cfg: TrainConfig) -> Outline:
        """The network with its two heads; items are one training crop and one image of PASCAL VOC's usual size."""
        protocol, classes = cast(EncNetConfig, cfg.approach), official_size(cfg, "classes")
        model = _network(cfg, classes)
        size = protocol.crop_size
        batch = torch.rand(1, 3, size, size), torch.randint(classes, (1, size, size))
        image = torch.randint(256, (3, 375, 500), dtype=torch.uint8)
        return Outline(
            model,
            _HEADS,
            _lr_factors(protocol),
            (Work(lambda: _loss(model, *batch, protocol), 1),),
            lambda: _predict(model, image[None], cfg, protocol.multi_scale.scales, flip=protocol.multi_scale.flip),
            f"one training crop of {size}x{size}, one test image of 500x375 at all scales",
            steps_per_epoch(official_size(cfg, "train"), cfg.optim.batch_size),
            {"weights": model.backbone},
        )

    def batches(self, first: int, last: int) -> Iterator[Pair]:
        """Images (N, 3, S, S) and maps (N, S, S) of the steps first..last-1."""
        cfg = self._cfg
        items = Examples(self._parts["train"].files, _augmentation(self._protocol), self._cache, cfg.seed)
        return train_batches(
            items, collate_maps, cfg.optim.batch_size, cfg.seed, first, last, workers=cfg.runtime.workers
        )

    def loss(self, batch: Pair) -> Tensor:
        """Pixel loss of the main head, plus that of the auxiliary head and the presence loss by their weights."""
        images, maps = (t.to(self._device, non_blocking=True) for t in batch)
        return _loss(self._net, images, maps, self._protocol)

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """mIoU and pixel accuracy in [0, 1]; the confusion matrices for the log; samples of predictions."""
        scales = self._protocol.multi_scale
        multi, single = (ConfusionMatrix(len(self._data.classes), IGNORED) for _ in range(2))
        whole = self._parts[split]
        maps_of = whole.select(range(len(whole))[:limit])
        shown = spread(len(maps_of), self._protocol.pictures)
        pictures: dict[str, bytes] = {}
        self.model.eval()
        cache = self._cache if split == "train" else map_cache(self._data.decode, limit_bytes=0)
        stored = stored_pairs(maps_of.files, cache, self._cfg.runtime.workers)
        for first, images, maps in equal_sizes(stored, self._cfg.evaluate.batch_size):
            single.update(self._classify(images, [1.0], flip=False), maps)
            if split == "train":
                continue
            found = self._classify(images, scales.scales, flip=scales.flip)
            multi.update(found, maps)
            for index in shown & set(range(first, first + len(images))):
                place = index - first
                pictures |= sample_pictures(index, images[place], maps[place], found[place])
        metrics = {"mIoU_single": single.miou(), "pixAcc_single": single.pixel_accuracy()}
        log = {"confusion_single": single.tolist()}
        if split != "train":
            metrics |= {"mIoU": multi.miou(), "pixAcc": multi.pixel_accuracy()}
            log |= {"confusion": multi.tolist()}
        return Evaluation(metrics, len(maps_of), log, pictures)

    def _classify(self, images: Tensor, scales: list[float], flip: bool) -> Tensor:
        return _predict(self._net, images, self._cfg, scales, flip).cpu()


def _augmentation(protocol: EncNetConfig) -> ScaledCrop:
    augment = protocol.augment
    low, high = augment.scale
    return ScaledCrop(
        protocol.crop_size,
        protocol.base_size,
        protocol.mean,
        protocol.std,
        scale=(low, high),
        edge=cast(Any, augment.edge),
        blur=augment.blur,
        flip=augment.flip,
    )


def _network(cfg: TrainConfig, classes: int) -> EncNet:
    """The run's network, with weights drawn from its seed."""
    network = cast(EncNetConfig, cfg.approach).network
    torch.manual_seed(cfg.seed)
    model = build_network(network.name, network.width, classes, network.codes, network.dropout)
    if network.frozen_bn:
        freeze_statistics(model.backbone)
    return model


def _lr_factors(protocol: EncNetConfig) -> dict[str, float]:
    return {prefix: protocol.head_lr_factor for prefixes in _HEADS.values() for prefix in prefixes}


def _loss(model: EncNet, images: Tensor, maps: Tensor, protocol: EncNetConfig) -> Tensor:
    out = model(images)
    loss = pixel_loss(out.logits, maps, IGNORED) + protocol.aux_weight * pixel_loss(out.aux, maps, IGNORED)
    return loss + protocol.presence_weight * presence_loss(out.presence, maps, IGNORED)


def _predict(model: EncNet, images: Tensor, cfg: TrainConfig, scales: list[float], flip: bool) -> Tensor:
    """Classes (B, H, W) of images uint8 (B, 3, H, W) of one size."""
    protocol = cast(EncNetConfig, cfg.approach)
    normalize = Normalize(protocol.mean, protocol.std)
    device = next(model.parameters()).device
    normalized = torch.stack([normalize(image) for image in images]).to(device)
    windows = Windows(
        base=protocol.base_size,
        crop=protocol.crop_size,
        stride=max(1, int(protocol.crop_size * protocol.multi_scale.stride)),
        flip=flip,
        black=normalize(torch.zeros(3, 1, 1)).flatten(),
        batch=cfg.evaluate.batch_size,
    )
    return scores(model.segment, normalized, scales, windows).argmax(1)


APPROACH = EncNetTask
