"""The rehearsal of paper scale: every row of Table 3 at full size, short of the training and the photographs.

Each run reads files in the official layout and resolution that the miniature draws, starts from weights of the
published shapes with random values, and goes the way of a real one: two steps of the published schedule with a
checkpoint and a resume between, then one test item by the full protocol.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import multiprocessing as mp
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import torch

from l2sp_suite.config.compose import compose, fingerprint, override
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.pretrained.load import save_weights, tensors_sha256
from l2sp_suite.report.rehearsal import Rehearsed
from l2sp_suite.runs import Run, environment, run_of
from l2sp_suite.sweeps.plan import Planned, table3
from l2sp_suite.tasks.registry import build_approach, outline, starts_of
from l2sp_suite.training import checkpoint
from l2sp_suite.training.loop import fit, total_steps
from l2sp_suite.training.optimizer import PenalizedOptimizer, build_optimizer
from l2sp_suite.training.schedule import lr_factor
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically
from l2sp_suite.utils.machine import cores, peak_memory
from miniworld import ensure_world

__all__ = ["closed_form", "rehearse", "rehearse_all"]

_WORLDS = {
    "dstl": (("release", "objects"),),
    "encnet": (("release", "scenes"),),
    "segflow": (("release_davis", "clips"), ("release_scene_flow", "clips")),
}

_COMMON = ("scale.require_official=false", "runtime.device=cpu", "runtime.workers=0")
"""Few files stand for the release. The precision stays paper scale's, though few processors are fast in it."""

_OWN = {
    "encnet": ("optim.batch_size=4",),  # what each of the paper's four GPUs had: 16 crops hardly fit into 20 GB
    "segflow": ("approach.turn.target=1", "approach.turn.partner=1"),  # a step of each phase
    "dstl": (),
}


def rehearse_all(
    artifacts: Path, only: Sequence[str], say: Callable[[str], None] = print
) -> tuple[list[Rehearsed], list[str]]:
    """Rehearses both arms of Table 3's rows, each in a process of its own; what this commit has done is not repeated.

    Args:
        artifacts: folder for the drawn data, the stand-in weights and the runs; about 2 GB.
        only: names of experiments; all twelve where it is empty.
        say: takes a line of progress.

    Returns:
        What was found, and the names of the runs that failed.

    Raises:
        UserError: an unknown experiment.
    """
    planned = table3("paper", only)
    say("drawing the files that lack, in the official layouts")
    data = _data(artifacts, {item.cfg.approach.name for item in planned})
    found, failed, started = [], [], time.monotonic()
    for number, item in enumerate(planned, 1):
        name = f"{item.cfg.experiment}-{item.cfg.reg.name}"
        file = artifacts / "rows" / f"{name}.json"
        known = _fresh(file)
        if not known:
            file.unlink(missing_ok=True)
            _in_process(_overrides(item, data, artifacts), item.overrides, file)
        if not file.exists():
            failed.append(name)
            say(f"FAILED {name}")
            continue
        found.append(_load(file))
        left = (time.monotonic() - started) / number * (len(planned) - number)
        say(
            f"[{number}/{len(planned)}, {left / 60:.0f} min left] {name}: {found[-1].step_seconds:.1f} s a step"
            f"{f' (found, of {found[-1].date})' if known else ''}"
        )
    return found, failed


def _data(artifacts: Path, approaches: Collection[str]) -> Path:
    """A data folder with the sets of some approaches in their official layout; draws them first."""
    root = artifacts / "data"
    root.mkdir(parents=True, exist_ok=True)
    for name, part in (world for approach in sorted(approaches) for world in _WORLDS[approach]):
        for folder in ensure_world(artifacts, name, part).iterdir():
            link = root / folder.name
            if folder.is_dir():
                link.unlink(missing_ok=True)  # it may lead to a world of earlier code
                link.symlink_to(folder.resolve(), target_is_directory=True)
    return root


def _overrides(item: Planned, data: Path, artifacts: Path) -> tuple[str, ...]:
    """The published run's overrides, and what makes its rehearsal."""
    paths = (override("paths.data", str(data)), override("paths.results", str(artifacts / "results")))
    return (*item.overrides, *_COMMON, *_OWN[item.cfg.approach.name], *paths)


def _in_process(overrides: tuple[str, ...], published: tuple[str, ...], file: Path) -> None:
    """Rehearses in a new process, whose peak of memory is then the run's."""
    process = mp.get_context("spawn").Process(target=_work, args=(overrides, published, file, time.monotonic()))
    process.start()
    try:
        process.join()
    finally:
        process.kill()


def _work(overrides: tuple[str, ...], published: tuple[str, ...], file: Path, began: float) -> None:
    from l2sp_suite.utils.exit_codes import one_line_errors

    with one_line_errors():
        logging.disable(logging.WARNING)  # that the files are few and the weights random is known
        found = rehearse(compose(overrides), compose(published), began)
        content = {**dataclasses.asdict(found), "code": _code()}
        write_atomically(file, json.dumps(content, indent=1) + "\n")


def _code() -> dict[str, Any]:
    env = environment()
    return {"commit": env["commit"], "dirty": env["dirty"], "torch": env["torch"]}


def _fresh(file: Path) -> bool:
    """Whether a file holds what this very code found."""
    if not file.exists():
        return False
    code = json.loads(file.read_text())["code"]
    return bool(code == _code() and code["commit"] and not code["dirty"])


def _load(file: Path) -> Rehearsed:
    content = json.loads(file.read_text())
    del content["code"]
    return Rehearsed(**content)


