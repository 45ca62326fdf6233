"""The exceptions that a person is meant to read."""

from __future__ import annotations

__all__ = ["Diverged", "RunLocked", "UserError"]


class UserError(Exception):
    """Bad input or a wrong setting: one line that names the file or key, and the remedy.

    The entry points print the message alone and exit with status 2; a traceback would hide it.
    """


class Diverged(UserError):
    """The loss is not finite any more; `step` is the number of optimiser steps that were done before."""

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


class RunLocked(Exception):
    """Another process is working on this run."""
