"""Reads the arrays of a TensorFlow checkpoint (`NAME.index` beside `NAME.data-00000-of-00001`), without TensorFlow.

The index is a sorted table in blocks: keys without what they share with the one before, values that say where an array
lies. Nothing is trusted: every offset and length is held against the file.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l2sp_suite.pretrained.convert.wire import MalformedError, fields, varint
from l2sp_suite.utils.errors import UserError

__all__ = ["Checkpoint", "checkpoint_files", "open_checkpoint"]

_MAGIC, _FOOTER = bytes.fromhex("57fb808b247547db"), 48
_FLOAT = 1  # TensorFlow's number of the type of 32-bit floats


@dataclass(frozen=True)
class _Entry:
    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: by name where its arrays lie; they are read when asked for."""

    prefix: Path
    shards: int
    entries: Mapping[str, _Entry]

    def read(self, name: str) -> NDArray[np.float32]:
        """The array of that name.

        Raises:
            UserError: it is not there, not of 32-bit floats, or its file is missing or too short.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise UserError(f"{self.prefix}: no array {name}; is it the right network?")
        if entry.kind != _FLOAT or entry.size != 4 * math.prod(entry.shape):
            raise UserError(f"{self.prefix}: {name} does not hold 32-bit floats in its shape")
        path = self.prefix.with_name(f"{self.prefix.name}.data-{entry.shard:05d}-of-{self.shards:05d}")
        try:
            if path.stat().st_size < entry.offset + entry.size:
                raise UserError(f"{path}: ends before the end of {name}: cut short; fetch it again")
            with path.open("rb") as file:
                file.seek(entry.offset)
                content = file.read(entry.size)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; a checkpoint is its .index and all .data files") from error
        return np.frombuffer(content, "<f4").reshape(entry.shape).astype(np.float32)


def checkpoint_files(index: Path) -> list[Path]:
    """All files of the checkpoint whose `.index` file that is, those of its arrays after it."""
    return [index, *sorted(index.parent.glob(f"{glob.escape(index.stem)}.data-*-of-*"))]


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint whose `.index` file that is.

    Raises:
        UserError: no such file, one of the older format of a single file, or a damaged one.
    """
    if path.suffix != ".index":
        raise UserError(f"{path}: give the .index file of a checkpoint; the older format of one file is not read")
    prefix = path.with_suffix("")
    try:
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; get the checkpoint, or correct the path") from error
    try:
        table = dict(_table(content))
        shards = next((v for number, v in fields(table.pop(b"", memoryview(b""))) if number == 1), 1)
        entries = {bytes(key).decode("utf-8"): _entry(value) for key, value in table.items()}
    except (MalformedError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged or not the index of a checkpoint ({error}); fetch it again") from error
    return Checkpoint(prefix, shards if isinstance(shards, int) else 1, entries)


def _table(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    if len(content) < _FOOTER or bytes(content[-8:]) != _MAGIC:
        raise MalformedError("it does not end as one")
    position = len(content) - _FOOTER
    for _ in range(2):  # the block of blocks' names, which is empty, comes first
        offset, position = varint(content, position)
        size, position = varint(content, position)
    for _, handle in _block(content, offset, size):
        start, position = varint(handle, 0)
        length, _ = varint(handle, position)
        yield from _block(content, start, length)


def _block(content: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    if offset + size + 5 > len(content) or size < 4:
        raise MalformedError(f"a block of {size:,} bytes at {offset:,} of {len(content):,}")
    if content[offset + size] != 0:
        raise MalformedError("its blocks are compressed")
    block = content[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise MalformedError(f"{restarts:,} restarts in a block of {size:,} bytes")
    key, position = b"", 0
    while position < end:
        shared, position = varint(block, position)
        fresh, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key) or position + fresh + length > end:
            raise MalformedError("an entry that does not fit its block")
        key = key[:shared] + bytes(block[position : position + fresh])
        position += fresh
        yield key, block[position : position + length]
        position += length


def _entry(message: memoryview) -> _Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: list[int] = []
    for number, value in fields(message):
        if number in numbers and isinstance(value, int):
            numbers[number] = value
        elif number == 2 and isinstance(value, memoryview):
            shape += [_side(side) for k, side in fields(value) if k == 2 and isinstance(side, memoryview)]
    return _Entry(numbers[1], tuple(shape), numbers[3], numbers[4], numbers[5])


def _side(message: memoryview) -> int:
    return next((value for number, value in fields(message) if number == 1 and isinstance(value, int)), 0)
