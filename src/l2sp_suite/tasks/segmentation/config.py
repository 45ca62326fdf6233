"""Configuration of EncNet: network, augmentation, losses, evaluation (docs/protocols/encnet.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from omegaconf import MISSING

from l2sp_suite.config import TaskConfig, WeightsConfig, at_least, each, key, one_of, pair, span, triple

__all__ = ["AugmentConfig", "Config", "MultiScaleConfig", "NetworkConfig"]


@dataclass
class NetworkConfig:
    """The backbone and EncNet's two heads."""

    name: str = key("backbone of timm that has stride 8")
    width: float = key("factor of the channels of a ResNet and of the heads", span(0, ends="(]"))
    codes: int = key("codewords of the encoding layer", at_least(1))
    dropout: float = key("probability in both heads", span(0, 1, "[)"))
    frozen_bn: bool = key("whether the backbone's batch norms normalise by the pre-trained statistics in training too")


@dataclass
class AugmentConfig:
    """Random transforms of training images and their label maps."""

    scale: list[float] = key("range of the random resize, in units of base_size", pair(0, math.inf))
    edge: str = key("the edge that is resized: short or long", one_of("short", "long"))
    flip: float = key("probability of a horizontal flip", span(0, 1))
    blur: float = key("probability of a Gaussian blur", span(0, 1))


@dataclass
class MultiScaleConfig:
    """Evaluation over several scales."""

    scales: list[float] = key("of the long side, in units of base_size", each(0))
    flip: bool = key("whether the flipped image is averaged in")
    stride: float = key("of the windows, as a share of the crop", span(0, 1, "(]"))


@dataclass
class Config(TaskConfig):
    """Semantic segmentation of single images."""

    network: NetworkConfig = MISSING
    base_size: int = key("size that scales refer to, in pixels", at_least(8))
    crop_size: int = key("side of a training crop in pixels", at_least(8))
    mean: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(-math.inf))
    std: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(0))
    augment: AugmentConfig = MISSING
    aux_weight: float = key("weight of the auxiliary head's loss", span(0))
    presence_weight: float = key("weight of the loss of which classes are present", span(0))
    head_lr_factor: float = key("learning rate of both heads relative to the backbone's", span(0, ends="(]"))
    multi_scale: MultiScaleConfig = MISSING
    samples: int = key("test images kept with their predictions", at_least(0), label=True)

    @property
    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation per channel, of pixels on [0, 1]."""
        assert self.mean is not None and self.std is not None  # with_published_values
        return self.mean, self.std

    def with_published_values(self, weights: WeightsConfig) -> Config:
        """The configuration with the mean and deviation of the backbone's published weights where a key is null."""
        from l2sp_suite.models.preprocessing import published

        if self.mean is not None and self.std is not None:
            return self
        values = published(self.network.name, weights.source)
        return replace(self, mean=self.mean or values.mean, std=self.std or values.std)
