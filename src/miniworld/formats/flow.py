"""Optical flow in Middlebury's .flo and Scene Flow's .pfm. A field is float32 (2, H, W): pixels right and down."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["flo", "pfm", "read_flow"]

Field = NDArray[np.floating]
_MAGIC = struct.pack("<f", 202021.25)  # reads "PIEH"


def flo(field: Field) -> bytes:
    """Encode a field as .flo."""
    _, height, width = field.shape
    return _MAGIC + struct.pack("<ii", width, height) + np.moveaxis(field, 0, -1).astype("<f4").tobytes()


def pfm(field: Field) -> bytes:
    """Encode a field as .pfm: little-endian, three channels, the bottom row first."""
    _, height, width = field.shape
    rows = np.zeros((height, width, 3), dtype="<f4")
    rows[..., :2] = np.moveaxis(field, 0, -1)
    return f"PF\n{width} {height}\n-1\n".encode() + rows[::-1].tobytes()


def read_flow(path: Path) -> Field:
    """Read what :func:`flo` or :func:`pfm` wrote, by the path's ending."""
    content = path.read_bytes()
    if path.suffix == ".flo":
        width, height = struct.unpack("<4xii", content[:12])
        rows = np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2)
    else:
        _, sides, _, body = content.split(b"\n", 3)
        width, height = map(int, sides.split())
        rows = np.frombuffer(body, "<f4").reshape(height, width, 3)[::-1, :, :2]
    return np.moveaxis(rows, -1, 0)
