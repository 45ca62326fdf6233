"""What of a data set is on disk, by the reader that a run would read it with."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from omegaconf import OmegaConf

from l2sp_suite.config import CONFIGS, DataConfig
from l2sp_suite.datasets import READERS, DatasetLayout, check_counts, differences
from l2sp_suite.utils.errors import UserError

__all__ = ["State", "Status", "inspect", "load"]

_READERS = {name: reader for readers in READERS.values() for name, reader in readers.items()}

_LABELS = {  # of the counts, for people
    "train": "training examples",
    "test": "test examples",
    "height": "pixels of height",
    "width": "pixels of width",
}


class Status(StrEnum):
    """How much of a data set is on disk."""

    COMPLETE = "complete"  # all official counts
    PARTIAL = "partial"  # less, or other data
    DAMAGED = "damaged"  # unreadable
    MISSING = "missing"  # no folder


@dataclass(frozen=True)
class State:
    """A data set on disk."""

    status: Status
    message: str  # one line: what there is, or lacks
    folder: Path | None = None  # None if missing
    counts: Mapping[str, int] = field(default_factory=dict)  # the reader's; empty unless it could read the set


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


def inspect(data: DataConfig, root: Path, expected_files: Sequence[str]) -> State:
    """What there is of a data set in `root`, the folder of all data sets.

    `expected_files`: paths that a whole one has in its own folder; a set that cannot be read is partial where it lacks
    some of them, and damaged where it has them all. Reads index files, opens no image and changes nothing.

    Raises:
        UserError: `data.official` counts what the reader does not.
    """
    folder = next((root / name for name in data.folders if (root / name).is_dir()), None)
    if folder is None:
        return State(Status.MISSING, f"no folder {' or '.join(data.folders)} in {root}")
    try:
        dataset = _READERS[data.reader](DatasetLayout(folder, data.remedy))
    except UserError as error:
        absent = [path for path in expected_files if not (folder / path).exists()]
        if absent:
            return State(Status.PARTIAL, f"{folder} lacks {', '.join(absent)}", folder)
        return State(Status.DAMAGED, str(error), folder)
    official, at_least = dict(data.official or {}), dict(data.at_least or {})
    status = Status.PARTIAL if check_counts(dataset, official, at_least) else Status.COMPLETE
    counts = dataset.counts
    shown = differences(counts, official, at_least) or dict.fromkeys(counts, "")
    return State(status, ", ".join(_count_line(key, counts[key], shown[key]) for key in shown), folder, counts)


def _count_line(key: str, count: int, official: str) -> str:
    """E.g. "80 of 200 classes", or "200 classes" where the official number is met."""
    label = _LABELS.get(key, key.replace("train_", "training ").replace("_", " "))
    return f"{count:,} of {official} {label}" if official else f"{count:,} {label}"
