"""MATLAB's level 5 MAT-files, as far as the official annotations need them: numbers, cells of text, structures.

Format: "MAT-File Format", The MathWorks, chapter 1. The bytes are those that scipy.io.savemat writes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["mat_file"]

Record = Mapping[str, int | str]
Variable = NDArray[np.unsignedinteger] | Sequence[str] | Sequence[Record]

_INT8, _INT32, _UINT32, _MATRIX, _UTF8 = 1, 5, 6, 14, 16  # data types
_CELL, _STRUCT, _CHAR = 1, 2, 4  # classes of arrays
_NUMBERS = {"u1": (9, 2), "u2": (11, 4), "i8": (14, 12)}  # class and data type of each numpy type


def mat_file(variables: Mapping[str, Variable]) -> bytes:
    """Encode variables: a numeric array (rows, columns), a row of texts (a cell array), or one of records (a struct).

    The free text of the header holds no date, so that equal variables have equal bytes.
    """
    head = b"MATLAB 5.0 MAT-file, miniature world".ljust(116) + struct.pack("<8xH2s", 0x0100, b"IM")
    return head + b"".join(_variable(name, value) for name, value in variables.items())


def _variable(name: str, value: Variable) -> bytes:
    if isinstance(value, np.ndarray):
        return _numbers(name, value)
    if isinstance(value[0], str):
        return _matrix(name, _CELL, (1, len(value)), *map(_item, value))  # type: ignore[arg-type]
    names = list(value[0])
    width = max(map(len, names)) + 1
    fields = b"".join(field.encode().ljust(width, b"\0") for field in names)
    items = (_item(record[field]) for record in value for field in names)  # type: ignore[index]
    widths = _element(_INT32, struct.pack("<i", width))
    return _matrix(name, _STRUCT, (1, len(value)), widths, _element(_INT8, fields), *items)


def _item(value: int | str) -> bytes:
    if isinstance(value, int):
        return _numbers("", np.array([[value]], dtype=np.int64))
    return _matrix("", _CHAR, (1, len(value)), _element(_UTF8, value.encode()))


def _numbers(name: str, array: NDArray[np.integer]) -> bytes:
    kind, data = _NUMBERS[array.dtype.str[1:]]
    content = array.astype(array.dtype.newbyteorder("<")).tobytes(order="F")
    return _matrix(name, kind, array.shape, _element(data, content))


def _matrix(name: str, kind: int, shape: Sequence[int], *body: bytes) -> bytes:
    flags = _element(_UINT32, struct.pack("<II", kind, 0))
    sides = _element(_INT32, struct.pack(f"<{len(shape)}i", *shape))
    content = b"".join((flags, sides, _element(_INT8, name.encode()), *body))
    return struct.pack("<II", _MATRIX, len(content)) + content


def _element(kind: int, data: bytes) -> bytes:
    """Data after its type and length, filled to 8 bytes; four bytes or fewer lie within the tag."""
    if len(data) <= 4:
        return struct.pack("<I4s", len(data) << 16 | kind, data)
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)
