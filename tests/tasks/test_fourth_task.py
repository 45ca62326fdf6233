"""A task that the suite does not know: two Python files and two YAMLs, run, resumed and swept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from l2sp_suite.config import ROOT
from l2sp_suite.pretrained import save_weights

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "toy_task"
PLAN = """
name: toy
study: null
arms: [l2, l2_sp]
baseline: l2
scales: {small: [{experiments: [toy]}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The repository's configurations and the toy's two; the toy's data, and weights to start from."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(HERE / "configs", tmp_path / "configs", dirs_exist_ok=True)
    points = tmp_path / "data" / "points"
    points.mkdir(parents=True)
    for part, number in (("train", 32), ("test", 16)):
        curve = ((x / number, (x / number) ** 2) for x in range(-number, number))
        (points / f"{part}.csv").write_text("".join(f"{x},{y}\n" for x, y in curve))
    generator = torch.Generator().manual_seed(7)
    w0 = {"hidden.weight": torch.randn(8, 1, generator=generator), "hidden.bias": torch.randn(8, generator=generator)}
    save_weights(points / "w0.safetensors", w0)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(HERE)])
    return {**os.environ, "PYTHONPATH": path, "L2SP_CONFIGS": str(folder / "configs"), "OMP_NUM_THREADS": "1"}


def command(script: str, *overrides: str) -> list[str]:
    return [sys.executable, str(ROOT / "experiments" / script), *overrides]


def run(folder: Path, script: str, *overrides: str) -> str:
    line = command(script, *overrides)
    done = subprocess.run(line, env=environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


TOY = ("experiment=toy", "scale=small", "reg=l2_sp")


def losses(seed: Path) -> list[float]:
    lines = map(json.loads, (seed / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["split"] == "fit"]


def test_it_runs_and_resumes_where_it_was_killed(folder: Path) -> None:
    out = run(folder, "train.py", *TOY, "paths.results=whole")
    (whole,) = (folder / "whole").glob("small/runs/toy/l2_sp-*/seed=0")
    done = json.loads((whole / "done.json").read_text())
    assert done["metric"] == "error" and done["better"] == "lower" and done["steps"] == 80 and "error" in out
    assert done["distance"]["w0"] > 0 and len(losses(whole)) == 80 and losses(whole)[-1] < losses(whole)[0]

    half = folder / "cut" / whole.relative_to(folder / "whole")
    line = command("train.py", *TOY, "paths.results=cut", "task.pause=0.1")
    process = subprocess.Popen(line, env=environment(folder), cwd=folder)
    deadline = time.monotonic() + 240
    while not (half / "checkpoint.pt").exists() or len(losses(half)) < 7:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (half / "done.json").exists()
    run(folder, "train.py", *TOY, "paths.results=cut")
    assert losses(half) == losses(whole)
    assert json.loads((half / "done.json").read_text())["value"] == done["value"]


def test_a_plan_runs_it_in_both_arms(folder: Path) -> None:
    (folder / "configs/sweep/toy.yaml").write_text(PLAN)
    out = run(folder, "reproduce.py", "scale=small", "plan=[toy]", "seeds=2", "jobs=1", "data=data")
    assert "4 runs done" in out and "FAILED" not in out
    seeds = sorted((folder / "results/small/runs/toy").glob("*/seed=*/done.json"))
    assert [path.parts[-3].split("-")[0] for path in seeds] == ["l2", "l2", "l2_sp", "l2_sp"]
    again = run(folder, "reproduce.py", "scale=small", "plan=[toy]", "seeds=2", "jobs=1", "data=data")
    assert "0 runs done" in again and "4 were done before" in again


def test_a_key_of_it_is_checked_like_any_other(folder: Path) -> None:
    line = command("train.py", *TOY, "task.widht=3")
    done = subprocess.run(line, env=environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "unknown configuration key 'task.widht'; nearest: 'task.width'" in done.stderr
