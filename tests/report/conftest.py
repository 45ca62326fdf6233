from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from report_trees import write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The results folder of `write_tree`."""
    return write_tree(tmp_path / "results")


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], str]:
    """Reads a file of the mini scale's results folder."""
    return lambda name: (tmp_path / "results" / "mini" / name).read_text(encoding="utf-8")
