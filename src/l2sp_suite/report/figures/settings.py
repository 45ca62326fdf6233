"""All settings of L2-SP that were run, against L2's level."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from l2sp_suite.report.captions import scale_note
from l2sp_suite.report.figures.style import BLUE, LOOK, STYLE, png
from l2sp_suite.report.paper import PX, Paper
from l2sp_suite.report.select import group
from l2sp_suite.report.statistics import Comparison
from l2sp_suite.report.sweeps import Sweep, Tried
from l2sp_suite.report.text import plain, setting_number

__all__ = ["settings"]

_ACROSS = 3
_COLOURS = (BLUE, "#009E73", "#CC79A7", "#56B4E9", "#000000")
_MARKERS = ("o", "^", "D", "v", "s")


def settings(sweeps: Sequence[Sweep], titles: dict[str, str], paper: Paper, scale: str) -> bytes:
    """A panel per sweep: the paired difference to L2 over alpha, or over beta where that was varied more.

    A line per other coefficient; bars are 95 % intervals, where several seeds make one. The broken line is the chosen
    L2. Up is better in every panel.
    """
    count = -(-len(sweeps) // _ACROSS)
    with rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(9, 0.6 + 2.5 * count), layout="constrained")
        axes = figure.subplots(count, _ACROSS, squeeze=False).ravel()
        for ax, sweep in zip(axes, sweeps, strict=False):
            _panel(ax, sweep, paper)
            ax.set_title(titles[sweep.experiment], fontsize=9, loc="left")
        for ax in axes[len(sweeps) :]:
            ax.set_axis_off()
        figure.suptitle(f"Settings of L2-SP against the chosen L2; {scale_note(scale)}", fontsize=10)
        return png(figure)


def _panel(ax: Axes, sweep: Sweep, paper: Paper) -> None:
    unit = paper.unit(sweep.experiment, sweep.metric)
    over_alpha = len({t.alpha for t in sweep.tried}) >= len({t.beta for t in sweep.tried})
    color, _, line = LOOK["l2"]
    ax.axhline(0, color=color, linestyle=line, lw=1.4, label=f"L2: {plain(sweep.level.mean, unit)}")
    lines = group(sweep.tried, lambda t: t.beta if over_alpha else t.alpha)
    for place, other in enumerate(sorted(lines)):
        found = sorted(lines[other], key=lambda t: _along(t, over_alpha))
        label = f"{'β' if over_alpha else 'α'} = {setting_number(other)}"
        _line(ax, [_along(t, over_alpha) for t in found], [t.comparison for t in found], unit.factor, place, label)
    places = sorted({_along(t, over_alpha) for t in sweep.tried})
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(places, [setting_number(value) for value in places])
    ax.set_xlabel("α" if over_alpha else "β")
    ax.set_ylabel(f"{sweep.metric} − that of L2, {'px' if unit == PX else 'points'}")
    if sweep.better == "lower":
        ax.invert_yaxis()
    ax.legend(fontsize=7)


def _line(ax: Axes, along: Sequence[float], found: Sequence[Comparison], factor: float, place: int, label: str) -> None:
    shift = 1.06**place  # bars of lines that share a place would hide each other
    reach = [c.high - c.mean if math.isfinite(c.high) else 0.0 for c in found]
    for value, c in zip(along, found, strict=True):
        if not math.isfinite(c.mean):
            ax.annotate("diverged", (value, 0.03), xycoords=("data", "axes fraction"), ha="center", fontsize=7)
    ax.errorbar(
        [value * shift for value in along],
        [c.mean * factor for c in found],
        [half * factor for half in reach],
        color=_COLOURS[place % len(_COLOURS)],
        marker=_MARKERS[place % len(_MARKERS)],
        lw=1,
        ms=4,
        capsize=2,
        label=label,
    )


def _along(tried: Tried, over_alpha: bool) -> float:
    return tried.alpha if over_alpha else tried.beta
