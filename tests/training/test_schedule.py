"""Learning rates in closed form; those of the protocols are in tests/protocol."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.config import ScheduleConfig, compose
from l2sp_suite.training import total_steps
from l2sp_suite.training.schedule import lr_factor
from l2sp_suite.utils.errors import UserError

PLAIN = ScheduleConfig(kind="constant", warmup_steps=0, step_size=3, step_unit="epochs", gamma=0.1, power=0.9)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "step"}, {0: 1, 14: 1, 15: 0.1, 29: 0.1, 30: 0.01, 99: 0.1**6}),  # 3 epochs of 5 steps
        ({"kind": "step", "step_unit": "steps"}, {0: 1, 2: 1, 3: 0.1, 5: 0.1, 6: 0.01}),
        ({"kind": "step", "gamma": 0.5}, {14: 1, 15: 0.5, 30: 0.25}),
        ({"kind": "cosine"}, {0: 1, 25: (1 + math.sqrt(0.5)) / 2, 50: 0.5, 75: (1 - math.sqrt(0.5)) / 2}),
        ({"kind": "poly"}, {0: 1, 50: 0.5**0.9, 99: 0.01**0.9}),
        ({"kind": "poly", "power": 2.0}, {0: 1, 50: 0.25, 90: 0.01}),
        ({}, {0: 1, 50: 1, 99: 1}),
        ({"warmup_steps": 9}, {0: 0.1, 4: 0.5, 9: 1, 50: 1}),
        ({"kind": "cosine", "warmup_steps": 99}, {50: 0.5 * 0.51}),
    ],
)
def test_closed_forms(changes: dict[str, object], expected: dict[int, float]) -> None:
    """Of 100 steps, 5 an epoch."""
    schedule = replace(PLAIN, **changes)  # type: ignore[arg-type]
    assert {step: lr_factor(schedule, step, 100, 5) for step in expected} == pytest.approx(expected)


@given(st.sampled_from(["step", "cosine", "poly", "constant"]), st.integers(1, 500), st.integers(0, 20))
def test_factor_lies_in_0_1_and_never_rises_after_warm_up(kind: str, total: int, warmup: int) -> None:
    schedule = replace(PLAIN, kind=kind, warmup_steps=warmup, step_size=10)
    factors = [lr_factor(schedule, step, total, 3) for step in range(total)]
    assert all(0 < f <= 1 for f in factors)
    assert all(a >= b - 1e-12 for a, b in zip(factors[warmup:], factors[warmup + 1 :], strict=False))


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(UserError, match=r"schedule\.kind=stairs: use step, cosine, poly or constant"):
        lr_factor(replace(PLAIN, kind="stairs"), 0, 1, 1)


def test_length_in_steps_or_epochs() -> None:
    paper, mini = (compose(["experiment=dstl_cub200", f"scale={scale}"]).optim for scale in ("paper", "mini"))
    assert total_steps(paper, 93) == 2790 and total_steps(mini, 93) == mini.steps
