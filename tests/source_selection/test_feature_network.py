"""The network of a source selection: its features are timm's own, its preprocessing that of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from l2sp_suite.pretrained import save_weights
from l2sp_suite.source_selection import FeaturesConfig
from l2sp_suite.source_selection.network import feature_net, preprocessing
from l2sp_suite.utils.errors import UserError

EMPTY = {"file": None, "sha256": None, "input_size": None, "crop": None, "mean": None, "std": None}


def features(network: str, source: str, **more: object) -> FeaturesConfig:
    return FeaturesConfig(**{"network": network, "source": source, **EMPTY, **more})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "resnet10t"])
def test_features_are_what_timm_gives_its_classifier(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    save_weights(tmp_path / "net.safetensors", timm.create_model(name).state_dict())
    size = 224 if name.startswith("deit") else 64
    net = feature_net(features(name, "file", file="net.safetensors", input_size=size), tmp_path, "cpu")
    oracle = timm.create_model(name, num_classes=0).eval()
    saved = load_file(tmp_path / "net.safetensors")
    oracle.load_state_dict({key: saved[key] for key in oracle.state_dict()})
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        outputs = net.model.eval()(images)
        assert outputs.shape == (2, oracle.num_features) and torch.equal(outputs, oracle(images))
    assert net.description["weights"] == "net.safetensors" and len(net.description["sha256"]) == 64


def test_preprocessing_is_as_published_unless_configured() -> None:
    config = timm.get_pretrained_cfg("vit_base_patch16_224.augreg_in21k")
    values = preprocessing(features("vit_base_patch16_224.augreg_in21k", "timm"))
    assert (values["input_size"], values["crop"]) == (config.input_size[-1], config.crop_pct)
    values = preprocessing(features("resnet50", "timm", input_size=96, mean=[0.5, 0.5, 0.5]))
    assert (values["input_size"], values["mean"]) == (96, [0.5] * 3) and values["std"] == [0.229, 0.224, 0.225]


def test_identity_is_of_weights_and_preprocessing(tmp_path: Path) -> None:
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_weights(tmp_path / f"{seed}.safetensors", timm.create_model("resnet10t").state_dict())
    configs = [
        features("resnet10t", "file", file=f"{seed}.safetensors", input_size=64, crop=crop)
        for seed, crop in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 0.875))
    ]
    first, again, *others = (feature_net(config, tmp_path, "cpu").identity for config in configs)
    assert first == again and len({first, *others}) == 3


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    torch.manual_seed(0)
    part = {k: v for k, v in timm.create_model("resnet10t").state_dict().items() if not k.startswith("layer4.0.conv2")}
    save_weights(tmp_path / "part.safetensors", part)
    with pytest.raises(UserError, match=r"has nothing for layer4\.0\.conv2\.weight; features need the whole"):
        feature_net(features("resnet10t", "file", file="part.safetensors", input_size=64), tmp_path, "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device=cuda: not usable here"):
            feature_net(features("tf_efficientnet_lite0", "efficientnet_lite0", input_size=64), tmp_path, "cuda")
