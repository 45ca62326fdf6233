"""What the entry points share: one clear line and an exit status instead of a traceback."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config.compose import explain
from l2sp_suite.runs import Busy
from l2sp_suite.utils.errors import UserError

__all__ = ["one_line_errors"]


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Prints bad input as one line on stderr and exits with 2; 75 where another process is at work, 130 on Ctrl-C."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit by itself
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        yield
    except UserError as error:
        _leave(f"error: {error}", 2)
    except (HydraException, OmegaConfBaseException) as error:
        _leave(f"error: {explain(error)}", 2)
    except Busy as error:
        _leave(f"{error}: another process is working on this run", 75)
    except KeyboardInterrupt:
        _leave("interrupted: the same command goes on where this one stopped", 130)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _leave(f"error: the disk is full ({error.filename}): free some space; the same command resumes", 2)
        _leave(f"error: {error}", 2)


def _leave(message: str, status: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(status)
