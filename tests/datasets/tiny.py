"""Every layout that a reader knows, as a tiny data set: written, read, and spoilt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scipy.io
import tiny_maps
import tiny_sets
import tiny_videos

from l2sp_suite.datasets import READERS, Classification, DataSet, Segmentation, Video, read
from l2sp_suite.utils.errors import UserError

Spoil = Callable[[Path], object]
REMEDY = "get it again"

LAYOUTS: dict[str, tuple[type[DataSet[Any]], str]] = {
    **{name: (Classification, name) for name in READERS[Classification]},
    **{name: (Segmentation, reader) for name, reader in tiny_maps.READER.items()},
    **{name: (Video, name) for name in tiny_videos.READERS},
}
"""Kind and reader of each layout."""
LISTS = [
    (layout, file)
    for texts in (tiny_sets.TEXTS, tiny_maps.TEXTS, tiny_videos.TEXTS)
    for layout in texts
    for file in texts[layout]
]
"""The text files of the layouts."""
MATS = [(layout, file) for layout, files in tiny_sets.MATS.items() for file in files]


def write(layout: str, folder: Path) -> Path:
    """Writes the tiny set; returns its own folder, which for some is below `folder`."""
    module = {Classification: tiny_sets, Segmentation: tiny_maps, Video: tiny_videos}[LAYOUTS[layout][0]]
    return module.write(layout, folder)


def load(layout: str, root: Path) -> Any:
    kind, reader = LAYOUTS[layout]
    return read(kind, reader, root, REMEDY)


def fails(layout: str, root: Path) -> str:
    """Reads, expects UserError, returns its message: one line that begins with a path and ends in the remedy."""
    with pytest.raises(UserError) as caught:
        load(layout, root)
    message = str(caught.value)
    assert message.startswith(str(root)) and message.endswith(f"; {REMEDY}")
    assert "\n" not in message and len(message) < 1000
    return message


def decoding_fails(data: Any, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        data.decode(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and ";" in message and "\n" not in message
    return message


# Ways to spoil a set


def line(file: str, number: int, text: str) -> Spoil:
    """Line `number`, from 1, becomes `text`."""

    def spoil(root: Path) -> None:
        lines = (root / file).read_text().splitlines()
        tiny_sets.text(root / file, [*lines[: number - 1], text, *lines[number:]])

    return spoil


def lines(file: str, *texts: str) -> Spoil:
    return lambda root: tiny_sets.text(root / file, texts)


def more(file: str, text: str) -> Spoil:
    return lambda root: (root / file).write_text(f"{(root / file).read_text()}{text}\n")


def content(file: str, new: bytes) -> Spoil:
    return lambda root: (root / file).write_bytes(new)


def gone(path: str) -> Spoil:

    return lambda root: shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()


def folder(path: str) -> Spoil:
    return lambda root: (root / path).mkdir(parents=True)


def mat(file: str, **variables: Any) -> Spoil:
    return lambda root: scipy.io.savemat(root / file, variables)


def changed_mat(file: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Spoil:
    def spoil(root: Path) -> None:
        stored = {key: value for key, value in scipy.io.loadmat(root / file).items() if not key.startswith("_")}
        scipy.io.savemat(root / file, change(stored))

    return spoil


def changed_json(change: Callable[[Any], object], *files: str) -> Spoil:
    def spoil(root: Path) -> None:
        for file in files:
            stored = json.loads((root / file).read_text())
            change(stored)
            (root / file).write_text(json.dumps(stored))

    return spoil
