"""What all figures share: colours, look, and PNG files whose bytes depend on the data alone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2sp_suite.report.arms import Arms
from l2sp_suite.report.texts import note_of_scale

# Okabe and Ito's colours: told apart with any colour vision; markers and line styles differ too.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5A5A5A"
COLOURS = (BLUE, "#009E73", "#CC79A7", "#56B4E9", "#000000")
MARKERS, LINES = ("o", "^", "D", "v", "P"), ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
TOP, BOTTOM = 0.6, 0.75
"""Inches for the title, and for the lowest axis and the legend."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so other machines draw the same letters
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "axes.titley": 1.0,
}


def looks(arms: Arms) -> dict[str, dict[str, Any]]:
    """Colour, marker, line style and label of each arm, as arguments of `plot`."""
    return {
        name: {"color": color, "marker": marker, "linestyle": line, "label": arms.label(name)}
        for name, color, marker, line in zip(
            arms.names, (ORANGE, *COLOURS * 9), ("s", *MARKERS * 9), ("--", *LINES * 9), strict=False
        )
    }


class Canvas:
    """A figure in the making; `png` is its file once the `canvas` is closed."""

    def __init__(self, figure: Figure) -> None:
        self.figure, self.png = figure, b""

    def panels(
        self,
        count: int,
        across: int,
        margins: Sequence[float] = (0.7, 0.15),
        gaps: Sequence[float] = (0.65, 0.75),
        **asked: Any,
    ) -> list[Axes]:
        """`count` axes, so many in a line; places that are left over stay empty.

        `margins` at the left and at the right, and `gaps` between columns and between lines, are in inches. (Measured
        layouts take as long as all the rest of a figure.)
        """
        width, height = self.figure.get_size_inches()
        rows = -(-count // across)
        column = (width - sum(margins) - (across - 1) * gaps[0]) / across
        line = (height - TOP - BOTTOM - (rows - 1) * gaps[1]) / rows
        self.figure.subplots_adjust(margins[0] / width, BOTTOM / height, 1 - margins[1] / width, 1 - TOP / height)
        self.figure.subplots_adjust(wspace=gaps[0] / column, hspace=gaps[1] / line)
        axes = list(self.figure.subplots(rows, across, squeeze=False, **asked).ravel())
        for ax in axes:  # in inches too, for the same reason
            ax.xaxis.set_label_coords(0.5, -0.28 / line)
            ax.yaxis.set_label_coords(-(min(margins[0], gaps[0] if across > 1 else 9) - 0.15) / column, 0.5)
        for ax in axes[count:]:
            ax.set_axis_off()
        return axes[:count]

    def title(self, text: str, scale: str = "") -> None:
        """The figure's title, with what the numbers of a scale are."""
        height = self.figure.get_figheight()
        text = f"{text}; {note_of_scale(scale)}" if scale else text
        self.figure.suptitle(text, fontsize=10, y=1 - 0.1 / height, va="top")

    def legend(self, ax: Axes, **asked: Any) -> None:
        """One legend of what is drawn in `ax`, below all panels."""
        handles, labels = ax.get_legend_handles_labels()
        self.figure.legend(handles, labels, loc="lower center", **{"ncols": len(labels), **asked})


@contextmanager
def canvas(width: float, height: float, font: int = 9, **style: Any) -> Iterator[Canvas]:
    """A figure in the report's look, so many inches wide and, without title and legend, high."""
    with rc_context({**_STYLE, "font.size": font, **style}):
        made = Canvas(Figure(figsize=(width, height + TOP + BOTTOM)))
        yield made
        out = io.BytesIO()
        made.figure.savefig(out, format="png", dpi=110, metadata={"Software": None})  # no version in the file
        made.png = out.getvalue()
