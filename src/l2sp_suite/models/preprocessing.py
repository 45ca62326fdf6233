"""What published weights expect of their images: size, mean, deviation, interpolation, crop."""

from __future__ import annotations

from dataclasses import dataclass

from l2sp_suite.models import timm_models
from l2sp_suite.models.efficientnet_lite0 import MEAN, STD

__all__ = ["Preprocessing", "published"]


@dataclass(frozen=True)
class Preprocessing:
    """Images become (x - mean) / std of pixels in 0..1, on the central `crop` (share of a side) of `input_size` px."""

    input_size: int
    mean: list[float]
    std: list[float]
    interpolation: str
    crop: float


_CAFFE = Preprocessing(  # 122.679, 116.669, 104.007 of RGB in 0..255, subtracted
    224, [0.48109412, 0.45752549, 0.40787059], [0.00392157] * 3, "bilinear", 0.875
)
_SLIM = Preprocessing(299, [0.5] * 3, [0.5] * 3, "bilinear", 0.875)
_LITE0 = Preprocessing(224, [MEAN] * 3, [STD] * 3, "bicubic", 0.875)


def published(network: str, source: str) -> Preprocessing:
    """The preprocessing of a network's published weights.

    Args:
        network: `inception_v3` (slim's), a ResNet with `_caffe` after its name, or a name of timm with or without tag.
        source: as `weights.source`; the packaged EfficientNet-Lite0 has values of its own.

    Raises:
        UserError: there is no such network.
    """
    if source == "efficientnet_lite0":
        return _LITE0
    if network == "inception_v3":
        return _SLIM
    if network.endswith(timm_models.ORIGINAL):
        return _CAFFE
    config = timm_models.data_config(network)
    _, _, side = config["input_size"]
    return Preprocessing(side, list(config["mean"]), list(config["std"]), config["interpolation"], config["crop_pct"])
