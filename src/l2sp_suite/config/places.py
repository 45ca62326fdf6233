"""Where the configuration lies."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CONFIGS", "PRINTED", "ROOT", "scale_names"]

ROOT = Path(__file__).resolve().parents[3]
PRINTED = ROOT / "results" / "paper"
"""The paper's tables."""
CONFIGS = Path(os.environ.get("L2SP_CONFIGS", ROOT / "configs"))
"""The checkout's own, or another folder of the same layout."""


def scale_names() -> list[str]:
    """Names of all scales, sorted."""
    return sorted(path.stem for path in (CONFIGS / "scale").glob("*.yaml"))
