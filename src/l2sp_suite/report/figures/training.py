"""What happens during training, and where the penalties end: loss, and distances from w0, in all and by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from l2sp_suite.report.figures.style import canvas, looks
from l2sp_suite.report.load import Results

_COLUMNS = {"loss": "loss", "distance_w0": "$||w - w_0||$", "distance_zero": "$||w||$"}


def training(results: Results, experiments: Sequence[str]) -> bytes:
    """One line of panels per experiment: loss and distances of the shared weights over the steps.

    Thick lines are means over the seeds that logged a step, thin ones the seeds.
    """
    heads = [
        f"{results.title(name)}: {_COLUMNS[column]}" if column == "loss" else _COLUMNS[column]
        for name in experiments
        for column in _COLUMNS
    ]
    panels = [(name, column) for name in experiments for column in _COLUMNS]
    return _grid(results, "Training", results.curves, panels, heads, "step", _curve_panel)


def _curve_panel(ax: Axes, curves: pd.DataFrame, column: str, look: dict[str, Any]) -> None:
    by_seed = curves.pivot(index="step", columns="seed", values=column)
    ax.plot(by_seed.index, by_seed, color=look["color"], alpha=0.25, lw=0.7)
    ax.plot(by_seed.index, by_seed.mean(axis=1), lw=1.4, **{**look, "marker": ""})
    ax.locator_params(nbins=4)


def layers(results: Results, experiments: Sequence[str]) -> bytes:
    """A panel per experiment: ||w - w0|| / ||w0|| of each shared weight, from the first to the last."""
    heads = list(map(results.title, experiments))
    panels = [(name, "$||w - w_0||\\;/\\;||w_0||$") for name in experiments]
    return _grid(
        results,
        "Each layer at the end of training",
        results.layers,
        panels,
        heads,
        "layer, first to last",
        _layer_panel,
    )


def _layer_panel(ax: Axes, norms: pd.DataFrame, column: str, look: dict[str, Any]) -> None:
    norms = norms[norms.length_w0 > 0]
    # A layer that did not move has no place on this axis: its line breaks.
    ax.plot(norms.depth + 1, (norms.distance_w0 / norms.length_w0).replace(0, math.nan), lw=1, ms=2, **look)
    ax.set_yscale("log")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel(column)


def _grid(
    results: Results,
    title: str,
    frame: pd.DataFrame,
    panels: Sequence[tuple[str, str]],
    heads: Sequence[str],
    axis: str,
    draw: Callable[[Axes, pd.DataFrame, str, dict[str, Any]], None],
) -> bytes:
    """Three panels in a line, each with what `draw` makes of the lines of an experiment and an arm."""
    rows = -(-len(panels) // 3)
    with canvas(9, 1.65 * rows - 0.45, font=8) as c:
        axes = c.panels(len(panels), 3, gaps=(0.65, 0.45))
        for ax, (name, column), head in zip(axes, panels, heads, strict=True):
            for arm, look in looks(results.arms).items():
                draw(ax, frame[(frame.experiment == name) & (frame.arm == arm)], column, look)
            ax.set_title(head, fontsize=9, loc="left")
            ax.margins(x=0.02)
        for ax in axes[-3:]:
            ax.set_xlabel(axis)
        c.legend(axes[0])
        c.title(title, results.scale)
    return c.png
