"""Where the two pulls end: how far each layer is from its start."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from l2sp_suite.report.captions import scale_note
from l2sp_suite.report.figures.style import LOOK, STYLE, png
from l2sp_suite.report.logs import Layer
from l2sp_suite.report.select import ARMS, group

__all__ = ["layers"]

_ACROSS = 3


def layers(found: Sequence[Layer], titles: dict[str, str], scale: str) -> bytes:
    """A panel per experiment of `titles`: ||w - w0|| / ||w0|| of each shared weight, from the first to the last."""
    by_experiment = group(found, lambda layer: layer.experiment)
    count = -(-len(titles) // _ACROSS)
    height = 0.9 + 1.8 * count
    with rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(9, height))
        figure.subplots_adjust(
            left=0.08, right=0.985, top=1 - 0.62 / height, bottom=0.42 / height, hspace=0.5, wspace=0.25
        )
        axes = figure.subplots(count, _ACROSS, squeeze=False).ravel()
        for ax, (name, title) in zip(axes, titles.items(), strict=False):
            _panel(ax, by_experiment[name])
            ax.set_title(title, fontsize=9, loc="left")
        for ax in axes[len(titles) :]:
            ax.set_axis_off()
        for ax in axes[max(0, len(titles) - _ACROSS) : len(titles)]:
            ax.set_xlabel("layer, first to last")
        for ax in axes[::_ACROSS]:
            ax.set_ylabel("$||w - w_0||\\;/\\;||w_0||$")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", ncols=2, fontsize=9)
        figure.text(0.08, 1 - 0.2 / height, f"Each layer at the end of training; {scale_note(scale)}", fontsize=10)
        return png(figure, dpi=110)  # many small panels


def _panel(ax: Axes, found: Sequence[Layer]) -> None:
    for reg, label in ARMS.items():
        color, marker, line = LOOK[reg]
        mine = [layer for layer in found if layer.reg == reg and layer.length_w0 > 0]
        # A layer that did not move has no place on this axis: its line breaks.
        moved = [layer.distance_w0 / layer.length_w0 or math.nan for layer in mine]
        depths = [layer.depth + 1 for layer in mine]
        ax.plot(depths, moved, color=color, marker=marker, linestyle=line, label=label, lw=1, ms=2)
    ax.set_yscale("log")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.02)
