"""Configuration of SegFlow: network, phases, augmentation, losses (protocol 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from l2sp_suite.config.limits import STATISTICS, Limit, at_least, one_of, span, triple
from l2sp_suite.config.schema import DataConfig, WeightsConfig
from l2sp_suite.config.task import ApproachConfig

__all__ = [
    "LABELS", "LIMITS", "PARTS", "SCHEMA", "AugmentConfig", "FlowLossConfig", "LrFactors",
    "NetworkConfig", "PhaseConfig", "SegFlowConfig", "TurnConfig",
]  # fmt: skip

PARTS = ("segmentation", "flow", "segmentation_head", "flow_head")
"""The parts of the whole network; they begin the names of its parameters."""


@dataclass
class NetworkConfig:
    """`segmentation`: backbone of timm, null for the flow branch alone; `width` scales its channels (ResNets only).

    `flow`: whether there is a flow branch (SegFlow* has none);
    `flow_width` scales its channels. Fixed, where the heads read them: `factors` of the segmentation features at
    strides 8, 16 and 32, and `flow_factor` of the flow features.
    `flow_unit`: pixels in the unit of the flow head's scores. `flow_output`: `head`, its scores alone, or `residual`,
    those and the flow branch's own prediction. The flow branch sees (frame - `flow_mean`) / `flow_std`.
    `head_crops`: cells cut off above and left of the maps after each of a head's enlargements, by 2, 2 and 8; right for
    a ResNet as released (2, 2, 8), for TensorFlow's padding 1, 1, 4. `exchange`: `released`, flow features are halved
    and cropped by constants that fit 480x854, or `pooled` onto the grid of the segmentation features.
    `frozen_bn`: batch norms normalise by the pre-trained statistics in training too.
    """

    segmentation: str | None = MISSING
    width: float = MISSING
    flow: bool = MISSING
    flow_width: float = MISSING
    factors: list[float] = MISSING
    flow_factor: float = MISSING
    flow_unit: float = MISSING
    flow_output: str = MISSING
    flow_mean: list[float] = MISSING
    flow_std: float = MISSING
    head_crops: list[int] = MISSING
    exchange: str = MISSING
    frozen_bn: bool = MISSING


@dataclass
class PhaseConfig:
    """Steps in a row with the loss of one `task` on one set (`data`, `partner`), in which the parts `trains` learn.

    0 steps leave the phase out, and its set unread if no other phase needs it.
    """

    task: str = MISSING
    data: str = MISSING
    steps: int = MISSING
    trains: list[str] = MISSING


@dataclass
class TurnConfig:
    """Steps of the phases on the target set (`data`) and on its `partner`; the experiments' `phases` refer to them."""

    target: int = MISSING
    partner: int = MISSING


@dataclass
class AugmentConfig:
    """Of frames and truth alike: zoom within +-`scale`, translation within +-`shift` of the sides.

    `rotation`: within +- so many degrees. `flip`: probability of a horizontal flip.
    """

    scale: float = MISSING
    shift: float = MISSING
    rotation: float = MISSING
    flip: float = MISSING


@dataclass
class FlowLossConfig:
    """Weights of mean end-point errors: of the `final` flow, in pixels, and of FlowNetS's five own, coarse to fine.

    The latter are in units of 20 px; an empty list leaves them out.
    """

    final: float = MISSING
    scales: list[float] = MISSING


@dataclass
class LrFactors:
    """Learning rates of the parts relative to the schedule's; `head_bias`: of score biases relative to their head."""

    segmentation: float = MISSING
    flow: float = MISSING
    segmentation_head: float = MISSING
    flow_head: float = MISSING
    head_bias: float = MISSING


@dataclass
class SegFlowConfig(ApproachConfig):
    """`phases` take turns; an epoch of SegFlow is one round of them. `input_size`: height and width of all frames.

    `partner`: the other data set of the phases. `weights` are the segmentation branch's, `flow_weights` the flow
    branch's. `mean` and `std` per channel on [0, 1], for the segmentation branch. `mask_loss`: mean over pixels, or
    their sum; `balanced`: each class weighs the share of the pixels that are not its own. `fit_clips`: every how
    many-th training clip is evaluated to see the fit. `pictures`: test items kept with their predictions; `animation`:
    frames of one clip.
    """

    network: NetworkConfig = MISSING
    partner: DataConfig | None = MISSING
    flow_weights: WeightsConfig | None = MISSING
    turn: TurnConfig = MISSING
    phases: list[PhaseConfig] = MISSING
    input_size: list[int] = MISSING
    mean: list[float] = MISSING
    std: list[float] = MISSING
    augment: AugmentConfig = MISSING
    mask_loss: str = MISSING
    balanced: bool = MISSING
    flow_loss: FlowLossConfig = MISSING
    lr_factors: LrFactors = MISSING
    fit_clips: int = MISSING
    pictures: int = MISSING
    animation: int = MISSING


def _phase_holds(phase: Any) -> bool:
    parts = set(phase.trains)
    known = phase.task in ("segmentation", "flow") and phase.data in ("data", "partner")
    return known and phase.steps >= 0 and bool(parts) and parts <= set(PARTS)


_PHASES: Limit = (
    lambda phases: all(map(_phase_holds, phases)) and any(phase.steps for phase in phases),
    "at least one {task: segmentation or flow, data: data or partner, steps: 1 or more (0 leaves it out), "
    f"trains: some of {', '.join(PARTS)}}}",
)

SCHEMA = SegFlowConfig
LABELS = ("penalty", "pictures", "animation")
LIMITS: Mapping[str, Limit] = {
    "network.width": span(0, 1, "(]"),
    "network.flow_width": span(0, 1, "(]"),
    "network.factors": triple(0),
    "network.flow_factor": span(0, ends="(]"),
    "network.flow_unit": span(0, ends="(]"),
    "network.flow_output": one_of("head", "residual"),
    "network.flow_mean": triple(-math.inf),
    "network.flow_std": span(0, ends="(]"),
    "network.head_crops": (
        lambda v: len(v) == 3 and all(0 <= crop <= most for crop, most in zip(v, (2, 2, 8), strict=True)),
        "three numbers of cells, up to 2, 2 and 8",
    ),
    "network.exchange": one_of("released", "pooled"),
    "flow_weights.source": one_of("none", "file", "source_run"),  # nobody publishes this branch in a form for others
    "flow_weights.statistics": one_of(*STATISTICS),
    "partner.part": one_of("objects", "scenes", "views", "clips"),
    "turn.target": at_least(0),
    "turn.partner": at_least(0),
    "phases": _PHASES,
    "input_size": (lambda v: len(v) == 2 and min(v) >= 32, "two numbers of pixels, height and width, 32 or more"),
    "mean": triple(-math.inf),
    "std": triple(0),
    "augment.scale": span(0, 1, "[)"),
    "augment.shift": span(0, 1),
    "augment.rotation": span(0, 180),
    "augment.flip": span(0, 1),
    "mask_loss": one_of("mean", "sum"),
    "flow_loss.final": span(0),
    "flow_loss.scales": (lambda v: len(v) in (0, 5) and all(x >= 0 for x in v), "no weights, or five from 0 up"),
    **{f"lr_factors.{part}": span(0, ends="(]") for part in (*PARTS, "head_bias")},
    "fit_clips": at_least(1),
    "pictures": at_least(0),
    "animation": at_least(0),
}
