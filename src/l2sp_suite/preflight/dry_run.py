"""Dry run of paper scale: every row of Table 3 at full size, short of the training and the photographs.

Each run reads synthetic files in the official layout and resolution, starts from weights of the published shapes with
random values, and goes the way of a real one: two steps of the published schedule with a checkpoint and a resume
between, then one test item by the full protocol.
"""

from __future__ import annotations

import json
import logging
import multiprocessing as mp
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from l2sp_suite.config import DryRunConfig, TrainConfig, WeightsConfig, compose, fingerprint, override, resolve
from l2sp_suite.pretrained import save_weights, tensors_sha256
from l2sp_suite.runs import Run, environment
from l2sp_suite.sweeps import load_plan, table3
from l2sp_suite.tasks import Task, task_class
from l2sp_suite.training import PenalizedOptimizer, build_optimizer, fit, lr_factor, restore, total_steps
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors
from l2sp_suite.utils.files import write_atomically
from l2sp_suite.utils.machine import cores, peak_memory
from miniworld import ensure_world

__all__ = ["DryRun", "dry_run_row", "dry_run_rows"]

_COMMON = ("scale.require_official=false", "runtime.device=cpu", "runtime.workers=0")
"""Few files stand for the release. The precision stays paper scale's, though few processors are fast in it."""


@dataclass(frozen=True)
class DryRun:
    """What the dry run of one run measured; a line of `results/paper/dry_run.csv`."""

    row: int  # of Table 3
    experiment: str
    arm: str
    parameters: int  # scalars, of which `shared`, `new` and `exempt` are the parts of the penalty
    shared: int
    new: int
    exempt: int
    batch: int  # items in a step here
    steps: int  # of the whole published training
    step_seconds: float  # of the second step, with its data
    evaluate_seconds: float  # of one test item
    run_seconds: float  # of the whole process, from its start
    peak_memory_mb: int  # of the process, in MiB
    disk_mb: int  # the run's directory with its checkpoint, in MiB
    rate_first: float  # learning rate of the optimiser at the first step; `rate_middle`, `rate_last`: the schedule's
    rate_middle: float
    rate_last: float
    rate_error: float  # largest relative difference of the three from the published ones
    date: str
    commit: str
    torch: str
    cores: int


def dry_run_rows(
    artifacts: Path, only: Sequence[str], say: Callable[[str], object] = print
) -> tuple[list[DryRun], list[str]]:
    """Makes the dry runs of every arm of Table 3's rows, each in a process of its own; skips what this commit has done.

    Args:
        artifacts: folder for the synthetic data, the stand-in weights and the runs; about 2 GB.
        only: names of experiments; all rows where it is empty.
        say: takes a line of progress.

    Returns:
        What was measured, and the names of the runs that failed.

    Raises:
        UserError: an unknown experiment, or one whose task says nothing about dry runs.
    """
    rows = table3("paper", only)
    worlds = sorted({world for cfg in rows for world in _settings(cfg).worlds})
    say("drawing the files that are missing, in the official layouts")
    data = _draw(artifacts, worlds)
    results, failed, started = [], [], time.monotonic()
    runs = [(cfg, arm) for cfg in rows for arm in load_plan("table3").arms]
    for number, (cfg, arm) in enumerate(runs, 1):
        name = f"{cfg.experiment}-{arm}"
        file = artifacts / "rows" / f"{name}.json"
        done_before = _is_current(file)
        if not done_before:
            file.unlink(missing_ok=True)
            published = (f"experiment={cfg.experiment}", "scale=paper", f"reg={arm}")
            _in_process((*published, *_changes(cfg, data, artifacts)), published, file)
        if not file.exists():
            failed.append(name)
            say(f"FAILED {name}")
            continue
        results.append(_load(file))
        minutes = (time.monotonic() - started) / number * (len(runs) - number) / 60
        before = f" (done before, on {results[-1].date})" if done_before else ""
        say(f"[{number}/{len(runs)}, {minutes:.0f} min to go] {name}: {results[-1].step_seconds:.1f} s a step{before}")
    return results, failed


def _settings(cfg: TrainConfig) -> DryRunConfig:
    settings = cfg.task.dry_run
    if not isinstance(settings, DryRunConfig):
        raise UserError(f"{cfg.experiment}: task.dry_run is null; say in configs/task/{cfg.task.name}/paper.yaml how")
    return settings


def _draw(artifacts: Path, worlds: Sequence[str]) -> Path:
    """A data folder with links to the data sets of some worlds, which are drawn first where they are missing."""
    root = artifacts / "data"
    root.mkdir(parents=True, exist_ok=True)
    for world in worlds:
        recipe, _, part = world.partition("/")
        for folder in ensure_world(artifacts, recipe, part).iterdir():
            link = root / folder.name
            if folder.is_dir():
                link.unlink(missing_ok=True)  # it may lead to a world of earlier code
                link.symlink_to(folder.resolve(), target_is_directory=True)
    return root


def _changes(cfg: TrainConfig, data: Path, artifacts: Path) -> tuple[str, ...]:
    """The overrides that make a run of paper scale its dry run."""
    paths = (override("paths.data", str(data)), override("paths.results", str(artifacts / "results")))
    return (*_COMMON, *_settings(cfg).overrides, *paths)


def _in_process(overrides: tuple[str, ...], published: tuple[str, ...], file: Path) -> None:
    """Makes a dry run in a new process, whose peak of memory is then the run's."""
    process = mp.get_context("spawn").Process(target=_work, args=(overrides, published, file, time.monotonic()))
    process.start()
    try:
        process.join()
    finally:
        process.kill()


