"""Files of optical flow: Middlebury's .flo and Scene Flow's .pfm.

A field is a float32 tensor (3, H, W): u (pixels, to the right), v (pixels, downwards) and valid (1.0 or 0.0).
Vectors that are not valid are 0.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from l2sp_suite.datasets.layout import quoted, whole_number
from l2sp_suite.utils.errors import UserError

__all__ = ["LONGEST_SIDE", "load_flow"]

LONGEST_SIDE = 4096
"""The largest H or W (pixels) that is read: bounds the memory that a hostile file can ask for."""

Array = np.ndarray[Any, np.dtype[Any]]

_FLO_MAGIC = struct.pack("<f", 202021.25)  # reads "PIEH"
_FLO_LIMIT = 1e9  # pixels; Middlebury's sign for "unknown" is anything beyond
_PFM_HEADER = re.compile(rb"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s")
_PFM_HEADER_BYTES = 1024  # far more than a header takes


class _Fault(Exception):
    """What is wrong with a file, without its name, and the remedy."""

    def __init__(self, what: str, remedy: str = "unpack it again") -> None:
        super().__init__(f"{what}; {remedy}")


def load_flow(path: Path) -> Tensor:
    """Read a file .flo or .pfm of optical flow to a field: float32 (3, H, W).

    The suffix, in either case, decides the format. Unknown are, and so get valid 0, vectors beyond 1e9 pixels or NaN
    in .flo, and those that are not finite in .pfm.

    Raises UserError, naming the file, if it is missing, of another kind, damaged, shorter or longer than its header
    says, or larger than `LONGEST_SIDE`.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise _error(path, f"is no file of optical flow; give one that ends in {' or '.join(_READERS)}")
    try:
        if not path.is_file():  # else opening a pipe would wait for ever
            raise _Fault("no such file")
        with path.open("rb") as file:
            return read(file, os.fstat(file.fileno()).st_size)
    except _Fault as fault:
        raise _error(path, str(fault)) from None
    except OSError as error:
        raise _error(path, f"{error.strerror or 'cannot be read'}; unpack it again") from None


def _error(path: Path, what: str) -> UserError:
    return UserError(" ".join(f"{path}: {what}".splitlines()))


def _field(vectors: Array, known: Array) -> Tensor:
    """Return the field of `vectors` (H, W, 2), valid where all of `known` bool (H, W, any number) is True."""
    valid = np.all(known, axis=-1)
    field = np.zeros((3, *vectors.shape[:2]), dtype=np.float32)
    field[:2] = np.where(valid, np.moveaxis(vectors, -1, 0), 0)
    field[2] = valid
    return torch.from_numpy(field)


def _read_flo(file: BinaryIO, size: int) -> Tensor:
    head = file.read(12)
    _check_magic(head, _FLO_MAGIC, ".flo file")
    if len(head) < 12:
        raise _Fault("ends within its header")
    width, height = struct.unpack("<4xii", head)
    vectors = _floats(file, size - len(head), "<f4", (height, width, 2))
    return _field(vectors, np.abs(vectors) <= _FLO_LIMIT)


def _read_pfm(file: BinaryIO, size: int) -> Tensor:
    head = file.read(_PFM_HEADER_BYTES)
    if head.startswith(b"Pf"):
        raise _Fault("has one channel, so it holds disparity", "give a file of optical flow")
    _check_magic(head, b"PF", ".pfm file")
    header = _PFM_HEADER.match(head)
    if header is None:
        raise _Fault("has no complete header")
    magic, *sides, scale = (token.decode("latin-1") for token in header.groups())
    if magic != "PF":
        raise _Fault(f"is no .pfm file (it begins with {quoted(magic)})")
    width, height = (_whole(side) for side in sides)
    file.seek(header.end())
    rows = _floats(file, size - header.end(), _pfm_dtype(scale), (height, width, 3))
    vectors = rows[::-1, :, :2]  # the bottom row comes first
    return _field(vectors, np.isfinite(vectors))


def _whole(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise _Fault(f"claims a side of {quoted(text)} pixels (expected a number 1 .. {LONGEST_SIDE})")
    return number


def _pfm_dtype(scale: str) -> str:
    """Return the type of the numbers, whose byte order the sign of `scale` tells; its magnitude plays no role."""
    try:
        value = float(scale)
    except ValueError:
        value = math.nan
    if value == 0 or not math.isfinite(value):
        raise _Fault(f"has the scale {quoted(scale)}, no finite number other than 0")
    return "<f4" if value < 0 else ">f4"


def _check_magic(head: bytes, magic: bytes, kind: str) -> None:
    if not head:
        raise _Fault("is empty")
    if not head.startswith(magic[: len(head)]):
        raise _Fault(f"is no {kind} (it does not begin with {quoted(magic.decode('latin-1'))})")


def _floats(file: BinaryIO, size: int, dtype: str, shape: tuple[int, int, int]) -> Array:
    """Read an array float32 of `shape` (H, W, channels), which must take the `size` bytes that the file still has."""
    height, width, channels = shape
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise _Fault(f"claims {width}x{height} pixels (expected sides 1 .. {LONGEST_SIDE})")
    expected = 4 * height * width * channels
    # Compared before a byte is read: a header must not decide how much memory is taken.
    if size != expected or len(body := file.read(expected)) != expected:
        raise _Fault(f"holds {size} bytes after its header, not the {expected} of {width}x{height} pixels")
    return np.frombuffer(body, dtype=dtype).reshape(shape).astype(np.float32)


_READERS: dict[str, Callable[[BinaryIO, int], Tensor]] = {".flo": _read_flo, ".pfm": _read_pfm}
