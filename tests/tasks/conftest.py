from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from l2sp_suite.config import compose
from l2sp_suite.runs import Run
from run_files import trained


@pytest.fixture(scope="session")
def finished(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Run]:
    """The finished smoke run of an experiment and an arm with seed 0; each is trained once."""
    results = tmp_path_factory.mktemp("finished")

    @cache
    def run(experiment: str, reg: str) -> Run:
        paths = [f"paths.artifacts='{artifacts}'", f"paths.results='{results}'", "runtime.threads=1"]
        return trained(compose([f"experiment={experiment}", f"reg={reg}", "scale=smoke", *paths]))

    return run
