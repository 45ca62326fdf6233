"""What of a data set is on disk, by the reader that a run would read it with."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from omegaconf import OmegaConf

from l2sp_suite.config.compose import CONFIGS
from l2sp_suite.config.schema import DataConfig
from l2sp_suite.datasets import READERS, DatasetLayout, check_counts, differences
from l2sp_suite.utils.errors import UserError

__all__ = ["State", "Status", "inspect", "load"]

_READERS = {name: reader for readers in READERS.values() for name, reader in readers.items()}

_WORDS = {  # names of the counts, as a person reads them
    "train": "training examples",
    "test": "test examples",
    "height": "pixels of height",
    "width": "pixels of width",
}


class Status(StrEnum):
    """`COMPLETE`: all official counts; `PARTIAL`: less, or other data; `DAMAGED`: unreadable; `MISSING`: no folder."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    DAMAGED = "damaged"
    MISSING = "missing"


@dataclass(frozen=True)
class State:
    """A data set on disk. `folder`: where it was found, None if missing; `message`: one line, what there is or lacks.

    `found`: the reader's counts, empty unless it could read the set; `official`: those of the release, by name.
    """

    status: Status
    folder: Path | None
    found: Mapping[str, int]
    official: Mapping[str, int]
    message: str


def load(name: str) -> DataConfig:
    """The data set's configuration, `configs/data/<name>.yaml`, typed.

    Raises:
        UserError: there is no such data set.
        omegaconf.errors.OmegaConfBaseException: a key that the schema does not know, a value of another type.
    """
    known = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise UserError(f"unknown data set '{name}'; nearest: '{near}' (of {', '.join(known)})")
    merged = OmegaConf.merge(OmegaConf.structured(DataConfig), OmegaConf.load(CONFIGS / "data" / f"{name}.yaml"))
    typed = OmegaConf.to_object(merged)
    assert isinstance(typed, DataConfig)
    return typed


def inspect(data: DataConfig, root: Path, tree: Sequence[str]) -> State:
    """What there is of a data set in `root`, the folder of all data sets.

    `tree`: paths that a whole one has in its own folder; a set that cannot be read is partial where it lacks some of
    them, and damaged where it has them all. Reads index files and lists folders, opens no image and changes nothing.

    Raises:
        UserError: `data.official` counts what the reader does not.
    """
    official, at_least = dict(data.official or {}), dict(data.at_least or {})
    folder = next((root / name for name in data.folders if (root / name).is_dir()), None)
    if folder is None:
        return State(Status.MISSING, None, {}, official, f"no folder {' or '.join(data.folders)} in {root}")
    try:
        found = _READERS[data.reader](DatasetLayout(folder, data.remedy))
    except UserError as error:
        lacking = [path for path in tree if not (folder / path).exists()]
        if lacking:
            return State(Status.PARTIAL, folder, {}, official, f"{folder} lacks {', '.join(lacking)}")
        return State(Status.DAMAGED, folder, {}, official, str(error))
    status = Status.PARTIAL if check_counts(found, official, at_least) else Status.COMPLETE
    counts = found.counts
    wanted = differences(counts, official, at_least) or dict.fromkeys(counts, "")
    return State(status, folder, counts, official, _listed(counts, wanted))


def _listed(found: Mapping[str, int], wanted: Mapping[str, str]) -> str:
    """Say e.g. "80 of 200 classes", or "200 classes" where nothing else is wanted."""
    words = {key: _WORDS.get(key, key.replace("train_", "training ").replace("_", " ")) for key in wanted}
    return ", ".join(
        f"{found[key]:,} of {number} {words[key]}" if number else f"{found[key]:,} {words[key]}"
        for key, number in wanted.items()
    )