def rehearse(cfg: TrainConfig, published: TrainConfig, began: float) -> Rehearsed:
    """Rehearses one run.

    Args:
        cfg: what can be run here: with data at hand; its weights are replaced by stand-ins.
        published: the run that it stands for, whose schedule it follows.
        began: when the rehearsal's process was started, in seconds of `time.monotonic`, which is the system's.

    Raises:
        UserError: something does not fit, or what was resumed is not what was saved.
    """
    cfg, files = _with_stand_ins(cfg)
    torch.set_num_threads(cores())
    run = run_of(cfg)
    shutil.rmtree(run.path, ignore_errors=True)
    try:
        return _rehearse(cfg, published, files, run, began)
    finally:
        shutil.rmtree(run.path, ignore_errors=True)  # its checkpoint is of no use to anyone


def _rehearse(cfg: TrainConfig, published: TrainConfig, files: dict[str, Path], run: Run, began: float) -> Rehearsed:
    per_epoch = outline(published).steps_per_epoch
    saved = ""
    for until in (1, 2):  # each time as a new process would
        approach = build_approach(cfg, Path(cfg.paths.data), files, torch.device("cpu"))
        approach.steps_per_epoch = per_epoch
        penalized = build_optimizer(approach.model, approach.start, cfg.reg, cfg.optim, approach.lr_factors)
        run.start(environment(**approach.notes, **penalized.describe()))
        checkpoint.restore(run.checkpoint, approach.model, penalized)
        if until == 2 and _digest(approach.model, penalized) != saved:
            raise UserError(f"{run.path}: what was resumed is not what was saved")
        fit(approach, penalized, cfg.optim, cfg.runtime, run, until)
        saved = _digest(approach.model, penalized)
    started = time.monotonic()
    approach.evaluate(cfg.evaluate.split, limit=1)
    seconds = time.monotonic() - started
    return _found(published, cfg, penalized, run, per_epoch, seconds, began)


def _with_stand_ins(cfg: TrainConfig) -> tuple[TrainConfig, dict[str, Path]]:
    """The run with starting weights of the published shapes and random values, and their files; written once."""
    cfg, files = deepcopy(cfg), {}
    for key, module in outline(cfg).starts.items():
        tensors = module.state_dict()
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        name = f"weights/stand_in_{fingerprint(shapes)[:12]}.safetensors"
        files[key] = Path(cfg.paths.data) / name
        if not files[key].exists():
            save_weights(files[key], tensors, {"source": "random values, for a rehearsal"})
        start = starts_of(cfg)[key]
        start.source, start.file, start.sha256 = "file", name, None
    return cfg, files


def _disk_mb(folder: Path) -> int:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20)


def _digest(model: torch.nn.Module, penalized: PenalizedOptimizer) -> str:
    """Of all that a checkpoint must bring back: weights, statistics and momentum."""
    state = penalized.optimizer.state_dict()["state"]
    moments = {f"{n}.{key}": value for n, own in state.items() for key, value in own.items() if torch.is_tensor(value)}
    return tensors_sha256({**model.state_dict(), **moments})


def _logged(path: Path) -> list[dict[str, Any]]:
    """The lines of both steps."""
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()][:2]


def _found(
    published: TrainConfig,
    cfg: TrainConfig,
    penalized: PenalizedOptimizer,
    run: Run,
    per_epoch: int,
    evaluate_seconds: float,
    began: float,
) -> Rehearsed:
    assert published.row is not None
    logged = _logged(run.path)
    steps = total_steps(published.optim, per_epoch)
    places = (0, steps // 2, steps - 1)
    rates = [published.optim.lr * lr_factor(published.optim.schedule, t, steps, per_epoch) for t in places]
    rates[0] = logged[0]["lr"]  # what the optimiser had
    wanted = [closed_form(published, t) for t in places]
    split = penalized.describe()["partition"]
    return Rehearsed(
        row=published.row.number,
        experiment=published.experiment,
        arm=published.reg.name,
        parameters=sum(split[name] for name in ("shared", "new", "exempt")),
        **{name: split[name] for name in ("shared", "new", "exempt")},
        batch=cfg.optim.batch_size,
        steps=steps,
        step_seconds=logged[1]["seconds"],
        evaluate_seconds=round(evaluate_seconds, 2),
        run_seconds=round(time.monotonic() - began, 1),
        peak_memory_mb=round(peak_memory() / 2**20),
        disk_mb=_disk_mb(run.path),
        rate_first=rates[0],
        rate_middle=rates[1],
        rate_last=rates[2],
        rate_error=max(abs(a / b - 1) for a, b in zip(rates, wanted, strict=True)),
        date=date.today().isoformat(),
        commit=environment()["commit"] or "",
        torch=torch.__version__,
        cores=cores(),
    )


def closed_form(cfg: TrainConfig, step: int) -> float:
    """The learning rate that a paper has at a step, from its own numbers (protocol 1.8, 2.6, 3.2).

    EncNet: 0.001 (1 - t / 24,960)^0.9. SegFlow: 1e-9 on a sum over 480 x 854 pixels, halved every 50,000 segmentation
    steps, as many of which again are flow steps where both take turns. DSTL: 0.01, a tenth every 10 epochs of 64.
    """
    if cfg.approach.name == "encnet":
        return float(0.001 * (1 - step / 24_960) ** 0.9)
    if cfg.approach.name == "segflow":
        flow = bool(cfg.approach.network.flow)  # type: ignore[attr-defined]
        return float(1e-9 * 480 * 854 * 0.5 ** (step // (100_000 if flow else 50_000)))
    images = (cfg.data.official or {})["train"]
    return float(0.01 * 0.1 ** (step // (10 * (images // 64))))
