"""A run begins with the pre-trained weights of its parts, and with the running statistics that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from l2sp_suite.config import TrainConfig
from l2sp_suite.pretrained import save_weights
from l2sp_suite.tasks import Task, task_class
from l2sp_suite.training import build_optimizer, data_root
from l2sp_suite.utils.errors import UserError

STATISTICS = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
"""With the values of a new network."""


def prepared(cfg: TrainConfig, **files: Path) -> Task:
    task = task_class(cfg)(cfg, data_root(cfg))
    task.prepare(files, torch.device("cpu"))
    return task


def of_another(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of these names and shapes with values that no new network has."""
    generator = torch.Generator().manual_seed(5)
    drawn = {n: torch.rand(t.shape, generator=generator) + 2 for n, t in state.items() if t.is_floating_point()}
    return {n: drawn.get(n, t + 7) for n, t in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "prefix", "head"),
    [
        ("dstl_cub200", "", "fc."),
        ("encnet50_pcontext", "backbone.", "head."),
        ("segflow_star_davis", "segmentation.", "segmentation_head."),
    ],
)
def test_a_run_begins_with_the_weights_and_the_statistics_asked_for(
    experiment: str, prefix: str, head: str, smoke: Any, tmp_path: Path
) -> None:
    base = (f"experiment={experiment}", "weights.experiment=null", "task.network.frozen_bn=false")
    scratch = prepared(smoke(*base, "reg=l2", "weights.source=none"))
    assert scratch.pretrained == {}
    new = scratch.model.state_dict()
    w0 = of_another({n: t for n, t in new.items() if n.startswith(prefix) and not n.startswith(("aux.", head))})
    assert any(name.endswith("running_var") for name in w0)
    path = tmp_path / "w0.safetensors"
    save_weights(path, {name.removeprefix(prefix): tensor for name, tensor in w0.items()})
    for statistics in ("load", "fresh"):
        cfg = smoke(*base, "weights.source=file", f"weights.statistics={statistics}", "reg.penalize=all")
        task = prepared(cfg, weights=path)
        for name, tensor in task.model.state_dict().items():
            initial = STATISTICS.get(name.rpartition(".")[2]) if statistics == "fresh" else None
            expected = w0.get(name, new[name])
            assert torch.equal(tensor, expected if initial is None else torch.full_like(expected, initial)), name
        penalized = build_optimizer(task.model, task.pretrained, cfg.arm, cfg.optim, task.lr_factors)
        assert penalized.monitor()["distance_w0"] == 0  # the penalty is one of parameters alone
        shared = set(penalized.penalty.partition.shared)
        assert shared == {name for name in w0 if name.rpartition(".")[2] not in STATISTICS}
        origin = task.notes["pretrained"]["weights"]
        assert origin["origin"] == str(path) and len(origin["sha256"]) == 64 and "tensors loaded" in origin["report"]


@pytest.mark.slow
def test_weights_of_a_part_of_the_backbone_are_refused(smoke: Any, tmp_path: Path) -> None:
    base = ("experiment=encnet50_pcontext", "weights.experiment=null")
    whole = of_another(prepared(smoke(*base, "reg=l2", "weights.source=none")).model.backbone.state_dict())
    path = tmp_path / "w0.safetensors"
    save_weights(path, {name: t for name, t in whole.items() if name.startswith("conv1.")})
    with pytest.raises(UserError, match=r"w0\.safetensors: has no fitting weights for \d+ of the backbone's \d+"):
        prepared(smoke(*base, "weights.source=file"), weights=path)
