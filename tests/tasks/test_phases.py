"""Phases that take turns, against a list of all steps."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.tasks.video.phases import PhaseSchedule

lengths = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def listed(own: list[int], steps: int) -> list[int]:
    """The phase of each step, written down one by one."""
    one_round = [number for number, length in enumerate(own) for _ in range(length)]
    return list(itertools.islice(itertools.cycle(one_round), steps))


@given(lengths, st.integers(0, 100))
def test_each_step_is_in_the_phase_whose_turn_it_is(own: list[int], steps: int) -> None:
    turns = PhaseSchedule(own)
    assert [turns.phase(step) for step in range(steps)] == listed(own, steps)
    assert turns.round == sum(own)


@given(lengths, st.integers(0, 100))
def test_done_counts_a_phase_s_steps_before_a_step(own: list[int], step: int) -> None:
    turns, before = PhaseSchedule(own), listed(own, step)
    assert [turns.done(step, number) for number in range(len(own))] == [before.count(k) for k in range(len(own))]


@given(lengths, st.integers(0, 10**9), st.integers(1, 50))
def test_parts_of_a_run_add_up_wherever_it_is_cut(own: list[int], first: int, steps: int) -> None:
    """A resumed run goes on at `done` of its first step: each step then takes the next batch of its own phase."""
    turns = PhaseSchedule(own)
    taken = [turns.done(first, number) for number in range(len(own))]
    assert sum(taken) == first
    for step in range(first, first + steps):
        assert taken[turns.phase(step)] == turns.done(step, turns.phase(step))
        taken[turns.phase(step)] += 1
    assert taken == [turns.done(first + steps, number) for number in range(len(own))]


@pytest.mark.parametrize("own", [[], [0], [3, 0, 1], [2, -1]])
def test_phases_without_a_step_are_refused(own: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one step"):
        PhaseSchedule(own)
