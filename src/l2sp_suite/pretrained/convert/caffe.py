"""Reads the layers of a .caffemodel: the few messages of Caffe's protocol buffer that hold weights.

Nothing is trusted: every length is held against what is there before anything is allocated.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l2sp_suite.pretrained.convert.wire import MalformedError, fields, varint
from l2sp_suite.utils.errors import UserError

__all__ = ["Blobs", "read_caffemodel"]

Blobs = dict[str, list[NDArray[np.float32]]]
"""Arrays of a net's layers by their names, in the order of the file."""

# Numbers of fields: of a net, its layers today (100) and in files of 2014 (2); of these, name and blobs.
_LAYERS = {100: (1, 7), 2: (4, 6)}
_OLD_SHAPE, _DATA, _SHAPE, _DOUBLES = (1, 2, 3, 4), 5, 7, 8


def read_caffemodel(path: Path) -> Blobs:
    """The weights of a net, by layer; layers without any are left out.

    Raises:
        UserError: no such file, not a .caffemodel, or damaged.
    """
    try:
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; get it, or correct the path") from error
    layers: Blobs = {}
    try:
        for number, value in fields(content):
            if number in _LAYERS and isinstance(value, memoryview):
                name, blobs = _layer(value, *_LAYERS[number])
                if blobs:
                    layers[name] = blobs
    except (MalformedError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: damaged or not a .caffemodel ({error}); fetch it again") from error
    if not layers:
        raise UserError(f"{path}: holds no layer with weights; give a .caffemodel, not a .prototxt")
    return layers


def _layer(message: memoryview, name_field: int, blob_field: int) -> tuple[str, list[NDArray[np.float32]]]:
    name, blobs = "", []
    for number, value in fields(message):
        if isinstance(value, memoryview):
            if number == name_field:
                name = bytes(value).decode("utf-8")
            elif number == blob_field:
                blobs.append(_blob(value))
    return name, blobs


def _blob(message: memoryview) -> NDArray[np.float32]:
    """An array; shapes of before 2014 have four sides, the first of which may be ones too many."""
    old = dict.fromkeys(_OLD_SHAPE, 0)
    shape: list[int] | None = None
    parts: list[NDArray[np.float32]] = []
    for number, value in fields(message):
        if isinstance(value, int):
            if number in old:
                old[number] = value
        elif number == _SHAPE:
            shape = _sides(value)
        elif number == _DATA:
            parts.append(_numbers(value, "<f4"))
        elif number == _DOUBLES:
            parts.append(_numbers(value, "<f8"))
    data = np.concatenate(parts) if parts else np.empty(0, np.float32)
    sides = list(old.values()) if shape is None else shape
    if math.prod(sides) != data.size:
        raise MalformedError(f"{data.size:,} numbers for an array of {' x '.join(map(str, sides))}")
    return data.reshape(sides)


def _sides(message: memoryview) -> list[int]:
    sides: list[int] = []
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            sides.append(value)
        elif number == 1 and isinstance(value, memoryview):  # packed
            position = 0
            while position < len(value):
                side, position = varint(value, position)
                sides.append(side)
    return sides


def _numbers(value: memoryview, kind: str) -> NDArray[np.float32]:
    if len(value) % np.dtype(kind).itemsize:
        raise MalformedError(f"{len(value):,} bytes are no whole number of numbers")
    return np.frombuffer(value, kind).astype(np.float32)
