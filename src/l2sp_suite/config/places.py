"""Where the configuration lies: in the checkout that this package is part of, or that one is working in."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CONFIGS", "PRINTED", "ROOT", "scale_names"]


def _root() -> Path:
    """The checkout: around this file, or, where the package is installed elsewhere, the working directory."""
    checkout = Path(__file__).resolve().parents[3]
    return checkout if (checkout / "configs").is_dir() else Path.cwd()


ROOT = _root()
PRINTED = ROOT / "results" / "paper"
"""The paper's tables."""
CONFIGS = Path(os.environ.get("L2SP_CONFIGS", ROOT / "configs"))
"""The checkout's own, or another folder of the same layout."""


def scale_names() -> list[str]:
    """Names of all scales, sorted."""
    return sorted(path.stem for path in (CONFIGS / "scale").glob("*.yaml"))
