"""One data set, from what is on disk to the whole of it: downloaded, unpacked, verified by its reader."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.download.download import RetryPolicy, download
from l2sp_suite.download.files import check_free_space, dir_lock, move
from l2sp_suite.download.registry import Archive, OfficialSet
from l2sp_suite.download.state import State, Status, inspect, load
from l2sp_suite.download.unpack import BadArchive, unpack
from l2sp_suite.utils.errors import UserError

__all__ = ["DOWNLOADS", "FetchOptions", "fetch", "lacking", "state_of"]

_log = logging.getLogger(__name__)

DOWNLOADS = "downloads"
"""The folder, beside the data sets, that archives are downloaded to, or put into by hand."""


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch."""

    keep: bool  # archives stay after they were unpacked and verified
    retry: RetryPolicy


def state_of(entry: OfficialSet, root: Path) -> State:
    """What there is of a data set of the registry in `root`, the folder of all.

    See `state.inspect`.
    """
    return inspect(load(entry.name), root, entry.expected_files)


def lacking(entry: OfficialSet, root: Path) -> tuple[Archive, ...]:
    """The archives of which something is not in `root` yet.

    With the paths that they have there.
    """
    return tuple(
        archive
        for archive in entry.resolved(root).archives
        if not all((root / path).exists() for path in archive.extract_to.values())
    )


def fetch(entry: OfficialSet, root: Path, options: FetchOptions) -> State:
    """Complete a data set in `root`: download, unpack and verify what it lacks.

    What is there is never changed: a partial or damaged set stays as it is, and the error says what to do.

    Raises:
        UserError: it is not complete after this, or another process is fetching into `root`; one line, whose reason
            may be the network, an archive, the disk, or that a person has to do it.
    """
    state = state_of(entry, root)
    if state.status is Status.COMPLETE:
        return state
    _check_automatic(entry, state, root)
    with dir_lock(root):
        state = state_of(entry, root)  # another process may just have completed it
        if state.status is Status.COMPLETE:
            return state
        try:
            return _complete(entry, state, root, options)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(f"{root}: the disk is full: free some space; the same command goes on") from None


def _complete(entry: OfficialSet, state: State, root: Path, options: FetchOptions) -> State:
    archives = lacking(entry, root)
    if not archives:
        raise UserError(_not_official(entry, state, root))
    downloads = root / DOWNLOADS
    downloads.mkdir(exist_ok=True)
    by_hand = {archive.file for archive in archives if (downloads / archive.file).exists()}  # or kept
    try:
        files = [download(archive, downloads, options.retry) for archive in archives]
        ours = [file for file in files if file.name not in by_hand]
        try:
            _install(entry, archives, files, root)
        except BadArchive as error:
            _delete(file for file in ours if file == error.archive)
            raise
        state = state_of(entry, root)
        if state.status is not Status.COMPLETE:
            raise UserError(_not_official(entry, state, root))
        if not options.keep:
            _delete(ours)
        return state
    finally:
        with contextlib.suppress(OSError):
            downloads.rmdir()  # where nothing is in it


def _check_automatic(entry: OfficialSet, state: State, root: Path) -> None:
    """Raise UserError where only a person can get what lacks."""
    by_hand = [a for a in lacking(entry, root) if not a.mirrors and not (root / DOWNLOADS / a.file).exists()]
    if by_hand or not entry.archives:
        reason = f"{entry.name} is {state.status} ({state.message})"
        raise UserError(f"{reason}: it has to be got by hand: {entry.manual[0]}")


def _not_official(entry: OfficialSet, state: State, root: Path) -> str:
    return (
        f"{entry.name} is {state.status} ({state.message}): move {state.folder or root / entry.folder} away, and the "
        "same command fetches the official release"
    )


def _delete(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink()


def _install(entry: OfficialSet, archives: Sequence[Archive], files: Sequence[Path], root: Path) -> None:
    """Unpack all archives beside the data sets, then move what was published in them to its paths."""
    # Images hardly shrink: what an archive unpacks to is its size at least.
    check_free_space(root, sum(file.stat().st_size for file in files), f"unpacking {entry.name}")
    staging = root / f".unpacking-{entry.name}"
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        for number, (archive, file) in enumerate(zip(archives, files, strict=True)):
            _log.info("%s: unpacking", archive.file)
            _stage(archive, file, staging / str(number), staging / "whole")
        _merge(staging / "whole", root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _stage(archive: Archive, file: Path, unpacked: Path, whole: Path) -> None:
    """Unpack a file, and move what is needed of it to its paths below `whole`."""
    unpack(file, unpacked)
    for inside, path in archive.extract_to.items():
        source, target = unpacked / inside, whole / path
        if not source.exists():
            raise UserError(f"{file}: has no {inside}, which {archive.file} is published with: replace or remove it")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    shutil.rmtree(unpacked)


def _merge(source: Path, target: Path) -> None:
    """Move what `target` lacks: a folder that it does not have in one step, so that it is whole or absent."""
    for path in sorted(source.iterdir()):
        if not (target / path.name).exists():
            move(path, target / path.name)
        elif path.is_dir() and (target / path.name).is_dir():
            _merge(path, target / path.name)
