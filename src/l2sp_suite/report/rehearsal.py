"""The table of the rehearsal of paper scale: what each run holds and costs on the machine that rehearsed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.report.records import format_records
from l2sp_suite.report.table import Table
from l2sp_suite.utils.files import write_atomically

__all__ = ["Rehearsed", "write_rehearsal"]


@dataclass(frozen=True)
class Rehearsed:
    """What the rehearsal of a run found: numbers of scalars, seconds, the peak of the process's memory in MiB.

    `row`: of Table 3. `batch`: items a step here; `steps`: of the whole published training. `run_seconds`: of the whole
    process, from its start; `disk_mb`: the run's folder with its checkpoint, in MiB. `rate_first`,
    `rate_middle`, `rate_last`: the schedule's learning rate at the first step (as the optimiser had it), the middle and
    the last one; `rate_error`: the largest relative difference from the closed form.
    """

    row: int
    experiment: str
    arm: str
    parameters: int
    shared: int
    new: int
    exempt: int
    batch: int
    steps: int
    step_seconds: float
    evaluate_seconds: float
    run_seconds: float
    peak_memory_mb: int
    disk_mb: int
    rate_first: float
    rate_middle: float
    rate_last: float
    rate_error: float
    date: str
    commit: str
    torch: str
    cores: int


_HEADER = (
    "row", "experiment", "arm", "parameters", "shared", "new", "exempt", "batch", "s a step", "s an item tested",
    "s in all", "peak memory, GiB", "disk, GiB", "steps in all", "rate at first, middle, last step", "off closed form",
)  # fmt: skip

_CAPTION = (
    "Both arms of every row of Table 3 at paper scale, each in a process of its own, with files in the official "
    "layout and resolution that the miniature draws and with weights of the published shapes and random values. Each "
    "run made two steps of its published schedule, with a checkpoint after the first from which everything was built "
    "anew (bit for bit what had been saved, or the run would not be here), and tested one item by the full protocol. "
    "The precision is paper scale's, bfloat16 for EncNet and DSTL. EncNet has the 4 crops of one of the paper's four "
    "GPUs; SegFlow's phases take turns after every step, so that each is seen. Seconds a step are of the second one, "
    "with its data, which with a flow phase is one of flow; those in all are of the whole process. Disk is what the "
    "run's folder held. The first rate is the optimiser's, the others are the schedule's. Shared weights are pulled "
    "to w0 or decay with alpha, new ones decay with beta, exempt parameters are left alone."
)


def write_rehearsal(results: Path, found: Sequence[Rehearsed]) -> str:
    """Writes `paper/rehearsal.{csv,md}` below the folder of results; returns the table for people."""
    table = Table("rehearsal", _heading(found), _CAPTION, _HEADER)
    for item in found:
        table.add(_line(item), {})
    text = table.render("md")
    write_atomically(results / "paper" / "rehearsal.csv", format_records(Rehearsed, found))
    write_atomically(results / "paper" / "rehearsal.md", text)
    return text


def _heading(found: Sequence[Rehearsed]) -> str:
    days = sorted({item.date for item in found})
    machines = " and ".join(sorted({f"{item.cores} CPU cores, torch {item.torch}" for item in found}))
    minutes = sum(item.run_seconds for item in found) / 60
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    commits = ", ".join(sorted({item.commit[:7] or "?" for item in found}))
    return f"Rehearsal of scale=paper, {when}, commit {commits}: {len(found)} runs in {minutes:.0f} minutes, {machines}"


def _line(item: Rehearsed) -> tuple[str, ...]:
    counts = (item.parameters, item.shared, item.new, item.exempt)
    rates = ", ".join(f"{rate:.3g}" for rate in (item.rate_first, item.rate_middle, item.rate_last))
    return (
        str(item.row),
        item.experiment,
        {"l2": "L2", "l2_sp": "L2-SP"}[item.arm],
        *(f"{count:,}" for count in counts),
        str(item.batch),
        f"{item.step_seconds:.1f}",
        f"{item.evaluate_seconds:.1f}",
        f"{item.run_seconds:.0f}",
        f"{item.peak_memory_mb / 1024:.1f}",
        f"{item.disk_mb / 1024:.1f}",
        f"{item.steps:,}",
        rates,
        f"{item.rate_error:.0e}",
    )
