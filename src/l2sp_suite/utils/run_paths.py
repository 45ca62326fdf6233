"""Where a run's directory is: names are built here, and never parsed back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

__all__ = ["run_folder"]


def run_folder(
    experiment: str, arm: str, hyper: Mapping[str, float | str], seed: int, study: str | None = None
) -> PurePosixPath:
    """A run's directory below its scale's, e.g. `runs/dstl_cub200/l2_sp-alpha=0.01-beta=0.001/seed=0`.

    Numbers among the hyper-parameters have six digits; those that are NaN are left out. `study`: `<study>/<point>`.
    """
    parts = [arm, *(f"{name}={_text(value)}" for name, value in sorted(hyper.items()) if value == value)]
    base = PurePosixPath("studies", study) if study else PurePosixPath()
    return base / "runs" / experiment / "-".join(parts) / f"seed={seed}"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
