"""Files of optical flow: Middlebury's .flo, Scene Flow's .pfm and KITTI's 16-bit .png.

A field is a float32 tensor (3, H, W): u (pixels, to the right), v (pixels, downwards) and valid (1.0 or 0.0).
Vectors that are not valid are 0.

KITTI's PNGs are decoded here: PIL reduces 16-bit RGB to 8 bits, and torchvision's decoder, deprecated besides, ends
the process with a segmentation fault on damaged files.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from l2sp_suite.datasets.layout import quoted, whole_number
from l2sp_suite.utils.errors import UserError

__all__ = ["LONGEST_SIDE", "encode_flo", "encode_kitti", "encode_pfm", "load_flow"]

LONGEST_SIDE = 4096
"""The largest H or W (pixels) that is read or written: bounds the memory that a hostile file can ask for."""

Array = np.ndarray[Any, np.dtype[Any]]

_FLO_MAGIC = struct.pack("<f", 202021.25)  # reads "PIEH"
_FLO_LIMIT = 1e9  # pixels; Middlebury's sign for "unknown" is anything beyond
_FLO_UNKNOWN = 1e10
_PFM_HEADER = re.compile(rb"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s")
_PFM_HEADER_BYTES = 1024  # far more than a header takes
_KITTI_ZERO = 2**15
_KITTI_UNIT = 64  # steps per pixel
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = struct.Struct(">8sI4sIIBBBBBI")  # the signature and all of the first chunk, IHDR
_PIXEL = 6  # bytes: three channels of 16 bits


class _Fault(Exception):
    """What is wrong with a file, without its name, and the remedy."""

    def __init__(self, what: str, remedy: str = "unpack it again") -> None:
        super().__init__(f"{what}; {remedy}")


def load_flow(path: Path) -> Tensor:
    """Read a file .flo, .pfm or .png (KITTI's) of optical flow to a field: float32 (3, H, W), see the module.

    The suffix, in either case, decides the format. Unknown are, and so get valid 0, vectors beyond 1e9 pixels or NaN
    in .flo, those that are not finite in .pfm, and those whose blue channel is 0 in .png.

    Raises UserError, naming the file, if it is missing, of another kind, damaged, shorter or longer than its header
    says, or larger than `LONGEST_SIDE`.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise _error(path, f"is no file of optical flow; give one that ends in {', '.join(_READERS)}")
    try:
        if not path.is_file():  # else opening a pipe would wait for ever
            raise _Fault("no such file")
        with path.open("rb") as file:
            return read(file, os.fstat(file.fileno()).st_size)
    except _Fault as fault:
        raise _error(path, str(fault)) from None
    except OSError as error:
        raise _error(path, f"{error.strerror or 'cannot be read'}; unpack it again") from None


def encode_flo(field: Tensor) -> bytes:
    """Return the content of a .flo file; vectors that are not valid are stored as 1e10.

    Raises ValueError if `field` is no field, or if a valid vector is not within 1e9 pixels.
    """
    vectors, valid = _parts(field, -_FLO_LIMIT, _FLO_LIMIT)
    height, width = valid.shape
    stored = np.where(valid[..., None], vectors, _FLO_UNKNOWN).astype("<f4")
    return _FLO_MAGIC + struct.pack("<ii", width, height) + stored.tobytes()


def encode_pfm(field: Tensor) -> bytes:
    """Return the content of a little-endian .pfm file of three channels; vectors that are not valid are NaN.

    Raises ValueError if `field` is no field, or if a valid vector is not finite.
    """
    limit = float(np.finfo(np.float32).max)
    vectors, valid = _parts(field, -limit, limit)
    height, width = valid.shape
    stored = np.zeros((height, width, 3), dtype="<f4")
    stored[..., :2] = np.where(valid[..., None], vectors, math.nan)
    return f"PF\n{width} {height}\n-1\n".encode() + stored[::-1].tobytes()


def encode_kitti(field: Tensor) -> bytes:
    """Return the content of KITTI's 16-bit RGB PNG, vectors rounded to 1/64 pixel; those not valid are stored as 0.

    Raises ValueError if `field` is no field, or if a valid vector is not within -512 .. 511.99 pixels.
    """
    vectors, valid = _parts(field, -512, 511.99)
    height, width = valid.shape
    stored = np.zeros((height, width, 3), dtype=">u2")
    # Rounded in float64: in float32 the added zero would swallow the half steps.
    steps = np.rint(vectors.astype(np.float64) * _KITTI_UNIT) + _KITTI_ZERO
    stored[..., :2] = np.where(valid[..., None], steps, 0)
    stored[..., 2] = valid
    rows = np.zeros((height, 1 + _PIXEL * width), dtype=np.uint8)  # each begins with its filter: none
    rows[:, 1:] = stored.view(np.uint8).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return _PNG_SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _error(path: Path, what: str) -> UserError:
    return UserError(" ".join(f"{path}: {what}".splitlines()))


def _field(vectors: Array, known: Array) -> Tensor:
    """Return the field of `vectors` (H, W, 2), valid where all of `known` bool (H, W, any number) is True."""
    valid = np.all(known, axis=-1)
    field = np.zeros((3, *vectors.shape[:2]), dtype=np.float32)
    field[:2] = np.where(valid, np.moveaxis(vectors, -1, 0), 0)
    field[2] = valid
    return torch.from_numpy(field)


def _parts(field: Tensor, low: float, high: float) -> tuple[Array, Array]:
    """Return the vectors float32 (H, W, 2) and valid bool (H, W). Raises ValueError as the writers say."""
    if field.dtype != torch.float32 or field.ndim != 3 or len(field) != 3 or not field.numel():
        raise ValueError(f"expected a field float32 (3, H, W), found {field.dtype} {tuple(field.shape)}")
    if max(field.shape) > LONGEST_SIDE:
        raise ValueError(f"expected sides up to {LONGEST_SIDE}, found {tuple(field.shape)}")
    array = field.detach().cpu().numpy()
    valid = array[2] == 1
    if not (valid | (array[2] == 0)).all():
        raise ValueError("the third channel of a field must be 1 (valid) or 0")
    vectors = np.moveaxis(array[:2], 0, -1)
    found = vectors[valid]
    if not ((found >= low) & (found <= high)).all():  # fails for NaN too
        raise ValueError(f"a valid vector is not within {low:g} .. {high:g} pixels")
    return vectors, valid


# Middlebury and Scene Flow


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
    found = _PFM_HEADER.match(head)
    if found is None:
        raise _Fault("has no complete header")
    magic, *sides, scale = (token.decode("latin-1") for token in found.groups())
    if magic != "PF":
        raise _Fault(f"is no .pfm file (it begins with {quoted(magic)})")
    width, height = (_whole(side) for side in sides)
    file.seek(found.end())
    rows = _floats(file, size - found.end(), _pfm_dtype(scale), (height, width, 3))
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


def _check_sides(width: int, height: int) -> None:
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise _Fault(f"claims {width}x{height} pixels (expected sides 1 .. {LONGEST_SIDE})")


def _floats(file: BinaryIO, left: int, dtype: str, shape: tuple[int, int, int]) -> Array:
    """Read an array float32 of `shape` (H, W, channels), which must take all the `left` bytes of the file."""
    height, width, channels = shape
    _check_sides(width, height)
    wanted = 4 * height * width * channels
    # Compared before a byte is read: a header must not decide how much memory is taken.
    if left != wanted or len(body := file.read(wanted)) != wanted:
        raise _Fault(f"holds {left} bytes after its header, not the {wanted} of {width}x{height} pixels")
    return np.frombuffer(body, dtype=dtype).reshape(shape).astype(np.float32)


# KITTI


def _read_kitti(file: BinaryIO, size: int) -> Tensor:
    head = file.read(_PNG_HEAD.size)
    width, height = _png_sides(head)
    wanted = height * (1 + _PIXEL * width)
    # No compressor doubles its input; the rest is for what else a PNG may hold.
    if size > 2 * wanted + (1 << 20):
        raise _Fault(f"is too long ({size} bytes) for {width}x{height} pixels")
    parts = [body for kind, body in _chunks(file.read(size)) if kind == b"IDAT"]
    rows = np.frombuffer(_inflated(b"".join(parts), wanted), dtype=np.uint8).reshape(height, -1)
    pixels = _unfiltered(rows[:, 0], rows[:, 1:].reshape(height, width, _PIXEL))
    samples = pixels.view(">u2")
    vectors = (samples[..., :2].astype(np.float32) - _KITTI_ZERO) / _KITTI_UNIT
    return _field(vectors, samples[..., 2:] > 0)


def _png_sides(head: bytes) -> tuple[int, int]:
    """Return the width and height that the first bytes of a PNG tell, if it is of 16-bit RGB, not interlaced."""
    _check_magic(head, _PNG_SIGNATURE, "PNG")
    if len(head) < _PNG_HEAD.size:
        raise _Fault("ends within its header")
    _, length, kind, width, height, depth, colour, deflate, filters, interlaced, crc = _PNG_HEAD.unpack(head)
    if (length, kind) != (13, b"IHDR") or crc != zlib.crc32(head[12:29]):
        raise _Fault("has a damaged header")
    if (depth, colour) != (16, 2):
        raise _Fault(
            f"is a PNG of {depth} bits and colour type {colour}, not 16-bit RGB (type 2)", "give one in KITTI's format"
        )
    if (deflate, filters, interlaced) != (0, 0, 0):
        raise _Fault("is interlaced or compressed in an unknown way")
    _check_sides(width, height)
    return width, height


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, body) of each chunk of `content`, of which the last one must be IEND, at the very end."""
    kind, start = b"", 0
    while kind != b"IEND":
        if start + 12 > len(content):
            raise _Fault("is cut off")
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 8 + length
        if end + 4 > len(content):
            raise _Fault("is cut off")
        if struct.unpack_from(">I", content, end) != (zlib.crc32(content[start + 4 : end]),):
            raise _Fault("is damaged (a checksum is wrong)")
        yield kind, content[start + 8 : end]
        start = end + 4
    if start != len(content):
        raise _Fault(f"goes on for {len(content) - start} bytes after its end")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _inflated(compressed: bytes, wanted: int) -> bytes:
    """Decompress to `wanted` bytes exactly; never takes memory for more, nor for more than the data yields."""
    stream = zlib.decompressobj()
    try:
        # One byte more is asked for, which tells longer data and makes zlib look at the checksum at the end.
        content = stream.decompress(compressed, wanted + 1)
    except zlib.error as error:
        raise _Fault(f"is damaged ({error})") from None
    if len(content) != wanted or not stream.eof or stream.unused_data:
        raise _Fault("holds more or fewer pixels than its header says")
    return content


def _unfiltered(kinds: Array, rows: Array) -> Array:
    """Return the pixels of `rows`, both uint8 (H, W, bytes), of which row y was put through PNG's filter `kinds[y]`.

    A pixel needs its neighbours to the left, above and in the corner between. So all pixels of one falling diagonal
    are independent and done at once.
    """
    if kinds.max() > 4:
        raise _Fault(f"uses the unknown filter {kinds.max()}")
    if not kinds.any():
        return rows
    height, width, depth = rows.shape
    padded = np.zeros((height + 1, width + 1, depth), dtype=np.uint8)  # the neighbours of the border are 0
    padded[1:, 1:] = rows
    flat = padded.reshape(-1, depth)
    choice = kinds[:, None].astype(np.intp)
    for diagonal in range(height + width - 1):
        top, bottom = max(0, diagonal - width + 1), min(height, diagonal + 1)
        first = (top + 1) * (width + 1) + diagonal - top + 1
        # One down and one to the left is `width` on in `flat`, as its rows have width + 1 pixels.
        ends = (first - back for back in (0, 1, width + 1, width + 2))
        here, *near = (flat[end : end + (bottom - top - 1) * width + 1 : width] for end in ends)
        here += _predicted(choice[top:bottom], *(pixels.astype(np.int16) for pixels in near))
    return np.ascontiguousarray(padded[1:, 1:])


def _predicted(choice: Array, left: Array, up: Array, corner: Array) -> Array:
    """Return PNG's prediction uint8 (n, bytes) of pixels from neighbours int16 alike; `choice` (n, 1) is 0 .. 4."""
    to_left, to_up = np.abs(up - corner), np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    nearest = np.where(to_up <= to_corner, up, corner)
    paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
    return np.choose(choice, (np.zeros_like(left), left, up, (left + up) >> 1, paeth)).astype(np.uint8)


_READERS: dict[str, Callable[[BinaryIO, int], Tensor]] = {".flo": _read_flo, ".pfm": _read_pfm, ".png": _read_kitti}
