"""Segmentation on the smallest world: loss, batches, splits, evaluation, and what a run writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_maps
import torch
from run_files import done_of, env_of, log_of, trained
from torch.nn import functional as F

from l2sp_suite.config import TrainConfig, compose
from l2sp_suite.runs import Run
from l2sp_suite.tasks.segmentation.task import IGNORED, Task
from l2sp_suite.training import data_root
from l2sp_suite.utils.errors import UserError

pytestmark = pytest.mark.slow
SCRATCH = ("experiment=encnet50_pcontext", "reg=l2", "weights.source=none", "study=test/scratch")


@pytest.fixture
def scratch(smoke: Any) -> Callable[..., Task]:
    """A prepared task without pre-trained weights."""
    return lambda *overrides: prepared(smoke(*SCRATCH, *overrides))


def prepared(cfg: TrainConfig, root: Path | None = None) -> Task:
    task = Task(cfg, root or data_root(cfg))
    task.prepare({}, torch.device("cpu"))
    return task


def test_a_run_logs_metrics_matrices_and_samples(finished: Callable[[str, str], Run]) -> None:
    run = finished("encnet50_pcontext", "l2_sp")
    done, env = done_of(run), env_of(run)
    test = done["results"]["test"]
    assert done["metric"] == "mIoU" and done["value"] == test["mIoU"] and done["train_metric"] == "mIoU_single"
    assert set(done["results"]["train"]) == {"mIoU_single", "pixAcc_single", "n"}
    (logged,) = log_of(run, "test")
    for suffix in ("", "_single"):
        matrix = torch.tensor(logged[f"confusion{suffix}"])
        hits = matrix.diagonal()
        assert test[f"pixAcc{suffix}"] == pytest.approx(float(hits.sum() / matrix.sum()))
        union = (matrix.sum(0) + matrix.sum(1) - hits).clamp_min(1)
        assert test[f"mIoU{suffix}"] == pytest.approx(float((hits / union).mean()))
        assert len(env["class_names"]) == len(matrix) == 17
    assert all(not name.startswith("backbone.") for name in env["partition"]["new_names"])
    kept = sorted(path.name for path in (run.path / "samples").iterdir())
    assert [name.partition("-")[2] for name in kept] == ["image.png", "prediction.png", "truth.png"]


def test_arms_start_alike_and_end_apart(smoke: Any) -> None:
    arms = [trained(smoke(SCRATCH[0], f"reg={reg}", "reg.alpha=5", "reg.beta=0.1")) for reg in ("l2", "l2_sp")]
    first = [log_of(run)[0]["loss"] for run in arms]
    distances = [done_of(run)["distance"]["w0"] for run in arms]
    assert first[0] == first[1] and distances[1] < distances[0]


def test_batches_are_functions_of_the_step(scratch: Callable[..., Task]) -> None:
    straight, resumed = list(scratch().batches(0, 6)), list(scratch().batches(4, 6))
    for (images, maps), (images2, maps2) in zip(straight[4:], resumed, strict=True):
        assert torch.equal(images, images2) and torch.equal(maps, maps2)
    images, maps = straight[0]
    assert images.shape == (4, 3, 32, 32) and maps.shape == (4, 32, 32) and maps.dtype == torch.int64
    assert not torch.equal(next(scratch("seed=1").batches(0, 1))[0], images)


def test_loss_is_the_weighted_sum_of_three(scratch: Callable[..., Task]) -> None:
    task = scratch("task.network.dropout=0", "task.aux_weight=0.5", "task.presence_weight=2")
    task.model.train()
    images, maps = next(task.batches(0, 1))
    out = task.model(images)
    main, aux = (F.cross_entropy(logits, maps, ignore_index=IGNORED) for logits in (out.logits, out.aux))
    occurs = torch.stack([torch.bincount(m[m != IGNORED], minlength=17).clamp(max=1) for m in maps]).float()
    presence = F.binary_cross_entropy_with_logits(out.presence, occurs)
    assert min(abs(main - aux), abs(main - presence), presence) > 1e-3
    torch.testing.assert_close(task.loss(task.model, (images, maps)), main + 0.5 * aux + 2 * presence)


def test_metrics_are_those_of_one_scale_and_of_all_with_flip(
    scratch: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right class at one scale without flip, the next one with several: so each metric says what it is of."""
    task = scratch("task.multi_scale.scales=[0.5,1]", "evaluate.batch_size=1")
    decode = task.sets["data"].decode
    stored = iter([decode(path) for path in task.splits["test"].maps for _ in range(2)])

    def scores(_: Any, images: torch.Tensor, scales: list[float], windows: Any) -> torch.Tensor:
        assert (list(scales), windows.flip) in (([1.0], False), ([0.5, 1.0], True))
        labels = next(stored).long()
        shown = (torch.where(labels == IGNORED, 0, labels) + int(windows.flip)) % 17
        return F.one_hot(shown, 17).permute(2, 0, 1)[None].double()

    monkeypatch.setattr("l2sp_suite.tasks.segmentation.task.scores", scores)
    metrics = task.evaluate("test").metrics
    assert metrics["pixAcc_single"] == 1 and metrics["pixAcc"] == 0
    assert metrics["mIoU_single"] > 0.5 and metrics["mIoU"] == 0  # a class that is nowhere counts 0


def test_validation_is_held_out_of_train(scratch: Callable[..., Task]) -> None:
    task = scratch("evaluate.split=val")
    kept, held = task.splits["train"], task.splits["val"]
    assert not set(kept.images) & set(held.images)
    assert len(kept) + len(held) == len(scratch().splits["train"])
    assert task.evaluate("val").n == len(held) and task.evaluate("val", limit=1).n == 1


def test_evaluation_does_not_depend_on_the_batch(scratch: Callable[..., Task]) -> None:
    metrics = [scratch(f"evaluate.batch_size={size}").evaluate("test").metrics for size in (1, 5)]
    assert metrics[0] == pytest.approx(metrics[1], abs=2e-3)  # a pixel on the edge may fall either way


def test_camvid_has_a_validation_part_of_its_own(tmp_path: Path) -> None:
    tiny_maps.write("camvid", tmp_path / "CamVid")
    changes = ("task.network.name=resnet18", "task.crop_size=16", "task.base_size=16", "seed=0")
    cfg = compose(
        ["experiment=encnet_camvid", "scale=small", "reg=l2", "weights.source=none", "evaluate.split=val", *changes]
    )
    task = prepared(cfg, tmp_path)
    val, train = task.splits["val"], task.splits["train"]
    assert [path.parent.name for path in (*val.images, *train.images)] == ["val"] * len(val) + ["train"] * len(train)
    assert task.evaluate("val").n == len(val)


def test_summary_takes_a_step_and_evaluates(smoke: Any) -> None:
    summary = Task.summary(smoke(SCRATCH[0], "reg=l2_sp"))
    summary.model.train()
    (step,) = summary.steps
    step.loss().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in summary.model.parameters())
    summary.model.eval()
    with torch.inference_mode():
        assert summary.evaluate().shape == (1, 375, 500)


def test_paper_scale_refuses_a_subset(smoke: Any) -> None:
    world = data_root(smoke(*SCRATCH))
    cfg = compose(["experiment=encnet50_pcontext", "scale=paper", "reg=l2", "weights.source=none"])
    with pytest.raises(UserError, match=r"4,998.*needs the official release"):
        Task(cfg, world)
