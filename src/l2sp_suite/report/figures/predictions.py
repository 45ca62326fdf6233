"""Samples of predictions side by side."""

from __future__ import annotations

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from l2sp_suite.report.captions import sample_note, scale_note
from l2sp_suite.report.figures.style import STYLE, png
from l2sp_suite.report.samples import PANELS, SampleSheet

__all__ = ["predictions"]


def predictions(sheet: SampleSheet, scale: str) -> bytes:
    """Test images with their truth and both arms' predictions, and what the colours mean.

    Pictures of classes have a legend of those that occur in them, others a note.
    """
    count = len(sheet.lines)
    with rc_context(STYLE):
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
        return png(figure)


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
