"""Operations and memory, counted without numbers, against closed forms and published counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from l2sp_suite.config import compose
from l2sp_suite.preflight import DEVICES, Cost, measure
from l2sp_suite.tasks import ModelSummary, TrainStep, task_class


def cost_of(experiment: str) -> Cost:
    cfg = compose([f"experiment={experiment}", "scale=paper"])
    return measure(cfg, task_class(cfg).summary(cfg))


def counted(model: nn.Module, *steps: TrainStep) -> Cost:
    summary = ModelSummary(model, {}, {}, steps, lambda: model(torch.rand(3, 8)), "rows", 10, {})
    return measure(compose(["experiment=dstl_cub200", "scale=paper", "optim.bf16=false"]), summary)


def test_a_linear_layer_by_hand() -> None:
    model = nn.Linear(8, 4)
    rows = torch.rand(5, 8)
    cost = counted(model, TrainStep(lambda: model(rows).square().sum(), 5))
    # Forward 2 x 8 x 4 a row; backward the weight's gradient alone, as rows need none.
    assert cost.train_flops == 2 * (2 * 8 * 4) and cost.test_flops == 3 * 2 * 8 * 4
    assert cost.item_bytes == 4 * (8 + 4)  # the row, and what is squared
    assert (cost.parameters, cost.steps, cost.batch) == (36, 300, 64)
    longer = counted(model, TrainStep(lambda: model(rows).square().square().sum(), 5))
    assert 0 < cost.launches < longer.launches < 2 * cost.launches


def test_kinds_of_steps_are_averaged_by_their_share() -> None:
    model = nn.Linear(8, 4)
    few, many = torch.rand(1, 8), torch.rand(3, 8)
    cost = counted(model, TrainStep(lambda: model(few).sum(), 1, 0.25), TrainStep(lambda: model(many).sum(), 1, 0.75))
    assert cost.train_flops == (0.25 * 1 + 0.75 * 3) * 2 * (2 * 8 * 4)
    assert cost.item_bytes == 4 * 3 * 8  # of the kind that keeps most


def test_estimates_are_the_printed_arithmetic() -> None:
    cost = Cost(
        parameters=10**6, steps=100, batch=4, bf16=True, train_flops=1e12, test_flops=1e11, item_bytes=5 * 10**8,
        launches=1000,
    )  # fmt: skip
    assert cost.memory == pytest.approx(0.016 + 2.0 + 1)
    device = DEVICES["a100"]
    assert cost.hours(device, 50) == pytest.approx((400e12 / 312e12 + 5e12 / 156e12) / 0.3 / 3600)
    slow = replace(cost, launches=10**5)  # a second a step
    assert slow.hours(device, 0) == pytest.approx(100 / 3600)


@pytest.mark.slow
def test_inception_has_the_operations_that_are_known_of_it() -> None:
    cost = cost_of("dstl_cub200")
    assert cost.test_flops == pytest.approx(2 * 5.71e9, rel=0.01)  # torchvision prints 5.71 G multiply-adds
    assert 3 * cost.test_flops <= cost.train_flops + 2 * 8e7 <= 3.1 * cost.test_flops


@pytest.mark.slow
def test_segflow_counts_both_phases_and_what_is_frozen() -> None:
    joint, alone = cost_of("segflow_davis"), cost_of("segflow_star_davis")
    assert joint.steps == 2 * alone.steps == 400_000
    assert joint.train_flops < 3 * joint.test_flops  # a frozen branch has no backward pass
    assert joint.parameters > alone.parameters
