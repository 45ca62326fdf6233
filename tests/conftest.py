"""Shared fixtures: a smallest world made once, and a composed run on it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, and small nets are faster so

import logging
import runpy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from l2sp_suite.config import ROOT, TrainConfig, compose
from miniworld import ensure_world

settings.register_profile("fast", max_examples=10, deadline=None)
settings.register_profile("ci", max_examples=30, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a script in this process: a call with its path and arguments gives exit status, stdout and stderr."""

    def run(path: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / path), run_name="__main__")
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        finally:
            logging.disable(logging.NOTSET)
        out, err = capsys.readouterr()
        return status, out, err

    return run


REAL_DATA = Path(os.environ.get("L2SP_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Callable[..., Path]:
    """Returns the folder of a set of real data, or of all; skips the test where it is not on this machine."""

    def folder(name: str = ".") -> Path:
        if not (REAL_DATA / name).is_dir():
            pytest.skip(f"no real data at {REAL_DATA / name}; L2SP_DATA names the folder of all sets")
        return REAL_DATA / name

    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder with the tiny world's objects in it."""
    root = tmp_path_factory.mktemp("artifacts")
    ensure_world(root, "tiny", "objects")
    return root


@pytest.fixture
def smoke(artifacts: Path, tmp_path: Path):
    """Composes a run at smoke scale whose results go to this test's own folder."""

    def make(*overrides: str) -> TrainConfig:
        paths = [f"paths.artifacts='{artifacts}'", f"paths.results='{tmp_path}'", "runtime.threads=1"]
        experiment = [] if any(o.startswith("experiment=") for o in overrides) else ["experiment=dstl_cub200"]
        return compose([*experiment, "scale=smoke", *paths, *overrides])

    return make


@pytest.fixture(scope="session")
def finished(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """The finished smoke run of an experiment and an arm with seed 0; each is trained once."""
    from run_files import trained  # brings torch

    results = tmp_path_factory.mktemp("finished")

    @cache
    def run(experiment: str, reg: str) -> Any:
        paths = [f"paths.artifacts='{artifacts}'", f"paths.results='{results}'", "runtime.threads=1"]
        return trained(compose([f"experiment={experiment}", f"reg={reg}", "scale=smoke", *paths]))

    return run
