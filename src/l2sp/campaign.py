"""A campaign: plans to runs to tables. What `make reproduce` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp.config import TrainConfig
from l2sp.data.release import find_root
from l2sp.errors import UserError
from l2sp.plans import Planned, expand, load_plan, reproduction, sources_of
from l2sp.report import build_report, print_tables
from l2sp.runner import check_jobs, run_all

__all__ = ["Campaign", "run_campaign"]

REPORT_EVERY = 30.0  # seconds between rewrites of the tables while runs go on


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
        UserError: an unknown scale, plan or key, or fewer than one seed.
    """
    if campaign.seeds < 1:
        raise UserError(f"SEEDS={campaign.seeds}: give at least one")
    plans = [load_plan(name) for name in campaign.plan] if campaign.plan else reproduction(campaign.scale)
    common = [f"paths.results='{campaign.results}'", *([f"paths.data='{campaign.data}'"] if campaign.data else [])]
    planned, missing = _with_data(expand(plans, campaign.scale, campaign.seeds, common))
    if campaign.dry:
        return _list(planned, missing)
    results = Path(campaign.results)
    failed = _do(planned, campaign, _every(REPORT_EVERY, lambda: build_report(results, campaign.scale, figures=False)))
    build_report(results, campaign.scale)
    print_tables(results, campaign.scale)
    for line in missing:
        print(f"no data: {line}")
    for label, reason in failed.items():
        print(f"FAILED {label}: {reason}")
    return 1 if failed or (missing and planned_needs_all(campaign.scale)) else 0


def planned_needs_all(scale: str) -> bool:
    """Whether a row without data is a failure (paper scale) or a dash (pocket)."""
    return scale == "paper"


def _do(planned: Sequence[Planned], campaign: Campaign, after_each: Callable[[], None]) -> dict[str, str]:
    jobs, threads = check_jobs(campaign.jobs)
    started = time.monotonic()
    pending = [p for p in planned if not p.run.done]
    sources = sources_of([p.cfg for p in pending])
    if any(not source.run.done for source in sources):
        print("pre-training the starting point (once; cached under artifacts)", flush=True)
        outcome = run_all(sources, jobs=1, threads=jobs * threads, after_each=lambda: None)
        if outcome.failed:
            return outcome.failed
    outcome = run_all(planned, jobs, threads, after_each)
    minutes = (time.monotonic() - started) / 60
    print(f"{len(outcome.finished)} runs done in {minutes:.1f} min, {len(outcome.found)} were done before\n", flush=True)
    return outcome.failed


def _with_data(planned: Sequence[Planned]) -> tuple[list[Planned], list[str]]:
    """Splits off the runs whose data set is not on disk; one line a data set, with the remedy."""
    there, missing = [], {}
    for item in planned:
        lack = _lack(item.cfg)
        if lack is None:
            there.append(item)
        else:
            missing[item.cfg.experiment] = lack
    return there, [f"{experiment}: {lack}" for experiment, lack in missing.items()]


def _lack(cfg: TrainConfig) -> str | None:
    if cfg.scale.world is not None:
        return None
    try:
        find_root(Path(cfg.paths.data), cfg.data.folders, cfg.data.remedy)
    except UserError as error:
        return str(error)
    return None


def _list(planned: Sequence[Planned], missing: Sequence[str]) -> int:
    for item in planned:
        state = "done   " if item.run.done else "resume " if item.run.checkpoint.exists() else "to do  "
        print(f"{state} {item.label}")
    for line in missing:
        print(f"no data {line}")
    todo = sum(not item.run.done for item in planned)
    print(f"{len(planned)} runs, {todo} to do")
    return 0


def _every(seconds: float, action: Callable[[], object]) -> Callable[[], None]:
    last = -seconds

    def throttled() -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            action()
            last = time.monotonic()

    return throttled
