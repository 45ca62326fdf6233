"""What all figures share: colours, look, and PNG files whose bytes depend on the data alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
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
    """A figure in the making, with room for title and legend; `png` is its file once the `canvas` is closed."""

    def __init__(self, width: float, height: float, top: float, bottom: float) -> None:
        self.figure, self.png = Figure(figsize=(width, height + top + bottom)), b""
        self.width, self.height, self.top, self.bottom = width, height, top, bottom

    def panels(
        self,
        count: int,
        across: int,
        margins: tuple[float, float] = (0.75, 0.15),
        gaps: tuple[float, float] = (0.7, 0.75),
        **asked: Any,
    ) -> list[Axes]:
        """`count` axes, so many in a line; places that are left over stay empty.

        `margins` at the left and at the right, and `gaps` between columns and between lines, are in inches: layouts
        that matplotlib measures take as long as all the rest of a figure.
        """
        rows = -(-count // across)
        column = (self.width - sum(margins) - (across - 1) * gaps[0]) / across
        line = (self.height - (rows - 1) * gaps[1]) / rows
        bottom, top = self.bottom / self.figure.get_figheight(), 1 - self.top / self.figure.get_figheight()
        self.figure.subplots_adjust(margins[0] / self.width, bottom, 1 - margins[1] / self.width, top)
        self.figure.subplots_adjust(wspace=gaps[0] / column, hspace=gaps[1] / line)
        axes = list(self.figure.subplots(rows, across, squeeze=False, **asked).ravel())
        for ax in axes[count:]:
            ax.set_axis_off()
        for ax in axes if count > 6 else ():
            ax.xaxis.set_label_coords(0.5, -0.3 / line)
            ax.yaxis.set_label_coords(-0.5 / column, 0.5)
        return axes[:count]

    def title(self, text: str, scale: str = "") -> None:
        """The figure's title, with what the numbers of a scale are."""
        text = f"{text}; {note_of_scale(scale)}" if scale else text
        self.figure.suptitle(text, fontsize=10, y=1 - 0.1 / self.figure.get_figheight(), va="top")

    def legend(self, ax: Axes, **asked: Any) -> None:
        """One legend of what is drawn in `ax`, below all panels."""
        handles, labels = ax.get_legend_handles_labels()
        self.figure.legend(handles, labels, loc="lower center", **{"ncols": len(labels), **asked})


@contextmanager
def canvas(
    width: float, height: float, top: float = 0.6, bottom: float = 0.75, font: int = 9, **style: Any
) -> Iterator[Canvas]:
    """A figure in the report's look: its panels are `height` inches high, `top` and `bottom` come to them."""
    settings: Any = {**_STYLE, "font.size": font, **style}
    with rc_context(settings):
        made = Canvas(width, height, top, bottom)
        yield made
        out = io.BytesIO()
        made.figure.savefig(out, format="png", dpi=110, metadata={"Software": None})  # no version in the file
        made.png = out.getvalue()
