"""The data set of a run: found, read, held against the official release's sizes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from l2sp_suite.config import DataConfig, ScaleConfig, TrainConfig, list_digest, listed_sizes, read_classes
from l2sp_suite.datasets.class_lists import keep_classes
from l2sp_suite.datasets.layout import find_root
from l2sp_suite.datasets.records import Classification, DataSet, check_counts, combined, digest
from l2sp_suite.utils.errors import UserError

__all__ = ["official_size", "read_release"]

_log = logging.getLogger(__name__)
D = TypeVar("D", bound=DataSet)


def read_release(
    data: DataConfig, scale: ScaleConfig, data_root: Path, read: Callable[[str, Path, str], D]
) -> tuple[D, str]:
    """A data set of a run, by a kind's `read(reader, root, remedy)`, and its digest; of a list of classes, those alone.

    Raises:
        UserError: the data is missing or malformed, or a subset where the scale asks for the official release; a list
            for data that has no classes to keep.
    """
    root = find_root(data_root, data.folders, data.remedy)
    found = read(data.reader, root, data.remedy)
    if scale.world is None:
        difference = check_counts(found, data.official or {}, data.at_least or {})
        if difference and scale.require_official:
            raise UserError(f"{difference}; scale={scale.name} needs the official release: {data.remedy}")
        if difference:
            _log.warning(difference)
    if data.classes is None:
        return found, digest(found, root)
    if not isinstance(found, Classification):
        raise UserError(f"data.classes={data.classes}: {found.name} has no classes to keep; leave it null")
    names = read_classes(Path(data.classes))
    return cast(D, keep_classes(found, names)), combined([digest(found, root), list_digest(names)])


def official_size(cfg: TrainConfig, what: str) -> int:
    """A size of a run's data set as it was released, or as its list of classes has it: `classes`, images of `train`.

    Raises:
        UserError: it is not known.
    """
    sizes = cfg.data.official if cfg.data.classes is None else listed_sizes(Path(cfg.data.classes))
    size = (sizes or {}).get(what)
    if size is None:
        raise UserError(f"{cfg.experiment}: its data has no official number of {what}, by which a run is described")
    return size
