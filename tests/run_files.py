"""Runs in tests: trained from a configuration, and what they left on disk."""

from __future__ import annotations

import json
from typing import Any

import torch

from l2sp_suite.config import TrainConfig, resolve
from l2sp_suite.runs import Run
from l2sp_suite.training import train


def run_of(cfg: TrainConfig) -> Run:
    return Run(resolve(cfg))


def trained(cfg: TrainConfig) -> Run:
    return train(resolve(cfg))


def done_of(run: Run) -> dict[str, Any]:
    """Without what depends on the machine's load."""
    done = json.loads((run.path / "done.json").read_text())
    return {key: value for key, value in done.items() if key not in ("seconds", "peak_memory_mb")}


def env_of(run: Run) -> dict[str, Any]:
    env: dict[str, Any] = json.loads((run.path / "env.json").read_text())
    return env


def log_of(run: Run, split: str | None = None) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, of one split or of all."""
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    plain = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    return [line for line in plain if split in (None, line["split"])]


def equal(a: Any, b: Any) -> bool:
    """Whether containers of tensors are equal, bit by bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
