"""What happens during training: the loss, and how far the shared weights are from w0 and from zero."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2sp_suite.report.captions import scale_note
from l2sp_suite.report.figures.style import LOOK, STYLE, png
from l2sp_suite.report.logs import Point
from l2sp_suite.report.select import ARMS, group

__all__ = ["training"]

_COLUMNS = {"loss": "loss of the batch", "distance_w0": "$||w - w_0||$", "distance_zero": "$||w||$"}
_INCHES = 1.55  # height of a line of panels


def training(points: Sequence[Point], titles: dict[str, str], scale: str) -> bytes:
    """One line of panels per experiment of `titles` (its name and heading), in that order.

    Thick lines are means over the seeds that logged a step, thin ones the seeds.
    """
    by_experiment = group(points, lambda point: point.experiment)
    height = 1.15 + _INCHES * len(titles)
    with rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(9, height))
        figure.subplots_adjust(
            left=0.08, right=0.985, top=1 - 0.87 / height, bottom=0.5 / height, hspace=0.62, wspace=0.25
        )
        axes = figure.subplots(len(titles), len(_COLUMNS), squeeze=False)
        for line, (name, title) in zip(axes, titles.items(), strict=True):
            for ax, column in zip(line, _COLUMNS, strict=True):
                _panel(ax, by_experiment[name], column)
            line[0].set_title(title, fontsize=9, loc="left")
        for ax, name in zip(axes[0], _COLUMNS.values(), strict=True):
            ax.annotate(name, (0.5, 1.28), xycoords="axes fraction", ha="center", fontsize=9)
        for ax in axes[-1]:
            ax.set_xlabel("step")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", ncols=2, fontsize=9)
        figure.text(0.08, 1 - 0.2 / height, f"Training; {scale_note(scale)}", fontsize=10)
        return png(figure, dpi=110)  # many small panels


def _panel(ax: Axes, points: Sequence[Point], column: str) -> None:
    for reg, label in ARMS.items():
        color, _, line = LOOK[reg]
        mine = [p for p in points if p.reg == reg and getattr(p, column) == getattr(p, column)]
        for seed in group(mine, lambda p: p.seed).values():
            ax.plot([p.step for p in seed], [getattr(p, column) for p in seed], color=color, alpha=0.25, lw=0.7)
        means = {
            step: fmean(getattr(p, column) for p in at) for step, at in sorted(group(mine, lambda p: p.step).items())
        }
        ax.plot(list(means), list(means.values()), color=color, linestyle=line, lw=1.4, label=label)
    ax.margins(x=0.02)
