"""Protocol buffers by their wire format, read with suspicion: every length is held against what is there."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["MalformedError", "fields", "varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class MalformedError(Exception):
    """What is read is no protocol buffer."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; of those of fixed width and of bytes, their bytes. Raises `MalformedError`."""
    position = 0
    while position < len(message):
        key, position = varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value: int | memoryview
            value, position = varint(message, position)
        else:
            if wire == _BYTES:
                length, position = varint(message, position)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise MalformedError(f"a field of unknown kind {wire}")
            if length > len(message) - position:
                raise MalformedError(f"a field of {length:,} bytes where {len(message) - position:,} are left")
            value, position = message[position : position + length], position + length
        yield number, value


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number at `position`, and where it ends. Raises `MalformedError`."""
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(message):
            raise MalformedError("it ends within a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedError("a number of more than 64 bits")
