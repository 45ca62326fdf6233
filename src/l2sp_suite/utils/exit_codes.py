"""What the entry points share: one clear line and an exit status instead of a traceback."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator

from l2sp_suite.utils.errors import RunLocked, UserError

__all__ = ["INTERRUPTED", "LOCKED", "one_line_errors"]

LOCKED, INTERRUPTED = 75, 130
"""Exit statuses: another process is at work on the run; Ctrl-C."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Prints bad input as one line on stderr and exits with 2; 75 where a run is locked, 130 on Ctrl-C."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit by itself
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        yield
    except UserError as error:
        _exit(f"error: {error}", 2)
    except RunLocked as error:
        _exit(f"{error}: another process is working on this run", LOCKED)
    except KeyboardInterrupt:
        _exit("interrupted: the same command goes on where this one stopped", INTERRUPTED)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _exit(f"error: the disk is full ({error.filename}): free some space; the same command resumes", 2)
        _exit(f"error: {error}", 2)


def _exit(message: str, status: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(status)
