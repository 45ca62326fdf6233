"""Clips as animated GIFs: image, truth and both arms side by side, in as few bytes as a page can carry."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from l2sp_suite.report.samples import PANELS, SampleSheet

__all__ = ["animation"]

_LEAST = 160  # pixels that a panel is wide at least
_GAP, _BAR = 4, 14  # between panels, and for the names above them
_DURATION = 330  # ms
_COLOURS = 256  # all frames share them
_SETTLED = 0.02  # k-means, without which small objects lose their colours, ends when so few pixels change theirs


def animation(clip: SampleSheet) -> bytes:
    """The lines of `clip` as frames of an endless GIF, three a second, with the panels' names above them.

    Small pictures are enlarged and large ones reduced, by a whole factor, to panels at least 160 px wide.
    """
    with Image.open(clip.lines[0][0]) as first:
        size, resample = _panel(first.size)
    frames = [_frame(files, size, resample) for files in clip.lines]
    whole = _below_each_other(frames)
    palette = whole.quantize(_COLOURS, kmeans=round(_SETTLED * whole.width * whole.height))
    # Dithered, because steps in the smooth colours of a flow would look like edges of moving things.
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    out = io.BytesIO()
    indexed[0].save(out, "GIF", save_all=True, append_images=indexed[1:], duration=_DURATION, loop=0)
    return out.getvalue()


def _panel(size: tuple[int, int]) -> tuple[tuple[int, int], Image.Resampling]:
    """Size of a panel for pictures of `size`, and how they are brought to it."""
    width, height = size
    if width < _LEAST:
        factor = math.ceil(_LEAST / width)
        return (width * factor, height * factor), Image.Resampling.NEAREST
    factor = width // _LEAST
    return (math.ceil(width / factor), math.ceil(height / factor)), Image.Resampling.BOX


def _frame(files: Sequence[Path], size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    width, height = size
    frame = Image.new("RGB", (len(files) * (width + _GAP) - _GAP, height + _BAR), "white")
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default_imagefont()
    for place, (name, path) in enumerate(zip(PANELS, files, strict=True)):
        left = place * (width + _GAP)
        draw.text((left + 2, 1), name, fill="black", font=font)
        with Image.open(path) as picture:
            frame.paste(picture.convert("RGB").resize(size, resample), (left, _BAR))
    return frame


def _below_each_other(frames: Sequence[Image.Image]) -> Image.Image:
    width, height = frames[0].size
    whole = Image.new("RGB", (width, height * len(frames)))
    for place, frame in enumerate(frames):
        whole.paste(frame, (0, place * height))
    return whole
