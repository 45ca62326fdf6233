"""The network whose features are compared: any that has published weights, with the preprocessing they came with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from l2sp_suite.datasets import eval_transform
from l2sp_suite.models import efficientnet_lite0 as lite0
from l2sp_suite.models.classifier import build_network, head_prefixes, without_head
from l2sp_suite.pretrained.load import SLIM_INCEPTION, load_pretrained, load_weights
from l2sp_suite.source_selection.config import FeaturesConfig
from l2sp_suite.source_selection.features import FeatureNet
from l2sp_suite.utils.errors import UserError

__all__ = ["feature_net"]


@dataclass(frozen=True)
class _Preprocessing:
    """Images (3, H, W) of 0..255 become (x / 255 - mean) / std on the central `crop` at `input_size` px."""

    input_size: int
    crop: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


def feature_net(features: FeaturesConfig, data: Path, device: str) -> FeatureNet:
    """The network with its weights and without its classifier, on `cpu`, `cuda`, or what there is (`auto`).

    `data`: the folder below which a file of weights is looked for.

    Raises:
        UserError: no such network, weights that are missing, damaged or of another network, a size that it cannot have.
    """
    seen = _preprocessing(features)
    model = build_network(features.network, 2, 1.0, 0.0, False, seen.input_size)
    heads = head_prefixes(model)
    file = data / features.file if features.file else None
    start = load_weights(features.source, model, file, features.sha256, heads, "features")
    missing = [name for name in load_pretrained(model, start).missing if not name.startswith(heads)]
    if missing:
        raise UserError(f"{start.origin}: has nothing for {missing[0]}; features need the whole network's weights")
    used: dict[str, Any] = {
        "name": features.network,
        "weights": start.origin if file is None else features.file,
        "sha256": start.sha256,
        **asdict(seen),
        "resize": "bilinear, antialiased",
    }
    transform = eval_transform(seen.input_size, seen.crop, seen.mean, seen.std, antialias=True)
    where = _device(device)
    identity = hashlib.sha256(json.dumps([used, where.type]).encode()).hexdigest()
    return FeatureNet(features.network, without_head(model).to(where), transform, identity, used)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: not usable here; use auto or cpu")
    return torch.device("cuda" if torch.cuda.is_available() and name != "cpu" else "cpu")


def _preprocessing(features: FeaturesConfig) -> _Preprocessing:
    """What the configuration says, and where it says nothing what the weights were published with."""
    published = _published(features)
    given = {key: getattr(features, key) for key in asdict(published)}
    told = {key: value for key, value in given.items() if value is not None}
    found = asdict(published) | told
    return _Preprocessing(found["input_size"], found["crop"], tuple(found["mean"]), tuple(found["std"]))


def _published(features: FeaturesConfig) -> _Preprocessing:
    if features.source == "efficientnet_lite0":
        if features.network != "tf_efficientnet_lite0":
            raise UserError(
                f"features.network={features.network}: features.source=efficientnet_lite0 is of tf_efficientnet_lite0 "
                "alone; give features.source=timm"
            )
        return _Preprocessing(224, 0.875, (lite0.MEAN,) * 3, (lite0.STD,) * 3)
    name = SLIM_INCEPTION if features.network == "inception_v3" else features.network
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UserError(f"features.network={features.network}: {error}") from error
    if config is None:  # no such network: building it says which are near
        return _Preprocessing(224, 0.875, (0.5,) * 3, (0.5,) * 3)
    return _Preprocessing(config.input_size[-1], config.crop_pct, tuple(config.mean), tuple(config.std))
