"""What all figures share: colours, look, and PNG files whose bytes depend on the data alone."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

__all__ = ["BLUE", "GREY", "LOOK", "ORANGE", "STYLE", "png"]

# Okabe and Ito's colours: told apart with any colour vision; markers and line styles differ too.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5A5A5A"
LOOK = {"l2": (ORANGE, "s", "--"), "l2_sp": (BLUE, "o", "-")}
"""Colour, marker and line of each arm."""

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so other machines draw the same letters
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
}


def png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure's file, with so many pixels an inch."""
    out = io.BytesIO()
    # No version of the software in the file.
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()
