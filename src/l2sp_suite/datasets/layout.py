"""One unpacked data set on disk: its index files (text, JSON, MATLAB) read strictly, each fault one line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import scipy.io

from l2sp_suite.utils.errors import UserError

__all__ = ["DatasetLayout", "Entry", "find_root", "quoted", "whole_number"]

_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Entry:
    """What an index file says on one line (`line` counts from 1)."""

    line: int
    value: str


def whole_number(text: str) -> int | None:
    """Return the plain decimal number 0 .. 999,999,999 that `text` is, else None.

    Narrower than `int`, which also takes signs, underscores and other scripts, and fails on very long input.
    """
    return int(text) if _DIGITS.fullmatch(text) else None


def find_root(data_root: Path, folders: Sequence[str], remedy: str) -> Path:
    """Return the first of `folders` that exists in `data_root`.

    Raises UserError, which ends in `remedy`, if none does.
    """
    for folder in folders:
        if (data_root / folder).is_dir():
            return data_root / folder
    raise UserError(f"no folder {' or '.join(folders)} in {data_root}; {remedy}")


class DatasetLayout:
    """The folder of one data set, whose files are read strictly.

    `remedy`: what to do where one is missing or malformed.
    Every method raises `UserError`: one line that names the file, the line in it if any, and the remedy.
    """

    def __init__(self, root: Path, remedy: str) -> None:
        self.root = root
        self.remedy = remedy
        self._listings: dict[Path, frozenset[str]] = {}
        if not root.is_dir():
            raise self.error(root, "no such folder")

    def error(self, file: str | Path, what: str, line: int | None = None) -> UserError:
        """Return (not raise) the error for `file`, given relative to the root."""
        where = str(self.root / file) + ("" if line is None else f", line {line}")
        return UserError(" ".join(f"{where}: {what}; {self.remedy}".splitlines()))

    def lines(self, file: str) -> list[Entry]:
        """Read the stripped lines of a UTF-8 file, at least one; blank ones are left out."""
        try:
            text = (self.root / file).read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise self.error(file, error.strerror or "cannot be read") from None
        except UnicodeDecodeError as error:
            raise self.error(file, f"is not UTF-8 text (byte {error.start})") from None
        # Not splitlines(), which also cuts at characters that may stand in a name.
        stripped = (Entry(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
        entries = [entry for entry in stripped if entry.value]
        if not entries:
            raise self.error(file, "is empty")
        return entries

    def json(self, file: str, *keys: str) -> list[list[dict[str, Any]]]:
        """Read the lists of objects that a JSON file has under `keys`, in their order."""
        try:
            content = json.loads((self.root / file).read_bytes())
        except OSError as error:
            raise self.error(file, error.strerror or "cannot be read") from None
        except ValueError:
            raise self.error(file, "is not JSON") from None
        lists = [content.get(key) if isinstance(content, dict) else None for key in keys]
        for key, items in zip(keys, lists, strict=True):
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise self.error(file, f"has no list of objects {key!r}")
        return cast("list[list[dict[str, Any]]]", lists)

    def pairs(self, file: str) -> dict[str, Entry]:
        """Read lines "key value" in file order; keys are unique, values may hold spaces."""
        entries: dict[str, Entry] = {}
        for entry in self.lines(file):
            parts = entry.value.split(maxsplit=1)
            if len(parts) != 2:
                raise self.error(file, f'expected "key value", found {quoted(entry.value)}', entry.line)
            if parts[0] in entries:
                raise self.error(file, f"{quoted(parts[0])} is listed twice", entry.line)
            entries[parts[0]] = Entry(entry.line, parts[1])
        return entries

    def names(self, file: str) -> list[str]:
        """Read one name per line, all different."""
        names: dict[str, None] = {}
        for entry in self.lines(file):
            if entry.value in names:
                raise self.error(file, f"{quoted(entry.value)} is listed twice", entry.line)
            names[entry.value] = None
        return list(names)

    def mat(self, file: str, variable: str) -> np.ndarray[Any, Any]:
        """Read one variable of a MATLAB file (version 7 or older) as a flat array.

        It has at least one element.
        """
        values = np.atleast_1d(self._variable(file, variable, squeeze=True)).ravel()
        if not values.size:
            raise self.error(file, f"variable {variable!r} is empty")
        return values

    def matrix(self, file: str, variable: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Read one variable of a MATLAB file as int64 (H, W), both >= 1, of values >= 0.

        Floats with a whole value pass, as MATLAB stores most numbers so.
        """
        values = np.asarray(self._variable(file, variable, squeeze=False))
        if values.ndim != 2 or values.dtype.kind not in "uif" or not values.size:
            raise self.error(file, f"variable {variable!r} is no matrix of numbers")
        # The bound keeps what follows inside int64; NaN fails every comparison.
        if not ((values >= 0) & (values < 2**31) & (values == np.floor(values))).all():
            raise self.error(file, f"variable {variable!r} holds something else than whole numbers")
        return values.astype(np.int64)

    def _variable(self, file: str, variable: str, squeeze: bool) -> Any:
        path = self.root / file
        if not path.is_file():
            raise self.error(file, "no such file")
        try:
            content = scipy.io.loadmat(path, squeeze_me=squeeze, variable_names=[variable])
        except Exception as error:  # scipy raises a dozen unrelated classes on a damaged file
            raise self.error(file, f"is not a readable MATLAB file ({type(error).__name__})") from None
        if variable not in content:
            raise self.error(file, f"has no variable {variable!r}")
        return content[variable]

    def whole_numbers(self, file: str, variable: str, values: Iterable[Any]) -> list[int]:
        """Values of a MATLAB variable as integers >= 0; floats with a whole value pass."""
        numbers: list[int] = []
        for position, value in enumerate(values, start=1):
            try:
                number = int(value)
                whole = number >= 0 and number == value
            except (TypeError, ValueError, OverflowError):
                whole = False
            if not whole:
                raise self.error(file, f"{variable!r} holds {quoted(str(value))} at {position}, no whole number")
            numbers.append(number)
        return numbers

    def image(self, name: str, file: str, line: int | None = None) -> Path:
        """The path of image `name`, relative to the root, that `line` of `file` lists.

        Existence is looked up in one listing per folder: a stat per image is slow on network disks.
        """
        relative = PurePosixPath(name)
        if not relative.name or relative.is_absolute() or ".." in relative.parts:
            raise self.error(file, f"{quoted(name)} is not a path inside the data set", line)
        path = self.root / relative
        if relative.name not in self._listing(path.parent):
            raise self.error(file, f"names {quoted(name)}, which is not on disk", line)
        return path

    def _listing(self, folder: Path) -> frozenset[str]:
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:
                    self._listings[folder] = frozenset(entry.name for entry in entries if entry.is_file())
            except (OSError, ValueError):  # ValueError: a NUL in a name read from a damaged file
                self._listings[folder] = frozenset()
        return self._listings[folder]


def quoted(text: str) -> str:
    """Quote text from a file so that it stays on one line, however damaged the file."""
    return ascii(text if len(text) <= 120 else text[:117] + "...")
