"""Configuration of DSTL: network, augmentation, loss (docs/protocols/dstl.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from omegaconf import MISSING

from l2sp_suite.config import TaskConfig, WeightsConfig, at_least, key, one_of, pair, span, triple

__all__ = ["AugmentConfig", "Config", "NetworkConfig"]


@dataclass
class NetworkConfig:
    """The classifier."""

    name: str = key("inception_v3, or any network of timm, with a tag or without")
    width: float = key("factor of the channels (inception_v3 and ResNets)", span(0, ends="(]"))
    dropout: float = key("probability before the classifier", span(0, 1, "[)"))
    aux: bool = key("whether inception_v3 has its auxiliary head")
    zero_head: bool = key("whether the new classifier starts at zero, so that it sends no noise into the features")
    frozen_bn: bool = key("whether batch norm normalises by the pre-trained statistics in training too")
    bn_momentum: float | None = key(
        "share of the batch in the running statistics (1 minus slim's decay); null: the network's own", span(0, 1, "(]")
    )


@dataclass
class AugmentConfig:
    """Random transforms of training images."""

    scale: list[float] = key("range of the crop's share of the area", pair(0, 1))
    ratio: list[float] = key("range of the crop's aspect ratio", pair(0, math.inf))
    flip: float = key("probability of a horizontal flip", span(0, 1))
    brightness: float = key("largest shift of brightness, on [0, 1]", span(0, 1))
    saturation: float = key("largest change of the factor of saturation", span(0, 1))
    antialias: bool = key("whether images are resized with antialiasing")


@dataclass
class Config(TaskConfig):
    """Classification of single images."""

    network: NetworkConfig = MISSING
    input_size: int | None = key("side of the input in pixels; null: as the weights were published", at_least(1))
    cache_size: int | None = key("shorter side of images kept in memory; null decodes them each time", at_least(1))
    mean: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(-math.inf))
    std: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(0))
    interpolation: str | None = key(
        "of every resize; null: as the weights were published", one_of("bilinear", "bicubic"), since="bilinear"
    )
    augment: AugmentConfig = MISSING
    crop: float | None = key("central share of both sides at test; null: as published", span(0, 1, "(]"))
    aux_weight: float = key("weight of the auxiliary head's loss", span(0))
    label_smoothing: float = key("mass that the target gives to all classes", span(0, 1, "[)"))

    def with_published_values(self, weights: WeightsConfig) -> Config:
        """The configuration with the preprocessing of the network's published weights where a key is null."""
        from l2sp_suite.models.preprocessing import published

        names = ("input_size", "mean", "std", "interpolation", "crop")
        if all(getattr(self, name) is not None for name in names):
            return self
        values = published(self.network.name, weights.source)
        return replace(self, **{name: getattr(values, name) for name in names if getattr(self, name) is None})
