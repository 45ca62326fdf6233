"""What a person is told of the data sets: a table, the steps to take, and one line on what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from l2sp_suite.download.download import Unreachable
from l2sp_suite.download.files import format_size
from l2sp_suite.download.registry import OFFICIAL, OfficialSet, named
from l2sp_suite.download.sets import DOWNLOADS, FetchOptions, fetch, lacking, state_of
from l2sp_suite.download.state import State, Status
from l2sp_suite.utils.errors import UserError

__all__ = ["prepare", "report", "verify"]


def verify(names: Sequence[str], root: Path) -> None:
    """Print what there is of the data sets named, and how to get the rest.

    Fetches nothing.
    Raises:
        UserError: an unknown name, or some are not complete.
    """
    states = {entry.name: state_of(entry, root) for entry in named(names)}
    print(report(states, root))
    incomplete = [name for name, state in states.items() if state.status is not Status.COMPLETE]
    if incomplete:
        raise UserError(f"{root}: not complete: {', '.join(incomplete)}; what to do is printed above")


def prepare(names: Sequence[str], root: Path, options: FetchOptions) -> None:
    """Fetch what `root` lacks of the data sets named, then print what there is.

    A set that fails does not keep the next ones back.

    Raises:
        UserError: an unknown name, or some are not complete at the end: one line with the reason of each.
    """
    states: dict[str, State] = {}
    failures: dict[str, UserError] = {}
    for entry in named(names):
        try:
            states[entry.name] = fetch(entry, root, options)
        except UserError as error:
            failures[entry.name] = error
            states[entry.name] = state_of(entry, root)
    print(report(states, root))
    if failures:
        raise UserError("; ".join(_reasons(failures, root)))


def _reasons(failures: Mapping[str, UserError], root: Path) -> Iterator[str]:
    """Each failure as it says itself, but one reason for all (if several) that did not reach their hosts."""
    unreachable = {name: error for name, error in failures.items() if isinstance(error, Unreachable)}
    together = len(unreachable) > 1
    yield from (str(error) for name, error in failures.items() if not (together and name in unreachable))
    if together:
        hosts = sorted({host for error in unreachable.values() for host in error.hosts})
        yield (
            f"{', '.join(unreachable)}: no answer from {', '.join(hosts)}: is there a network? The same command goes "
            f"on; archives that were put into {root / DOWNLOADS} are not fetched"
        )


def report(states: Mapping[str, State], root: Path) -> str:
    """A table of data sets, and the steps to get those that are not complete."""
    rows, incomplete = [], []
    for name, state in states.items():
        entry = OFFICIAL[name]
        rows.append((name, state.status, state.message, _size(entry, state, root), root / entry.resolved(root).folder))
        if state.status is not Status.COMPLETE:
            incomplete.append(entry)
    table = tabulate(rows, headers=("data set", "state", "what there is", "to download", "belongs into"))
    return "\n".join([table, *_steps(incomplete, root)])


def _size(entry: OfficialSet, state: State, root: Path) -> str:
    archives = lacking(entry, root)
    if state.status is Status.COMPLETE or not archives:
        return "—"
    sizes = [archive.size for archive in archives if archive.size is not None]
    if not sizes:
        return "unknown"
    return format_size(sum(sizes)) + (" and more" if len(sizes) < len(archives) else "")


def _steps(incomplete: Sequence[OfficialSet], root: Path) -> Iterator[str]:
    """How to get the sets that are not complete: a command for those with links, then what a person has to do."""
    linked = [entry for entry in incomplete if entry.linked]
    if linked:
        names = ",".join(entry.name for entry in linked)
        yield f"\nto fetch: python scripts/prepare_data.py sets={names} data='{root}'"
        yield f"  archives that are put into {root / DOWNLOADS} by hand are used, not fetched"
        for entry in linked:
            if not lacking(entry, root):
                yield f"  {entry.name}: what lies in {root / entry.resolved(root).folder} has to be moved away first"
    for entry in incomplete:
        if entry.manual:
            yield "\n".join([f"\nby hand, {entry.name}:", *(f"  - {step}" for step in entry.manual)])
            yield f"  - so that there is in {root / entry.folder}: {', '.join(entry.expected_files)}"
