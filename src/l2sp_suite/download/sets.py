"""One data set, from what is on disk to the whole of it."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.download.disk import check_room, claimed
from l2sp_suite.download.download import Patience, download
from l2sp_suite.download.registry import Archive, OfficialSet
from l2sp_suite.download.state import State, Status, inspect, load
from l2sp_suite.download.unpack import BadArchive, unpack
from l2sp_suite.utils.errors import UserError

__all__ = ["DOWNLOADS", "Wishes", "fetch", "lacking", "state_of"]

_log = logging.getLogger(__name__)

DOWNLOADS = "downloads"
"""The folder, beside the data sets, that archives are downloaded to, or put into by hand."""


@dataclass(frozen=True)
class Wishes:
    """How to fetch; `keep`: archives stay after they were unpacked and verified."""

    keep: bool
    patience: Patience


def state_of(entry: OfficialSet, root: Path) -> State:
    """What there is of a data set of the registry in `root`, the folder of all; see `state.inspect`."""
    return inspect(load(entry.name), root, entry.tree)


def lacking(entry: OfficialSet, root: Path) -> tuple[Archive, ...]:
    """The archives of which something is not in its place in `root` yet, with the places that it has there."""
    archives = entry.settled(root).archives
    return tuple(archive for archive in archives if not all((root / place).exists() for _, place in archive.places))


def fetch(entry: OfficialSet, root: Path, wishes: Wishes) -> State:
    """Completes a data set in `root`: verifies what is there, fetches, unpacks and verifies what is not.

    What is there is never changed: a partial or damaged set stays as it is, and the error says what to do.

    Raises:
        UserError: it is not complete after this, or another process is fetching into `root`; one line, whose reason
            may be the network, an archive, the disk, or that a person has to do it.
    """
    state = state_of(entry, root)
    if state.status is Status.COMPLETE:
        return state
    _check_by_hand(entry, state, root)
    with claimed(root):
        state = state_of(entry, root)  # another process may just have completed it
        return state if state.status is Status.COMPLETE else _complete(entry, state, root, wishes)


def _complete(entry: OfficialSet, state: State, root: Path, wishes: Wishes) -> State:
    archives = lacking(entry, root)
    if not archives:
        raise UserError(_not_official(entry, state, root))
    downloads = root / DOWNLOADS
    put = {archive.file for archive in archives if (downloads / archive.file).exists()}  # by a person, or kept
    files = _download(archives, downloads, wishes.patience)
    ours = [file for file in files if file.name not in put]
    try:
        _install(entry, list(zip(archives, files, strict=True)), root)
    except BadArchive as error:
        _discard([file for file in ours if file == error.archive], downloads)
        raise
    state = state_of(entry, root)
    if state.status is not Status.COMPLETE:
        raise UserError(_not_official(entry, state, root))
    if not wishes.keep:
        _discard(ours, downloads)
    return state


def _check_by_hand(entry: OfficialSet, state: State, root: Path) -> None:
    """Raises UserError where only a person can get what lacks."""
    by_hand = [a for a in lacking(entry, root) if not a.mirrors and not (root / DOWNLOADS / a.file).exists()]
    if by_hand or not entry.archives:
        raise UserError(
            f"{entry.name} is {state.status} ({state.message}): it has to be got by hand: {entry.manual[0]}"
        )


def _not_official(entry: OfficialSet, state: State, root: Path) -> str:
    place = state.folder or root / entry.folder
    return (
        f"{entry.name} is {state.status} ({state.message}): move {place} away, and the same command fetches the "
        "official release"
    )


def _download(archives: Sequence[Archive], downloads: Path, patience: Patience) -> list[Path]:
    downloads.mkdir(exist_ok=True)
    try:
        return [download(archive, downloads, patience) for archive in archives]
    finally:
        _discard([], downloads)


def _discard(files: Sequence[Path], downloads: Path) -> None:
    """Remove the files, and their folder where nothing else is in it."""
    for file in files:
        file.unlink()
    with contextlib.suppress(OSError):
        downloads.rmdir()


def _install(entry: OfficialSet, pairs: Sequence[tuple[Archive, Path]], root: Path) -> None:
    """Unpack all archives beside the data sets, then move what they gave into its places."""
    # Images hardly shrink: what an archive unpacks to is its size at least.
    check_room(root, sum(file.stat().st_size for _, file in pairs), f"unpacking {entry.name}")
    staging = root / f".unpacking-{entry.name}"
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
    try:
        for number, (archive, file) in enumerate(pairs):
            _log.info("%s: unpacking", archive.file)
            _stage(archive, file, staging / str(number), staging / "whole")
        _merge(staging / "whole", root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _stage(archive: Archive, file: Path, raw: Path, whole: Path) -> None:
    """Unpack a file into `raw`, and move what is wanted of it to its places below `whole`."""
    unpack(file, raw)
    for inside, place in archive.places:
        # Plain files have the names of their archives.
        source, target = raw / inside, whole / place
        if not source.exists():
            raise UserError(f"{file}: has no {inside}, which {archive.file} is published with: replace or remove it")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    shutil.rmtree(raw)


def _merge(source: Path, target: Path) -> None:
    """Move what `target` lacks: a folder that it has not in one step, so that it is whole or absent."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if not place.exists():
            _move(path, place)
        elif path.is_dir() and place.is_dir():
            _merge(path, place)


def _move(path: Path, place: Path) -> None:
    """Move in one step; over disks (a linked folder) by a copy beside the place first."""
    try:
        path.rename(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = place.with_name(f".{place.name}.part")
        _remove(copy)  # of a process that was killed
        try:
            shutil.copytree(path, copy) if path.is_dir() else shutil.copy2(path, copy)
            copy.rename(place)
        finally:
            _remove(copy)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
