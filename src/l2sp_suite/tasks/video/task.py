"""SegFlow as the training loop sees it: two tasks that take turns, from two pre-trained branches (protocol 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets import (
    IGNORED,
    Cache,
    Examples,
    Pair,
    RandomAffine,
    Video,
    VideoSplit,
    collate_pairs,
    combined,
    frame_cache,
    read_dataset,
    run_splits,
    train_batches,
)
from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.models.segflow import SegFlow, Wiring, check_cover, segmentation_branch
from l2sp_suite.pretrained.load import CLASSIFIERS, Start, apply_start, load_branch
from l2sp_suite.tasks.base import Evaluation, Outline, Work
from l2sp_suite.tasks.registry import sets_of, starts_of
from l2sp_suite.tasks.video.config import PARTS, PhaseConfig, SegFlowConfig
from l2sp_suite.tasks.video.evaluation import evaluate_flow, evaluate_masks
from l2sp_suite.tasks.video.losses import flow_loss, mask_loss
from l2sp_suite.tasks.video.phases import Turns
from l2sp_suite.utils.errors import UserError

__all__ = ["APPROACH", "SegFlowTask"]

Batch = tuple[int, Tensor, Tensor]
N = TypeVar("N", int, float)
_KINDS = {"segmentation": "mask", "flow": "flow"}  # what a task's data tells


@dataclass(frozen=True)
class _Material:
    """One data set of a run: what it trains on, and its decoded items."""

    video: Video
    train: VideoSplit
    cache: Cache[Pair]


class SegFlowTask:
    """Networks, data, losses and metrics of one SegFlow run.

    The phases of the configuration take turns; in each the parts that it does not name are left as they are, without a
    gradient. The table's metric is that of the target set (`data`): DAVIS's J, printed as IoU, or the end-point error.

    Args:
        cfg: the run.
        data_root: folder that holds the data sets' folders.
        start_files: of the pre-trained weights, by key (`weights`: segmentation branch, `flow_weights`: flow branch),
            for the sources that read one.
        device: where the network lies; batches are moved there.

    Raises:
        UserError: data or weights are missing or damaged, or the phases do not fit the data or the network.
    """

    def __init__(
        self, cfg: TrainConfig, data_root: Path, start_files: Mapping[str, Path], device: torch.device
    ) -> None:
        self._cfg, self._protocol, self._device = cfg, cast(SegFlowConfig, cfg.approach), device
        found = _read(cfg, data_root)
        target = found["data"][0]
        self.metric = self.train_metric = "IoU" if target.kind == "mask" else "EPE"
        self._parts = run_splits(target, cfg.evaluate)
        self._sets = {
            key: _Material(video, self._parts["train"] if key == "data" else video.train, frame_cache(video.decode))
            for key, (video, _) in found.items()
        }
        self._net = _network(cfg)
        _check_target(target, self._parts, self._net)
        self._phases = [_checked(phase, self._net, self._sets, self._protocol) for phase in _phases(self._protocol)]
        self._turns = Turns([phase.steps for phase in self._phases])
        starts = _starts(self._net, cfg, start_files)
        asked = starts_of(cfg)
        reports = {
            key: str(apply_start(self._net, start, asked[key].statistics))
            for key, start in starts.items()
            if start.tensors
        }
        self.model: nn.Module = self._net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.start: Mapping[str, Tensor] = {name: t for start in starts.values() for name, t in start.tensors.items()}
        self.steps_per_epoch = self._turns.round
        self.lr_factors: Mapping[str, float] = _lr_factors(self._protocol)
        self.notes = {
            "data": combined([digest for _, digest in found.values()]),
            "images": {name: len(pairs) for name, pairs in self._parts.items()},
            "clips": {name: len(pairs.clips) for name, pairs in self._parts.items()},
            "start": {
                key: {"origin": start.origin, "sha256": start.sha256, "report": reports.get(key, "from scratch")}
                for key, start in starts.items()
            },
        }

    @staticmethod
    def data_digest(cfg: TrainConfig, data_root: Path) -> str:
        """What tells the data of one run from another's: of all its data sets together."""
        return combined([digest for _, digest in _read(cfg, data_root).values()])

    @staticmethod
    def outline(cfg: TrainConfig) -> Outline:
        """The branches and heads; items are one pair of frames, as trained on in each phase and as tested."""
        protocol, net = cast(SegFlowConfig, cfg.approach), _network(cfg)
        height, width = protocol.input_size
        frames = torch.rand(1, 2, 3, height, width)
        phases = _phases(protocol)
        steps = sum(phase.steps for phase in phases)
        truths = {"segmentation": torch.zeros(1, height, width), "flow": torch.ones(1, 3, height, width)}
        parts = {part: (f"{part}.",) for part in PARTS if getattr(net, part) is not None}
        return Outline(
            net,
            {part: names for part, names in parts.items() if part.endswith("head")},
            _lr_factors(protocol),
            tuple(
                Work(partial(_loss, net, phase, frames, truths[phase.task], protocol), 1, phase.steps / steps)
                for phase in phases
            ),
            lambda: net(frames),
            f"one pair of frames of {height}x{width} in the {phases[0].task} phase, one for both tasks in the test",
            steps,
            _branches(net),
            {part: names for part, names in parts.items() if not part.endswith("head")},
            _used(protocol),
        )

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Number of the phase, frames (N, 2, 3, H, W) and truths of the steps first..last-1."""
        feeds = [self._feed(number, first, last) for number in range(len(self._phases))]
        for step in range(first, last):
            number = self._turns.phase(step)
            frames, truth = next(feeds[number])
            yield number, frames, truth

    def _feed(self, number: int, first: int, last: int) -> Iterator[Pair]:
        """The batches of one phase that lie in the steps first..last-1 of all."""
        cfg, material = self._cfg, self._sets[self._phases[number].data]
        items = Examples(material.train.files, _augmentation(self._protocol), material.cache, cfg.seed)
        span = self._turns.done(first, number), self._turns.done(last, number)
        return train_batches(items, collate_pairs, cfg.optim.batch_size, cfg.seed, *span, workers=cfg.runtime.workers)

    def loss(self, batch: Batch) -> Tensor:
        """The loss of the batch's phase, with a graph to the parts that learn in it."""
        number, frames, truth = batch
        frames, truth = (t.to(self._device, non_blocking=True) for t in (frames, truth))
        return _loss(self._net, self._phases[number], frames, truth, self._protocol)

    @torch.inference_mode()
    def evaluate(self, split: str, limit: int | None = None) -> Evaluation:
        """DAVIS's J (`IoU`), or end-point errors in pixels; of the training part, every `fit_clips`-th clip."""
        material, pairs = self._sets["data"], self._parts[split]
        every = self._protocol.fit_clips if split == "train" else 1
        wanted = set(pairs.clips[::every][:limit])
        pairs = pairs.select(i for i, name in enumerate(pairs.sequences) if name in wanted)
        # What is tested is seen once.
        cache = material.cache if split == "train" else frame_cache(material.video.decode, limit_bytes=0)
        self._net.eval()
        if material.video.kind == "mask":
            return evaluate_masks(self._net, pairs, cache, self._cfg, shown=split != "train")
        return evaluate_flow(self._net, self._as_started(), pairs, cache, self._cfg, shown=split != "train")

    def _as_started(self) -> SegFlow | None:
        """The flow branch alone with its starting weights; None where it starts from scratch."""
        weights = {name: tensor for name, tensor in self.start.items() if name.startswith("flow.")}
        if not weights:
            return None
        alone = SegFlow(None, FlowNetS(self._protocol.network.flow_width), self._net.wiring)
        alone.load_state_dict(weights)
        return alone.to(self._device).eval()


