"""The runner behind `make reproduce`: does the runs of some plans that are not done yet, each in its own process.

Processes are forked from a server that has torch imported, so that a run of seconds does not wait for it. A run
whose process dies is resumed by the next call; one that another runner has locked is waited for, not repeated.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from l2sp_suite.sweeps.plan import Planned
from l2sp_suite.tasks.registry import task_module
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.machine import cores

__all__ = ["Outcome", "check_jobs", "run_all"]

_GPU_DRIVER = Path("/proc/driver/nvidia/version")
BUSY = 75  # exit status of a run that another process holds


@dataclass
class Outcome:
    """What became of the runs: finished now, found finished, and failed ones with their reason and log."""

    finished: list[Planned] = field(default_factory=list)
    found: list[Planned] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class _Worker:
    planned: Planned
    process: ForkServerProcess
    alive: Connection  # closed when this process dies, by which the worker knows
    started: float


def run_all(
    planned: Sequence[Planned],
    jobs: int,
    threads: int,
    after_each: Callable[[], None],
    say: Callable[[str], None] = print,
) -> Outcome:
    """Does the runs in order, `jobs` at a time with `threads` CPU threads each.

    Args:
        planned: the runs; finished ones are passed over.
        jobs: processes at once.
        threads: CPU threads of each; part of what makes results bitwise reproducible.
        after_each: called after every finished run, e.g. to rewrite the tables.
        say: takes a line of progress.

    Returns:
        The outcome; a failing run does not stop the others.
    """
    outcome = Outcome()
    pending = deque(_sort(planned, outcome))
    progress = _Progress(len(pending), say)
    for label, reason in outcome.failed.items():
        progress.say(f"FAILED {label}: {reason}")
    context = mp.get_context("forkserver")
    tasks = {task_module(item.cfg.approach.name) for item in pending}
    context.set_forkserver_preload(
        ["l2sp_suite.training.trainer", "timm", *sorted(tasks)]
    )  # a second or two of each run
    workers: list[_Worker] = []
    try:
        while pending or workers:
            while len(workers) < jobs and (free := _next_free(pending)):
                workers.append(_launch(context, free, threads))
            wait([worker.process.sentinel for worker in workers], timeout=1)
            if not workers:  # all that is left is in another runner's hands
                time.sleep(1)
            for worker in [w for w in workers if not w.process.is_alive()]:
                workers.remove(worker)
                if worker.process.exitcode == BUSY:
                    pending.append(worker.planned)
                elif _collect(worker, outcome, progress):
                    _report(after_each, say)
    finally:
        for worker in workers:
            worker.process.terminate()
    return outcome


def _sort(planned: Sequence[Planned], outcome: Outcome) -> list[Planned]:
    """The runs to do; finished ones, lost ones and directories of another configuration are booked."""
    pending: list[Planned] = []
    for item in planned:
        try:
            if item.done and (reason := item.run.lost):
                outcome.failed[item.label] = reason
            else:
                (outcome.found if item.done else pending).append(item)
        except UserError as error:
            outcome.failed[item.label] = str(error)
    return pending


def _next_free(pending: deque[Planned]) -> Planned | None:
    """The first run that no other runner holds; the others go to the end."""
    for _ in range(len(pending)):
        item = pending.popleft()
        if not item.run.busy:
            return item
        pending.append(item)
    return None


def _report(after_each: Callable[[], None], say: Callable[[str], None]) -> None:
    try:
        after_each()
    except (UserError, OSError) as error:  # the last report says it again; training goes on
        say(f"tables not rewritten: {error}")


def _launch(context: mp.context.ForkServerContext, planned: Planned, threads: int) -> _Worker:
    reader, writer = context.Pipe(duplex=False)
    log = planned.run.path / "log.txt"
    process = context.Process(target=_work, args=(planned.overrides, threads, log, reader))
    process.start()
    reader.close()
    return _Worker(planned, process, writer, time.monotonic())


def _work(overrides: tuple[str, ...], threads: int, log: Path, alive: Connection) -> None:
    """A worker's whole life: one run, its output in the log, its reason to live the runner."""
    threading.Thread(target=_die_with, args=(alive,), daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    from l2sp_suite.config.compose import compose
    from l2sp_suite.training.trainer import train
    from l2sp_suite.utils.exit_codes import one_line_errors

    with one_line_errors():
        train(compose([*overrides, f"runtime.threads={threads}"]))


def _die_with(alive: Connection) -> None:
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _collect(worker: _Worker, outcome: Outcome, progress: _Progress) -> bool:
    """Books a finished worker; true if its run is done. A run that diverged is done and failed."""
    planned, status = worker.planned, worker.process.exitcode
    if status:
        outcome.failed[planned.label] = f"{_reason(planned, status)} (log: {planned.run.path / 'log.txt'})"
        progress.failed(planned.label, outcome.failed[planned.label])
    else:
        outcome.finished.append(planned)
        progress.done(planned, time.monotonic() - worker.started)
    return planned.run.done


def _reason(planned: Planned, status: int | None) -> str:
    try:
        failed = json.loads((planned.run.path / "failed.json").read_text())
        return str(failed["error"]).splitlines()[0]
    except (OSError, ValueError, KeyError, IndexError):
        return f"ended with status {status}"


class _Progress:
    """One line per finished run with the time left."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.total, self.say = total, say
        self.count, self.started = 0, time.monotonic()

    def done(self, planned: Planned, seconds: float) -> None:
        """Says what a run gave and when the rest will be done, at the pace so far."""
        self.count += 1
        left = (time.monotonic() - self.started) / self.count * (self.total - self.count)
        result = json.loads((planned.run.path / "done.json").read_text())
        self.say(
            f"[{self.count}/{self.total}, {_clock(left)} left] {planned.label}: "
            f"{result['metric']} {result['value']:.4f} ({seconds:.0f} s)"
        )

    def failed(self, label: str, reason: str) -> None:
        """Says that a run failed, at once."""
        self.total -= 1
        self.say(f"FAILED {label}: {reason}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def check_jobs(jobs: int | None) -> tuple[int, int]:
    """Processes at once and threads of each: one process a core, or one in all on a GPU, unless JOBS says otherwise.

    Raises:
        UserError: `jobs` is not positive.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"JOBS={jobs}: give a positive number of processes")
    jobs = jobs or (1 if _GPU_DRIVER.exists() else cores())
    return jobs, max(1, cores() // jobs)
