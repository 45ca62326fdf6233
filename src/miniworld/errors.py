"""The exception of this package."""

from __future__ import annotations

__all__ = ["WorldError"]


class WorldError(Exception):
    """A wrong recipe or name, or a damaged folder: one line that says what is wrong and the remedy."""