def _read(cfg: TrainConfig, data_root: Path) -> dict[str, tuple[Video, str]]:
    """The data sets that a run needs with their digests, by key of `sets_of`."""
    used = _used(cast(SegFlowConfig, cfg.approach))
    wanted = {key: data for key, data in sets_of(cfg).items() if key in used}
    return {key: read_dataset(data, cfg.scale, data_root, Video) for key, data in wanted.items()}


def _used(protocol: SegFlowConfig) -> tuple[str, ...]:
    """The data sets that are read, by key of `sets_of`: what tests, and what trains."""
    return tuple(dict.fromkeys(["data", *(phase.data for phase in _phases(protocol))]))


def _phases(protocol: SegFlowConfig) -> list[PhaseConfig]:
    """Those of the phases that have steps."""
    return [phase for phase in protocol.phases if phase.steps]


def _check_target(target: Video, parts: Mapping[str, VideoSplit], net: SegFlow) -> None:
    """Sees whether the network can do what the target set asks for, and whether that can be measured.

    Raises:
        UserError: it has no branch for it, or a sequence has no frame that counts.
    """
    wanted = "segmentation" if target.kind == "mask" else "flow"
    if getattr(net, wanted) is None:
        raise UserError(f"approach.network: {target.name} is a set of {target.kind}s, which need the {wanted} branch")
    frames = Counter(name for pairs in parts.values() for name in pairs.sequences)
    short = [name for name, count in frames.items() if count < 3]
    if target.kind == "mask" and short:
        raise UserError(
            f"{target.name}: sequence {short[0]} has fewer than 3 frames; the first and the last do not count in J: "
            "leave it out of the lists, or unpack the data set again"
        )


def _checked(phase: PhaseConfig, net: SegFlow, sets: Mapping[str, _Material], protocol: SegFlowConfig) -> PhaseConfig:
    """A phase that its network, its data and its loss fit.

    Raises:
        UserError: they do not.
    """
    if phase.data not in sets:
        raise UserError(f"approach.phases: the {phase.task} phase needs approach.{phase.data}, a data set")
    kind = sets[phase.data].video.kind
    if kind != _KINDS[phase.task]:
        raise UserError(
            f"approach.phases: {phase.task} cannot be trained on {sets[phase.data].video.name}, a set of {kind}s"
        )
    lacking = [part for part in phase.trains if getattr(net, part) is None]
    if lacking:
        raise UserError(f"approach.phases: this network has no {' and no '.join(lacking)} to train")
    unreached = set(phase.trains) - _reached(phase.task, net, protocol)
    if unreached:
        raise UserError(
            f"approach.phases: the loss of the {phase.task} phase does not reach {' and '.join(sorted(unreached))}: "
            "train other parts, or see approach.flow_loss"
        )
    return phase


