"""Writes checkpoints of TensorFlow's second format: a sorted table in blocks, and the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from caffe_files import count, field, varint

MAGIC = bytes.fromhex("57fb808b247547db")


def block(entries: list[tuple[bytes, bytes]], every: int = 4) -> bytes:
    """Entries whose keys leave out what they share with the one before, but for every fourth."""
    out, restarts, before = b"", [], b""
    for k, (key, value) in enumerate(entries):
        shared = 0
        if k % every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(before), len(key)) and before[shared] == key[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    places = restarts or [0]
    return out + b"".join(place.to_bytes(4, "little") for place in places) + len(places).to_bytes(4, "little")


def entry(array: np.ndarray, offset: int, kind: int = 1) -> bytes:
    shape = b"".join(field(2, count(1, side)) for side in array.shape)
    return count(1, kind) + field(2, shape) + count(4, offset) + count(5, array.nbytes) + varint(6 << 3 | 5) + b"crc!"


def write_checkpoint(prefix: Path, arrays: Mapping[str, np.ndarray], per_block: int = 7) -> Path:
    """Writes both files and returns the index."""
    data, entries = b"", [(b"", count(1, 1))]
    for name in sorted(arrays):
        array = np.asarray(arrays[name], "<f4", order="C")
        entries.append((name.encode(), entry(array, len(data))))
        data += array.tobytes()
    table, handles = b"", []
    for first in range(0, len(entries), per_block):
        part = entries[first : first + per_block]
        content = block(part)
        handles.append((part[-1][0], varint(len(table)) + varint(len(content))))
        table += content + b"\0crc!"
    ends = []
    for content in (block([]), block(handles)):
        ends.append(varint(len(table)) + varint(len(content)))
        table += content + b"\0crc!"
    footer = b"".join(ends)
    index = prefix.with_name(f"{prefix.name}.index")
    index.write_bytes(table + footer + bytes(40 - len(footer)) + MAGIC)
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    return index
