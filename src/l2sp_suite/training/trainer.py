"""From a configuration to a finished run directory."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets.synthetic import synthetic_root
from l2sp_suite.pretrained.load import save_weights
from l2sp_suite.runs import Run, environment, run_of, source_of
from l2sp_suite.tasks.base import Approach, Evaluation
from l2sp_suite.tasks.registry import build_approach, data_digest, starts_of
from l2sp_suite.training.loop import fit, total_steps
from l2sp_suite.training.optimizer import Regularised, build_optimizer
from l2sp_suite.utils.errors import Diverged, UserError
from l2sp_suite.utils.machine import cores, peak_memory

__all__ = ["data_root", "train"]


def train(cfg: TrainConfig, wait: bool = False) -> Run:
    """Trains and evaluates one run, or finds it finished; makes the world and the source weights it needs first.

    Raises:
        UserError: bad input or settings, in one line.
        Diverged: the loss is not finite any more, now or when the run was first tried.
        Busy: another process works on this run (with `wait`, its end is awaited instead).
    """
    run = run_of(cfg)
    with run.locked(wait=wait):
        if run.done:
            _check_data(cfg, run)
            run.label()  # a setting may have been chosen, or a row renamed, since
            if run.lost:
                raise Diverged(run.lost)
            return run
        run.attempt()
        try:
            _train(cfg, run)
        except Exception as error:
            run.fail(error)
            raise
    return run


def _train(cfg: TrainConfig, run: Run) -> None:
    started = time.monotonic()
    device, root = _device(cfg.runtime.device), data_root(cfg)
    files = _start_files(cfg, root)  # may train, with threads of its own
    torch.set_num_threads(cfg.runtime.threads or cores())
    approach = build_approach(cfg, root, files, device)
    regularised = build_optimizer(approach.model, approach.start, cfg.reg, cfg.optim, approach.lr_factors)
    used = {"device": _device_name(device), "threads": torch.get_num_threads()}
    notes = {**approach.notes, "sources": _sources(cfg, files)}
    run.start(environment(**used, **notes, **regularised.describe()))
    try:
        steps = fit(approach, regularised, cfg.optim, cfg.runtime, run)
    except Diverged as lost:
        if not run.source:
            # A lost run is a result: an average over the seeds that survive would flatter its arm.
            found = {cfg.evaluate.split: Evaluation({approach.metric: math.nan}, 0)}
            planned = total_steps(cfg.optim, approach.steps_per_epoch)  # by which its setting is known
            done = _done(approach, found, cfg, planned, regularised, started)
            run.finish({**done, "lost": str(lost), "lost_step": lost.step})
        raise Diverged(f"{run.path}: {lost}", lost.step) from lost
    found = {split: approach.evaluate(split) for split in ("train", cfg.evaluate.split)}
    for split, part in found.items():
        run.log(step=steps, split=split, **part.metrics, n=part.n, **part.log)
        run.keep(part.pictures)
    if layers := regularised.layers():
        run.log(step=steps, split="layers", layers=layers)
    if run.source:
        save_weights(run.weights, approach.model.state_dict())
    run.finish(_done(approach, found, cfg, steps, regularised, started))


def _check_data(cfg: TrainConfig, run: Run) -> None:
    if cfg.scale.world is None and Path(cfg.paths.data).is_dir():  # a world made here is part of the identity
        run.check_data(data_digest(cfg, Path(cfg.paths.data)))


def _done(
    approach: Approach,
    found: dict[str, Evaluation],
    cfg: TrainConfig,
    steps: int,
    regularised: Regularised,
    started: float,
) -> dict[str, Any]:
    return {
        "steps": steps,
        "metric": approach.metric,
        "value": found[cfg.evaluate.split].metrics[approach.metric],
        "train_metric": approach.train_metric,
        "results": {split: {**part.metrics, "n": part.n} for split, part in found.items()},
        "distance": {key.removeprefix("distance_"): value for key, value in regularised.monitor().items()},
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb": round(peak_memory() / 2**20),
    }


def data_root(cfg: TrainConfig) -> Path:
    """The folder of a run's data sets; a world that it needs is drawn first."""
    if cfg.scale.world is None:
        return Path(cfg.paths.data)
    return synthetic_root(Path(cfg.paths.artifacts), cfg.scale.world, cfg.data.part)


def _start_files(cfg: TrainConfig, root: Path) -> dict[str, Path]:
    """Files of the starting weights, by key; those of a source run that is not done are made first.

    `root`: the folder of the run's data sets.

    Raises:
        UserError: the data of the run, or of a source run, is missing or malformed.
    """
    files = {}
    for key, start in starts_of(cfg).items():
        if start.source == "source_run":
            files[key] = _source_weights(cfg, key, root)
        elif start.source == "file" and start.file:
            files[key] = Path(cfg.paths.data) / start.file
    return files


def _source_weights(cfg: TrainConfig, key: str, root: Path) -> Path:
    _, source = source_of(cfg, key)
    source.runtime.device = cfg.runtime.device
    if not run_of(source).done:
        data_digest(cfg, root)  # the run's own data is looked for before minutes go into its start
    return train(source, wait=True).weights


def _sources(cfg: TrainConfig, files: dict[str, Path]) -> dict[str, Any]:
    """What the source runs that made the starting weights were trained on, for env.json."""
    told = {}
    for key, start in starts_of(cfg).items():
        if start.source == "source_run":
            env = json.loads((files[key].parent / "env.json").read_text())
            sizes = {name: env[name] for name in ("classes", "images", "clips") if name in env}
            told[key] = {"experiment": start.experiment, "scale": start.scale or cfg.scale.name, **sizes}
            made = yaml.safe_load((files[key].parent / "config.yaml").read_text())  # the list may have changed since
            if "classes" in made:
                told[key]["list"] = made["classes"]
    return told


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"runtime.device={name}: not usable here; use auto, cpu or cuda") from error


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
