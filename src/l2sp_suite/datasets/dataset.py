"""The data set of a run: its folder found, read, and held against the official release's sizes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from l2sp_suite.config import (
    DataConfig,
    EvaluateConfig,
    ScaleConfig,
    TrainConfig,
    list_digest,
    listed_sizes,
    read_classes,
)
from l2sp_suite.datasets.class_lists import keep_classes
from l2sp_suite.datasets.classification import CLASSIFICATION_READERS
from l2sp_suite.datasets.layout import DatasetLayout, find_root
from l2sp_suite.datasets.records import (
    Classification,
    DataSet,
    Segmentation,
    Split,
    Video,
    check_counts,
    combined,
    digest,
    hold_out,
)
from l2sp_suite.datasets.segmentation import SEGMENTATION_READERS
from l2sp_suite.datasets.video import VIDEO_READERS
from l2sp_suite.utils.errors import UserError

__all__ = ["READERS", "official_size", "read", "read_dataset", "run_splits"]

_log = logging.getLogger(__name__)
D = TypeVar("D", bound=DataSet[Any])
S = TypeVar("S", bound=Split)

READERS: Mapping[type[DataSet[Any]], Mapping[str, Callable[[DatasetLayout], DataSet[Any]]]] = MappingProxyType(
    {Classification: CLASSIFICATION_READERS, Segmentation: SEGMENTATION_READERS, Video: VIDEO_READERS}
)
"""The readers by the kind of data set that they return, then by name."""


def read(kind: type[D], name: str, root: Path, remedy: str = "fetch the official release again") -> D:
    """Read a data set of a kind, such as `Classification`, from its folder.

    `name`: its reader, such as cub200. Reads index files and lists folders; maps, frames and flow are opened later, by
    `decode`, whose errors name the file.
    Raises UserError, which ends in `remedy`, for whatever is missing, malformed or inconsistent on disk, and for a
    reader that this kind does not have.
    """
    readers = READERS[kind]
    if name not in readers:
        raise UserError(f"unknown {kind.__name__.lower()} data set {name!r}; known: {', '.join(readers)}")
    return cast(D, readers[name](DatasetLayout(Path(root), remedy)))


def read_dataset(data: DataConfig, scale: ScaleConfig, data_root: Path, kind: type[D]) -> tuple[D, str]:
    """The data set of a run, and the digest of what the run sees of it.

    Where `data.classes` names a list of classes, those alone.
    Raises:
        UserError: the data is missing or malformed, or a subset where the scale asks for the official release; a list
            for data that has no classes to keep.
    """
    root = find_root(data_root, data.folders, data.remedy)
    whole = read(kind, data.reader, root, data.remedy)
    if scale.world is None:
        difference = check_counts(whole, data.official or {}, data.at_least or {})
        if difference and scale.require_official:
            raise UserError(f"{difference}; scale={scale.name} needs the official release: {data.remedy}")
        if difference:
            _log.warning(difference)
    if data.classes is None:
        return whole, digest(whole, root)
    if not isinstance(whole, Classification):
        raise UserError(f"data.classes={data.classes}: {whole.name} has no classes to keep; leave it null")
    names = read_classes(Path(data.classes))
    return cast(D, keep_classes(whole, names)), combined([digest(whole, root), list_digest(names)])


def run_splits(data: DataSet[S], evaluate: EvaluateConfig) -> dict[str, S]:
    """What a run trains on ("train") and is evaluated on ("test" or "val").

    Without an official val part a fraction of train is held out: the same for every seed and setting, so that trials
    are compared on equal examples.
    """
    if evaluate.split == "test":
        return {"train": data.train, "test": data.test}
    if data.val is not None:
        return {"train": data.train, "val": data.val}
    kept, held_out = hold_out(data.train, evaluate.hold_out, seed=0)
    return {"train": kept, "val": held_out}


def official_size(cfg: TrainConfig, what: str) -> int:
    """A size of a run's data set as it was released: `classes`, or images of `train`.

    Where the run has a list of classes, as that has it.
    Raises:
        UserError: it is not known.
    """
    sizes = cfg.data.official if cfg.data.classes is None else listed_sizes(Path(cfg.data.classes))
    size = (sizes or {}).get(what)
    if size is None:
        raise UserError(f"{cfg.experiment}: its data has no official number of {what}, by which a run is described")
    return size
