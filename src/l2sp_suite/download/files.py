"""The folder that data sets are written to: free space, a lock, and moves that are whole or absent."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from l2sp_suite.utils.errors import UserError

__all__ = ["check_free_space", "dir_lock", "format_size", "move"]

_log = logging.getLogger(__name__)


def format_size(size: float) -> str:
    """A number of bytes >= 0 for people, e.g. "1.151 GB"; units are powers of 1000."""
    power = min(4, (len(str(int(size))) - 1) // 3)
    return f"{size / 1000**power:.4g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Raise UserError unless the disk of `folder`, which exists, has `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {what} needs {format_size(needed)} or more, {format_size(free)} are free: free some space, or "
            "choose another folder (data=..)"
        )


@contextlib.contextmanager
def dir_lock(folder: Path) -> Iterator[None]:
    """Make the folder if need be and lock it against other downloads.

    Raises UserError if another process holds it. Where a network file system locks no folder, warns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UserError(f"{folder}: another process is fetching into it: wait for it, or end it") from None
    except OSError as error:
        _log.warning("%s: cannot be locked (%s): let no other process fetch into it", folder, error.strerror)
    try:
        yield
    finally:
        os.close(handle)


def move(path: Path, target: Path) -> None:
    """Move a file or folder so that `target` is whole or absent, over disks too."""
    partial = target.with_name(f".{target.name}.part")
    _remove(partial)  # of a process that was killed
    try:
        shutil.move(path, partial)
        partial.rename(target)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
