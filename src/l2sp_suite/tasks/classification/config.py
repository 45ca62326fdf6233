"""Configuration of DSTL: network, augmentation, loss (protocol 3.1 and 3.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from omegaconf import MISSING

from l2sp_suite.config.limits import Limit, at_least, pair, span, triple
from l2sp_suite.config.task import ApproachConfig

__all__ = ["LABELS", "LIMITS", "SCHEMA", "AugmentConfig", "DSTLConfig", "NetworkConfig"]


@dataclass
class NetworkConfig:
    """`name` is inception_v3 or any timm model; `width` scales its channels (inception_v3 only).

    `zero_head`: the new classifier starts at zero, so that it sends no noise into the features.
    `frozen_bn`: batch norm normalises by the pre-trained statistics in training too.
    `bn_momentum`: share of the batch in the running statistics (1 minus slim's decay); null leaves the network's own.
    """

    name: str = MISSING
    width: float = MISSING
    dropout: float = MISSING
    aux: bool = MISSING
    zero_head: bool = MISSING
    frozen_bn: bool = MISSING
    bn_momentum: float | None = MISSING


@dataclass
class AugmentConfig:
    """Random crop (area and aspect ranges), flip probability, additive brightness, saturation factor range."""

    scale: list[float] = MISSING
    ratio: list[float] = MISSING
    flip: float = MISSING
    brightness: float = MISSING
    saturation: float = MISSING
    antialias: bool = MISSING


@dataclass
class DSTLConfig(ApproachConfig):
    """Sizes in pixels; `mean` and `std` per channel on [0, 1]; `crop` is the central fraction of both sides at test."""

    network: NetworkConfig = MISSING
    input_size: int = MISSING
    cache_size: int | None = MISSING
    mean: list[float] = MISSING
    std: list[float] = MISSING
    augment: AugmentConfig = MISSING
    crop: float = MISSING
    aux_weight: float = MISSING
    label_smoothing: float = MISSING


SCHEMA = DSTLConfig
LABELS = ("penalty",)
LIMITS: Mapping[str, Limit] = {
    "network.width": span(0, ends="(]"),
    "network.dropout": span(0, 1, "[)"),
    "network.bn_momentum": span(0, 1, "(]"),
    "input_size": at_least(1),
    "cache_size": at_least(1),
    "mean": triple(-math.inf),
    "std": triple(0),
    "augment.scale": pair(0, 1),
    "augment.ratio": pair(0, math.inf),
    "augment.flip": span(0, 1),
    "augment.brightness": span(0, 1),
    "augment.saturation": span(0, 1),
    "crop": span(0, 1, "(]"),
    "aux_weight": span(0),
    "label_smoothing": span(0, 1, "[)"),
}
