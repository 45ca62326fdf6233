"""Configuration of EncNet: network, augmentation, losses, evaluation (protocol 1.2 to 1.9)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from omegaconf import MISSING

from l2sp_suite.config.limits import Limit, at_least, each, one_of, pair, span, triple
from l2sp_suite.config.task import ApproachConfig

__all__ = [
    "LABELS", "LIMITS", "SCHEMA", "AugmentConfig", "EncNetConfig", "MultiScaleConfig", "NetworkConfig"
]  # fmt: skip


@dataclass
class NetworkConfig:
    """`name`: a backbone of timm that has stride 8; `width` scales its channels (ResNets only), and the heads'.

    `codes`: codewords of the encoding layer. `dropout`: of both heads. `frozen_bn`: the backbone's batch norms
    normalise by the pre-trained statistics in training too.
    """

    name: str = MISSING
    width: float = MISSING
    codes: int = MISSING
    dropout: float = MISSING
    frozen_bn: bool = MISSING


@dataclass
class AugmentConfig:
    """`scale`: range of the random resize, in units of `base_size`, of the `edge` (short or long); probabilities."""

    scale: list[float] = MISSING
    edge: str = MISSING
    flip: float = MISSING
    blur: float = MISSING


@dataclass
class MultiScaleConfig:
    """`scales`: of the long side, in units of `base_size`; `stride`: of the windows, as a fraction of the crop."""

    scales: list[float] = MISSING
    flip: bool = MISSING
    stride: float = MISSING


@dataclass
class EncNetConfig(ApproachConfig):
    """Sizes in pixels; `mean` and `std` per channel on [0, 1]; `pictures`: test images kept with their predictions.

    `head_lr_factor`: learning rate of both heads relative to the backbone's.
    """

    network: NetworkConfig = MISSING
    base_size: int = MISSING
    crop_size: int = MISSING
    mean: list[float] = MISSING
    std: list[float] = MISSING
    augment: AugmentConfig = MISSING
    aux_weight: float = MISSING
    presence_weight: float = MISSING
    head_lr_factor: float = MISSING
    multi_scale: MultiScaleConfig = MISSING
    pictures: int = MISSING


SCHEMA = EncNetConfig
LABELS = ("penalty", "pictures")
LIMITS: Mapping[str, Limit] = {
    "network.width": span(0, ends="(]"),
    "network.codes": at_least(1),
    "network.dropout": span(0, 1, "[)"),
    "base_size": at_least(8),
    "crop_size": at_least(8),
    "mean": triple(-math.inf),
    "std": triple(0),
    "augment.scale": pair(0, math.inf),
    "augment.edge": one_of("short", "long"),
    "augment.flip": span(0, 1),
    "augment.blur": span(0, 1),
    "aux_weight": span(0),
    "presence_weight": span(0),
    "head_lr_factor": span(0, ends="(]"),
    "multi_scale.scales": each(0),
    "multi_scale.stride": span(0, 1, "(]"),
    "pictures": at_least(0),
}
