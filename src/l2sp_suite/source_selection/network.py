"""The network whose features are compared: any that has published weights, with the preprocessing they came with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from l2sp_suite.datasets import eval_transform
from l2sp_suite.models.classifier import build_network, head_prefixes, without_head
from l2sp_suite.models.preprocessing import published
from l2sp_suite.pretrained import load_pretrained, load_weights
from l2sp_suite.source_selection.config import FeaturesConfig
from l2sp_suite.source_selection.features import FeatureNet
from l2sp_suite.utils.errors import UserError

__all__ = ["feature_net", "preprocessing"]


def feature_net(features: FeaturesConfig, data: Path, device: str) -> FeatureNet:
    """The network with its weights and without its classifier, on `cpu`, `cuda`, or what there is (`auto`).

    `data`: the folder below which a file of weights is looked for.

    Raises:
        UserError: no such network, weights that are missing, damaged or of another network, a size that it cannot have.
    """
    values = preprocessing(features)
    model = build_network(features.network, 2, 1.0, 0.0, False, values["input_size"])
    heads = head_prefixes(model)
    file = data / features.file if features.file else None
    weights = load_weights(features.source, model, file, features.sha256, heads, "features")
    missing = [name for name in load_pretrained(model, weights).missing if not name.startswith(heads)]
    if missing:
        raise UserError(f"{weights.origin}: has nothing for {missing[0]}; features need the whole network's weights")
    description: dict[str, Any] = {
        "name": features.network,
        "weights": weights.origin if file is None else features.file,
        "sha256": weights.sha256,
        **values,
        "resize": "bilinear, antialiased",
    }
    transform = eval_transform(values["input_size"], values["crop"], values["mean"], values["std"], antialias=True)
    target = _device(device)
    identity = hashlib.sha256(json.dumps([description, target.type]).encode()).hexdigest()
    return FeatureNet(features.network, without_head(model).to(target), transform, identity, description)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: not usable here; use auto or cpu")
    return torch.device("cuda" if torch.cuda.is_available() and name != "cpu" else "cpu")


def preprocessing(features: FeaturesConfig) -> dict[str, Any]:
    """`input_size`, `crop`, `mean` and `std`: as configured, else as the weights were published.

    Raises:
        UserError: there is no such network.
    """
    if features.source == "efficientnet_lite0" and features.network != "tf_efficientnet_lite0":
        raise UserError(
            f"features.network={features.network}: features.source=efficientnet_lite0 is of tf_efficientnet_lite0 "
            "alone; give features.source=timm"
        )
    names = ("input_size", "crop", "mean", "std")
    values = published(features.network, features.source)
    configured = {name: getattr(features, name) for name in names}
    return {name: getattr(values, name) if value is None else value for name, value in configured.items()}
