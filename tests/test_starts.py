"""Starting weights are looked at, fetched and converted before a run relies on them; bad ones stop it before a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from l2sp_suite.config.compose import compose, override
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.pretrained import status as starts
from l2sp_suite.pretrained.convert import published
from l2sp_suite.pretrained.convert.published import ORIGINALS, PUBLISHED, convert_published
from l2sp_suite.pretrained.load import save_weights
from l2sp_suite.pretrained.status import WeightsStatus, provide, weights_status
from l2sp_suite.tasks.registry import outline
from l2sp_suite.training.trainer import train
from l2sp_suite.utils.errors import UserError
from miniworld import build_world
from miniworld.recipe import Recipe

FILE = "weights/w.safetensors"


def config(data: Path, *more: str) -> TrainConfig:
    own = (override("paths.data", str(data)), override("paths.results", str(data / "results")))
    start = ("weights.source=file", f"weights.file={FILE}")
    return compose(["experiment=dstl_cub200", "scale=smoke", "scale.world=null", "reg=l2_sp", *own, *start, *more])


def network() -> nn.Module:
    return outline(config(Path())).starts["weights"]


def state(cfg: TrainConfig, data: Path) -> WeightsStatus:
    (found,) = weights_status(cfg, {"weights": network()}, data)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    build_world(tmp_path, Recipe.tiny(), workers=1)
    save_weights(tmp_path / FILE, network().state_dict())
    return tmp_path


def wrong_sum(path: Path) -> None:
    tensors = network().state_dict()
    save_weights(path, {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in tensors.items()})


def truncated(path: Path) -> None:
    truncated_by(path, 1000)


def truncated_by(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def of_another_net(path: Path) -> None:
    save_weights(path, {f"layer{k}.weight": torch.rand(3, 3) for k in range(9)})


def with_nan(path: Path) -> None:
    tensors = network().state_dict()
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    save_weights(path, {**tensors, name: tensors[name] * torch.nan})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (wrong_sum, "fetch it again or correct the key"),
        (truncated, "expected"),
        (of_another_net, "weights of another network"),
        (with_nan, "holds NaN"),
        (Path.unlink, "no such file of starting weights"),
    ],
)
def test_bad_weights_stop_a_run_before_its_first_step(data: Path, spoil: object, reason: str) -> None:
    ready = state(config(data), data)
    assert ready.ready and ready.found.startswith(str(data / FILE)) and not ready.remedy
    sums = {wrong_sum, truncated}
    cfg = config(data, *([f"weights.sha256={sha256(data / FILE)}"] if spoil in sums else []))
    spoil(data / FILE)  # type: ignore[operator]
    with pytest.raises(UserError, match=reason) as error:
        train(cfg)
    assert "\n" not in str(error.value) and str(data / FILE) in str(error.value)
    assert not list(data.rglob("metrics.jsonl")) and not list(data.rglob("checkpoint.pt"))
    assert not state(cfg, data).ready


def test_a_truncated_file_is_noticed_without_a_checksum(data: Path) -> None:
    truncated(data / FILE)
    found = state(config(data), data)
    assert not found.ready and "damaged or not a weight file" in found.found
    with pytest.raises(UserError, match="damaged or not a weight file"):
        train(config(data))
    assert not list(data.rglob("metrics.jsonl"))


def sha256(path: Path) -> str:
    from l2sp_suite.pretrained.load import file_sha256

    return file_sha256(path)


def test_what_lacks_comes_with_the_way_to_get_it(tmp_path: Path) -> None:
    paper = compose(["experiment=segflow_davis", "scale=paper"])
    modules = {"weights": nn.Conv2d(1, 1, 1), "flow_weights": nn.Conv2d(1, 1, 1)}
    found = weights_status(paper, modules, tmp_path)
    assert [(one.key, one.ready) for one in found] == [("weights", False), ("flow_weights", False)]
    assert "ResNet-101-model.caffemodel" in found[0].remedy and str(tmp_path / ORIGINALS) in found[0].remedy
    assert "FlowNetS" in found[1].remedy
    alone = compose(["experiment=dstl_cub200", "scale=paper", "weights.source=none", "weights.file=null", "reg=l2"])
    assert weights_status(alone, {"weights": nn.Conv2d(1, 1, 1)}, tmp_path)[0].found == "none: from scratch"


def test_every_file_that_paper_scale_names_is_published_somewhere() -> None:
    from l2sp_suite.sweeps.plan import load_plan
    from l2sp_suite.tasks.registry import starts_of

    files = set()
    for name in load_plan("table3").scales["paper"][0].experiments:
        found = starts_of(compose([f"experiment={name}", "scale=paper"])).values()
        files |= {start.file for start in found if start.source == "file"}
    assert files == set(PUBLISHED)


def test_timm_is_asked_only_when_weights_are_provided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper"])
    modules = outline(cfg).starts
    monkeypatch.setattr(starts, "timm_file", lambda _: None)
    asked = []
    real = starts.load_weights
    monkeypatch.setattr(starts, "load_weights", lambda *given: asked.append(given[0]) or real("none", *given[1:]))
    (found,) = weights_status(cfg, modules, tmp_path)
    assert not found.ready and "resnet50s.gluon_in1k" in found.found and not asked
    provide(cfg, modules, tmp_path)
    assert asked == ["timm"]


def test_a_damaged_file_is_neither_replaced_nor_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "convert_published", lambda *_: pytest.fail("a file that is there was replaced"))
    cfg = compose(["experiment=segflow_star_davis", "scale=paper"])
    path = tmp_path / (cfg.weights.file or "")
    save_weights(path, {"a.weight": torch.ones(3)})
    truncated_by(path, 4)
    (found,) = provide(cfg, {"weights": nn.Conv2d(1, 1, 1)}, tmp_path)
    assert not found.ready and found.remedy.startswith(f"delete {path}; then put ResNet-101-model.caffemodel")


def test_a_damaged_original_does_not_keep_the_other_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def convert(target: str, root: Path) -> None:
        asked.append(target)
        if "resnet101" in target:
            raise UserError("ResNet-101-model.caffemodel: damaged")

    monkeypatch.setattr(starts, "convert_published", convert)
    cfg = compose(["experiment=segflow_davis", "scale=paper"])
    found = provide(cfg, {key: nn.Conv2d(1, 1, 1) for key in ("weights", "flow_weights")}, tmp_path)
    assert len(asked) == 2 and [one.ready for one in found] == [False, False]
    assert found[0].found == "ResNet-101-model.caffemodel: damaged" and "is not there" in found[1].found


def test_published_files_are_converted_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, calls = "weights/flownets_chairs.safetensors", []
    monkeypatch.setattr(published, "convert", lambda *given: calls.append(given) or "sum")
    assert convert_published(target, tmp_path) is None and not calls
    folder = tmp_path / ORIGINALS
    folder.mkdir(parents=True)
    (folder / "flownets_from_caffe.pth").touch()
    assert convert_published(target, tmp_path) == "sum"
    assert calls.pop() == ("flownets_torch_caffe", folder / "flownets_from_caffe.pth", tmp_path / target)
    (folder / "flownets_from_caffe.pth").rename(folder / "flownets_EPE1.951.pth.tar")
    assert convert_published(target, tmp_path) == "sum"
    assert calls == [("flownets_torch", folder / "flownets_EPE1.951.pth.tar", tmp_path / target)]
    (folder / "FlowNetS.caffemodel").touch()
    with pytest.raises(
        UserError, match=r"FlowNetS\.caffemodel, flownets_EPE1\.951\.pth\.tar might all be .*; leave one"
    ):
        convert_published(target, tmp_path)