def _work(overrides: tuple[str, ...], published: tuple[str, ...], file: Path, began: float) -> None:
    with one_line_errors():
        logging.disable(logging.WARNING)  # that the files are few and the weights random is known
        result = dry_run_row(compose(overrides), compose(published), began)
        write_atomically(file, json.dumps({**asdict(result), "code": _code()}, indent=1) + "\n")


def _code() -> dict[str, Any]:
    env = environment()
    return {"commit": env["commit"], "dirty": env["dirty"], "torch": env["torch"]}


def _is_current(file: Path) -> bool:
    """Whether a file holds what this very code measured."""
    if not file.exists():
        return False
    code = json.loads(file.read_text())["code"]
    return bool(code == _code() and code["commit"] and not code["dirty"])


def _load(file: Path) -> DryRun:
    content = json.loads(file.read_text())
    return DryRun(**{item.name: content[item.name] for item in fields(DryRun)})


def dry_run_row(cfg: TrainConfig, published: TrainConfig, began: float) -> DryRun:
    """Makes one dry run.

    Args:
        cfg: what can be run here: with data at hand; its weights are replaced by stand-ins.
        published: the run that it stands for, whose schedule it follows.
        began: when its process was started, in seconds of `time.monotonic`, which is the system's.

    Raises:
        UserError: something does not fit, or what was resumed is not what was saved.
    """
    cfg, files = _with_stand_ins(cfg)
    torch.set_num_threads(cores())
    run = Run(resolve(cfg))
    shutil.rmtree(run.path, ignore_errors=True)
    try:
        return _dry_run_row(cfg, published, files, run, began)
    finally:
        shutil.rmtree(run.path, ignore_errors=True)  # its checkpoint is of no use to anyone


def _with_stand_ins(cfg: TrainConfig) -> tuple[TrainConfig, dict[str, Path]]:
    """The run with pre-trained weights of the published shapes and random values, and their files; written once."""
    configs, files = dict[str, WeightsConfig](), dict[str, Path]()
    for key, part in task_class(cfg).summary(cfg).parts.items():
        tensors = part.module.state_dict()
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        name = f"weights/stand_in_{fingerprint(shapes)[:12]}.safetensors"
        files[key] = Path(cfg.paths.data) / name
        if not files[key].exists():
            save_weights(files[key], tensors, {"source": "random values, for a dry run"})
        configs[key] = replace(cfg.pretrained()[key], source="file", file=name, sha256=None)
    weights = configs.pop("weights", cfg.weights)
    return replace(cfg, weights=weights, task=replace(cfg.task, **configs)), files


def _dry_run_row(cfg: TrainConfig, published: TrainConfig, files: dict[str, Path], run: Run, began: float) -> DryRun:
    per_epoch = task_class(published).summary(published).steps_per_epoch
    task_of_release: type[Task] = type("Task", (task_class(cfg),), {"steps_per_epoch": per_epoch})
    saved = ""
    for until in (1, 2):  # each time as a new process would
        task = task_of_release(cfg, Path(cfg.paths.data))
        task.prepare(files, torch.device("cpu"))
        penalized = build_optimizer(task.model, task.pretrained, cfg.arm, cfg.optim, task.lr_factors)
        run.begin(environment(**task.notes, **penalized.describe()))
        restore(run.checkpoint, task.model, penalized)
        if until == 2 and _digest(task.model, penalized) != saved:
            raise UserError(f"{run.path}: what was resumed is not what was saved")
        fit(task, penalized, cfg.optim, cfg.runtime, run, until)
        saved = _digest(task.model, penalized)
    started = time.monotonic()
    task.evaluate(cfg.evaluate.split, limit=1)
    seconds = time.monotonic() - started
    counts = penalized.describe()["partition"]
    return _result(
        cfg, published, run, per_epoch, counts, evaluate_seconds=seconds, run_seconds=time.monotonic() - began
    )


def _digest(model: torch.nn.Module, penalized: PenalizedOptimizer) -> str:
    """Of all that a checkpoint must bring back: weights, statistics and momentum."""
    state = penalized.optimizer.state_dict()["state"]
    moments = {
        f"{n}.{key}": value for n, item in state.items() for key, value in item.items() if torch.is_tensor(value)
    }
    return tensors_sha256({**model.state_dict(), **moments})


def _result(
    cfg: TrainConfig, published: TrainConfig, run: Run, per_epoch: int, counts: dict[str, int], **seconds: float
) -> DryRun:
    assert published.row is not None
    first, second = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()][:2]
    optim, steps = published.optim, total_steps(published.optim, per_epoch)
    later = [optim.lr * lr_factor(optim.schedule, step, steps, per_epoch) for step in (steps // 2, steps - 1)]
    rates = [first["lr"], *later]  # the first is what the optimiser had
    known = _settings(published).rates
    return DryRun(
        row=published.row.number,
        experiment=published.experiment,
        arm=published.arm.name,
        parameters=sum(counts[name] for name in ("shared", "new", "exempt")),
        **{name: counts[name] for name in ("shared", "new", "exempt")},
        batch=cfg.optim.batch_size,
        steps=steps,
        step_seconds=second["seconds"],
        evaluate_seconds=round(seconds["evaluate_seconds"], 2),
        run_seconds=round(seconds["run_seconds"], 1),
        peak_memory_mb=round(peak_memory() / 2**20),
        disk_mb=round(sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file()) / 2**20),
        **dict(zip(("rate_first", "rate_middle", "rate_last"), rates, strict=True)),
        rate_error=max(abs(rate / known - 1) for rate, known in zip(rates, known, strict=True)),
        date=date.today().isoformat(),
        commit=environment()["commit"] or "",
        torch=torch.__version__,
        cores=cores(),
    )
