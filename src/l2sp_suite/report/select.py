"""Which rows stand in which cell. All tables and figures choose by these functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from l2sp_suite.report.paper import Paper
from l2sp_suite.report.rows import Row, Setting
from l2sp_suite.report.text import setting_number
from l2sp_suite.utils.errors import UserError

__all__ = [
    "ARMS",
    "chosen_rows",
    "experiments_of",
    "group",
    "main_rows",
    "one_setting",
    "same_weights",
    "setting_order",
    "setting_text",
    "study_rows",
    "title_of",
]

ARMS = {"l2": "L2", "l2_sp": "L2-SP"}
K = TypeVar("K")
T = TypeVar("T")


def main_rows(rows: Iterable[Row]) -> list[Row]:
    """The runs that belong to no side study."""
    return [row for row in rows if not row.study]


def study_rows(rows: Iterable[Row], study: str) -> list[Row]:
    """The runs of one side study, all points."""
    return [row for row in rows if row.study_name == study]


def group(rows: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Rows, or other records, by `key`, in order of first appearance."""
    groups: dict[K, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def experiments_of(rows: Iterable[Row], paper: Paper) -> list[str]:
    """The experiments that occur in `rows`: the paper's in its order, then others by name."""
    return sorted({row.experiment for row in rows}, key=paper.order)


def setting_text(setting: Setting) -> str:
    """Alpha and beta of a setting for people."""
    return f"α={setting_number(setting.alpha)}, β={setting_number(setting.beta)}"


def one_setting(rows: Sequence[Row]) -> list[Row]:
    """The rows, if all have one setting.

    Raises `UserError` otherwise: a mean over different settings would be no arm of any comparison.
    """
    settings = group(rows, lambda row: row.setting)
    if len(settings) > 1:
        texts = "; ".join(
            f"{setting_text(s)}, lr={setting_number(s.lr)}, {s.steps} steps"
            for s in sorted(settings, key=setting_order)
        )
        row = rows[0]
        where = f"{row.scale}/{'studies/' + row.study if row.study else 'runs'}/{row.experiment}"
        raise UserError(
            f"{where}: {ARMS.get(row.reg, row.reg)} has several settings where one is chosen ({texts}); "
            "remove the runs of the setting that is no longer the default, or run them again"
        )
    return list(rows)


def setting_order(setting: Setting) -> tuple[float, int, float, float]:
    """Sort key: learning rate, steps, alpha, beta."""
    return setting.lr, setting.steps, setting.alpha, setting.beta


def chosen_rows(rows: Iterable[Row], experiment: str, reg: str) -> list[Row]:
    """The main runs of one arm at the setting that was chosen on validation, by seed.

    A run says itself (`chosen` of its configuration) whether it used the experiment's default alpha and
    beta of its arm; those defaults are what validation chose. Raises `UserError` if runs of several settings
    say so, for instance after a default was changed.
    """
    arm = [row for row in main_rows(rows) if row.chosen and row.experiment == experiment and row.reg == reg]
    return sorted(one_setting(arm), key=lambda row: row.seed)


def title_of(experiment: str, rows: Iterable[Row], paper: Paper) -> str:
    """Approach and target of an experiment, as the paper names them or, of one of ours, its runs do."""
    row = paper.row(experiment)
    if row is not None:
        return f"{row.approach}, {row.target}"
    named = ((own.approach, own.target) for own in rows if own.experiment == experiment)
    return next((f"{approach}, {target}" for approach, target in named if approach and target), experiment)


def same_weights(row: Row, alpha: float, beta: float) -> bool:
    """Whether a row's alpha and beta are these, up to the ten digits of `rows.csv`."""
    return math.isclose(row.alpha, alpha, rel_tol=1e-8) and math.isclose(row.beta, beta, rel_tol=1e-8)
