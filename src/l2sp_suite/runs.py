"""The run directory: identity, state, reading, writing. Needs no torch.

    results/<scale>/runs/<experiment>/<reg>-alpha=<a>-beta=<b>/seed=<s>/
        config.yaml  env.json  metrics.jsonl  done.json (written last)

A finished run is skipped, a half run resumes, another configuration in the same place is an error. A lock that
dies with its process keeps two runners apart.
"""

from __future__ import annotations

import contextlib
import copy
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
from pathlib import Path
from typing import Any

import yaml

from l2sp_suite.config.compose import ROOT, chosen, compose, fingerprint, identity, override
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets import list_digest, read_classes
from l2sp_suite.tasks.registry import starts_of
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["Busy", "Run", "environment", "report_line", "run_of", "source_of"]


class Busy(Exception):
    """Another process is working on this run."""


class Run:
    """One run's directory.

    Args:
        path: the directory; it is made when the run starts.
        content: the identity of the configuration (plain containers).
        labels: row, paper and chosen, kept beside the identity in config.yaml for the report.
        source: another run starts from its weights, without which it is not finished.
    """

    def __init__(self, path: Path, content: dict[str, Any], labels: dict[str, Any], source: bool = False) -> None:
        self.path, self.content, self.labels, self.source = path, content, labels, source
        self.fingerprint = fingerprint(content)

    @property
    def done(self) -> bool:
        """Whether the run is finished, under this very configuration.

        Raises:
            UserError: the directory belongs to another configuration.
        """
        self._check_configuration()
        return (self.path / "done.json").exists() and (self.weights.exists() or not self.source)

    @property
    def lost(self) -> str | None:
        """Why a finished run has no result: what it said when it diverged; None for any other."""
        result = json.loads((self.path / "done.json").read_text())
        return None if math.isfinite(result["value"]) else f"{self.path}: {result['lost']}"

    @property
    def checkpoint(self) -> Path:
        """Training state of a half run; removed when it is done."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Final weights, kept where another run starts from them."""
        return self.path / "model.safetensors"

    @contextlib.contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Holds the run for this process; the lock dies with it.

        Raises:
            Busy: another process holds it (and `wait` is false).
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise Busy(str(self.path)) from error
            yield

    @property
    def busy(self) -> bool:
        """Whether another process holds the run at this moment."""
        try:
            with self.locked():
                return False
        except Busy:
            return True

    def start(self, env: dict[str, Any]) -> None:
        """Writes config.yaml and env.json, or checks those that a half run left.

        Raises:
            UserError: what is there was made with another configuration or from other data.
        """
        self._check_configuration()
        if self.checkpoint.exists() and (self.path / "env.json").exists():
            self.check_data(env["data"])
        self.label()
        write_atomically(self.path / "env.json", json.dumps(env, indent=1) + "\n")

    def check_data(self, digest: str) -> None:
        """Refuses to take what was trained on other data for the run on this.

        Raises:
            UserError: the digest in env.json is another one.
        """
        path = self.path / "env.json"
        found = json.loads(path.read_text()).get("data") if path.exists() else None
        if found != digest:
            raise UserError(
                f"{self.path} holds a run on other data (digest {str(found)[:12]}, here {digest[:12]}): "
                "choose another folder for results (RESULTS=..., paths.results=...), or delete that one"
            )

    def label(self) -> None:
        """Writes config.yaml: the identity, and the labels as they are today (row, paper, chosen)."""
        text = yaml.safe_dump({**self.content, **self.labels}, sort_keys=False)
        path = self.path / "config.yaml"
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text)

    def rewind(self, step: int) -> None:
        """Drops what was logged after `step`, and every evaluation, so that a resumed run's log has no line twice."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _fit_step(line) <= step]
            write_atomically(path, "".join(f"{line}\n" for line in kept))

    def log(self, **values: Any) -> None:
        """Appends one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")

    def keep(self, pictures: Mapping[str, bytes]) -> None:
        """Writes files into the folder `samples`, atomically."""
        for name, content in pictures.items():
            write_atomically(self.path / "samples" / name, content)

    def finish(self, result: dict[str, Any]) -> None:
        """Writes done.json, the last file of a run, and drops what only a half run needs."""
        write_atomically(self.path / "done.json", json.dumps({"config": self.fingerprint, **result}, indent=1) + "\n")
        self.checkpoint.unlink(missing_ok=True)

    def attempt(self) -> None:
        """Drops what an earlier attempt left: the mark that it failed, files that it was writing when killed."""
        for left in (self.path / "failed.json", *self.path.glob(".*.tmp")):
            left.unlink(missing_ok=True)

    def fail(self, error: BaseException) -> None:
        """Leaves failed.json with the reason; the next attempt removes it."""
        text = "".join(traceback.format_exception(error))
        write_atomically(self.path / "failed.json", json.dumps({"error": str(error), "traceback": text}) + "\n")

    def _check_configuration(self) -> None:
        path = self.path / "config.yaml"
        if not path.exists():
            return
        try:
            found = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not readable as YAML; delete {self.path} to run anew") from error
        ours = {**self.content, **self.labels}
        there = {key: found.get(key) for key in self.content} if isinstance(found, dict) else {}
        if fingerprint(there) != self.fingerprint:
            keys = ", ".join(_differences(there, {k: ours[k] for k in self.content})[:5])
            raise UserError(
                f"{self.path} holds a run of another configuration (differs in {keys}): "
                "delete that folder, name a study=<name>/<point>, or choose another paths.results"
            )


