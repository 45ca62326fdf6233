"""The run directory: identity, state, reading, writing. Needs no torch.

    results/<scale>/runs/<experiment>/<arm>-<hyper-parameters>/seed=<s>/
        config.yaml  env.json  metrics.jsonl  done.json (written last)

A finished run is skipped, a half run resumes, another configuration in the same place is an error. A lock that
dies with its process keeps two runners apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import platform
import shutil
import subprocess
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any

import yaml

from l2sp_suite.config import ROOT, RunSpec, fingerprint
from l2sp_suite.utils.errors import RunLocked, UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["Run", "environment"]


class Run:
    """The directory of one run; it is made when the run begins."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.path = spec, spec.path
        self._identity = dict(spec.identity)
        self.fingerprint = spec.fingerprint
        self.checkpoint = self.path / "checkpoint.pt"
        """Training state of a half run; removed when it is done."""
        self.weights = self.path / "model.safetensors"
        """Final weights, kept where another run starts from them."""

    @property
    def done(self) -> bool:
        """Whether the run is finished, under this very configuration.

        Raises:
            UserError: the directory belongs to another configuration.
        """
        self._check_configuration()
        return (self.path / "done.json").exists() and (self.weights.exists() or not self.spec.makes_weights)

    def done_on(self, data_digest: str | None) -> bool:
        """Whether the run is finished, and on the data of this digest (None: whatever it was).

        Raises:
            UserError: the directory belongs to another configuration or other data.
        """
        if not self.done:
            return False
        if data_digest is not None:
            self.check_data(data_digest)
        return True

    @property
    def diverged(self) -> str | None:
        """Why a finished run has no result: what it said when it diverged; None for any other."""
        result = json.loads((self.path / "done.json").read_text())
        return None if math.isfinite(result["value"]) else f"{self.path}: {result['diverged']}"

    @contextlib.contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Holds the run for this process; the lock dies with it.

        Raises:
            RunLocked: another process holds it (and `wait` is false).
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise RunLocked(str(self.path)) from error
            yield

    @property
    def is_locked(self) -> bool:
        """Whether another process holds the run at this moment."""
        try:
            with self.locked():
                return False
        except RunLocked:
            return True

    def begin(self, env: dict[str, Any]) -> None:
        """Writes config.yaml and env.json, or checks those that a half run left.

        Raises:
            UserError: what is there was made with another configuration or from other data.
        """
        self._check_configuration()
        if self.checkpoint.exists() and (self.path / "env.json").exists():
            self.check_data(env["data"])
        self.write_labels()
        write_atomically(self.path / "env.json", json.dumps(env, indent=1) + "\n")

    def check_data(self, digest: str) -> None:
        """Refuses to take what was trained on other data for the run on this.

        Raises:
            UserError: the digest in env.json is another one.
        """
        path = self.path / "env.json"
        earlier = json.loads(path.read_text()).get("data") if path.exists() else None
        if earlier != digest:
            raise UserError(
                f"{self.path} holds a run on other data (digest {str(earlier)[:12]}, here {digest[:12]}): "
                "choose another folder for results (RESULTS=..., paths.results=...), or delete that one"
            )

    def write_labels(self) -> None:
        """Writes config.yaml: the identity, and the labels as they are today (row, paper's values, arm)."""
        text = yaml.safe_dump({**self._identity, **self.spec.labels}, sort_keys=False)
        path = self.path / "config.yaml"
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text)

    def truncate_log(self, step: int) -> None:
        """Drops what was logged after `step`, and every evaluation, so that a resumed run's log has no line twice."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _fit_step(line) <= step]
            write_atomically(path, "".join(f"{line}\n" for line in kept))

    def log(self, **values: Any) -> None:
        """Appends one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")

    def save_samples(self, files: Mapping[str, bytes]) -> None:
        """Writes files into the folder `samples`, atomically."""
        for name, content in files.items():
            write_atomically(self.path / "samples" / name, content)

    def mark_done(self, result: dict[str, Any]) -> None:
        """Writes done.json, the last file of a run, and drops what only a half run needs."""
        write_atomically(self.path / "done.json", json.dumps({"config": self.fingerprint, **result}, indent=1) + "\n")
        self.checkpoint.unlink(missing_ok=True)

    def clear_failure(self) -> None:
        """Drops what an earlier attempt left: the mark that it failed, files that it was writing when killed."""
        for path in (self.path / "failed.json", *self.path.glob(".*.tmp")):
            path.unlink(missing_ok=True)

    def mark_failed(self, error: BaseException) -> None:
        """Leaves failed.json with the reason; the next attempt removes it."""
        text = "".join(traceback.format_exception(error))
        write_atomically(self.path / "failed.json", json.dumps({"error": str(error), "traceback": text}) + "\n")

    def __str__(self) -> str:
        """A finished run in one line: its result, and where it lies."""
        done = json.loads((self.path / "done.json").read_text())
        train = done["results"]["train"][done["train_metric"]]
        return f"{self.path}: {done['metric']} {done['value']:.4f} (train {train:.4f}, {done['seconds']:.0f} s)"

    def _check_configuration(self) -> None:
        path = self.path / "config.yaml"
        if not path.exists():
            return
        try:
            content = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not readable as YAML; delete {self.path} to run anew") from error
        earlier = {key: content.get(key) for key in self._identity} if isinstance(content, dict) else {}
        if fingerprint(earlier) != self.fingerprint:
            keys = ", ".join(_differences(earlier, self._identity)[:5])
            raise UserError(
                f"{self.path} holds a run of another configuration (differs in {keys}): "
                "delete that folder, name a study=<name>/<point>, or choose another paths.results"
            )


def environment(**more: Any) -> dict[str, Any]:
    """Versions, commit and machine, for env.json."""
    return {
        "python": platform.python_version(),
        "platform": platform.machine(),
        **{name: metadata.version(name) for name in ("torch", "torchvision", "timm", "hydra-core")},
        **_commit(),
        "cpus": os.cpu_count(),
        **more,
    }


@cache
def _commit() -> dict[str, Any]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return {"commit": None, "dirty": None}
    head = subprocess.run([git, "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    code = ["status", "--porcelain", "--", "src", "configs", "experiments"]
    status = subprocess.run([git, *code], cwd=ROOT, capture_output=True, text=True, check=False)
    return {"commit": head.stdout.strip() or None, "dirty": bool(status.stdout.strip())}


def _fit_step(line: str) -> float:
    try:
        values = json.loads(line)
        return float(values["step"]) if values["split"] == "fit" else math.inf
    except (ValueError, KeyError, TypeError):  # a line cut by a crash
        return math.inf


def _differences(a: Any, b: Any, prefix: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        keys = dict.fromkeys([*a, *b])
        return [d for key in keys for d in _differences(a.get(key), b.get(key), f"{prefix}.{key}".lstrip("."))]
    return [] if a == b else [prefix]
