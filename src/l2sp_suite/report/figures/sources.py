"""Similarity of sources and targets, and what it is worth, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from statistics import fmean

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from l2sp_suite.report.captions import scale_note
from l2sp_suite.report.figures.style import GREY, STYLE, png
from l2sp_suite.report.select import group
from l2sp_suite.report.sources import MEASURES, Point, Similarity, correlation, correlation_text
from l2sp_suite.report.statistics import summarise

__all__ = ["classes", "similarity", "sources"]

_MARKS = {"whole": "s", "selected": "o", "random": "^", "least": "v"}


def sources(found: Sequence[Point], scale: str) -> bytes:
    """Accuracy of both arms, and their difference, over the similarity of source and target; a colour a target."""
    colors = colormaps["tab10"].colors  # type: ignore[attr-defined]
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        axes = figure.subplots(1, 3)
        for ax, (name, get) in zip(axes, MEASURES.items(), strict=True):
            for color, part in zip(cycle(colors), group(found, lambda point: point.experiment).values(), strict=False):
                _line(ax, part, get, color)
            rho = correlation_text(correlation(found, get))
            ax.set_title(f"{name}\nrank correlation {rho}", fontsize=10)
            ax.set_xlabel("similarity of source and target")
        axes[0].set_ylabel("test accuracy, %")
        axes[2].set_ylabel("points")
        axes[2].axhline(0, color=GREY, lw=0.8)
        handles, labels = axes[0].get_legend_handles_labels()
        marks = [axes[0].plot([], [], mark, color=GREY, ls="")[0] for mark in _MARKS.values()]
        figure.legend([*handles, *marks], [*labels, *_MARKS], loc="outside lower center", ncols=5)
        figure.suptitle(f"From which source; {scale_note(scale)}", fontsize=11)
        return png(figure)


def _line(ax: Axes, part: Sequence[Point], get: Callable[[Point], dict[int, float]], color: object) -> None:
    values = [[100 * value for value in get(point).values()] for point in part]
    shown = [(point, summarise(own)) for point, own in zip(part, values, strict=True) if own]
    x = [point.similarity.similarity for point, _ in shown]
    y = [one.mean for _, one in shown]
    spread = [one.sd if one.n > 1 else 0.0 for _, one in shown]
    ax.errorbar(x, y, spread, color=color, lw=1.2, capsize=2, label=part[0].similarity.target)
    for (point, _), a, b in zip(shown, x, y, strict=True):
        ax.plot([a], [b], _MARKS.get(point.source, "D"), color=color, ms=6)


def similarity(found: Sequence[Similarity], scale: str) -> bytes:
    """The matrix of families and lists by targets, each cell with its similarity; families by their largest one."""
    targets = list(dict.fromkeys(one.target for one in found))
    rows = group(found, lambda one: (one.kind, one.source))
    order = sorted(rows, key=lambda key: (key[0] != "list", -fmean(one.similarity for one in rows[key])))
    cells = {(one.kind, one.source, one.target): one.similarity for one in found}
    matrix = np.array([[cells[(*key, target)] for target in targets] for key in order])
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(max(6.6, 2.6 + 1.0 * len(targets)), 1.4 + 0.3 * len(order)), layout="constrained")
        ax = figure.subplots()
        ax.imshow(matrix, cmap="Blues", aspect="auto")
        ax.set_xticks(range(len(targets)), targets, rotation=30, ha="right")
        ax.set_yticks(range(len(order)), [f"{name} ({kind})" if kind == "list" else name for kind, name in order])
        middle = (matrix.min() + matrix.max()) / 2
        for (row, column), value in np.ndenumerate(matrix):
            ax.text(
                column, row, f"{value:.3f}", ha="center", va="center", fontsize=8, color="w" if value > middle else "k"
            )
        figure.suptitle(f"Similarity; {scale_note(scale)}", fontsize=10)
        return png(figure)


def classes(rows: Mapping[str, Sequence[tuple[str, NDArray[np.uint8]]]]) -> bytes:
    """For each target a row of images (H, W, 3) of 0..255 with what they show: its own, then its nearest classes."""
    width = max(len(row) for row in rows.values())
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(1.2 * width, 1.42 * len(rows)), layout="constrained")
        axes = figure.subplots(len(rows), width, squeeze=False)
        for line, row in zip(axes, rows.values(), strict=True):
            for ax in line:
                ax.set_axis_off()
            for place, (ax, (label, image)) in enumerate(zip(line, row, strict=False)):
                ax.imshow(image)
                ax.set_title(label, fontsize=7, fontweight="normal" if place else "bold")
        figure.suptitle("Targets (left) and their nearest source classes", fontsize=10)
        return png(figure, dpi=80)