def run_of(cfg: TrainConfig) -> Run:
    """The run directory that a configuration names; a run without a row is a source, cached by its content."""
    content = _content(cfg)
    if cfg.row is None:
        name = f"{cfg.experiment.replace('/', '-')}-{fingerprint(content)[:12]}"
        return Run(Path(cfg.paths.artifacts) / cfg.scale.name / name, content, {}, source=True)
    root = Path(cfg.paths.results) / cfg.scale.name
    root = root / "studies" / cfg.study if cfg.study else root
    arm = f"{cfg.reg.name}-alpha={cfg.reg.alpha:g}-beta={cfg.reg.beta:g}"
    labels = {"row": _plain(cfg.row), "paper": _plain(cfg.paper), "chosen": chosen(cfg)}
    return Run(root / "runs" / cfg.experiment / arm / f"seed={cfg.seed}", content, labels)


def source_of(cfg: TrainConfig, key: str = "weights") -> tuple[tuple[str, ...], TrainConfig]:
    """The pre-training run whose weights a run starts from, by key of `starts_of`: its overrides and configuration.

    Raises:
        UserError: the configuration names none.
    """
    start = starts_of(cfg)[key]
    if not start.experiment:
        raise UserError(f"{key}.source=source_run needs {key}.experiment, e.g. source/dstl")
    paths = [override(f"paths.{key}", value) for key, value in _plain(cfg.paths).items()]
    overrides = (
        f"experiment={start.experiment}",
        f"scale={start.scale or cfg.scale.name}",
        "reg=l2",
        f"seed={cfg.seed if start.seed is None else start.seed}",
        *paths,
    )
    return overrides, copy.deepcopy(_composed(overrides))


_composed = cache(compose)


def _content(cfg: TrainConfig) -> dict[str, Any]:
    """Identity of a run, with that of the world it sees and of the run that it starts from."""
    content = identity(cfg)
    if cfg.scale.world is not None:
        from miniworld import named_recipe

        content["world_digest"] = named_recipe(cfg.scale.world, cfg.data.part).digest()
    if cfg.data.classes is not None:  # which may be made anew
        content["classes"] = list_digest(read_classes(Path(cfg.data.classes)))
    for key in (key for key, start in starts_of(cfg).items() if start.source == "source_run"):
        name = "source_run" if key == "weights" else f"{key}_source_run"
        content[name] = run_of(source_of(cfg, key)[1]).fingerprint
    return content


def report_line(run: Run) -> str:
    """A finished run in one line: its result, and where it lies."""
    done = json.loads((run.path / "done.json").read_text())
    train = done["results"]["train"][done.get("train_metric", done["metric"])]
    return f"{run.path}: {done['metric']} {done['value']:.4f} (train {train:.4f}, {done['seconds']:.0f} s)"


def _plain(node: Any) -> dict[str, Any]:
    return {} if node is None else {str(key): value for key, value in node.items()}


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
