"""A network gets its images as its weights were published with, wherever it is named."""

from __future__ import annotations

from typing import Any

import pytest
import timm

from l2sp_suite.config import compose
from l2sp_suite.models.preprocessing import published
from l2sp_suite.source_selection import FeaturesConfig
from l2sp_suite.source_selection.network import preprocessing
from l2sp_suite.utils.errors import UserError

TIMM = [
    "resnet50", "resnet50.tv_in1k", "resnet50.a1_in1k", "resnet101s", "tf_efficientnet_lite0",
    "vit_base_patch16_224.augreg_in21k", "vit_tiny_patch16_224", "convnext_tiny.in12k_ft_in1k", "inception_v4",
]  # fmt: skip
NAMES = ("input_size", "mean", "std", "interpolation", "crop")


def by_timm(name: str) -> tuple[Any, ...]:
    """What timm itself makes of its published configuration, in the order of `NAMES`."""
    config = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    size, mean, std = config["input_size"][-1], list(config["mean"]), list(config["std"])
    return size, mean, std, config["interpolation"], config["crop_pct"]


def values(node: Any) -> tuple[Any, ...]:
    return tuple(getattr(node, name) for name in NAMES)


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm_have_timm_s_values(name: str) -> None:
    assert values(published(name, "timm")) == values(published(name, "file")) == by_timm(name)


def test_other_networks_have_their_own() -> None:
    assert values(published("inception_v3", "file")) == (299, [0.5] * 3, [0.5] * 3, "bilinear", 0.875)
    assert values(published("inception_v3", "timm")) == values(published("inception_v3", "file"))  # timm's is slim's
    caffe = published("resnet101_caffe", "file")
    assert [255 * x for x in caffe.mean] == pytest.approx([122.679, 116.669, 104.007], abs=1e-5)
    assert caffe.std == pytest.approx([1 / 255] * 3, rel=1e-5)
    packaged = published("tf_efficientnet_lite0", "efficientnet_lite0")
    assert packaged.mean == pytest.approx([127 / 255] * 3, abs=1e-8)
    assert packaged.std == pytest.approx([128 / 255] * 3, abs=1e-8)
    assert packaged.mean != published("tf_efficientnet_lite0", "timm").mean  # timm's own file has others


def test_values_differ_between_tags() -> None:
    assert values(published("resnet50.tv_in1k", "timm")) != values(published("resnet50.a1_in1k", "timm"))


# The trap: another network at a scale whose configuration is of another one.


@pytest.mark.parametrize("name", ["resnet50", "resnet50.tv_in1k", "vit_tiny_patch16_224"])
def test_a_run_at_paper_scale_has_timm_s_values(name: str) -> None:
    cfg = compose(["experiment=dstl_cub200", "scale=paper", f"task.network.name={name}", "weights.source=timm"])
    assert values(cfg.task) == by_timm(name)


@pytest.mark.parametrize("name", ["resnet50", "resnet50.tv_in1k", "tf_efficientnet_lite0"])
def test_a_run_at_scale_mini_has_timm_s_values_where_none_is_given(name: str) -> None:
    overrides = ["experiment=dstl_cub200", "scale=mini", f"task.network.name={name}", "task.network.width=1"]
    cfg = compose([*overrides, "weights.source=timm"])
    _, *expected = by_timm(name)
    assert values(cfg.task) == (80, *expected)  # the scale gives its own size
    whole = compose([*overrides, "weights.source=timm", "task.input_size=null"])
    assert values(whole.task) == by_timm(name)


@pytest.mark.parametrize("name", ["resnet50s", "resnet101d", "resnet50"])
def test_segmentation_has_the_backbone_s_values(name: str) -> None:
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper", f"task.network.name={name}"])
    assert (cfg.task.mean, cfg.task.std) == by_timm(name)[1:3]


def test_video_has_the_segmentation_branch_s_values() -> None:
    run = ["experiment=segflow_star_davis", "scale=paper"]
    caffe = published("resnet101_caffe", "file")
    assert compose(run).task.mean_and_std == (caffe.mean, caffe.std)
    other = compose([*run, "task.network.segmentation=resnet50", "weights.source=timm", "weights.file=null"])
    assert other.task.mean_and_std == by_timm("resnet50")[1:3]
    assert other.task.network.flow_mean == other.task.mean


def test_source_selection_has_the_same_values() -> None:
    config = FeaturesConfig("resnet50.a1_in1k", "timm", None, None, None, None, None, None)
    expected = dict(zip(NAMES, by_timm("resnet50.a1_in1k"), strict=True))
    assert preprocessing(config) == {name: expected[name] for name in ("input_size", "crop", "mean", "std")}


def test_given_values_win() -> None:
    run = ["experiment=dstl_cub200", "scale=paper", "task.network.name=resnet50", "weights.source=timm"]
    given = ["task.input_size=96", "task.mean=[0.1,0.2,0.3]", "task.crop=0.5", "task.interpolation=bilinear"]
    cfg = compose([*run, *given])
    assert values(cfg.task) == (96, [0.1, 0.2, 0.3], by_timm("resnet50")[2], "bilinear", 0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [("resnet5O", "nearest: .*resnet50"), ("incption_v3", "nearest: .*inception_v3"), ("resnet50.a9", "tag")],
)
def test_unknown_networks_name_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        compose(["experiment=dstl_cub200", "scale=paper", f"task.network.name={name}", "weights.source=timm"])
    assert "\n" not in str(caught.value)
