"""L2-SP: fine-tuning with weight decay towards the starting point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2sp.starting_point import StartingPoint

__version__ = "0.1.0"
__all__ = ["StartingPoint"]


def __getattr__(name: str) -> Any:
    # Lazy, so that the report (files to files) never waits for torch.
    if name == "StartingPoint":
        from l2sp.starting_point import StartingPoint

        return StartingPoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
