"""PASCAL VOC's colours for index pictures."""

from __future__ import annotations

from functools import cache

__all__ = ["palette"]


@cache
def palette() -> tuple[int, ...]:
    """PASCAL VOC's colours: 256 RGB triples in one row.

    They spread the bits of a value over the channels.
    """
    return tuple(
        sum(((value >> (3 * place + channel)) & 1) << (7 - place) for place in range(8))
        for value in range(256)
        for channel in range(3)
    )
