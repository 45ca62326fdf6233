"""The metrics of SegFlow's two tasks at the frames' own resolution, and samples to look at (protocol 2.8, 2.9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from l2sp_suite.config.schema import TrainConfig
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
from l2sp_suite.tasks.video.config import SegFlowConfig
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
    similarity, pictures = RegionSimilarity(), _Album(pairs, cfg, shown)
    size = _input_size(cfg)
    for first, frames, truths in _items(pairs, cache, cfg):
        logits = net(_scaled(net, frames, size), flow=False).mask
        found = F.interpolate(logits, frames.shape[-2:], mode="bilinear", align_corners=False).argmax(1).cpu()
        for place, (prediction, truth) in enumerate(zip(found, truths, strict=True)):
            similarity.update(pairs.sequences[first + place], prediction, truth)
            for name in pictures.names(first + place):
                pictures.files |= mask_pictures(name, frames[place, 0], truth, prediction)
    log = {"IoU_by_sequence": similarity.by_sequence()}
    return Evaluation({"IoU": similarity.value()}, similarity.counted, log, pictures.files)


def evaluate_flow(
    net: SegFlow, started: SegFlow | None, pairs: VideoSplit, cache: Cache[Pair], cfg: TrainConfig, shown: bool
) -> Evaluation:
    """End-point errors in pixels: `EPE` at the frames' own resolution, `EPE_input` at the network's.

    Beside it `EPE_branch`, of what the flow branch predicts by itself, `EPE_zero`, of no motion anywhere, and
    `EPE_start`, of the pre-trained flow branch `started` alone, where there is one. Arguments as of `evaluate_masks`.
    """
    names = ["EPE", "EPE_input", "EPE_branch", "EPE_zero", *(["EPE_start"] if started is not None else [])]
    errors, pictures = {name: EndPointError() for name in names}, _Album(pairs, cfg, shown)
    size = _input_size(cfg)
    for first, frames, truths in _items(pairs, cache, cfg):
        scaled, native = _scaled(net, frames, size), (frames.shape[-2], frames.shape[-1])
        out = net(scaled, mask=False)
        found = resize_flow(out.flow, native).cpu()
        errors["EPE"].update(found, truths)
        errors["EPE_input"].update(out.flow.cpu(), resize_fields(truths, size))
        errors["EPE_branch"].update(resize_flow(net.own_flow(out.flows, size), native).cpu(), truths)
        errors["EPE_zero"].update(torch.zeros_like(found), truths)
        if started is not None:
            errors["EPE_start"].update(resize_flow(started(scaled).flow, native).cpu(), truths)
        for place in range(len(frames)):
            for name in pictures.names(first + place):
                pictures.files |= flow_pictures(name, frames[place, 0], truths[place], found[place])
    return Evaluation({name: error.value() for name, error in errors.items()}, len(pairs), {}, pictures.files)


class _Album:
    """Which items are kept to look at: some, evenly spread, and the first frames of the middle clip."""

    def __init__(self, pairs: VideoSplit, cfg: TrainConfig, shown: bool) -> None:
        protocol = cast(SegFlowConfig, cfg.approach)
        self.files: dict[str, bytes] = {}
        count, wanted = len(pairs), protocol.pictures if shown else 0
        self._spread = spread(count, wanted)
        middle = pairs.clips[len(pairs.clips) // 2]
        clip = [index for index, name in enumerate(pairs.sequences) if name == middle]
        self._clip = {index: place for place, index in enumerate(clip[: protocol.animation if shown else 0])}

    def names(self, index: int) -> list[str]:
        """Beginnings of the names of an item's files; none for most."""
        found = [str(index)] if index in self._spread else []
        return found + ([f"clip{self._clip[index]:02d}"] if index in self._clip else [])


def _items(pairs: VideoSplit, cache: Cache[Pair], cfg: TrainConfig) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Runs of items of one size: number of the first, frames uint8 (N, 2, 3, H, W), truths."""
    return equal_sizes(stored_pairs(pairs.files, cache, cfg.runtime.workers), cfg.evaluate.batch_size)


def _scaled(net: SegFlow, frames: Tensor, size: tuple[int, int]) -> Tensor:
    """The network's input (N, 2, 3, h, w) on its device."""
    return resize_frames(frames, size).to(net.mean.device)


def _input_size(cfg: TrainConfig) -> tuple[int, int]:
    height, width = cast(SegFlowConfig, cfg.approach).input_size
    return height, width
