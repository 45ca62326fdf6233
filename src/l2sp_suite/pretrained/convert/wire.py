"""Protocol buffers by their wire format, read with suspicion: every length is held against what is there."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["MalformedError", "fields", "varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class MalformedError(Exception):
    """What is read is no protocol buffer."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; of those of fixed width and of bytes, their bytes. Raises `MalformedError`."""
    place = 0
    while place < len(message):
        key, place = varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value: int | memoryview
            value, place = varint(message, place)
        else:
            if wire == _BYTES:
                length, place = varint(message, place)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise MalformedError(f"a field of unknown kind {wire}")
            if length > len(message) - place:
                raise MalformedError(f"a field of {length:,} bytes where {len(message) - place:,} are left")
            value, place = message[place : place + length], place + length
        yield number, value


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, and where it ends. Raises `MalformedError`."""
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(message):
            raise MalformedError("it ends within a number")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise MalformedError("a number of more than 64 bits")
