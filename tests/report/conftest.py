from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from report_trees import write_tree

from l2sp_suite.report import pictures

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAGUzqBgAAAABJRU5ErkJggg=="
)  # one pixel


@pytest.fixture(scope="session")
def _tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree") / "results")


@pytest.fixture
def tree(tmp_path: Path, _tree: Path) -> Path:
    """The results folder of `write_tree`."""
    shutil.copytree(_tree, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], str]:
    """Reads a file of the mini scale's results folder."""
    return lambda name: (tmp_path / "results" / "mini" / name).read_text(encoding="utf-8")


@pytest.fixture
def drawn() -> None:
    """Figures are really drawn in a test that asks for this."""


@pytest.fixture(autouse=True)
def _quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(pictures, "_draw", lambda function, *data: PNG)
