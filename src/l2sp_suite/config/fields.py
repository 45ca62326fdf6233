"""Fields of the configuration: what a key means, which values it may have, whether it makes a run another run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING

from l2sp_suite.utils.errors import UserError

__all__ = ["Check", "at_least", "check", "each", "key", "one_of", "pair", "span", "triple"]


@dataclass(frozen=True)
class Check:
    """A test of one value, and in words what it asks for, e.g. `a number above 0`."""

    holds: Callable[[Any], bool]
    words: str


def key(meaning: str, check: Check | None = None, *, label: bool = False, **since: Any) -> Any:
    """A field without a default: values stand in YAML files.

    Args:
        meaning: one line for docs/configuration.md.
        check: which values it may have; null always passes.
        label: whether it leaves the run what it is (a picture more, another paper value).
        since: `since=value`, for a key that came when there were results already: the value that means what those
            runs did. At that value the key is no part of a run's identity.
    """
    return field(default=MISSING, metadata={"meaning": meaning, "check": check, "label": label, **since})


def at_least(low: int) -> Check:
    """Whole numbers from `low` up."""
    return Check(lambda value: value >= low, f"{low} or more")


def span(low: float, high: float = math.inf, ends: str = "[]") -> Check:
    """Numbers from `low` to `high`; a round bracket in `ends` leaves that end out. NaN and infinity never pass."""

    def holds(value: float) -> bool:
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        return math.isfinite(value) and above and below

    if high == math.inf:
        return Check(holds, f"a number {'from' if ends[0] == '[' else 'above'} {low:g}")
    return Check(holds, f"a number in {ends[0]}{low:g}, {high:g}{ends[1]}")


def one_of(*options: str) -> Check:
    """One of some words."""
    return Check(lambda value: value in options, f"one of {', '.join(options)}")


def pair(low: float, high: float) -> Check:
    """Two numbers, low < first <= second <= high."""
    return Check(
        lambda v: len(v) == 2 and low < v[0] <= v[1] <= high, f"two numbers, {low:g} < first <= second <= {high:g}"
    )


def each(low: float) -> Check:
    """At least one number, all of them above `low`."""
    return Check(lambda v: len(v) > 0 and all(math.isfinite(x) and x > low for x in v), f"numbers above {low:g}")


def triple(low: float) -> Check:
    """Three numbers above `low`, one a channel."""
    return Check(lambda v: len(v) == 3 and all(math.isfinite(x) and x > low for x in v), f"three numbers above {low:g}")


def check(node: Any, prefix: str = "") -> None:
    """Compares every value of a configuration, and of those nested in it, with what its key admits.

    Raises:
        UserError: a value is out of its limits.
    """
    for name, value, metadata in _leaves(node, prefix):
        test = metadata.get("check")
        if test is not None and value is not None and not test.holds(value):
            raise UserError(f"{name}={value}: give {test.words}")


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    for item in fields(node):
        value = getattr(node, item.name)
        yield f"{prefix}{item.name}", value, item.metadata
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{item.name}.")
