"""Pre-trained weights are looked at, fetched and converted before a run needs them; bad ones stop it before a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from l2sp_suite.config import TrainConfig, compose, override, resolve
from l2sp_suite.pretrained import (
    PretrainedPart,
    WeightsStatus,
    file_sha256,
    provide,
    save_weights,
    status,
    weights_status,
)
from l2sp_suite.pretrained.convert import ORIGINALS, PUBLISHED, convert_published, published
from l2sp_suite.sweeps import table3
from l2sp_suite.tasks import task_class
from l2sp_suite.training import train
from l2sp_suite.utils.errors import UserError
from miniworld import build_world, named_recipe

FILE = "weights/w.safetensors"
TINY = {key: PretrainedPart(nn.Conv2d(1, 1, 1)) for key in ("weights", "flow_weights")}


def config(data: Path, *more: str) -> TrainConfig:
    paths = (override("paths.data", str(data)), override("paths.results", str(data / "results")))
    weights = ("weights.source=file", f"weights.file={FILE}")
    return compose(["experiment=dstl_cub200", "scale=smoke", "scale.world=null", "reg=l2_sp", *paths, *weights, *more])


@pytest.fixture(scope="module")
def part() -> PretrainedPart:
    """The network of `config`."""
    cfg = config(Path())
    return task_class(cfg).summary(cfg).parts["weights"]


@pytest.fixture
def data(part: PretrainedPart, tmp_path: Path) -> Path:
    build_world(tmp_path, named_recipe("tiny", "objects"), workers=1)
    save_weights(tmp_path / FILE, part.module.state_dict())
    return tmp_path


def state(cfg: TrainConfig, part: PretrainedPart, data: Path) -> WeightsStatus:
    (checked,) = weights_status(cfg, {"weights": part}, data)
    return checked


def change(path: Path, part: PretrainedPart) -> None:
    state = part.module.state_dict()
    save_weights(path, {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in state.items()})


def truncate(path: Path, part: PretrainedPart) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def take_another_net(path: Path, part: PretrainedPart) -> None:
    save_weights(path, {f"layer{k}.weight": torch.rand(3, 3) for k in range(9)})


def put_nan(path: Path, part: PretrainedPart) -> None:
    state = part.module.state_dict()
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    save_weights(path, {**state, name: state[name] * torch.nan})


def remove(path: Path, part: PretrainedPart) -> None:
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "with_sum", "reason"),
    [
        (change, True, "fetch it again or correct the key"),
        (truncate, True, "expected"),
        (truncate, False, "damaged or not a weight file"),
        (take_another_net, False, "weights of another network"),
        (put_nan, False, "holds NaN"),
        (remove, False, "no such file of pre-trained weights"),
    ],
)
def test_bad_weights_stop_a_run_before_its_first_step(
    data: Path, part: PretrainedPart, spoil: Callable[..., None], with_sum: bool, reason: str
) -> None:
    ready = state(config(data), part, data)
    assert ready.ready and ready.message.startswith(str(data / FILE)) and not ready.remedy
    cfg = config(data, *([f"weights.sha256={file_sha256(data / FILE)}"] if with_sum else []))
    spoil(data / FILE, part)
    with pytest.raises(UserError, match=reason) as error:
        train(resolve(cfg))
    assert "\n" not in str(error.value) and str(data / FILE) in str(error.value)
    assert not list(data.rglob("metrics.jsonl")) and not list(data.rglob("checkpoint.pt"))
    assert not state(cfg, part, data).ready


def test_what_is_missing_comes_with_the_way_to_get_it(tmp_path: Path) -> None:
    segmentation, flow = weights_status(compose(["experiment=segflow_davis", "scale=paper"]), TINY, tmp_path)
    assert (segmentation.key, segmentation.ready, flow.key, flow.ready) == ("weights", False, "flow_weights", False)
    assert "ResNet-101-model.caffemodel" in segmentation.remedy and str(tmp_path / ORIGINALS) in segmentation.remedy
    assert "FlowNetS" in flow.remedy
    alone = compose(["experiment=dstl_cub200", "scale=paper", "weights.source=none", "weights.file=null", "reg=l2"])
    assert weights_status(alone, TINY, tmp_path)[0].message == "none: from scratch"


def test_a_part_of_a_backbone_is_not_ready(tmp_path: Path) -> None:
    cfg = compose(["experiment=segflow_star_davis", "scale=paper"])
    save_weights(tmp_path / (cfg.weights.file or ""), {"weight": torch.ones(1, 1, 1, 1)})
    checked = state(cfg, TINY["weights"], tmp_path)  # as a run would say
    assert not checked.ready and "has no fitting weights for 1 of the network's 2 tensors" in checked.message


def test_every_file_that_paper_scale_names_is_published_somewhere() -> None:
    weights = [weights for cfg in table3("paper") for weights in cfg.pretrained().values()]
    assert {item.file for item in weights if item.source == "file"} == set(PUBLISHED)


def test_timm_is_asked_only_when_weights_are_provided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper"])
    parts = task_class(cfg).summary(cfg).parts
    monkeypatch.setattr(status, "timm_file", lambda _: None)
    asked: list[str] = []
    monkeypatch.setattr(status, "read_part", lambda key, weights, *_: asked.append(weights.source))
    (checked,) = weights_status(cfg, parts, tmp_path)
    assert not checked.ready and "resnet50s.gluon_in1k" in checked.message and not asked
    assert "make weights" in checked.remedy
    provide(cfg, parts, tmp_path)
    assert asked == ["timm"]


def test_a_damaged_file_is_neither_replaced_nor_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "convert_published", lambda *_: pytest.fail("a file that is there was replaced"))
    cfg = compose(["experiment=segflow_star_davis", "scale=paper"])
    path = tmp_path / (cfg.weights.file or "")
    save_weights(path, {"a.weight": torch.ones(3)})
    path.write_bytes(path.read_bytes()[:-4])
    (checked,) = provide(cfg, {"weights": TINY["weights"]}, tmp_path)
    assert not checked.ready and checked.remedy.startswith(f"delete {path}; then put ResNet-101-model.caffemodel")


def test_a_damaged_original_does_not_keep_the_other_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def convert(target: str, root: Path) -> None:
        asked.append(target)
        if "resnet101" in target:
            raise UserError("ResNet-101-model.caffemodel: damaged")

    monkeypatch.setattr(status, "convert_published", convert)
    segmentation, flow = provide(compose(["experiment=segflow_davis", "scale=paper"]), TINY, tmp_path)
    assert len(asked) == 2 and not segmentation.ready and not flow.ready
    assert segmentation.message == "ResNet-101-model.caffemodel: damaged" and "is not there" in flow.message


def test_published_files_are_converted_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, calls = "weights/flownets_chairs.safetensors", []
    monkeypatch.setattr(published, "convert", lambda *given: calls.append(given) or "sum")
    assert convert_published(target, tmp_path) is None and not calls
    folder = tmp_path / ORIGINALS
    folder.mkdir(parents=True)
    names = {
        "flownets_from_caffe.pth": "flownets_torch_caffe",  # fits two patterns
        "flownets_EPE1.951.pth.tar": "flownets_torch",
        "FlowNetS.caffemodel": "flownets_caffe",
    }
    for name, converter in names.items():
        (folder / name).touch()
        assert convert_published(target, tmp_path) == "sum"
        assert calls.pop() == (converter, folder / name, tmp_path / target)
        (folder / name).unlink()
    for name in ("FlowNetS.caffemodel", "flownets_EPE1.951.pth.tar"):
        (folder / name).touch()
    with pytest.raises(
        UserError, match=r"FlowNetS\.caffemodel, flownets_EPE1\.951\.pth\.tar might all be .*; leave one"
    ):
        convert_published(target, tmp_path)
