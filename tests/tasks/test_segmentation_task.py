"""EncNet through the ordinary loop on the smallest world: results, logs, pictures, resume, both arms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_maps
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F

from l2sp_suite.config.compose import compose
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets.loader import steps_per_epoch
from l2sp_suite.datasets.segmentation import IGNORED
from l2sp_suite.tasks.segmentation.samples import sample_pictures
from l2sp_suite.tasks.segmentation.task import EncNetTask
from l2sp_suite.training.loop import total_steps
from l2sp_suite.training.trainer import train
from l2sp_suite.utils.errors import UserError
from miniworld import ensure_world


@pytest.fixture
def encnet(smoke: Any) -> Any:
    return lambda *overrides: smoke("experiment=encnet50_pcontext", *overrides)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_world(tmp_path_factory.mktemp("scenes"), "tiny", "scenes")


def scratch(cfg: TrainConfig, world: Path) -> EncNetTask:
    return EncNetTask(cfg, world, {}, torch.device("cpu"))


NO_START = ("reg=l2", "weights.source=none", "study=test/scratch")


def test_a_run_logs_metrics_matrices_and_pictures(encnet: Any) -> None:
    run = train(encnet("reg=l2_sp"))
    done = json.loads((run.path / "done.json").read_text())
    test = done["results"]["test"]
    assert done["metric"] == "mIoU" and done["value"] == test["mIoU"] and done["train_metric"] == "mIoU_single"
    assert set(done["results"]["train"]) == {"mIoU_single", "pixAcc_single", "n"}
    logged = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    matrix = torch.tensor(next(line for line in logged if line["split"] == "test")["confusion"])
    hits = matrix.diagonal()
    assert test["pixAcc"] == pytest.approx(float(hits.sum() / matrix.sum()))
    union = (matrix.sum(0) + matrix.sum(1) - hits).clamp_min(1)
    assert test["mIoU"] == pytest.approx(float((hits / union).mean()))
    env = json.loads((run.path / "env.json").read_text())
    assert len(env["class_names"]) == len(matrix) == 17
    assert all(not name.startswith("backbone.") for name in env["partition"]["new_names"])
    kept = sorted(path.name for path in (run.path / "samples").iterdir())
    assert [name.partition("-")[2] for name in kept] == ["image.png", "prediction.png", "truth.png"]


def test_arms_start_alike_and_end_apart(encnet: Any) -> None:
    l2, l2_sp = (train(encnet(f"reg={reg}", "reg.alpha=5", "reg.beta=0.1")) for reg in ("l2", "l2_sp"))
    first = [json.loads((run.path / "metrics.jsonl").read_text().splitlines()[0]) for run in (l2, l2_sp)]
    assert first[0]["loss"] == first[1]["loss"]
    distances = [json.loads((run.path / "done.json").read_text())["distance"]["w0"] for run in (l2, l2_sp)]
    assert distances[1] < distances[0]


def test_batches_are_functions_of_the_step(encnet: Any, world: Path) -> None:
    task = scratch(encnet(*NO_START), world)
    straight = list(task.batches(0, 6))
    resumed = list(scratch(encnet(*NO_START), world).batches(4, 6))
    for (images, maps), (images2, maps2) in zip(straight[4:], resumed, strict=True):
        assert torch.equal(images, images2) and torch.equal(maps, maps2)
    images, maps = straight[0]
    size = task._protocol.crop_size
    assert images.shape == (4, 3, size, size) and maps.shape == (4, size, size) and maps.dtype == torch.int64
    other = next(scratch(encnet(*NO_START, "seed=1"), world).batches(0, 1))
    assert not torch.equal(other[0], images)


def test_loss_is_the_weighted_sum_of_three(encnet: Any, world: Path) -> None:
    overrides = ("approach.network.dropout=0", "approach.aux_weight=0.5", "approach.presence_weight=2")
    task = scratch(encnet(*NO_START, *overrides), world)
    task.model.train()
    images, maps = next(task.batches(0, 1))
    out = task._net(images)
    main, aux = (F.cross_entropy(logits, maps, ignore_index=IGNORED) for logits in (out.logits, out.aux))
    occurs = torch.stack([torch.bincount(m[m != IGNORED], minlength=17).clamp(max=1) for m in maps]).float()
    presence = F.binary_cross_entropy_with_logits(out.presence, occurs)
    assert min(abs(main - aux), abs(main - presence), presence) > 1e-3
    torch.testing.assert_close(task.loss((images, maps)), main + 0.5 * aux + 2 * presence)


def test_metrics_are_those_of_one_scale_and_of_all_with_flip(
    encnet: Any, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right class at one scale without flip, the next one with several: so each metric says what it is of."""
    task = scratch(encnet(*NO_START, "approach.multi_scale.scales=[0.5,1]", "evaluate.batch_size=1"), world)
    stored = iter([task._data.decode(path) for path in task._parts["test"].maps for _ in range(2)])

    def scores(_: Any, images: torch.Tensor, scales: list[float], windows: Any) -> torch.Tensor:
        assert (list(scales), windows.flip) in (([1.0], False), ([0.5, 1.0], True))
        labels = next(stored).long()
        shown = (torch.where(labels == IGNORED, 0, labels) + int(windows.flip)) % 17
        return F.one_hot(shown, 17).permute(2, 0, 1)[None].double()

    monkeypatch.setattr("l2sp_suite.tasks.segmentation.task.scores", scores)
    metrics = task.evaluate("test").metrics
    assert metrics["pixAcc_single"] == 1 and metrics["pixAcc"] == 0
    assert metrics["mIoU_single"] > 0.5 and metrics["mIoU"] == 0  # a class that is nowhere counts 0


