"""The disk that data sets are written to: room, a full one, and two processes at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from l2sp_suite.utils.errors import UserError

__all__ = ["check_room", "claimed", "in_words"]

_log = logging.getLogger(__name__)


def in_words(size: float) -> str:
    """A number of bytes >= 0 as a person reads it, e.g. "1.151 GB"; units are powers of 1000."""
    power = min(4, (len(str(int(size))) - 1) // 3)
    return f"{size / 1000**power:.4g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise UserError unless `needed` bytes are free on the disk of `folder`, which exists."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {what} needs {in_words(needed)} or more, {in_words(free)} are free: free some space, or choose "
            "another folder (DATA=..)"
        )


@contextlib.contextmanager
def claimed(root: Path) -> Iterator[None]:
    """Makes the folder if need be and holds it against other processes that fetch into it.

    Raises:
        UserError: another process holds it; or the disk became full inside the context.
    """
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        _lock(handle, root)
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{root}: the disk is full: free some space; the same command goes on") from None
    finally:
        os.close(handle)


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{root}: another process is fetching into it: wait for it, or end it") from None
    except OSError as error:  # some network file systems lock no folder
        _log.warning("%s: cannot be locked (%s): let no other process fetch into it", root, error.strerror)
