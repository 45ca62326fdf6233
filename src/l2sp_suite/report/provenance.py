"""What made the numbers: code, versions, machine, time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from l2sp_suite.report import captions
from l2sp_suite.report.logs import Provenance
from l2sp_suite.report.paper import Paper
from l2sp_suite.report.select import group
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.text import DASH

__all__ = ["provenance", "when_and_where"]


def provenance(runs: Sequence[Provenance], paper: Paper, scale: str) -> Table | None:
    """One line per experiment, of its main runs and of each side study; None where no run says what made it."""
    header = ["experiment", "study", "runs", "seeds", "commits", "torch", "timm", "device", "cores", "threads"]
    header += ["seconds a run", "hours in all", "memory"]
    heading = f"What made the numbers, {captions.scale_note(scale)}"
    table = Table("provenance", heading, captions.provenance(), header)
    groups = group(runs, lambda run: (run.study.partition("/")[0], run.experiment))
    for (study, name), found in sorted(groups.items(), key=lambda item: (item[0][0], paper.order(item[0][1]))):
        seconds = [run.seconds for run in found if math.isfinite(run.seconds)]
        memory = [run.memory_mb for run in found if run.memory_mb]
        seeds = sorted({run.seed for run in found})
        texts = {
            key: _all(getattr(run, key) for run in found) for key in ("torch", "timm", "device", "cpus", "threads")
        }
        cells = [name, study or "main", str(len(found)), ", ".join(map(str, seeds)), _commits(found), *texts.values()]
        cells += [f"{median(seconds):.0f}" if seconds else DASH, f"{sum(seconds) / 3600:.2f}" if seconds else DASH]
        table.add(
            [*cells, f"{max(memory):,} MB" if memory else DASH], _record(scale, name, study, found, seconds, memory)
        )
    return table if table.lines else None


def _all(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values if value not in (None, "")})) or DASH


def _commits(runs: Iterable[Provenance]) -> str:
    return _all(run.commit[:7] + ("*" if run.changed == "yes" else "") for run in runs)


def _record(
    scale: str, name: str, study: str, runs: Sequence[Provenance], seconds: Sequence[float], memory: Sequence[int]
) -> dict[str, Value]:
    return {
        "scale": scale,
        "experiment": name,
        "study": study,
        "runs": len(runs),
        "commits": _all(run.commit for run in runs).replace(DASH, ""),
        "seconds_median": median(seconds) if seconds else None,
        "seconds_sum": math.fsum(seconds) if seconds else None,
        "memory_mb_max": max(memory, default=None),
    }


def when_and_where(runs: Sequence[Provenance]) -> str:
    """What made one row, in a sentence."""
    if not runs:
        return "No run is on record here."
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in runs}))
    seconds = [run.seconds for run in runs if math.isfinite(run.seconds)]
    took = f", {median(seconds):.0f} s each" if seconds else ""
    texts = {key: _all(getattr(run, key) for run in runs) for key in ("device", "cpus", "threads", "torch", "timm")}
    return (
        f"{len(runs)} runs{took}, seeds {seeds}; on {texts['device']} with {texts['cpus']} cores, {texts['threads']} "
        f"threads; torch {texts['torch']}, timm {texts['timm']}; commit {_commits(runs)}."
    )
