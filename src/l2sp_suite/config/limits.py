"""Which values a setting may have: one table per schema, checked before anything is read or built."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import OmegaConf

from l2sp_suite.utils.errors import UserError

__all__ = ["GENERAL", "SOURCES", "STATISTICS", "Limit", "at_least", "check", "each", "one_of", "pair", "span", "triple"]

Limit = tuple[Callable[[Any], bool], str]
"""A predicate, and in words what it asks for."""

SOURCES = ("none", "file", "source_run", "efficientnet_lite0", "timm")
"""Where starting weights may come from."""

STATISTICS = ("load", "fresh")
"""What becomes of the running statistics that a start has."""


def at_least(low: int) -> Limit:
    """Whole numbers from `low` up."""
    return (lambda value: value >= low), f"{low} or more"


def span(low: float, high: float = math.inf, ends: str = "[]") -> Limit:
    """Numbers from `low` to `high`; a round bracket in `ends` leaves that end out. NaN and infinity never pass."""

    def holds(value: float) -> bool:
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        return math.isfinite(value) and above and below

    if high == math.inf:
        return holds, f"a number {'from' if ends[0] == '[' else 'above'} {low:g}"
    return holds, f"a number in {ends[0]}{low:g}, {high:g}{ends[1]}"


def one_of(*options: str) -> Limit:
    """One of some words."""
    return (lambda value: value in options), f"one of {', '.join(options)}"


def pair(low: float, high: float) -> Limit:
    """Two numbers, low < first <= second <= high."""
    return (lambda v: len(v) == 2 and low < v[0] <= v[1] <= high), f"two numbers, {low:g} < first <= second <= {high:g}"


def each(low: float) -> Limit:
    """At least one number, all of them above `low`."""
    return (lambda v: len(v) > 0 and all(math.isfinite(x) and x > low for x in v)), f"numbers above {low:g}"


def triple(low: float) -> Limit:
    """Three numbers above `low`, one a channel."""
    return (lambda v: len(v) == 3 and all(math.isfinite(x) and x > low for x in v)), f"three numbers above {low:g}"


_STUDY = re.compile(r"[^/\s]+/[^/\s]+")

GENERAL: Mapping[str, Limit] = {
    "seed": at_least(0),
    "study": (lambda v: bool(_STUDY.fullmatch(v)) and ".." not in v.split("/"), "<name>/<point>, e.g. mine/lr=0.1"),
    "data.part": one_of("objects", "scenes", "views", "clips"),
    "weights.source": one_of(*SOURCES),
    "weights.seed": at_least(0),
    "weights.statistics": one_of(*STATISTICS),
    "reg.name": one_of("l2", "l2_sp"),
    "reg.reference": one_of("start", "origin"),
    "reg.alpha": span(0),
    "reg.beta": span(0),
    "reg.decay_scope": one_of("weights", "all"),
    "optim.lr": span(0, ends="(]"),
    "optim.momentum": span(0, 1, "[)"),
    "optim.smoothing": span(0, 1, "[)"),
    "optim.eps": span(0, ends="(]"),
    "optim.batch_size": at_least(1),
    "optim.epochs": at_least(1),
    "optim.steps": at_least(0),
    "optim.schedule.warmup_steps": at_least(0),
    "optim.schedule.every_epochs": at_least(1),
    "optim.schedule.every_steps": at_least(1),
    "optim.schedule.factor": span(0, 1, "(]"),
    "optim.schedule.power": span(0),
    "evaluate.split": one_of("test", "val"),
    "evaluate.hold_out": span(0, 1, "()"),
    "evaluate.batch_size": at_least(1),
    "runtime.threads": at_least(1),
    "runtime.workers": at_least(0),
    "runtime.log_every": at_least(1),
    "runtime.checkpoint_every": at_least(1),
}


def check(config: Any, limits: Mapping[str, Limit], prefix: str = "") -> None:
    """Compares the settings of a composed configuration with their limits; null passes.

    Raises:
        UserError: a value is out of its limits.
    """
    for key, (holds, words) in limits.items():
        value = OmegaConf.select(config, f"{prefix}{key}")
        if value is not None and not holds(value):
            raise UserError(f"{prefix}{key}={value}: give {words}")
