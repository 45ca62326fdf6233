"""What this process may use of the machine, and has used."""

from __future__ import annotations

import os
import resource
import sys

__all__ = ["cores", "peak_memory"]


def cores() -> int:
    """Cores this process may use; fewer than the machine's in a container or batch job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
