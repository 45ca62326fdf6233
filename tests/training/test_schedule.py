"""The learning rates of the published protocols at every boundary, for the numbers of steps of the official sets."""

from __future__ import annotations

import itertools
from typing import cast

import pytest

from l2sp_suite.config.compose import CONFIGS, compose
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets.loader import steps_per_epoch
from l2sp_suite.tasks.video.config import SegFlowConfig
from l2sp_suite.tasks.video.phases import PhaseSchedule
from l2sp_suite.training.loop import total_steps
from l2sp_suite.training.schedule import lr_factor

PAPER = {path.stem: compose([f"experiment={path.stem}", "scale=paper"]) for path in CONFIGS.glob("experiment/*_*.yaml")}
DSTL, ENCNET, SEGFLOW = (
    sorted(name for name, cfg in PAPER.items() if cfg.approach.name == approach and cfg.paper is not None)
    for approach in ("dstl", "encnet", "segflow")
)
STAIRS = {  # 10 epochs of full batches of 64 (protocol 3.5)
    "dstl_cub200": 930,
    "dstl_flowers102": 310,
    "dstl_stanford_cars": 1270,
    "dstl_aircraft": 1040,
    "dstl_food101": 11_830,
    "dstl_nabirds": 3730,
}


def rates(cfg: TrainConfig, epoch: int) -> list[float]:
    """Of every step, relative to the base rate."""
    total = total_steps(cfg.optim, epoch)
    return [lr_factor(cfg.optim.schedule, step, total, epoch) for step in range(total)]


def test_all_rows_of_the_paper_are_looked_at() -> None:
    assert (len(DSTL), len(ENCNET), len(SEGFLOW)) == (6, 2, 6)


@pytest.mark.parametrize("name", ENCNET)
def test_encnet_s_polynomial(name: str) -> None:
    cfg = PAPER[name]
    assert cfg.data.official is not None
    found = rates(cfg, steps_per_epoch(cfg.data.official["train"], cfg.optim.batch_size))
    assert len(found) == 24_960 == 80 * 312
    assert found[0] == 1 and found[-1] == pytest.approx((1 / 24_960) ** 0.9)
    assert found[12_480] == pytest.approx(0.5**0.9)
    assert all(a > b for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("name", DSTL)
def test_dstl_s_staircase(name: str) -> None:
    cfg, stair = PAPER[name], STAIRS[name]
    assert cfg.data.official is not None
    found = rates(cfg, steps_per_epoch(cfg.data.official["train"], cfg.optim.batch_size))
    assert found == pytest.approx([1.0] * stair + [0.1] * stair + [0.01] * stair)


def test_dstl_s_staircase_as_slim_counts_it() -> None:
    """Of CUB: int(5,994 * 10 / 64) steps a stair, 2,810 steps in all (protocol 3.2)."""
    longer = ["optim.epochs=null", "optim.steps=2810"]
    stairs = ["optim.schedule.every_epochs=null", "optim.schedule.every_steps=936"]
    found = rates(compose(["experiment=dstl_cub200", "scale=paper", *longer, *stairs]), 93)
    assert found == pytest.approx([1.0] * 936 + [0.1] * 936 + [0.01] * 936 + [0.001] * 2)


@pytest.mark.parametrize("name", SEGFLOW)
def test_segflow_halves_the_rate_every_50_000_steps_of_the_segmentation_phase(name: str) -> None:
    cfg = PAPER[name]
    phases = [phase for phase in cast(SegFlowConfig, cfg.approach).phases if phase.steps]
    turns = PhaseSchedule([phase.steps for phase in phases])
    assert cfg.optim.epochs is not None and phases[0].task == "segmentation"
    total, schedule = cfg.optim.epochs * turns.round, cfg.optim.schedule
    assert turns.done(total, 0) == 200_000
    found: dict[int, set[float]] = {}
    for step in {edge + side for edge in range(0, total + 1, turns.round // 2) for side in (-1, 0, 1)}:
        if 0 <= step < total and turns.phase(step) == 0:
            found.setdefault(turns.done(step, 0) // 50_000, set()).add(lr_factor(schedule, step, total, turns.round))
    assert found == {0: {1.0}, 1: {0.5}, 2: {0.25}, 3: {0.125}}
