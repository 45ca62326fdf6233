"""Classification on the smallest world: batches, loss, splits, and lists of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from l2sp_suite.config import compose, override
from l2sp_suite.datasets import official_size
from l2sp_suite.tasks import task_class
from l2sp_suite.tasks.classification.task import Task
from l2sp_suite.training import data_root
from l2sp_suite.utils.errors import UserError

SCRATCH = ("reg=l2", "weights.source=none", "weights.experiment=null")


@pytest.fixture
def scratch(smoke: Any) -> Any:
    """A prepared task without pre-trained weights."""

    def prepared(*overrides: str) -> Task:
        cfg = smoke(*SCRATCH, *overrides)
        task = Task(cfg, data_root(cfg))
        task.prepare({}, torch.device("cpu"))
        return task

    return prepared


@pytest.mark.slow
def test_batches_are_functions_of_the_step(scratch: Any) -> None:
    straight, resumed = list(scratch().batches(0, 6)), list(scratch().batches(4, 6))
    for (images, labels), (images2, labels2) in zip(straight[4:], resumed, strict=True):
        assert torch.equal(images, images2) and torch.equal(labels, labels2)
    images, labels = straight[0]
    assert images.shape == (8, 3, 80, 80) and labels.shape == (8,) and not labels.dtype.is_floating_point
    assert not torch.equal(next(scratch("seed=1").batches(0, 1))[0], images)


@pytest.mark.slow
def test_loss_is_the_smoothed_cross_entropy_and_the_auxiliary_head_s_by_its_weight(scratch: Any) -> None:
    large = ("task.input_size=299", "task.network.aux=true", "task.network.zero_head=false", "optim.batch_size=4")
    task = scratch(*large, "task.aux_weight=0.5", "task.label_smoothing=0.2")
    task.model.train()
    images, labels = next(task.batches(0, 1))
    out = task.model(images)
    main, aux = (F.cross_entropy(logits, labels, label_smoothing=0.2) for logits in (out.logits, out.aux_logits))
    assert abs(main - aux) > 1e-4
    torch.testing.assert_close(task.loss(task.model, (images, labels)), main + 0.5 * aux)
    hard = F.cross_entropy(out.logits, labels) + 0.5 * F.cross_entropy(out.aux_logits, labels)
    assert abs(task.loss(task.model, (images, labels)) - hard) > 1e-4


@pytest.mark.slow
def test_validation_is_held_out_of_train_and_evaluated_on_the_central_crop(scratch: Any) -> None:
    task = scratch("evaluate.split=val", "task.network.zero_head=false")
    kept, held = task.splits["train"], task.splits["val"]
    assert set(task.splits) == {"train", "val"} and not set(kept.paths) & set(held.paths)
    assert len(kept) + len(held) == len(scratch().splits["train"])
    assert task.steps_per_epoch == len(kept) // 8
    evaluations = [task.evaluate("val") for _ in range(2)]
    assert evaluations[0] == evaluations[1] and evaluations[0].n == len(held)
    assert task.evaluate("val", limit=3).n == 3
    other = scratch("evaluate.split=val", "seed=1").splits["val"]
    assert other.paths == held.paths  # the same for every seed and setting


def write_list(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return override("data.classes", str(path))


def test_sizes_of_a_listed_source_are_those_of_the_list(tmp_path: Path) -> None:
    classes = write_list(tmp_path / "a.csv", "source,images", "000.bird,60", "001.flower,50", "000.bird,60")
    cfg = compose(["experiment=source/whole", "scale=mini", classes, "optim.epochs=2", "optim.steps=null"])
    assert (official_size(cfg, "classes"), official_size(cfg, "train")) == (2, 110)
    summary = task_class(cfg).summary(cfg)
    assert summary.evaluate()[0].shape == (1, 2) and summary.steps_per_epoch == 110 // cfg.optim.batch_size
    named = compose(["experiment=source/whole", "scale=mini", write_list(tmp_path / "b.csv", "source", "000.bird")])
    assert official_size(named, "classes") == 1
    with pytest.raises(UserError, match="no official number of train"):
        official_size(named, "train")
