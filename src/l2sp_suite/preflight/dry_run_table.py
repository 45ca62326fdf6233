"""The table of the dry run of paper scale: a CSV file and a page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from tabulate import tabulate

from l2sp_suite.preflight.dry_run import DryRun
from l2sp_suite.utils.files import csv_text, write_atomically

__all__ = ["read_records", "write_table"]

_COLUMNS = (
    "row", "experiment", "arm", "parameters", "shared", "new", "exempt", "batch", "s a step", "s an item tested",
    "s in all", "peak memory, GiB", "disk, GiB", "steps in all", "rate at first, middle, last step", "relative error",
)  # fmt: skip

_ALIGN = ("right", "left", "left", *["right"] * (len(_COLUMNS) - 3))

_CAPTION = """\
Every arm of every row of Table 3 at paper scale, each in a process of its own, with synthetic files in the official
layout and resolution and with weights of the published shapes and random values. Each run made two steps of its
published schedule, with a checkpoint after the first from which everything was built anew (bit for bit what had been
saved, or the run would not be here), and tested one item by the full protocol. The precision is paper scale's, bfloat16
for EncNet and DSTL. EncNet has the 4 crops of one of the paper's four GPUs; SegFlow's phases alternate after every
step, so that each is seen. Seconds a step are of the second one, with its data, which with a flow phase is one of flow;
those in all are of the whole process. Disk is what the run's directory held. The first rate is the optimiser's, the
others are the schedule's. Shared weights are penalised with alpha, new ones with beta, exempt parameters not at all.
"""


def write_table(results: Path, records: Sequence[DryRun]) -> str:
    """Writes `paper/dry_run.{csv,md}` below the folder of results; returns the page's text."""
    lines = [_line(record) for record in records]
    table = tabulate(lines, _COLUMNS, tablefmt="github", disable_numparse=True, colalign=_ALIGN)
    text = f"# {_heading(records)}\n\n{_CAPTION}\n{table}\n"
    write_atomically(
        results / "paper" / "dry_run.csv", csv_text([item.name for item in fields(DryRun)], map(astuple, records))
    )
    write_atomically(results / "paper" / "dry_run.md", text)
    return text


def read_records(path: Path) -> list[DryRun]:
    """The records of a file that `write_table` wrote."""
    kinds = {"int": int, "float": float, "str": str}
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return [DryRun(**{item.name: kinds[str(item.type)](line[item.name]) for item in fields(DryRun)}) for line in lines]


def _heading(records: Sequence[DryRun]) -> str:
    days = sorted({record.date for record in records})
    machines = " and ".join(sorted({f"{record.cores} CPU cores, torch {record.torch}" for record in records}))
    minutes = sum(record.run_seconds for record in records) / 60
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    commits = ", ".join(sorted({record.commit[:7] or "?" for record in records}))
    return f"Dry run of scale=paper, {when}, commit {commits}: {len(records)} runs in {minutes:.0f} minutes, {machines}"


def _line(record: DryRun) -> tuple[str, ...]:
    counts = (record.parameters, record.shared, record.new, record.exempt)
    rates = (record.rate_first, record.rate_middle, record.rate_last)
    return (
        str(record.row),
        record.experiment,
        record.arm,
        *(f"{count:,}" for count in counts),
        str(record.batch),
        f"{record.step_seconds:.1f}",
        f"{record.evaluate_seconds:.1f}",
        f"{record.run_seconds:.0f}",
        f"{record.peak_memory_mb / 1024:.1f}",
        f"{record.disk_mb / 1024:.1f}",
        f"{record.steps:,}",
        ", ".join(f"{rate:.3g}" for rate in rates),
        f"{record.rate_error:.0e}",
    )
