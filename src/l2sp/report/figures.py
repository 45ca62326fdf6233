"""Figures as PNG bytes. The only module that imports matplotlib; `build` imports it only when it draws."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator
from PIL import Image

from l2sp.report.captions import sample_note, scale_note
from l2sp.report.paper import PX, Paper
from l2sp.report.rows import Row
from l2sp.report.samples import PANELS, SampleSheet
from l2sp.report.select import ARMS, group, title_of
from l2sp.report.statistics import summarise
from l2sp.report.studies import Rung
from l2sp.report.tables import Pair
from l2sp.report.text import setting_number

__all__ = ["forest", "learning_rate", "predictions"]

# Okabe and Ito's colours: told apart with any colour vision; markers and line styles differ too.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5A5A5A"
_LOOK = {"l2": (ORANGE, "s", "--"), "l2_sp": (BLUE, "o", "-")}
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so other machines draw the same letters
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    # No version of the software in the file: bytes depend on the data alone.
    figure.savefig(out, format="png", dpi=150, metadata={"Software": None})
    return out.getvalue()


def forest(pairs: Sequence[Pair], scale: str) -> bytes:
    """Paired differences of Table 3 with their 95 % intervals; right of the line means that L2-SP is better.

    `pairs`: those with at least one shared seed. Percentage points and pixels have an axis each.
    """
    units = [part for flow in (False, True) if (part := [p for p in pairs if (p.row.unit == PX) == flow])]
    with rc_context(_STYLE):
        heights = [len(part) + 0.6 for part in units]
        figure = Figure(figsize=(8, 1.6 + 0.36 * sum(heights) + 0.5 * len(units)), layout="constrained")
        axes = figure.subplots(len(units), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, part in zip(axes, units, strict=True):
            _forest_panel(ax, part)
        figure.suptitle(f"L2-SP against L2, paired over seeds\n{scale_note(scale)}", fontsize=11)
        return _png(figure)


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
        ax.annotate(note, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=color)
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(range(len(pairs)), [f"{p.row.approach}, {p.row.target}" for p in pairs])
    ax.set_ylim(len(pairs) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    reach = 1.08 * max(abs(value) for value in ax.get_xlim())
    ax.set_xlim(reach, -reach) if lower_is_better else ax.set_xlim(-reach, reach)
    name = "EPE in px, axis reversed" if unit == PX else "percentage points"
    ax.set_xlabel(f"L2 better  ←  difference L2-SP − L2 ({name})  →  L2-SP better", fontsize=9)


def learning_rate(rungs: Sequence[Rung], paper: Paper, scale: str) -> bytes:
    """The learning-rate study: for each experiment the test metric and the distance to w0 over the ladder.

    Lines join means over seeds, bars are sample standard deviations, small marks the single seeds. A rate at
    which a run diverged has no mean and says so.
    """
    by_experiment: dict[str, list[Rung]] = {}
    for rung in rungs:
        by_experiment.setdefault(rung.experiment, []).append(rung)
    count = len(by_experiment)
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.9 + 2.9 * count), layout="constrained")
        axes = figure.subplots(count, 2, squeeze=False)
        for (left, right), (name, part) in zip(axes, by_experiment.items(), strict=True):
            _rung_panels(left, right, name, part, paper)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle(f"Learning rates; {scale_note(scale)}", fontsize=11)
        return _png(figure)


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
        color, marker, line = _LOOK[reg]
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


def predictions(sheet: SampleSheet, scale: str) -> bytes:
    """Test images with their truth and both arms' predictions, and what the colours mean.

    Pictures of classes have a legend of those that occur in them, others a note.
    """
    count = len(sheet.lines)
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 1.2 + _inches(sheet) * count), layout="constrained")
        axes = figure.subplots(count, 4, squeeze=False)
        for ax, name in zip(axes[0], PANELS, strict=True):
            ax.set_title(name, fontsize=10)
        seen: dict[int, tuple[float, float, float]] = {}
        for line, files in zip(axes, sheet.lines, strict=True):
            for ax, path in zip(line, files, strict=True):
                with Image.open(path) as picture:
                    seen |= _classes_in(picture)
                    ax.imshow(picture.convert("RGB"), interpolation="nearest")
                ax.set_axis_off()
        names = {index: sheet.classes[index] for index in sorted(seen) if index < len(sheet.classes)}
        if names:
            handles = [Patch(color=seen[index], label=name) for index, name in names.items()]
            figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=8)
        elif note := sample_note(sheet.metric):
            figure.supxlabel(note, fontsize=8)
        black = ", black: unlabelled" if seen else ""
        figure.suptitle(f"{sheet.title}, first seed{black}\n{scale_note(scale)}", fontsize=11)
        return _png(figure)


def _inches(sheet: SampleSheet) -> float:
    """Height of a line: that of its pictures, which are as wide as a quarter of the figure, and some room."""
    with Image.open(sheet.lines[0][0]) as picture:
        return 1.75 * (picture.height / picture.width) / 0.75


def _classes_in(picture: Image.Image) -> dict[int, tuple[float, float, float]]:
    """The colours in [0, 1] of the entries of an index picture's palette that it uses; none for a photograph."""
    palette, colours = picture.getpalette(), picture.getcolors(256) if picture.mode == "P" else None
    if palette is None or colours is None:
        return {}
    used = [int(entry) for _, entry in colours if isinstance(entry, int)]
    parts = [value / 255 for value in palette]
    return {entry: (parts[3 * entry], parts[3 * entry + 1], parts[3 * entry + 2]) for entry in used}
