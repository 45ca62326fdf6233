"""Writes .caffemodel files, by the wire format of protocol buffers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def count(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def blob(array: Array, old: bool = False, packed: bool = True) -> bytes:
    if old:
        sides = [1] * (4 - array.ndim) + list(array.shape)
        shape = b"".join(count(k, side) for k, side in enumerate(sides, 1))
    else:
        shape = field(7, field(1, b"".join(map(varint, array.shape))))
    plain = np.ascontiguousarray(array, "<f4")
    if packed:
        return shape + field(5, plain.tobytes())
    return shape + b"".join(varint(5 << 3 | 5) + number.tobytes() for number in plain.ravel())


def caffemodel(layers: Mapping[str, Sequence[Array]], old: bool = False, packed: bool = True) -> bytes:
    net = field(1, b"a net")
    for name, arrays in layers.items():
        blobs = [blob(array, old, packed) for array in arrays]
        if old:
            net += field(2, field(4, name.encode()) + count(5, 4) + b"".join(field(6, b) for b in blobs))
        else:
            kind = field(1, name.encode()) + field(2, b"Convolution")
            net += field(100, kind + b"".join(field(7, b) for b in blobs))
    return net
