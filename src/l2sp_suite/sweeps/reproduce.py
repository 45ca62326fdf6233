"""A campaign: plans to runs to tables. What `make reproduce` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from l2sp_suite.config.compose import CONFIGS, PRINTED, override, scale_names
from l2sp_suite.report import build_report, print_tables, read_arms
from l2sp_suite.sweeps.executor import check_jobs, run_all
from l2sp_suite.sweeps.plan import Plan, Planned, expand, load_plan, reproduction, sources_of
from l2sp_suite.tasks.registry import data_digest, starts_of
from l2sp_suite.utils.errors import UserError

__all__ = ["Campaign", "run_campaign"]

REPORT_EVERY = 120.0  # seconds between rewrites of the tables while runs go on; each takes a second of a core


@dataclass(frozen=True)
class Campaign:
    """What to run: see `experiments/reproduce.py --help`."""

    scale: str
    seeds: int
    jobs: int | None
    plan: list[str] | None
    data: str | None
    results: str
    dry: bool


def run_campaign(campaign: Campaign) -> int:
    """Does what is missing, rewrites the tables, says what failed; returns the exit status.

    Raises:
        UserError: an unknown scale, plan or key, fewer than one seed, no folder of that name, or no data at all.
    """
    if campaign.seeds < 1:
        raise UserError(f"SEEDS={campaign.seeds}: give at least one")
    if campaign.data and not Path(campaign.data).is_dir():
        raise UserError(f"DATA={campaign.data}: no such folder; name the one that holds the data sets' folders")
    plans = _plans(campaign)
    common = [
        override("paths.results", campaign.results),
        *([override("paths.data", campaign.data)] if campaign.data else []),
    ]
    everything, missing = _with_data(expand(plans, campaign.scale, campaign.seeds, common))
    planned = [item for item in everything if item.cfg.experiment not in missing]
    if campaign.dry:
        return _list(everything, missing)
    if not planned:
        hint = "" if campaign.data else " (DATA=<folder> says where data sets are)"
        first, *others = missing.values()
        more = f"; and {len(others)} others, which DRY=1 lists and make doctor helps with" if others else ""
        raise UserError(f"no row can run{hint}: {first}{more}")
    results = Path(campaign.results)
    for item in planned:
        if _state(item) == "done":
            item.run.label()  # a setting may have been chosen, or a row renamed, since
    tables = partial(build_report, results, campaign.scale, PRINTED, read_arms(CONFIGS / "sweep" / "table3.yaml"))
    failed = _do(planned, campaign, _every(REPORT_EVERY, partial(tables, figures=False, quiet=True)))
    try:
        tables()
        print_tables(results, campaign.scale, [plan.name for plan in plans])
    finally:
        for line in missing.values():
            print(f"no data: {line}")
        for label, reason in failed.items():
            print(f"FAILED {label}: {reason}", flush=True)
    # A subset of the rows is a legitimate campaign on real images, not at paper scale.
    return 1 if failed or (missing and any(item.cfg.scale.require_official for item in everything)) else 0


def _plans(campaign: Campaign) -> list[Plan]:
    if campaign.scale not in scale_names():
        raise UserError(f"SCALE={campaign.scale}: use one of {', '.join(scale_names())}")
    plans = [load_plan(name) for name in campaign.plan] if campaign.plan else reproduction(campaign.scale)
    for plan in plans:
        if campaign.scale not in plan.scales:
            raise UserError(
                f"plan '{plan.name}' has no runs at scale={campaign.scale}, only at {', '.join(plan.scales)}"
            )
    return plans


def _do(planned: Sequence[Planned], campaign: Campaign, after_each: Callable[[], None]) -> dict[str, str]:
    jobs, threads = check_jobs(campaign.jobs)
    started = time.monotonic()
    pending = [item for item in planned if _state(item) != "done"]
    sources = sources_of([p.cfg for p in pending])
    failed: dict[str, str] = {}
    if any(not source.run.done for source in sources):
        print("pre-training the starting points (once; cached under artifacts)", flush=True)
        failed = _pre_train(sources, jobs, threads)
    lost = {source.cfg.experiment for source in sources if source.label in failed}
    without_start = {
        item.run.path for item in pending if lost & {start.experiment for start in starts_of(item.cfg).values()}
    }
    if waiting := len(pending) - len(without_start):
        print(f"{waiting} runs to do, {jobs} at a time with {threads} threads each", flush=True)
    ready = [item for item in planned if item.run.path not in without_start]
    outcome = run_all(ready, jobs, threads, after_each)
    minutes = (time.monotonic() - started) / 60
    print(
        f"{len(outcome.finished)} runs done in {minutes:.1f} min, {len(outcome.found)} were done before\n",
        flush=True,
    )
    return failed | outcome.failed


def _pre_train(sources: Sequence[Planned], jobs: int, threads: int) -> dict[str, str]:
    """Does the sources; returns what failed. One that names no number of threads has all cores to itself."""
    failed: dict[str, str] = {}
    for own in dict.fromkeys(source.cfg.runtime.threads for source in sources):
        alike = [source for source in sources if source.cfg.runtime.threads == own]
        at_once = (1, jobs * threads) if own is None else (jobs, own)
        failed |= run_all(alike, *at_once, after_each=lambda: None).failed
    return failed


def _with_data(everything: Sequence[Planned]) -> tuple[list[Planned], dict[str, str]]:
    """The runs, with the digest of their data where that is at hand, and by experiment what the others lack."""
    digests: dict[str, str | None] = {}
    missing: dict[str, str] = {}
    for cfg in {item.cfg.experiment: item.cfg for item in everything}.values():
        try:
            # A world made here is part of a run's identity.
            found = None if cfg.scale.world is not None else data_digest(cfg, Path(cfg.paths.data))
            digests[cfg.experiment] = found
        except UserError as error:
            missing[cfg.experiment] = f"{cfg.experiment}: {error}"
    return [replace(item, data=digests.get(item.cfg.experiment)) for item in everything], missing


def _list(everything: Sequence[Planned], missing: Mapping[str, str]) -> int:
    states = ["no data" if item.cfg.experiment in missing else _state(item) for item in everything]
    for item, state in zip(everything, states, strict=True):
        print(f"{state:7} {item.label}")
    for line in missing.values():
        print(f"no data: {line}")
    lacking = states.count("no data")
    hint = f", of which {lacking} lack data (DATA=<folder> says where it is)" if lacking else ""
    print(f"{len(states)} runs, {len(states) - states.count('done')} to do{hint}")
    return 0


def _state(item: Planned) -> str:
    try:
        return "done" if item.done else "resume" if item.run.checkpoint.exists() else "to do"
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
