"""The table of the rehearsal of paper scale: what each run holds and costs on the machine that rehearsed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from l2sp_suite.utils.files import write_atomically

__all__ = ["Rehearsed", "read_rehearsal", "write_rehearsal"]


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


def write_rehearsal(results: Path, rehearsed: Sequence[Rehearsed]) -> str:
    """Writes `paper/rehearsal.{csv,md}` below the folder of results; returns the table for people."""
    lines = [[cell.replace("_", "\\_") for cell in _line(item)] for item in rehearsed]
    table = tabulate(lines, _HEADER, tablefmt="pipe", disable_numparse=True)
    text = f"# {_heading(rehearsed)}\n\n{table}\n\n{_CAPTION}\n"
    records = pd.DataFrame(map(asdict, rehearsed), dtype=object)
    records = records.map(lambda value: f"{value:.10g}" if isinstance(value, float) else value)
    write_atomically(results / "paper" / "rehearsal.csv", records.to_csv(index=False, lineterminator="\n"))
    write_atomically(results / "paper" / "rehearsal.md", text)
    return text


def read_rehearsal(path: Path) -> list[Rehearsed]:
    """The lines of a `rehearsal.csv`."""
    frame = pd.read_csv(path, dtype={"date": str, "commit": str, "torch": str})
    return [Rehearsed(**{str(name): value for name, value in line.items()}) for line in frame.to_dict("records")]


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