def test_validation_is_held_out_of_train(encnet: Any, world: Path) -> None:
    task = scratch(encnet(*NO_START, "evaluate.split=val"), world)
    kept, held = task._parts["train"], task._parts["val"]
    assert not set(kept.images) & set(held.images)
    assert len(kept) + len(held) == len(scratch(encnet(*NO_START), world)._parts["train"])
    assert task.evaluate("val").n == len(held)


def test_evaluation_does_not_depend_on_the_batch(encnet: Any, world: Path) -> None:
    found = [
        scratch(encnet(*NO_START, f"evaluate.batch_size={size}"), world).evaluate("test").metrics for size in (1, 5)
    ]
    assert found[0] == pytest.approx(found[1], abs=2e-3)  # a pixel on the edge may fall either way


def test_training_from_scratch_has_no_start(encnet: Any, world: Path) -> None:
    assert scratch(encnet(*NO_START), world).start == {}


def test_missing_data_ends_in_one_line(encnet: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder VOCdevkit/VOC2010 or pascal_context in .*; get VOCtrainval"):
        EncNetTask(encnet(*NO_START), tmp_path, {}, torch.device("cpu"))


def test_a_start_of_a_part_of_the_backbone_is_refused(encnet: Any, world: Path, tmp_path: Path) -> None:
    whole = scratch(encnet(*NO_START), world)._net.backbone.state_dict()
    whole = {name: torch.randn(t.shape) if t.is_floating_point() else t for name, t in whole.items()}
    cfg = encnet("reg=l2_sp", "weights.source=file", "weights.experiment=null", "weights.file=start.safetensors")
    file = tmp_path / "start.safetensors"
    save_file(whole, file)
    task = EncNetTask(cfg, world, {"weights": file}, torch.device("cpu"))
    assert task.start.keys() == {f"backbone.{name}" for name in whole}
    save_file({name: t for name, t in whole.items() if name.startswith("conv1.")}, file)
    with pytest.raises(UserError, match=r"start\.safetensors: has no fitting weights for \d+ of the backbone's \d+"):
        EncNetTask(cfg, world, {"weights": file}, torch.device("cpu"))


def test_camvid_has_a_validation_part_of_its_own(tmp_path: Path) -> None:
    tiny_maps.write("camvid", tmp_path / "CamVid")
    changes = ("approach.network.name=resnet18", "approach.crop_size=16", "approach.base_size=16", "seed=0")
    cfg = compose(["experiment=encnet_camvid", "scale=pocket", *NO_START[:2], "evaluate.split=val", *changes])
    task = EncNetTask(cfg, tmp_path, {}, torch.device("cpu"))
    val, train = task._parts["val"], task._parts["train"]
    assert [path.parent.name for path in (*val.images, *train.images)] == ["val"] * len(val) + ["train"] * len(train)
    assert task.evaluate("val").n == len(val)


def test_outline_takes_a_step_and_evaluates(encnet: Any) -> None:
    found = EncNetTask.outline(encnet("reg=l2_sp"))
    found.model.train()
    (work,) = found.work
    work.loss().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in found.model.parameters())
    found.model.eval()
    with torch.inference_mode():
        assert found.evaluate().shape == (1, 375, 500)


