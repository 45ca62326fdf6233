"""Table 3, the tables of settings and the ladder of learning rates as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from l2sp_suite.report.figures.style import BLUE, COLOURS, GREY, MARKERS, ORANGE, canvas, looks
from l2sp_suite.report.load import Results
from l2sp_suite.report.statistics import summarise
from l2sp_suite.report.studies import Rung, Sweep
from l2sp_suite.report.tables import Pair, value_of
from l2sp_suite.report.text import setting_number
from l2sp_suite.report.texts import Unit, symbol, unit_of

_TEXT = {ORANGE: "#A03C00"}  # small letters need more contrast than marks


def forest(results: Results, pairs: Sequence[Pair]) -> bytes:
    """Paired differences of Table 3 with their 95 % intervals; right of the line means that the arm is better.

    `pairs`: those with at least one shared seed. Each unit has an axis of its own.
    """
    units = list(dict.fromkeys(sorted((unit_of(p.row.metric) for p in pairs), key=lambda unit: unit.name)))
    parts = [[p for p in pairs if unit_of(p.row.metric) == unit] for unit in units]
    heights = [(len(part) + 0.6) * max(1, 0.7 * len(results.arms.others)) for part in parts]
    with canvas(8, 0.34 * sum(heights) + 0.75 * (len(units) - 1)) as c:
        for ax, part, unit in zip(
            c.panels(len(units), 1, (2.1, 1.6), height_ratios=heights), parts, units, strict=True
        ):
            _forest_panel(ax, results, part, unit)
        label = results.arms.label
        others = " and ".join(map(label, results.arms.others))
        c.title(f"{others} against {label(results.arms.baseline)}, paired over seeds", results.scale)
    return c.png


def _forest_panel(ax: Axes, results: Results, pairs: Sequence[Pair], unit: Unit) -> None:
    arms, label = results.arms.others, results.arms.label
    for row, pair in enumerate(pairs):
        for place, arm in enumerate(arms):
            c, y = pair.comparisons[arm], row + (place - (len(arms) - 1) / 2) * 0.7 / len(arms)
            if not math.isfinite(c.mean):
                continue
            color = {"better": BLUE, "worse": ORANGE}.get(c.verdict, GREY)
            ax.plot([c.low, c.high], [y, y], color=color, lw=2, solid_capstyle="butt")
            ax.plot(c.mean, y, MARKERS[place % 5], color=color, markerfacecolor=color if c.n > 1 else "white", ms=6)
            note = f"{label(arm)}: " if len(arms) > 1 else ""
            note += c.verdict if c.n == 1 else f"{c.verdict}, {c.n} seeds"
            where = ("axes fraction", "data")
            look: dict[str, Any] = {"va": "center", "fontsize": 8, "color": _TEXT.get(color, color)}
            ax.annotate(note, (1.01, y), xycoords=where, **look)
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(range(len(pairs)), [f"{p.row.approach}, {p.row.target}" for p in pairs])
    ax.set_ylim(len(pairs) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    reach = 1.08 * max(abs(value) for value in ax.get_xlim())
    ax.set_xlim(reach, -reach) if pairs[0].row.better == "lower" else ax.set_xlim(-reach, reach)
    base, other = label(results.arms.baseline), label(arms[0]) if len(arms) == 1 else "arm"
    ax.set_xlabel(f"{base} better  ←  difference {other} − {base} ({unit.axis})  →  {other} better")


def settings(results: Results, sweeps: Sequence[Sweep]) -> bytes:
    """A panel per sweep: the paired difference to the baseline over the hyper-parameter that was varied most.

    A line per combination of the others; bars are 95 % intervals, where several seeds make one. The broken line is the
    selected baseline. Up is better in every panel.
    """
    with canvas(9, 2.5 * -(-len(sweeps) // 3) - 0.75, bottom=0.5, font=8) as c:
        for ax, sweep in zip(c.panels(len(sweeps), 3, gaps=(0.85, 0.75)), sweeps, strict=True):
            _sweep_panel(ax, results, sweep)
            arm = f": {results.arms.label(sweep.arm)}" if len(results.arms.others) > 1 else ""
            ax.set_title(f"{results.title(sweep.experiment)}{arm}", fontsize=9, loc="left")
        c.title(f"Settings against the selected {results.arms.label(results.arms.baseline)}", results.scale)
    return c.png


def _sweep_panel(ax: Axes, results: Results, sweep: Sweep) -> None:
    unit, base = unit_of(sweep.metric), looks(results.arms)[results.arms.baseline]
    numbers = [
        h for h in results.hyper if not any(isinstance(run[h], str) or run[h] != run[h] for run, _ in sweep.tried)
    ]
    varied = max(numbers, key=lambda name: len({run[name] for run, _ in sweep.tried}), default="lr")
    others = [
        name for name in results.hyper if name != varied and any(run[name] == run[name] for run, _ in sweep.tried)
    ]
    label = f"{base['label']}: {sweep.level.mean:.{unit.digits}f}"
    ax.axhline(0, color=base["color"], linestyle=base["linestyle"], lw=1.4, label=label)
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for run, c in sorted(sweep.tried, key=lambda line: [str(line[0][name]) for name in others] + [line[0][varied]]):
        name = ", ".join(f"{symbol(name)} = {setting_number(run[name])}" for name in others)
        lines.setdefault(name, []).append((run[varied], c.mean, c.high - c.mean if math.isfinite(c.high) else 0.0))
        if not math.isfinite(c.mean):
            ax.annotate("diverged", (run[varied], 0.03), xycoords=("data", "axes fraction"), ha="center", fontsize=7)
    for place, (name, points) in enumerate(lines.items()):
        x, y, reach = zip(*sorted(points), strict=True)
        look: dict[str, Any] = {
            "color": COLOURS[place % 5],
            "marker": MARKERS[place % 5],
            "lw": 1,
            "ms": 4,
            "capsize": 2,
        }
        # Shifted, for bars of lines that share a place would hide each other.
        ax.errorbar([value * 1.06**place for value in x], y, reach, label=name, **look)
    places = sorted({run[varied] for run, _ in sweep.tried})
    if places[0] > 0:
        ax.set_xscale("log")
    _ticks(ax, places)
    ax.set_xlabel(symbol(varied))
    ax.set_ylabel(f"{sweep.metric} − that of {base['label']}, {unit.points}")
    if sweep.better == "lower":
        ax.invert_yaxis()
    ax.legend(fontsize=7)


def _ticks(ax: Axes, places: Sequence[float]) -> None:
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(places, [setting_number(value) for value in places])


def learning_rate(results: Results, rungs: Sequence[Rung]) -> bytes:
    """The learning-rate study: for each experiment the test metric and the distance to w0 over the ladder.

    Lines join means over seeds, bars are sample standard deviations, small marks the single seeds. A rate at
    which a run diverged has no mean and says so.
    """
    names = list(dict.fromkeys(rung.experiment for rung in rungs))
    with canvas(9, 2.7 * len(names) - 0.75) as c:
        axes = c.panels(2 * len(names), 2, gaps=(0.8, 0.75))
        for row, name in enumerate(names):
            part = [rung for rung in rungs if rung.experiment == name]
            metric = part[0].metric
            panels = {"value": f"test {metric}, {unit_of(metric).symbol}", "distance_w0": "distance to $w_0$"}
            for ax, (column, heading) in zip(axes[2 * row :], panels.items(), strict=False):
                _ladder_panel(ax, results, part, column)
                ax.set_title(results.title(name), fontsize=10)
                ax.set_ylabel(heading)
        c.legend(axes[0])
        c.title("Learning rates", results.scale)
    return c.png


def _ladder_panel(ax: Axes, results: Results, rungs: Sequence[Rung], column: str) -> None:
    for place, (arm, look) in enumerate(looks(results.arms).items()):
        ran = [(rung.lr, rung.arms[arm]) for rung in rungs if len(rung.arms[arm])]
        # A mean over the seeds that survived would flatter the arm: one diverged run leaves a gap.
        sums = [(lr, value_of(runs) if column == "value" else summarise(runs[column])) for lr, runs in ran]
        factor = unit_of(rungs[0].metric).factor if column == "value" else 1.0
        for lr, runs in ran:
            small: dict[str, Any] = {"color": look["color"], "marker": look["marker"], "alpha": 0.3, "ms": 3, "ls": ""}
            ax.plot([lr] * len(runs), runs[column] * factor, **small)
            if not runs.value.abs().max(skipna=False) < math.inf:
                where: dict[str, Any] = {
                    "xycoords": ("data", "axes fraction"),
                    "ha": "center",
                    "fontsize": 8,
                    "color": look["color"],
                }
                ax.annotate(f"{look['label']} diverged", (lr, 0.03 + 0.08 * place), **where)
        if ran:
            spread = [s.sd if s.n > 1 else 0.0 for _, s in sums]
            ax.errorbar([lr for lr, _ in sums], [s.mean for _, s in sums], spread, ms=5, lw=1.6, capsize=3, **look)
    ax.set_xscale("log", base=2)
    _ticks(ax, [rung.lr for rung in rungs])
    ax.set_xlabel("learning rate")
    if column != "value":
        ax.set_ylim(bottom=0)
