"""Box blur, the only filter that pictures go through."""

from __future__ import annotations

import numpy as np

from miniworld.drawing.geometry import Array

__all__ = ["box_blur"]


def box_blur(image: Array, size: int) -> Array:
    """Blur the last two axes of a float32 array with a square of ``size`` pixels; the rim's values go on outside it.

    Every byte that is drawn depends on the rounding of these sums. They are those of scipy.ndimage's uniform_filter1d:
    along a line a sum in float64 is carried on, plus what enters less what leaves, and divided at the end.
    """
    return _along(_along(image, size, -1), size, -2)


def _along(image: Array, size: int, axis: int) -> Array:
    line = np.moveaxis(image, axis, 0).astype(np.float64)
    before, after = size // 2, size - size // 2 - 1
    line = np.concatenate([line[:1]] * before + [line] + [line[-1:]] * after)
    sums = np.concatenate([np.add.accumulate(line[:size])[-1:], line[size:] - line[:-size]])
    np.add.accumulate(sums, out=sums)
    out: Array = np.moveaxis(sums / size, 0, axis).astype(np.float32)
    return out
