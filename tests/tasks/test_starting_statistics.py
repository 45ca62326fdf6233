"""Running statistics of batch norm at the start: those of the pre-trained network, or those of a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from l2sp_suite.models.batch_norm import freeze_statistics
from l2sp_suite.pretrained.load import PretrainedWeights, load_pretrained, save_weights
from l2sp_suite.tasks.registry import build_approach
from l2sp_suite.training.optimizer import build_optimizer
from l2sp_suite.utils.errors import UserError
from miniworld import ensure_world

STATISTICS = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
"""With the values of a new network."""


def of_another(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of these names and shapes with values that no new network has."""
    generator = torch.Generator().manual_seed(5)
    return {
        n: torch.rand(t.shape, generator=generator) + 2 if t.is_floating_point() else t + 7 for n, t in state.items()
    }


def check(state: dict[str, Tensor], start: dict[str, Tensor], statistics: str) -> None:
    """Whether a network that began from `start` has its weights, and the right statistics."""
    for name, tensor in start.items():
        initial = STATISTICS.get(name.rpartition(".")[2])
        if statistics == "fresh" and initial is not None:
            assert bool((state[name] == initial).all()), name
        else:
            assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("statistics", ["load", "fresh"])
@pytest.mark.parametrize(
    ("experiment", "part", "prefix", "head"),
    [
        ("dstl_cub200", "objects", "", "fc."),
        ("encnet50_pcontext", "scenes", "backbone.", "head."),
        ("segflow_star_davis", "clips", "segmentation.", "segmentation_head."),
    ],
)
def test_a_run_begins_with_the_weights_and_the_statistics_asked_for(
    experiment: str, part: str, prefix: str, head: str, statistics: str, smoke: Any, artifacts: Path, tmp_path: Path
) -> None:
    base = (f"experiment={experiment}", "weights.experiment=null", "approach.network.frozen_bn=false")
    root, cpu = ensure_world(artifacts, "tiny", part), torch.device("cpu")
    fresh = build_approach(smoke(*base, "reg=l2", "weights.source=none"), root, {}, cpu).model.state_dict()
    start = of_another({n: t for n, t in fresh.items() if n.startswith(prefix) and not n.startswith(("aux.", head))})
    path = tmp_path / "start.safetensors"
    save_weights(path, {name.removeprefix(prefix): tensor for name, tensor in start.items()})
    cfg = smoke(*base, "weights.source=file", f"weights.statistics={statistics}", "reg.decay_scope=all")
    approach = build_approach(cfg, root, {"weights": path}, cpu)
    check(approach.model.state_dict(), start, statistics)
    assert any(name.endswith("running_var") for name in start)
    point = build_optimizer(approach.model, approach.start, cfg.reg, cfg.optim, approach.lr_factors).point
    assert point is not None and point.distance_to_start() == 0  # the penalty is one of parameters alone
    assert set(point.partition.shared) == {name for name in start if name.rpartition(".")[2] not in STATISTICS}


def two_norms() -> nn.ModuleDict:
    return nn.ModuleDict({"a": nn.BatchNorm2d(2), "b": nn.BatchNorm1d(3), "c": nn.Linear(3, 2)})


def test_what_is_not_loaded_is_reported_as_new() -> None:
    net = two_norms()
    start = of_another({n: t for n, t in net.state_dict().items() if n[0] in "ac"})
    report = load_pretrained(net, PretrainedWeights(start, "", "test"), "fresh")
    assert set(report.loaded) == {"a.weight", "a.bias", "c.weight", "c.bias"} and not report.unused
    assert {"a.running_mean", "a.running_var"} <= set(report.missing)
    check(net.state_dict(), start, "fresh")


def test_a_frozen_norm_needs_statistics() -> None:
    net = two_norms()
    freeze_statistics(net["a"])
    start = of_another(net.state_dict())
    with pytest.raises(UserError, match=r"batch norm a uses .*frozen_bn=false") as caught:
        load_pretrained(net, PretrainedWeights(start, "", "test"), "fresh")
    assert "\n" not in str(caught.value)
    others = {name: tensor for name, tensor in start.items() if name[0] != "a"}
    load_pretrained(net, PretrainedWeights(others, "", "test"), "fresh")  # a start of another part says nothing of that one
    check(net.state_dict(), others, "fresh")
