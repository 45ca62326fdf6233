"""Similarity of sources and targets, and what it is worth, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes

from l2sp_suite.report.figures.style import GREY, canvas
from l2sp_suite.report.load import Results
from l2sp_suite.report.sources import Point, Study, correlation, correlation_text
from l2sp_suite.report.statistics import summarise

_MARKS = {"whole": "s", "selected": "o", "random": "^", "least": "v"}


def sources(results: Results, study: Study) -> bytes:
    """Accuracy of the arms, and what they gain, over the similarity of source and target; a colour a target."""
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]
    measures = study.measures
    with canvas(3.6 * len(measures), 3.1, 0.9, 1.05) as c:
        axes = c.panels(len(measures), len(measures))
        for ax, (name, get) in zip(axes, measures.items(), strict=True):
            names = dict.fromkeys(point.experiment for point in study.points)
            for colour, experiment in zip(cycle(colours), names, strict=False):
                _line(ax, [point for point in study.points if point.experiment == experiment], get, colour)
            ax.set_title(f"{name}\nrank correlation {correlation_text(correlation(study.points, get))}", fontsize=9)
            ax.set_xlabel("similarity of source and target")
            ax.set_ylabel("points" if "gains" in name else "test accuracy, %")
            if "gains" in name:
                ax.axhline(0, color=GREY, lw=0.8)
        for source, mark in _MARKS.items():
            axes[0].plot([], [], mark, color=GREY, ls="", label=source)
        c.legend(axes[0], ncols=5)
        c.title("From which source", results.scale)
    return c.png


def _line(ax: Axes, points: Sequence[Point], get: Callable[[Point], dict[int, float]], colour: object) -> None:
    shown = [(point, summarise(get(point).values())) for point in points if get(point)]
    x, y = [point.near.similarity for point, _ in shown], [value.mean for _, value in shown]
    spread = [value.sd if value.n > 1 else 0.0 for _, value in shown]
    ax.errorbar(x, y, spread, color=colour, lw=1.2, capsize=2, label=points[0].near.target)
    for point, value in shown:
        ax.plot(point.near.similarity, value.mean, _MARKS.get(point.near.source, "D"), color=colour, ms=6)


def similarity(near: pd.DataFrame, scale: str) -> bytes:
    """The matrix of families and lists by targets, each cell with its similarity; families by their largest one."""
    matrix = near.pivot_table(index=["kind", "source"], columns="target", values="similarity", sort=False)
    matrix = matrix.loc[sorted(matrix.index, key=lambda key: (key[0] != "list", -matrix.loc[key].mean()))]
    with canvas(max(6.6, 2.6 + matrix.shape[1]), 0.3 * len(matrix), **{"axes.grid": False}) as c:
        (ax,) = c.panels(1, 1, (1.6, 0.15))
        ax.imshow(matrix, cmap="Blues", aspect="auto")
        ax.set_xticks(range(matrix.shape[1]), matrix.columns, rotation=30, ha="right")
        ax.set_yticks(range(len(matrix)), [f"{name} (list)" if kind == "list" else name for kind, name in matrix.index])
        middle = (matrix.min().min() + matrix.max().max()) / 2
        for row, values in enumerate(matrix.to_numpy()):
            for column, value in enumerate(values):
                look: dict[str, Any] = {
                    "ha": "center",
                    "va": "center",
                    "fontsize": 8,
                    "color": "w" if value > middle else "k",
                }
                ax.text(column, row, f"{value:.3f}", **look)
        c.title("Similarity", scale)
    return c.png
