"""Which phase a training step belongs to, as a pure function of the step."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Turns"]


class Turns:
    """Phases of some lengths in steps that take turns, round after round.

    Args:
        lengths: of the phases, each at least 1.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"phases need at least one step each, found {list(lengths)}")
        self._lengths = tuple(lengths)
        self.round = sum(lengths)
        """Steps of a round."""

    def phase(self, step: int) -> int:
        """Number of the phase that `step` (from 0) is in."""
        place = step % self.round
        for number, length in enumerate(self._lengths):
            if place < length:
                return number
            place -= length
        raise AssertionError("a place in the round is in one of its phases")

    def done(self, step: int, phase: int) -> int:
        """How many steps of `phase` lie before `step`."""
        rounds, place = divmod(step, self.round)
        before = sum(self._lengths[:phase])
        return rounds * self._lengths[phase] + min(max(place - before, 0), self._lengths[phase])
