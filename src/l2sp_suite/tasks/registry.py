"""The approaches: every package beside this module is one, and nothing else lists them.

Its `config` module (which imports no torch) has `SCHEMA`, the dataclass of its settings, `LIMITS`, what they may be,
and `LABELS`, the settings that make no other run: which penalty a table reports, what is kept to look at. Its `task`
module has `APPROACH`, the class that the training loop calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

from l2sp_suite.config.schema import DataConfig, TrainConfig, WeightsConfig
from l2sp_suite.utils.errors import UserError

if TYPE_CHECKING:
    import torch

    from l2sp_suite.config.limits import Limit
    from l2sp_suite.config.task import ApproachConfig
    from l2sp_suite.tasks.base import Approach, Outline

__all__ = [
    "approach_names",
    "build_approach",
    "data_digest",
    "further_sets",
    "further_starts",
    "labels_of",
    "limits_of",
    "outline",
    "schema_of",
    "sets_of",
    "starts_of",
    "task_module",
]


PACKAGES = {"dstl": "classification", "encnet": "segmentation", "segflow": "video"}


def approach_names() -> list[str]:
    """Names of all approaches, sorted."""
    return sorted(PACKAGES)


def schema_of(name: str) -> type[ApproachConfig]:
    """The dataclass of an approach's settings."""
    return cast("type[ApproachConfig]", import_module(f"l2sp_suite.tasks.{PACKAGES[name]}.config").SCHEMA)


def limits_of(name: str) -> Mapping[str, Limit]:
    """What an approach's own settings may be.

    Raises:
        UserError: no such approach.
    """
    if name not in approach_names():
        raise UserError(f"approach.name={name}: use one of {', '.join(approach_names())}")
    return cast("Mapping[str, Limit]", import_module(f"l2sp_suite.tasks.{PACKAGES[name]}.config").LIMITS)


def labels_of(name: str) -> tuple[str, ...]:
    """The settings of an approach that do not make a run another run."""
    return tuple(import_module(f"l2sp_suite.tasks.{PACKAGES[name]}.config").LABELS)


def further_sets(name: str) -> tuple[str, ...]:
    """The settings of an approach that are data sets, beside `data`."""
    return _settings_of(name, DataConfig)


def further_starts(name: str) -> tuple[str, ...]:
    """The settings of an approach that are starting points, beside `weights`."""
    return _settings_of(name, WeightsConfig)


def _settings_of(name: str, kind: type) -> tuple[str, ...]:
    return tuple(key for key, hint in get_type_hints(schema_of(name)).items() if kind in (hint, *get_args(hint)))


def starts_of(cfg: TrainConfig) -> dict[str, WeightsConfig]:
    """The starting points of a run: `weights`, and what its approach has beside it, by key."""
    further = {key: getattr(cfg.approach, key) for key in further_starts(cfg.approach.name)}
    return {"weights": cfg.weights, **{key: start for key, start in further.items() if start is not None}}


def sets_of(cfg: TrainConfig) -> dict[str, DataConfig]:
    """The data sets of a run: `data`, by which it is evaluated, and what its approach has beside it, by key."""
    further = {key: getattr(cfg.approach, key) for key in further_sets(cfg.approach.name)}
    return {"data": cfg.data, **{key: data for key, data in further.items() if data is not None}}


def task_module(name: str) -> str:
    """The module that holds an approach's class; importing it brings torch."""
    return f"l2sp_suite.tasks.{PACKAGES[name]}.task"


def build_approach(
    cfg: TrainConfig, data_root: Path, start_files: Mapping[str, Path], device: torch.device
) -> Approach:
    """The approach of a run, with its data read and its starting weights loaded.

    `start_files`: of the pre-trained weights, by key (`weights`), for the sources that read one.

    Raises:
        UserError: data or weights are missing or damaged.
    """
    return cast("Approach", _class_of(cfg)(cfg, data_root, start_files, device))


def data_digest(cfg: TrainConfig, data_root: Path) -> str:
    """Digest of the data that a run would see (`Approach.data_digest`).

    Raises:
        UserError: the data is missing or malformed.
    """
    return str(_class_of(cfg).data_digest(cfg, data_root))


def outline(cfg: TrainConfig) -> Outline:
    """The network of a run, without data or weights (`Approach.outline`).

    Raises:
        UserError: there is no such network, or its size depends on data whose official sizes are not known.
    """
    return cast("Outline", _class_of(cfg).outline(cfg))


def _class_of(cfg: TrainConfig) -> Any:
    return import_module(task_module(cfg.approach.name)).APPROACH
