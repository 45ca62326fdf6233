"""The alternating schedule, against a list of all steps."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.tasks.video.phases import PhaseSchedule

lengths = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def listed(steps_per_phase: list[int], steps: int) -> list[int]:
    """The phase of each step, written down one by one."""
    one_round = [number for number, length in enumerate(steps_per_phase) for _ in range(length)]
    return list(itertools.islice(itertools.cycle(one_round), steps))


@given(lengths, st.integers(0, 100))
def test_each_step_is_in_its_phase(steps_per_phase: list[int], steps: int) -> None:
    schedule = PhaseSchedule(steps_per_phase)
    assert [schedule.phase(step) for step in range(steps)] == listed(steps_per_phase, steps)
    assert schedule.round == sum(steps_per_phase)


@given(lengths, st.integers(0, 100))
def test_done_counts_a_phase_s_steps_before_a_step(steps_per_phase: list[int], step: int) -> None:
    schedule, before = PhaseSchedule(steps_per_phase), listed(steps_per_phase, step)
    assert [schedule.done(step, number) for number in range(len(steps_per_phase))] == [
        before.count(k) for k in range(len(steps_per_phase))
    ]


@given(lengths, st.integers(0, 10**9), st.integers(1, 50))
def test_parts_of_a_run_add_up_wherever_it_is_cut(steps_per_phase: list[int], first: int, steps: int) -> None:
    """A resumed run goes on at `done` of its first step: each step then takes the next batch of its own phase."""
    schedule = PhaseSchedule(steps_per_phase)
    taken = [schedule.done(first, number) for number in range(len(steps_per_phase))]
    assert sum(taken) == first
    for step in range(first, first + steps):
        assert taken[schedule.phase(step)] == schedule.done(step, schedule.phase(step))
        taken[schedule.phase(step)] += 1
    assert taken == [schedule.done(first + steps, number) for number in range(len(steps_per_phase))]


@pytest.mark.parametrize("steps_per_phase", [[], [0], [3, 0, 1], [2, -1]])
def test_phases_without_a_step_are_refused(steps_per_phase: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one step"):
        PhaseSchedule(steps_per_phase)
