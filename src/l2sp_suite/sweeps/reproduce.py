"""`make reproduce`: does the runs that some plans need and are not done yet, then the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from l2sp_suite.config import CONFIGS, PRINTED, RunSpec, override, scale_names
from l2sp_suite.report import build_report, print_tables, read_arms
from l2sp_suite.runs import Run
from l2sp_suite.sweeps.executor import check_jobs, run_all
from l2sp_suite.sweeps.plan import Plan, expand, load_plan, pretraining_of, reproduction
from l2sp_suite.tasks import task_class
from l2sp_suite.utils.errors import UserError

__all__ = ["Reproduction", "run_reproduction"]

REPORT_EVERY = 120.0  # seconds between rewrites of the tables while runs go on; each takes a second of a core


@dataclass(frozen=True)
class Reproduction:
    """Options of `experiments/reproduce.py`."""

    scale: str = field(default="mini", metadata={"meaning": "mini, small or paper"})
    seeds: int = field(default=3, metadata={"meaning": "seeds 0..n-1 of every point"})
    jobs: int | None = field(default=None, metadata={"meaning": "processes at once; null: one a core"})
    plan: list[str] = field(
        default_factory=list, metadata={"meaning": "plans of configs/sweep; []: those of the paper's tables"}
    )
    arms: list[str] = field(default_factory=list, metadata={"meaning": "arms of configs/reg; []: the plan's own"})
    data: str | None = field(default=None, metadata={"meaning": "folder of the official data sets"})
    results: str = field(default="results", metadata={"meaning": "where runs and tables go"})
    dry: bool = field(default=False, metadata={"meaning": "list the runs and do nothing"})


def run_reproduction(options: Reproduction) -> int:
    """Does what is missing, rewrites the tables, says what failed; returns the exit status.

    Raises:
        UserError: an unknown scale, plan or key, fewer than one seed, no folder of that name, or no data at all.
    """
    if options.seeds < 1:
        raise UserError(f"seeds={options.seeds}: give at least one")
    if options.data and not Path(options.data).is_dir():
        raise UserError(f"data={options.data}: no such folder; name the one that holds the data sets' folders")
    plans = _plans(options)
    common = [
        override("paths.results", options.results),
        *([override("paths.data", options.data)] if options.data else []),
    ]
    everything, missing = _with_data(expand(plans, options.scale, options.seeds, common))
    specs = [spec for spec in everything if spec.config.experiment not in missing]
    if options.dry:
        return _list(everything, missing)
    if not specs:
        raise UserError(_no_data(options, missing))
    for spec in specs:
        if _state(spec) == "done":
            Run(spec).write_labels()  # a setting may have been selected, or a row renamed, since
    results = Path(options.results)
    arms = read_arms(CONFIGS / "sweep" / "table3.yaml")
    report = partial(build_report, results, options.scale, PRINTED, arms)
    failed = _do(specs, options, _every(REPORT_EVERY, partial(report, figures=False, quiet=True)))
    try:
        report()
        print_tables(results, options.scale, [plan.name for plan in plans])
    finally:
        for line in missing.values():
            print(f"no data: {line}")
        for name, reason in failed.items():
            print(f"FAILED {name}: {reason}", flush=True)
    # A subset of the rows is a legitimate campaign on real images, not at paper scale.
    return 1 if failed or (missing and any(spec.config.scale.require_official for spec in everything)) else 0


def _plans(options: Reproduction) -> list[Plan]:
    if options.scale not in scale_names():
        raise UserError(f"scale={options.scale}: use one of {', '.join(scale_names())}")
    plans = [load_plan(name) for name in options.plan] or reproduction(options.scale)
    for plan in plans:
        if options.scale not in plan.scales:
            raise UserError(f"plan {plan.name} has no runs at scale={options.scale}, only at {', '.join(plan.scales)}")
        plan.arms = options.arms or plan.arms
    return plans


def _no_data(options: Reproduction, missing: Mapping[str, str]) -> str:
    hint = "" if options.data else " (data=<folder> says where data sets are)"
    first, *others = missing.values()
    more = f"; and {len(others)} others, which dry=true lists and make doctor helps with" if others else ""
    return f"no row can run{hint}: {first}{more}"


def _do(specs: Sequence[RunSpec], options: Reproduction, after_each: Callable[[], None]) -> dict[str, str]:
    jobs, threads = check_jobs(options.jobs)
    started = time.monotonic()
    pending = [spec for spec in specs if _state(spec) != "done"]
    sources = pretraining_of(pending)
    failed: dict[str, str] = {}
    if any(not Run(source).done for source in sources):
        print("pre-training (once; cached under artifacts)", flush=True)
        failed = _pre_train(sources, jobs, threads)
    broken = {source.path for source in sources if source.name in failed}
    without = {spec.path for spec in pending if broken & {source.path for source in spec.pretraining.values()}}
    if waiting := len(pending) - len(without):
        print(f"{waiting} runs to do, {jobs} at a time with {threads} threads each", flush=True)
    outcome = run_all([spec for spec in specs if spec.path not in without], jobs, threads, after_each)
    minutes = (time.monotonic() - started) / 60
    before = len(outcome.done_before)
    print(f"{len(outcome.finished)} runs done in {minutes:.1f} min, {before} were done before\n", flush=True)
    return failed | outcome.failed


def _pre_train(sources: Sequence[RunSpec], jobs: int, threads: int) -> dict[str, str]:
    """Does the pre-training runs; returns what failed. One that names no number of threads has all cores to itself."""
    failed: dict[str, str] = {}
    for number in dict.fromkeys(source.config.runtime.threads for source in sources):
        alike = [source for source in sources if source.config.runtime.threads == number]
        at_once = (1, jobs * threads) if number is None else (jobs, number)
        failed |= run_all(alike, *at_once, after_each=lambda: None).failed
    return failed


def _with_data(specs: Sequence[RunSpec]) -> tuple[list[RunSpec], dict[str, str]]:
    """The runs, with the digest of their data where that is at hand, and by experiment what the others lack.

    Every data set is read once.
    """
    digests: dict[str, str | None] = {}
    missing: dict[str, str] = {}
    for cfg in {spec.config.experiment: spec.config for spec in specs}.values():
        try:
            # Synthetic data is part of a run's identity.
            real = cfg.scale.world is None
            digests[cfg.experiment] = task_class(cfg).read_data(cfg, Path(cfg.paths.data))[1] if real else None
        except UserError as error:
            missing[cfg.experiment] = f"{cfg.experiment}: {error}"
    return [replace(spec, data_digest=digests.get(spec.config.experiment)) for spec in specs], missing


def _list(specs: Sequence[RunSpec], missing: Mapping[str, str]) -> int:
    states = ["no data" if spec.config.experiment in missing else _state(spec) for spec in specs]
    for spec, state in zip(specs, states, strict=True):
        print(f"{state:7} {spec.name}")
    for line in missing.values():
        print(f"no data: {line}")
    lacking = states.count("no data")
    hint = f", of which {lacking} lack data (data=<folder> says where it is)" if lacking else ""
    print(f"{len(states)} runs, {len(states) - states.count('done')} to do{hint}")
    return 0


def _state(spec: RunSpec) -> str:
    run = Run(spec)
    try:
        return "done" if run.done_on(spec.data_digest) else "resume" if run.checkpoint.exists() else "to do"
    except UserError:
        return "blocked"  # its directory holds another configuration or data; the runner says which


def _every(seconds: float, action: Callable[[], object]) -> Callable[[], None]:
    last = -seconds

    def throttled() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            action()
            last = time.monotonic()

    return throttled
