"""Table 3 as a picture: paired differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2sp_suite.report.captions import scale_note
from l2sp_suite.report.figures.style import BLUE, GREY, ORANGE, STYLE, png
from l2sp_suite.report.paper import PX
from l2sp_suite.report.tables import Pair

__all__ = ["forest"]

_TEXT = {ORANGE: "#A03C00"}  # small letters need more contrast than marks


def forest(pairs: Sequence[Pair], scale: str) -> bytes:
    """Paired differences of Table 3 with their 95 % intervals; right of the line means that L2-SP is better.

    `pairs`: those with at least one shared seed. Percentage points and pixels have an axis each.
    """
    units = [part for flow in (False, True) if (part := [p for p in pairs if (p.row.unit == PX) == flow])]
    with rc_context(STYLE):
        heights = [len(part) + 0.6 for part in units]
        figure = Figure(figsize=(8, 1.6 + 0.36 * sum(heights) + 0.5 * len(units)), layout="constrained")
        axes = figure.subplots(len(units), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, part in zip(axes, units, strict=True):
            _forest_panel(ax, part)
        figure.suptitle(f"L2-SP against L2, paired over seeds\n{scale_note(scale)}", fontsize=11)
        return png(figure)


def _forest_panel(ax: Axes, pairs: Sequence[Pair]) -> None:
    unit, lower_is_better = pairs[0].row.unit, pairs[0].row.better == "lower"
    for y, pair in enumerate(pairs):
        c = pair.comparison
        color = {"better": BLUE, "worse": ORANGE}.get(c.verdict, GREY)
        if math.isfinite(c.low):
            ax.plot([c.low * unit.factor, c.high * unit.factor], [y, y], color=color, lw=2, solid_capstyle="butt")
        filled = color if c.n > 1 else "white"
        ax.plot(c.mean * unit.factor, y, "o", color=color, markerfacecolor=filled, ms=6)
        note = c.verdict if c.n == 1 else f"{c.verdict}, {c.n} seeds"
        ax.annotate(
            note, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=_TEXT.get(color, color)
        )
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(range(len(pairs)), [f"{p.row.approach}, {p.row.target}" for p in pairs])
    ax.set_ylim(len(pairs) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    reach = 1.08 * max(abs(value) for value in ax.get_xlim())
    ax.set_xlim(reach, -reach) if lower_is_better else ax.set_xlim(-reach, reach)
    name = "EPE in px, axis reversed" if unit == PX else "percentage points"
    ax.set_xlabel(f"L2 better  ←  difference L2-SP − L2 ({name})  →  L2-SP better", fontsize=9)
