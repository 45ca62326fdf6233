"""Classification: batches, loss, splits, lists of classes, and preprocessing as the weights were published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from l2sp_suite.config import compose, override
from l2sp_suite.datasets.dataset import official_size
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


# Images as a network's weights were published for them


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), (299, [0.5] * 3, [0.5] * 3, "bilinear", 0.875)),
        (("task.network.name=resnet50.tv_in1k", "weights.source=timm"), (224, *IMAGENET, "bilinear", 0.875)),
        (("task.network.name=resnet50.a1_in1k", "weights.source=timm"), (224, *IMAGENET, "bicubic", 0.95)),
        (("task.network.name=resnet50.tv_in1k", "weights.source=timm", "task.crop=1"), (224, *IMAGENET, "bilinear", 1)),
        (("task.network.name=resnet50.tv_in1k", "weights.source=timm", "task.std=[1,1,1]"),
         (224, IMAGENET[0], [1, 1, 1], "bilinear", 0.875)),
    ],
)  # fmt: skip
def test_a_named_network_gets_its_own_preprocessing(overrides: tuple[str, ...], expected: tuple[Any, ...]) -> None:
    """What a configuration gives stands; what it leaves at null is the network's."""
    task: Any = compose(["experiment=dstl_cub200", "scale=paper", *overrides]).task
    preprocessing = (task.input_size, list(task.mean), list(task.std), task.interpolation, task.crop)
    assert preprocessing == expected


@pytest.mark.parametrize("experiment", ["encnet50_pcontext", "segflow_davis"])
def test_a_named_backbone_gets_its_own_normalisation(experiment: str) -> None:
    name = "task.network.segmentation" if experiment == "segflow_davis" else "task.network.name"
    wide = [
        f"experiment={experiment}",
        "scale=paper",
        f"{name}=vit_base_patch16_clip_224.openai",
        "weights.source=timm",
    ]
    task: Any = compose(wide).task
    assert task.mean_and_std[0] == pytest.approx([0.48145466, 0.4578275, 0.40821073])
    assert task.mean_and_std[1] == pytest.approx([0.26862954, 0.26130258, 0.27577711])
    if experiment == "segflow_davis":
        assert task.network.flow_mean == task.mean
