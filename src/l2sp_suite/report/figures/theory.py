"""Figure 1, computed, and the conditions of Table 7."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from l2sp_suite.report.figures.style import BLUE, GREY, ORANGE, canvas
from l2sp_suite.theory.checks import ERRORS, TRUTH2, checks
from l2sp_suite.theory.descent import PANELS, SCENE, Panel, Trajectory, descend
from l2sp_suite.theory.linear import beats_least_squares_below, closed_form, make_problem


@cache  # the same at every scale
def figure1() -> bytes:
    """Three descents on one risk: its contours, the disc that the regulariser admits, start, path and end."""
    with canvas(9, 2.6, 0.35, 0.5, **{"axes.grid": False}) as c:
        for ax, panel, letter in zip(c.panels(3, 3, gaps=(0.2, 0.0), sharey=True), PANELS, "abc", strict=True):
            _scene(ax, panel, descend(SCENE, panel))
            ax.set_title(f"({letter}) {panel.title}", fontsize=10)
    return c.png


def _scene(ax: Axes, panel: Panel, path: Trajectory) -> None:
    w1, w2 = np.meshgrid(np.linspace(-1.8, 4.2, 121), np.linspace(-1.8, 3.6, 109))
    levels = [0.02, 0.1, 0.43, 1.2, 2.9, 6.0, 11.0]
    ax.contour(w1, w2, SCENE.risk(np.stack([w1, w2], axis=-1)), levels=levels, colors=GREY, linewidths=0.6, alpha=0.7)
    ax.add_patch(Circle((panel.centre[0], panel.centre[1]), panel.radius, color=BLUE, alpha=0.25, lw=0))
    ax.axhline(0, color="#CCCCCC", lw=0.6, zorder=0)
    ax.axvline(0, color="#CCCCCC", lw=0.6, zorder=0)
    ax.plot(path.points[:, 0], path.points[:, 1], color="black", lw=1.2)
    ax.plot(*SCENE.star, "*", color="#C00000", ms=13)
    ax.plot(*SCENE.w0, "x", color=GREY, ms=7)
    ax.plot(*panel.start, "x", color="black", ms=9, mew=2)
    ax.plot(*path.end, "o", color="black", ms=6)
    ax.set_aspect("equal")
    ax.set_xlabel(f"$w_1$     multiplier {path.multiplier:.2f}, risk at the end {path.risk:.2f}")
    ax.set_ylabel("$w_2$" if panel is PANELS[0] else "")


@cache
def theory() -> bytes:
    """When L2-SP beats least squares: mean square errors over the pull's strength; lines theory, marks simulation."""
    strengths = np.logspace(-2, 2, 81)
    with canvas(6, 2.8, 0.15, 0.5) as c:
        (ax,) = c.panels(1, 1)
        for error2, color, marker in zip(ERRORS, ("#009E73", BLUE, ORANGE), "^os", strict=True):
            problem = make_problem(TRUTH2, error2)
            forms = [closed_form(problem, float(alpha)) for alpha in strengths]
            label = f"$||\\varepsilon||^2$ = {error2:g}"
            ax.plot(strengths, [m["L2-SP"].mse / m["LS"].mse for m in forms], color=color, lw=1.5, label=label)
            limit = beats_least_squares_below(problem, error2)
            if np.isfinite(limit):
                ax.axvline(limit, color=color, lw=0.8, linestyle=":")
            mine = [check for check in checks() if check.error2 == error2]
            look: dict[str, Any] = {"color": color, "ms": 7, "markerfacecolor": "white"}
            ax.plot([check.alpha for check in mine], [check.ratio[1] for check in mine], marker, **look)
        ax.axhline(1, color="black", lw=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("α")
        ax.set_ylabel("MSE of L2-SP / MSE of least squares")
        ax.legend()
    return c.png
