"""The one exception that a person is meant to read."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """Bad input or a wrong setting: one line that names the file or key, and the remedy.

    The entry points print the message alone and exit with status 2; a traceback would hide it.
    """
