"""Metrics at the frames' own resolution, and samples to look at (docs/protocols/segflow.md#davis)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from l2sp_suite.config import TrainConfig
from l2sp_suite.datasets import (
    Cache,
    Pair,
    VideoSplit,
    equal_sizes,
    resize_fields,
    resize_flow,
    resize_frames,
    spread,
    stored_pairs,
)
from l2sp_suite.metrics import EndPointError, RegionSimilarity
from l2sp_suite.models.segflow import SegFlow
from l2sp_suite.tasks.base import Evaluation
from l2sp_suite.tasks.video.config import Config
from l2sp_suite.tasks.video.samples import flow_pictures, mask_pictures

__all__ = ["evaluate_flow", "evaluate_masks"]


def evaluate_masks(net: SegFlow, pairs: VideoSplit, cache: Cache[Pair], cfg: TrainConfig, shown: bool) -> Evaluation:
    """DAVIS's J, as `IoU`, of the object's pixels: the higher of both scores; each sequence's in the log.

    Args:
        net: in evaluation mode.
        pairs: whole sequences, in order of time.
        cache: holds or decodes them.
        cfg: the run.
        shown: whether samples are kept.
    """
    similarity, samples = RegionSimilarity(), _Samples(pairs, cfg, shown)
    size = _input_size(cfg)
    for first, frames, truths in _items(pairs, cache, cfg):
        logits = net(_scaled(net, frames, size), flow=False).mask
        predictions = F.interpolate(logits, frames.shape[-2:], mode="bilinear", align_corners=False).argmax(1).cpu()
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            similarity.update(pairs.sequences[first + row], prediction, truth)
            for name in samples.names(first + row):
                samples.files |= mask_pictures(name, frames[row, 0], truth, prediction)
    log = {"IoU_by_sequence": similarity.by_sequence()}
    return Evaluation({"IoU": similarity.value()}, similarity.counted, log, samples.files)


def evaluate_flow(
    net: SegFlow, pretrained: SegFlow | None, pairs: VideoSplit, cache: Cache[Pair], cfg: TrainConfig, shown: bool
) -> Evaluation:
    """End-point errors in pixels: `EPE` at the frames' own resolution, `EPE_input` at the network's.

    Beside it `EPE_branch`, of what the flow branch predicts by itself, `EPE_zero`, of no motion anywhere, and
    `EPE_start`, of the flow branch `pretrained` alone, where there is one. Arguments as of `evaluate_masks`.
    """
    names = ["EPE", "EPE_input", "EPE_branch", "EPE_zero", *(["EPE_start"] if pretrained is not None else [])]
    errors, samples = {name: EndPointError() for name in names}, _Samples(pairs, cfg, shown)
    size = _input_size(cfg)
    for first, frames, truths in _items(pairs, cache, cfg):
        scaled, native = _scaled(net, frames, size), (frames.shape[-2], frames.shape[-1])
        out = net(scaled, mask=False)
        predictions = resize_flow(out.flow, native).cpu()
        errors["EPE"].update(predictions, truths)
        errors["EPE_input"].update(out.flow.cpu(), resize_fields(truths, size))
        errors["EPE_branch"].update(resize_flow(net.own_flow(out.flows, size), native).cpu(), truths)
        errors["EPE_zero"].update(torch.zeros_like(predictions), truths)
        if pretrained is not None:
            errors["EPE_start"].update(resize_flow(pretrained(scaled).flow, native).cpu(), truths)
        for row in range(len(frames)):
            for name in samples.names(first + row):
                samples.files |= flow_pictures(name, frames[row, 0], truths[row], predictions[row])
    return Evaluation({name: error.value() for name, error in errors.items()}, len(pairs), {}, samples.files)


class _Samples:
    """Which items are kept to look at: some, evenly spread, and the first frames of the middle clip."""

    def __init__(self, pairs: VideoSplit, cfg: TrainConfig, shown: bool) -> None:
        config = cast(Config, cfg.task)
        self.files: dict[str, bytes] = {}
        self._spread = spread(len(pairs), config.samples if shown else 0)
        middle = pairs.clips[len(pairs.clips) // 2]
        clip = [index for index, name in enumerate(pairs.sequences) if name == middle]
        self._clip = {index: frame for frame, index in enumerate(clip[: config.animation_frames if shown else 0])}

    def names(self, index: int) -> list[str]:
        """Beginnings of the names of an item's files; none for most."""
        names = [str(index)] if index in self._spread else []
        return names + ([f"clip{self._clip[index]:02d}"] if index in self._clip else [])


def _items(pairs: VideoSplit, cache: Cache[Pair], cfg: TrainConfig) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Runs of items of one size: number of the first, frames uint8 (N, 2, 3, H, W), truths."""
    return equal_sizes(stored_pairs(pairs.files, cache, cfg.runtime.workers), cfg.evaluate.batch_size)


def _scaled(net: SegFlow, frames: Tensor, size: tuple[int, int]) -> Tensor:
    """The network's input (N, 2, 3, h, w) on its device."""
    return resize_frames(frames, size).to(net.mean.device)


def _input_size(cfg: TrainConfig) -> tuple[int, int]:
    height, width = cast(Config, cfg.task).input_size
    return height, width
