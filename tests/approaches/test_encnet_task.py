"""EncNet through the ordinary loop on the smallest world: results, logs, pictures, resume, both arms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from l2sp.approaches.encnet.pictures import sample_pictures
from l2sp.approaches.encnet.task import EncNetTask
from l2sp.config import TrainConfig, compose
from l2sp.data.miniature import ensure_world
from l2sp.errors import UserError
from l2sp.training.run import train


@pytest.fixture
def encnet(smoke: Any) -> Any:
    return lambda *overrides: smoke("experiment=encnet50_pcontext", *overrides)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_world(tmp_path_factory.mktemp("scenes"), "tiny", "scenes")


def scratch(cfg: TrainConfig, world: Path) -> EncNetTask:
    return EncNetTask(cfg, world, None, torch.device("cpu"))


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
    losses = {}
    for name, weights in {"main": (0, 0), "aux": (1, 0), "presence": (0, 1), "both": (0.5, 2)}.items():
        overrides = (f"approach.aux_weight={weights[0]}", f"approach.presence_weight={weights[1]}")
        task = scratch(encnet(*NO_START, "approach.network.dropout=0", *overrides), world)
        task.model.train()
        losses[name] = task.loss(next(task.batches(0, 1))).item()
    aux, presence = losses["aux"] - losses["main"], losses["presence"] - losses["main"]
    assert losses["both"] == pytest.approx(losses["main"] + 0.5 * aux + 2 * presence, rel=1e-5)


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
    with pytest.raises(UserError, match=r"no folder pascal_context or VOCdevkit/VOC2010; get VOCtrainval"):
        EncNetTask(encnet(*NO_START), tmp_path, None, torch.device("cpu"))


def test_paper_scale_refuses_a_subset(world: Path) -> None:
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper", "reg=l2", "weights.source=none"])
    with pytest.raises(UserError, match=r"4998.*needs the official release"):
        EncNetTask(cfg, world, None, torch.device("cpu"))


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
