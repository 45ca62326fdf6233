"""Video: SegFlow's segmentation and optical flow, trained in alternating phases (docs/protocols/segflow.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from l2sp_suite.config import TrainConfig
from l2sp_suite.datasets import (
    IGNORED,
    Examples,
    Pair,
    RandomAffine,
    Video,
    VideoSplit,
    collate_pairs,
    frame_cache,
    run_splits,
    train_batches,
)
from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.models.segflow import SegFlow, Wiring, check_cover, segmentation_branch
from l2sp_suite.pretrained import CLASSIFIERS
from l2sp_suite.tasks import base
from l2sp_suite.tasks.base import Evaluation, ModelSummary, PretrainedPart, TrainStep
from l2sp_suite.tasks.video.config import PARTS, Config, PhaseConfig
from l2sp_suite.tasks.video.evaluation import evaluate_flow, evaluate_masks
from l2sp_suite.tasks.video.losses import flow_loss, mask_loss
from l2sp_suite.tasks.video.phases import PhaseSchedule, active_phases, check_phase
from l2sp_suite.utils.errors import UserError

__all__ = ["Task"]

Batch = tuple[int, Tensor, Tensor]
N = TypeVar("N", int, float)


class Task(base.Task):
    """Pairs of frames with masks or flow; the metric is DAVIS's J, printed as IoU, or the end-point error.

    In each phase the parts of the network that it does not name are left as they are, without a gradient.
    """

    kind = Video

    @property
    def config(self) -> Config:
        """The task's part of the configuration."""
        return _config(self.cfg)

    @property
    def lr_factors(self) -> Mapping[str, float]:  # type: ignore[override]
        """Of the parts of the network, and of the biases of scores."""
        return _lr_factors(self.config)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one round of the phases."""
        return self._schedule.round

    @classmethod
    def data_keys(cls, cfg: TrainConfig) -> tuple[str, ...]:
        """What tests, and what trains."""
        phases = active_phases(_config(cfg))
        return tuple(dict.fromkeys(["data", *(_KEYS[phase.data] for phase in phases)]))

    def split(self, data: Video) -> dict[str, VideoSplit]:
        """`train` and `test`, or `train` and `val`, which is the same for every seed and setting."""
        masks = data.kind == "mask"
        self.metric = self.train_metric = "IoU" if masks else "EPE"
        self.better = "higher" if masks else "lower"
        self._caches = {key: frame_cache(video.decode) for key, video in self.sets.items()}
        return run_splits(data, self.cfg.evaluate)

    def sizes(self) -> dict[str, Any]:
        """Numbers of pairs of frames and of clips."""
        return {**super().sizes(), "clips": {name: len(pairs.clips) for name, pairs in self.splits.items()}}

    def build(self) -> SegFlow:
        """The network, with weights drawn from the run's seed.

        Raises:
            UserError: the phases do not fit the data or the network.
        """
        model, phases = _network(self.cfg), active_phases(self.config)
        _check_target(self.sets["data"], self.splits, model)
        sets = {name: self.sets[key] for name, key in _KEYS.items() if key in self.sets}
        for phase in phases:
            check_phase(phase, model, sets, self.config.flow_loss)
        self._phases, self._schedule = phases, PhaseSchedule([phase.steps for phase in phases])
        return model

    @staticmethod
    def parts(model: SegFlow) -> dict[str, PretrainedPart]:
        """The branches that there are (docs/protocols/segflow.md#penalised-weights)."""
        parts = {}
        if model.segmentation is not None:
            parts["weights"] = PretrainedPart(model.segmentation, "segmentation.", CLASSIFIERS)
        if model.flow is not None:
            parts["flow_weights"] = PretrainedPart(nn.ModuleDict({"flow": model.flow}))
        return parts

    @classmethod
    def summary(cls, cfg: TrainConfig) -> ModelSummary:
        """The branches and heads; items are one pair of frames, as trained on in each phase and as tested."""
        config, model = _config(cfg), _network(cfg)
        height, width = config.input_size
        frames = torch.rand(1, 2, 3, height, width)
        phases = active_phases(config)
        total = sum(phase.steps for phase in phases)
        truths = {"segmentation": torch.zeros(1, height, width), "flow": torch.ones(1, 3, height, width)}
        loss = partial(partial, _loss, model, model)
        names = {part: (f"{part}.",) for part in PARTS if getattr(model, part) is not None}
        return ModelSummary(
            model,
            {part: prefixes for part, prefixes in names.items() if part.endswith("head")},
            _lr_factors(config),
            tuple(
                TrainStep(loss(phase, frames, truths[phase.task], config), 1, phase.steps / total) for phase in phases
            ),
            lambda: model(frames),
            f"one pair of frames of {height}x{width} in the {phases[0].task} phase, one for both tasks in the test",
            total,
            cls.parts(model),
            {part: prefixes for part, prefixes in names.items() if not part.endswith("head")},
            cls.data_keys(cfg),
        )

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Number of the phase, frames (N, 2, 3, H, W) and truths of the steps first..last-1."""
        feeds = [self._feed(number, first, last) for number in range(len(self._phases))]
        for step in range(first, last):
            number = self._schedule.phase(step)
            frames, truth = next(feeds[number])
            yield number, frames, truth

    def _feed(self, number: int, first: int, last: int) -> Iterator[Pair]:
        """The batches of one phase that lie in the steps first..last-1 of all."""
        cfg, key = self.cfg, _KEYS[self._phases[number].data]
        pairs = self.splits["train"] if key == "data" else self.sets[key].train
        items = Examples(pairs.files, _augmentation(self.config), self._caches[key], cfg.seed)
        span = self._schedule.done(first, number), self._schedule.done(last, number)
        return train_batches(items, collate_pairs, cfg.optim.batch_size, cfg.seed, *span, workers=cfg.runtime.workers)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of the batch's phase, with a graph to the parts that learn in it."""
        number, frames, truth = batch
        frames, truth = (t.to(self.device, non_blocking=True) for t in (frames, truth))
        return _loss(model, cast(SegFlow, self.model), self._phases[number], frames, truth, self.config)

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """DAVIS's J (`IoU`), or end-point errors in pixels; of the training split, every `fit_clips`-th clip."""
        video, pairs, model = self.sets["data"], self.splits[split], cast(SegFlow, self.model)
        every = self.config.fit_clips if split == "train" else 1
        clips = set(pairs.clips[::every][:limit])
        pairs = pairs.select(i for i, name in enumerate(pairs.sequences) if name in clips)
        # What is tested is seen once.
        cache = self._caches["data"] if split == "train" else frame_cache(video.decode, limit_bytes=0)
        model.eval()
        if video.kind == "mask":
            return evaluate_masks(model, pairs, cache, self.cfg, shown=split != "train")
        return evaluate_flow(model, self._pretrained_flow(), pairs, cache, self.cfg, shown=split != "train")

    def _pretrained_flow(self) -> SegFlow | None:
        """The flow branch alone with its pre-trained weights; None where it starts from scratch."""
        weights = {name: tensor for name, tensor in self.pretrained.items() if name.startswith("flow.")}
        if not weights:
            return None
        alone = SegFlow(None, FlowNetS(self.config.network.flow_width), cast(SegFlow, self.model).wiring)
        alone.load_state_dict(weights)
        return alone.to(self.device).eval()


_KEYS = {"data": "data", "auxiliary": "auxiliary_data"}
"""Keys of `TrainConfig.data_sets` by the names that phases have for them."""


def _config(cfg: TrainConfig) -> Config:
    assert isinstance(cfg.task, Config)
    return cfg.task


def _check_target(target: Video, splits: Mapping[str, VideoSplit], model: SegFlow) -> None:
    """Refuses a target that the network has no branch for, or a sequence without a frame that counts."""
    branch = "segmentation" if target.kind == "mask" else "flow"
    if getattr(model, branch) is None:
        raise UserError(f"task.network: {target.name} is a set of {target.kind}s, which need the {branch} branch")
    frames = Counter(name for pairs in splits.values() for name in pairs.sequences)
    short = [name for name, count in frames.items() if count < 3]
    if target.kind == "mask" and short:
        raise UserError(
            f"{target.name}: sequence {short[0]} has fewer than 3 frames; the first and the last do not count in J: "
            "leave it out of the lists, or unpack the data set again"
        )


def _augmentation(config: Config) -> RandomAffine:
    augment, (height, width) = config.augment, config.input_size
    return RandomAffine(
        (height, width), scale=augment.scale, shift=augment.shift, rotation=augment.rotation, flip=augment.flip
    )


def _network(cfg: TrainConfig) -> SegFlow:
    """The run's network; `UserError` where it has no branch at all, or one that cannot be built."""
    config = _config(cfg)
    network = config.network
    if network.segmentation is None and not network.flow:
        raise UserError("task.network: give a segmentation backbone, flow: true, or both")
    torch.manual_seed(cfg.seed)
    segmentation = None
    if network.segmentation is not None:
        segmentation = segmentation_branch(network.segmentation, network.width, network.frozen_bn)
        check_cover(network.segmentation, segmentation, config.input_size, network.head_crops)
    flow = FlowNetS(network.flow_width) if network.flow else None
    mean, std = config.mean_and_std
    wiring = Wiring(
        _three(network.factors),
        network.flow_factor,
        network.flow_unit,
        _three(mean),
        _three(std),
        _three(network.flow_mean or mean),
        network.flow_std,
        network.flow_output == "residual",
        _three(network.head_crops),
        network.exchange == "pooled",
    )
    return SegFlow(segmentation, flow, wiring)


def _three(values: Sequence[N]) -> tuple[N, N, N]:
    first, second, third = values
    return first, second, third


def _lr_factors(config: Config) -> dict[str, float]:
    """By the beginnings of names, the longer before the shorter ones."""
    factors = config.lr_factors
    heads = {"segmentation_head": factors.segmentation_head, "flow_head": factors.flow_head}
    biases = {
        f"{head}.{score}.bias": factor * factors.head_bias
        for head, factor in heads.items()
        for score in ("score3", "score4", "score5")
        if (head, score) != ("segmentation_head", "score5")  # the one that was released without
    }
    parts = {"segmentation": factors.segmentation, "flow": factors.flow, **heads}
    return biases | {f"{part}.": factor for part, factor in parts.items()}


def _loss(
    model: nn.Module, network: SegFlow, phase: PhaseConfig, frames: Tensor, truth: Tensor, config: Config
) -> Tensor:
    """The loss of a phase; afterwards exactly the parts that learn in it are in training and can have gradients.

    `model` is `network`, or wraps it (DDP, a compiled module).
    """
    for part in PARTS:
        module = getattr(network, part)
        if module is not None:
            module.train(part in phase.trains).requires_grad_(part in phase.trains)
    frozen = [part for part in PARTS if part not in phase.trains]
    masks = phase.task == "segmentation"
    weights = config.flow_loss
    out = model(frames, frozen, mask=masks, flow=not masks and weights.final > 0)
    if masks:
        return mask_loss(out.mask, truth, IGNORED, summed=config.mask_loss == "sum", balanced=config.balanced)
    input_size = network.flow_input(frames.shape[-2:])
    return flow_loss(out.flow, out.flows, truth, input_size, weights.final, list(weights.scales))
