"""The network of a choice: its features are timm's own, its preprocessing that of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from l2sp_suite.pretrained.load import save_weights
from l2sp_suite.source_selection.config import FeaturesConfig
from l2sp_suite.source_selection.network import _preprocessing, feature_net
from l2sp_suite.utils.errors import UserError

OWN = {"file": None, "sha256": None, "input_size": None, "crop": None, "mean": None, "std": None}


def features(network: str, source: str, **more: object) -> FeaturesConfig:
    return FeaturesConfig(**{"network": network, "source": source, **OWN, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "resnet10t"])
def test_features_are_what_timm_gives_its_classifier(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    save_weights(tmp_path / "net.safetensors", timm.create_model(name).state_dict())
    size = 224 if name.startswith("deit") else 64
    net = feature_net(features(name, "file", file="net.safetensors", input_size=size), tmp_path, "cpu")
    oracle = timm.create_model(name, num_classes=0).eval()
    from safetensors.torch import load_file

    own = oracle.state_dict()
    oracle.load_state_dict({key: value for key, value in load_file(tmp_path / "net.safetensors").items() if key in own})
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        found = net.model.eval()(images)
        assert found.shape == (2, oracle.num_features) and torch.equal(found, oracle(images))
    assert net.told["weights"] == "net.safetensors" and len(net.told["sha256"]) == 64


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "vit_base_patch16_224.augreg_in21k", "inception_v3.tf_in1k"])
def test_preprocessing_is_that_of_the_weights(name: str) -> None:
    ours = _preprocessing(features(name.removesuffix(".tf_in1k"), "timm"))
    theirs = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    assert (3, ours.input_size, ours.input_size) == theirs["input_size"]
    assert (ours.crop, ours.mean, ours.std) == (theirs["crop_pct"], theirs["mean"], theirs["std"])


def test_what_is_given_goes_before_what_was_published() -> None:
    seen = _preprocessing(features("resnet50", "timm", input_size=96, mean=[0.5, 0.5, 0.5]))
    assert (seen.input_size, seen.mean) == (96, (0.5, 0.5, 0.5)) and seen.std == (0.229, 0.224, 0.225)


def test_identity_is_of_weights_and_preprocessing(tmp_path: Path) -> None:
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_weights(tmp_path / f"{seed}.safetensors", timm.create_model("resnet10t").state_dict())
    given = [
        features("resnet10t", "file", file=f"{seed}.safetensors", input_size=64, crop=crop)
        for seed, crop in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 0.875))
    ]
    first, again, *others = (feature_net(one, tmp_path, "cpu").identity for one in given)
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
