"""The data set of a run: found, read, held against the official release's sizes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from l2sp.config import TrainConfig
from l2sp.data.labelled import DataSet, check_counts, digest
from l2sp.data.release import find_root
from l2sp.errors import UserError

__all__ = ["read_release"]

_log = logging.getLogger(__name__)
D = TypeVar("D", bound=DataSet)


def read_release(cfg: TrainConfig, data_root: Path, read: Callable[[str, Path, str], D]) -> tuple[D, str]:
    """The run's data set, by a kind's `read(reader, root, remedy)`, and its digest.

    Raises:
        UserError: the data is missing or malformed, or a subset where the scale asks for the official release.
    """
    root = find_root(data_root, cfg.data.folders, cfg.data.remedy)
    data = read(cfg.data.reader, root, cfg.data.remedy)
    if cfg.data.official is not None and cfg.scale.world is None:
        difference = check_counts(data, dict(cast(Any, cfg.data.official)))
        if difference and cfg.scale.require_official:
            raise UserError(f"{difference}; scale={cfg.scale.name} needs the official release: {cfg.data.remedy}")
        if difference:
            _log.warning(difference)
    return data, digest(data, root)
