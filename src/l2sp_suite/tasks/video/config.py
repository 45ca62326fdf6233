"""Configuration of SegFlow: networks, phases, augmentation, losses (docs/protocols/segflow.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import MISSING

from l2sp_suite.config import Check, DataConfig, TaskConfig, WeightsConfig, at_least, key, one_of, span, triple

__all__ = [
    "PARTS", "AugmentConfig", "Config", "FlowLossConfig", "LrFactors", "NetworkConfig", "PhaseConfig",
    "StepsPerPhase",
]  # fmt: skip

PARTS = ("segmentation", "flow", "segmentation_head", "flow_head")
"""The parts of the whole network; they begin the names of its parameters."""


def _is_phase(phase: Any) -> bool:
    parts = set(phase.trains)
    known = phase.task in ("segmentation", "flow") and phase.data in ("data", "auxiliary")
    return known and phase.steps >= 0 and bool(parts) and parts <= set(PARTS)


_PHASES = Check(
    lambda phases: all(map(_is_phase, phases)) and any(phase.steps for phase in phases),
    "at least one {task: segmentation or flow, data: data or auxiliary, steps: 1 or more (0 leaves it out), "
    f"trains: some of {', '.join(PARTS)}}}",
)
_CROPS = Check(
    lambda v: len(v) == 3 and all(0 <= crop <= most for crop, most in zip(v, (2, 2, 8), strict=True)),
    "three numbers of cells, up to 2, 2 and 8",
)
_FACTOR = span(0, ends="(]")


@dataclass
class NetworkConfig:
    """Two branches, a head for each, and how they exchange features."""

    segmentation: str | None = key("segmentation backbone of timm; null: the flow branch alone")
    width: float = key("factor of the segmentation branch's channels (ResNets only)", span(0, 1, "(]"))
    flow: bool = key("whether there is a flow branch (SegFlow* has none)")
    flow_width: float = key("factor of the flow branch's channels", span(0, 1, "(]"))
    factors: list[float] = key("fixed factors of the segmentation features at strides 8, 16 and 32", triple(0))
    flow_factor: float = key("fixed factor of the flow features", _FACTOR)
    flow_unit: float = key("pixels in the unit of the flow head's scores", _FACTOR)
    flow_output: str = key(
        "head: its scores alone; residual: those and the flow branch's own prediction", one_of("head", "residual")
    )
    flow_mean: list[float] | None = key("the flow branch sees (frame - flow_mean) / flow_std", triple(-math.inf))
    flow_std: float = key("see flow_mean", _FACTOR)
    head_crops: list[int] = key(
        "cells cut off above and left of the maps after each of a head's enlargements, by 2, 2 and 8", _CROPS
    )
    exchange: str = key(
        "released: flow features halved and cropped by constants for 480x854; pooled: onto the segmentation grid",
        one_of("released", "pooled"),
    )
    frozen_bn: bool = key("whether batch norms normalise by the pre-trained statistics in training too")


@dataclass
class PhaseConfig:
    """Steps in a row with the loss of one task on one data set, in which some parts learn."""

    task: str = key("segmentation or flow")
    data: str = key("data, or auxiliary: which data set")
    steps: int = key("steps of one round; 0 leaves the phase out, and its data unread if nothing else needs it")
    trains: list[str] = key("the parts of the network that learn")


@dataclass
class StepsPerPhase:
    """Steps of the phases; the experiments' `phases` refer to them."""

    target: int = key("steps on the target data set (data)", at_least(0))
    auxiliary: int = key("steps on the auxiliary data set", at_least(0))


@dataclass
class AugmentConfig:
    """Random transforms of frames and truth alike."""

    scale: float = key("zoom within +- this", span(0, 1, "[)"))
    shift: float = key("translation within +- this share of the sides", span(0, 1))
    rotation: float = key("rotation within +- so many degrees", span(0, 180))
    flip: float = key("probability of a horizontal flip", span(0, 1))


@dataclass
class FlowLossConfig:
    """Weights of mean end-point errors."""

    final: float = key("of the final flow, in pixels", span(0))
    scales: list[float] = key(
        "of FlowNetS's five own, coarse to fine, in units of 20 px; empty leaves them out",
        Check(lambda v: len(v) in (0, 5) and all(x >= 0 for x in v), "no weights, or five from 0 up"),
    )


@dataclass
class LrFactors:
    """Learning rates of the parts relative to the schedule's."""

    segmentation: float = key("of the segmentation branch", _FACTOR)
    flow: float = key("of the flow branch", _FACTOR)
    segmentation_head: float = key("of the segmentation head", _FACTOR)
    flow_head: float = key("of the flow head", _FACTOR)
    head_bias: float = key("of score biases, relative to their head", _FACTOR)


@dataclass
class Config(TaskConfig):
    """Video segmentation and optical flow, trained in alternating phases; an epoch is one round of them.

    `weights` are the segmentation branch's.
    """

    network: NetworkConfig = MISSING
    auxiliary_data: DataConfig | None = key("the other data set of the phases")
    flow_weights: WeightsConfig | None = key("pre-trained weights of the flow branch; timm publishes none")
    steps_per_phase: StepsPerPhase = MISSING
    phases: list[PhaseConfig] = key("the alternating schedule", _PHASES)
    input_size: list[int] = key(
        "height and width of all frames in pixels",
        Check(lambda v: len(v) == 2 and min(v) >= 32, "two numbers of pixels, height and width, 32 or more"),
    )
    mean: list[float] | None = key(
        "per channel on [0, 1], for the segmentation branch; null: as published", triple(-math.inf)
    )
    std: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(0))
    augment: AugmentConfig = MISSING
    mask_loss: str = key("mean over pixels, or their sum", one_of("mean", "sum"))
    balanced: bool = key("whether each class weighs the share of the pixels that are not its own")
    flow_loss: FlowLossConfig = MISSING
    lr_factors: LrFactors = MISSING
    fit_clips: int = key("every how many-th training clip is evaluated to see the fit", at_least(1))
    samples: int = key("test items kept with their predictions", at_least(0), label=True)
    animation_frames: int = key("frames kept of one clip", at_least(0), label=True)

    @property
    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation per channel, of pixels on [0, 1]."""
        assert self.mean is not None and self.std is not None  # with_published_values
        return self.mean, self.std

    def with_published_values(self, weights: WeightsConfig) -> Config:
        """The configuration with the mean and deviation of the backbone's published weights where a key is null."""
        from l2sp_suite.models.preprocessing import published

        if None not in (self.mean, self.std, self.network.flow_mean):
            return self
        values = published(self.network.segmentation or "resnet101_caffe", weights.source)
        mean, std = self.mean or values.mean, self.std or values.std
        network = replace(self.network, flow_mean=self.network.flow_mean or mean)
        return replace(self, mean=mean, std=std, network=network)
