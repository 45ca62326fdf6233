"""From a `RunSpec` to a finished run directory."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from l2sp_suite.config import RunSpec, TrainConfig
from l2sp_suite.datasets.synthetic import synthetic_root
from l2sp_suite.pretrained import save_weights
from l2sp_suite.runs import Run, environment
from l2sp_suite.tasks import Evaluation, Task, task_class
from l2sp_suite.training.loop import fit, total_steps
from l2sp_suite.training.optimizer import PenalizedOptimizer, build_optimizer, check_optimizer
from l2sp_suite.utils.errors import Diverged, UserError
from l2sp_suite.utils.machine import cores, peak_memory

__all__ = ["data_root", "train"]


def train(spec: RunSpec, wait: bool = False) -> Run:
    """Trains and evaluates one run, or finds it finished; makes synthetic data and pre-training runs first.

    Raises:
        UserError: bad input or settings, in one line.
        Diverged: the loss is not finite any more, now or when the run was first tried.
        RunLocked: another process works on this run (with `wait`, its end is awaited instead).
    """
    run = Run(spec)
    with run.locked(wait=wait):
        if run.done:
            run.done_on(_data_digest(spec))
            run.write_labels()  # a setting may have been selected, or a row renamed, since
            if run.diverged:
                raise Diverged(run.diverged)
            return run
        run.clear_failure()
        try:
            _train(spec, run)
        except Exception as error:
            run.mark_failed(error)
            raise
    return run


def _train(spec: RunSpec, run: Run) -> None:
    started, cfg = time.monotonic(), spec.config
    device = _device(cfg.runtime.device)
    check_optimizer(spec.arm, cfg.optim)
    task = task_class(cfg)(cfg, data_root(cfg))  # reads the data before minutes go into pre-training
    files = {**_files(cfg), **{key: train(source, wait=True).weights for key, source in spec.pretraining.items()}}
    torch.set_num_threads(cfg.runtime.threads or cores())
    task.prepare(files, device)
    penalized = build_optimizer(task.model, task.pretrained, spec.arm, cfg.optim, task.lr_factors)
    used = {"device": _device_name(device), "threads": torch.get_num_threads()}
    notes = {**task.notes, "pretrained_runs": _pretrained_runs(spec, files)}
    run.begin(environment(**used, **notes, **penalized.describe()))
    try:
        steps = fit(task, penalized, cfg.optim, cfg.runtime, run)
    except Diverged as error:
        if not spec.makes_weights:
            # A diverged run is a result: an average over the seeds that survive would flatter its arm.
            evaluations = {cfg.evaluate.split: Evaluation({task.metric: math.nan}, 0)}
            planned = total_steps(cfg.optim, task.steps_per_epoch)  # by which its setting is known
            result = _result(task, evaluations, planned, penalized, started)
            run.mark_done({**result, "diverged": str(error), "diverged_at": error.step})
        raise Diverged(f"{run.path}: {error}", error.step) from error
    evaluations = {split: task.evaluate(split) for split in ("train", cfg.evaluate.split)}
    for split, evaluation in evaluations.items():
        run.log(step=steps, split=split, **evaluation.metrics, n=evaluation.n, **evaluation.log)
        run.save_samples(evaluation.samples)
    if penalized.has_anchor:
        run.log(step=steps, split="layers", layers=penalized.layers())
    if spec.makes_weights:
        save_weights(run.weights, task.model.state_dict())
    run.mark_done(_result(task, evaluations, steps, penalized, started))


def _data_digest(spec: RunSpec) -> str | None:
    """Of the data that a finished run would see today; None where its identity has it, or there is none to compare."""
    cfg = spec.config
    if cfg.scale.world is not None or not Path(cfg.paths.data).is_dir():
        return None
    return spec.data_digest or task_class(cfg).read_data(cfg, Path(cfg.paths.data))[1]


def _result(
    task: Task, evaluations: dict[str, Evaluation], steps: int, penalized: PenalizedOptimizer, started: float
) -> dict[str, Any]:
    return {
        "steps": steps,
        "metric": task.metric,
        "better": task.better,
        "value": evaluations[task.cfg.evaluate.split].metrics[task.metric],
        "train_metric": task.train_metric,
        "results": {split: {**evaluation.metrics, "n": evaluation.n} for split, evaluation in evaluations.items()},
        "distance": {key.removeprefix("distance_"): value for key, value in penalized.monitor().items()},
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb": round(peak_memory() / 2**20),
    }


def data_root(cfg: TrainConfig) -> Path:
    """The folder of a run's data sets; synthetic data that it needs is drawn first."""
    if cfg.scale.world is None:
        return Path(cfg.paths.data)
    return synthetic_root(Path(cfg.paths.artifacts), cfg.scale.world, cfg.data.part)


def _files(cfg: TrainConfig) -> dict[str, Path]:
    weights = {key: item.file for key, item in cfg.pretrained().items() if item.source == "file"}
    return {key: Path(cfg.paths.data) / file for key, file in weights.items() if file}


def _pretrained_runs(spec: RunSpec, files: dict[str, Path]) -> dict[str, Any]:
    """What the pre-training runs were trained on, for env.json."""
    described = {}
    for key, source in spec.pretraining.items():
        env = json.loads((files[key].parent / "env.json").read_text())
        sizes = {name: env[name] for name in ("classes", "images", "clips") if name in env}
        described[key] = {"experiment": source.config.experiment, "scale": source.config.scale.name, **sizes}
        made = yaml.safe_load((files[key].parent / "config.yaml").read_text())  # the list may have changed since
        if "classes" in made:
            described[key]["list"] = made["classes"]
    return described


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
