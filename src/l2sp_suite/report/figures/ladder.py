"""The learning-rate study as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from l2sp_suite.report.captions import scale_note
from l2sp_suite.report.figures.style import LOOK, STYLE, png
from l2sp_suite.report.paper import PX, Paper
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import ARMS, group, title_of
from l2sp_suite.report.statistics import summarise
from l2sp_suite.report.studies import Rung
from l2sp_suite.report.text import setting_number

__all__ = ["learning_rate"]


def learning_rate(rungs: Sequence[Rung], paper: Paper, scale: str) -> bytes:
    """The learning-rate study: for each experiment the test metric and the distance to w0 over the ladder.

    Lines join means over seeds, bars are sample standard deviations, small marks the single seeds. A rate at
    which a run diverged has no mean and says so.
    """
    by_experiment: dict[str, list[Rung]] = {}
    for rung in rungs:
        by_experiment.setdefault(rung.experiment, []).append(rung)
    count = len(by_experiment)
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 0.9 + 2.9 * count), layout="constrained")
        axes = figure.subplots(count, 2, squeeze=False)
        for (left, right), (name, part) in zip(axes, by_experiment.items(), strict=True):
            _rung_panels(left, right, name, part, paper)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle(f"Learning rates; {scale_note(scale)}", fontsize=11)
        return png(figure)


def _rung_panels(left: Axes, right: Axes, name: str, rungs: Sequence[Rung], paper: Paper) -> None:
    rows = [row for rung in rungs for row in (*rung.l2, *rung.l2_sp)]
    title, printed = title_of(name, rows, paper), paper.row(name)
    metric = printed.metric if printed else rows[0].metric
    unit = paper.unit(name, metric)
    _curves(left, rungs, lambda r: r.value * unit.factor)
    _curves(right, rungs, lambda r: r.distance_w0)
    left.set_ylabel(f"test {metric}, {'%' if unit != PX else 'px'}")
    right.set_ylabel("distance to $w_0$")
    right.set_ylim(bottom=0)
    for ax in (left, right):
        ax.set_title(title, fontsize=10)
        ax.set_xscale("log", base=2)
        rates = [rung.lr for rung in rungs]
        ax.xaxis.set_major_locator(FixedLocator(rates))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(rates, [setting_number(lr) for lr in rates])
        ax.set_xlabel("learning rate")


def _curves(ax: Axes, rungs: Sequence[Rung], get: Callable[[Row], float]) -> None:
    for reg, label in ARMS.items():
        color, marker, line = LOOK[reg]
        rows = [row for rung in rungs for row in (rung.l2 if reg == "l2" else rung.l2_sp)]
        # A mean over the seeds that survived would flatter the arm: one diverged run leaves a gap.
        by_lr = {lr: summarise([get(r) for r in found]) for lr, found in group(rows, lambda r: r.lr).items()}
        spread = [s.sd if s.n > 1 else 0.0 for s in by_lr.values()]
        ax.plot([r.lr for r in rows], [get(r) for r in rows], marker, color=color, alpha=0.3, ms=3)
        look: dict[str, Any] = {"color": color, "marker": marker, "linestyle": line, "label": label}
        ax.errorbar(list(by_lr), [s.mean for s in by_lr.values()], spread, ms=5, lw=1.6, capsize=3, **look)
        for lr in {row.lr for row in rows if not math.isfinite(row.value)}:
            place = (lr, 0.03 if reg == "l2" else 0.11)
            look = {"ha": "center", "fontsize": 8, "color": color}
            ax.annotate(f"{label} diverged", place, xycoords=("data", "axes fraction"), **look)
