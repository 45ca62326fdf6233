"""The local executor: does runs that are not done yet, each in its own process, some at a time.

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

from l2sp_suite.config import RunSpec
from l2sp_suite.runs import Run
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import LOCKED
from l2sp_suite.utils.machine import cores

__all__ = ["Outcome", "check_jobs", "run_all"]

_GPU_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass
class Outcome:
    """What became of the runs: finished now, done before, and failed ones with their reason and log."""

    finished: list[RunSpec] = field(default_factory=list)
    done_before: list[RunSpec] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class _Worker:
    spec: RunSpec
    process: ForkServerProcess
    alive: Connection  # closed when this process dies, by which the worker knows
    started: float


def run_all(
    specs: Sequence[RunSpec],
    jobs: int,
    threads: int,
    after_each: Callable[[], None],
    say: Callable[[str], None] = print,
) -> Outcome:
    """Does the runs in order, `jobs` at a time with `threads` CPU threads each.

    Args:
        specs: the runs; finished ones are passed over.
        jobs: processes at once.
        threads: CPU threads of each; part of what makes results bitwise reproducible.
        after_each: called after every finished run, e.g. to rewrite the tables.
        say: takes a line of progress.

    Returns:
        The outcome; a failing run does not stop the others.
    """
    outcome = Outcome()
    pending = deque(_sort(specs, outcome))
    progress = _Progress(len(pending), say)
    for label, reason in outcome.failed.items():
        progress.say(f"FAILED {label}: {reason}")
    context = mp.get_context("forkserver")
    tasks = {f"{spec.config.task.package}.task" for spec in pending}
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
                if worker.process.exitcode == LOCKED:
                    pending.append(worker.spec)
                elif _collect(worker, outcome, progress):
                    _report(after_each, say)
    finally:
        for worker in workers:
            worker.process.terminate()
    return outcome


def _sort(specs: Sequence[RunSpec], outcome: Outcome) -> list[RunSpec]:
    """The runs to do; finished and diverged ones, and directories of another configuration, are booked."""
    pending: list[RunSpec] = []
    for spec in specs:
        run = Run(spec)
        try:
            done = run.done_on(spec.data_digest)
            if done and (reason := run.diverged):
                outcome.failed[spec.name] = reason
            else:
                (outcome.done_before if done else pending).append(spec)
        except UserError as error:
            outcome.failed[spec.name] = str(error)
    return pending


def _next_free(pending: deque[RunSpec]) -> RunSpec | None:
    """The first run that no other runner holds; the others go to the end."""
    for _ in range(len(pending)):
        spec = pending.popleft()
        if not Run(spec).is_locked:
            return spec
        pending.append(spec)
    return None


def _report(after_each: Callable[[], None], say: Callable[[str], None]) -> None:
    try:
        after_each()
    except (UserError, OSError) as error:  # the last report says it again; training goes on
        say(f"tables not rewritten: {error}")


def _launch(context: mp.context.ForkServerContext, spec: RunSpec, threads: int) -> _Worker:
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(spec.with_threads(threads), reader))
    process.start()
    reader.close()
    return _Worker(spec, process, writer, time.monotonic())


def _work(spec: RunSpec, alive: Connection) -> None:
    """A worker's whole life: one run, its output in the log, its reason to live the runner."""
    threading.Thread(target=_die_with, args=(alive,), daemon=True).start()
    log = spec.path / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    from l2sp_suite.training import train
    from l2sp_suite.utils.exit_codes import one_line_errors

    with one_line_errors():
        train(spec)


def _die_with(alive: Connection) -> None:
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _collect(worker: _Worker, outcome: Outcome, progress: _Progress) -> bool:
    """Books a finished worker; true if its run is done. A run that diverged is done and failed."""
    spec, status = worker.spec, worker.process.exitcode
    if status:
        outcome.failed[spec.name] = f"{_reason(spec, status)} (log: {spec.path / 'log.txt'})"
        progress.failed(spec.name, outcome.failed[spec.name])
    else:
        outcome.finished.append(spec)
        progress.done(spec, time.monotonic() - worker.started)
    return Run(spec).done


def _reason(spec: RunSpec, status: int | None) -> str:
    try:
        failed = json.loads((spec.path / "failed.json").read_text())
        return str(failed["error"]).splitlines()[0]
    except (OSError, ValueError, KeyError, IndexError):
        return f"ended with status {status}"


class _Progress:
    """One line per finished run with the time left."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.total, self.say = total, say
        self.count, self.started = 0, time.monotonic()

    def done(self, spec: RunSpec, seconds: float) -> None:
        """Says what a run gave and when the rest will be done, at the pace so far."""
        self.count += 1
        left = (time.monotonic() - self.started) / self.count * (self.total - self.count)
        result = json.loads((spec.path / "done.json").read_text())
        self.say(
            f"[{self.count}/{self.total}, {_clock(left)} left] {spec.name}: "
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
    """Processes at once and threads of each: one process a core, or one in all on a GPU, unless `jobs` says otherwise.

    Raises:
        UserError: `jobs` is not positive.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs={jobs}: give a positive number of processes")
    jobs = jobs or (1 if _GPU_DRIVER.exists() else cores())
    return jobs, max(1, cores() // jobs)