def test_paper_scale_is_the_protocol() -> None:
    """Protocol 1.5 to 1.9, number by number."""
    cfg: Any = compose(["experiment=encnet101_pcontext", "scale=paper", "reg=l2_sp"])
    protocol, optim = cfg.approach, cfg.optim
    assert (protocol.network.name, protocol.network.width, protocol.network.codes) == ("resnet101s", 1, 32)
    assert (protocol.network.dropout, protocol.network.frozen_bn) == (0.1, False)
    assert (protocol.base_size, protocol.crop_size) == (520, 480)
    assert (list(protocol.mean), list(protocol.std)) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    augment = protocol.augment
    assert (list(augment.scale), augment.edge, augment.flip, augment.blur) == ([0.5, 2], "short", 0.5, 0.5)
    assert (protocol.aux_weight, protocol.presence_weight, protocol.head_lr_factor) == (0.2, 0.2, 10)
    scales = protocol.multi_scale
    assert (list(scales.scales), scales.flip) == ([0.5, 0.75, 1, 1.25, 1.5, 1.75], True)
    assert int(protocol.crop_size * scales.stride) == 320
    assert (optim.name, optim.lr, optim.momentum, optim.batch_size, optim.epochs) == ("sgd", 0.001, 0.9, 16, 80)
    assert total_steps(optim, steps_per_epoch(4998, 16)) == 24_960
    assert (optim.schedule.kind, optim.schedule.power, optim.schedule.warmup_steps) == ("poly", 0.9, 0)
    assert (cfg.reg.alpha, cfg.reg.beta) == (1e-4, 1e-4)


def test_paper_scale_refuses_a_subset(world: Path) -> None:
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper", "reg=l2", "weights.source=none"])
    with pytest.raises(UserError, match=r"4,998.*needs the official release"):
        EncNetTask(cfg, world, {}, torch.device("cpu"))


def test_preset_v1_is_the_later_release() -> None:
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper", "+approach/encnet/preset=v1"])
    protocol: Any = cfg.approach
    assert (protocol.augment.edge, protocol.augment.blur) == ("long", 0.0)
    assert list(protocol.multi_scale.scales) == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


def test_pictures_keep_classes_and_colours(tmp_path: Path) -> None:
    truth = torch.tensor([[0, 255], [3, 1]], dtype=torch.uint8)
    files = sample_pictures(7, torch.full((3, 2, 2), 9, dtype=torch.uint8), truth, torch.zeros(2, 2).long())
    assert set(files) == {"7-image.png", "7-truth.png", "7-prediction.png"}
    (tmp_path / "truth.png").write_bytes(files["7-truth.png"])
    with Image.open(tmp_path / "truth.png") as picture:
        assert picture.mode == "P" and picture.tobytes() == bytes([0, 255, 3, 1])
        assert picture.convert("RGB").tobytes()[:6] == bytes([128, 0, 0, 0, 0, 0])