def _reached(task: str, net: SegFlow, protocol: SegFlowConfig) -> set[str]:
    """The parts that a task's loss has gradients for."""
    if task == "segmentation":
        return {"segmentation", "flow", "segmentation_head"}
    weights = protocol.flow_loss
    final = {"flow", "segmentation", "flow_head"} if weights.final else set()
    return final | ({"flow"} if any(weights.scales) else set())


def _augmentation(protocol: SegFlowConfig) -> RandomAffine:
    augment, (height, width) = protocol.augment, protocol.input_size
    return RandomAffine(
        (height, width), scale=augment.scale, shift=augment.shift, rotation=augment.rotation, flip=augment.flip
    )


def _network(cfg: TrainConfig) -> SegFlow:
    """The run's network, with weights drawn from its seed.

    Raises:
        UserError: it has no branch at all, or one that cannot be built.
    """
    protocol = cast(SegFlowConfig, cfg.approach)
    network = protocol.network
    if network.segmentation is None and not network.flow:
        raise UserError("approach.network: give a segmentation backbone, flow: true, or both")
    torch.manual_seed(cfg.seed)
    segmentation = None
    if network.segmentation is not None:
        segmentation = segmentation_branch(network.segmentation, network.width, network.frozen_bn)
        check_cover(network.segmentation, segmentation, protocol.input_size, network.head_crops)
    flow = FlowNetS(network.flow_width) if network.flow else None
    wiring = Wiring(
        _three(network.factors),
        network.flow_factor,
        network.flow_unit,
        _three(protocol.mean),
        _three(protocol.std),
        _three(network.flow_mean),
        network.flow_std,
        network.flow_output == "residual",
        _three(network.head_crops),
        network.exchange == "pooled",
    )
    return SegFlow(segmentation, flow, wiring)


def _three(values: Sequence[N]) -> tuple[N, N, N]:
    first, second, third = values
    return first, second, third


def _starts(net: SegFlow, cfg: TrainConfig, files: Mapping[str, Path]) -> dict[str, Start]:
    """The starting weights of the branches that there are, by key of `starts_of` (protocol 2.11)."""
    protocol, starts, branches = cast(SegFlowConfig, cfg.approach), {}, _branches(net)
    if "weights" in branches:
        own = cfg.weights
        starts["weights"] = load_branch(
            own.source, branches["weights"], "segmentation.", files.get("weights"), own.sha256, CLASSIFIERS
        )
    if "flow_weights" in branches and protocol.flow_weights is not None:
        own = protocol.flow_weights
        starts["flow_weights"] = load_branch(
            own.source, branches["flow_weights"], "", files.get("flow_weights"), own.sha256, key="approach.flow_weights"
        )
    return starts


def _branches(net: SegFlow) -> dict[str, nn.Module]:
    """The modules that start from weights, by key of `starts_of`, with the names of tensors that the files have."""
    found: dict[str, nn.Module] = {} if net.segmentation is None else {"weights": net.segmentation}
    return found if net.flow is None else {**found, "flow_weights": nn.ModuleDict({"flow": net.flow})}


def _lr_factors(protocol: SegFlowConfig) -> dict[str, float]:
    """By the beginnings of names, the longer before the shorter ones."""
    own = protocol.lr_factors
    heads = {"segmentation_head": own.segmentation_head, "flow_head": own.flow_head}
    biases = {
        f"{head}.{score}.bias": factor * own.head_bias
        for head, factor in heads.items()
        for score in ("score3", "score4", "score5")
        if (head, score) != ("segmentation_head", "score5")  # the one that was released without
    }
    parts = {"segmentation": own.segmentation, "flow": own.flow, **heads}
    return biases | {f"{part}.": factor for part, factor in parts.items()}


def _loss(net: SegFlow, phase: PhaseConfig, frames: Tensor, truth: Tensor, protocol: SegFlowConfig) -> Tensor:
    """The loss of a phase; afterwards exactly the parts that learn in it are in training and can have gradients."""
    for part in PARTS:
        module = getattr(net, part)
        if module is not None:
            module.train(part in phase.trains).requires_grad_(part in phase.trains)
    frozen = [part for part in PARTS if part not in phase.trains]
    masks = phase.task == "segmentation"
    weights = protocol.flow_loss
    out = net(frames, frozen, mask=masks, flow=not masks and weights.final > 0)
    if masks:
        return mask_loss(out.mask, truth, IGNORED, summed=protocol.mask_loss == "sum", balanced=protocol.balanced)
    seen = net.flow_input(frames.shape[-2:])
    return flow_loss(out.flow, out.flows, truth, seen, weights.final, list(weights.scales))


APPROACH = SegFlowTask
