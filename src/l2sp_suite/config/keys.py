"""Every key that a configuration may have: of a run, and of the tasks that `configs/task` names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast, get_args, get_type_hints

from omegaconf import OmegaConf

from l2sp_suite.config.places import CONFIGS
from l2sp_suite.config.schema import TaskConfig, TrainConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["known_keys", "leaves", "task_schema", "task_schemas"]


def task_schema(package: str) -> type[TaskConfig]:
    """The schema of a task by its package, `<package>.config.Config`.

    Raises:
        UserError: there is no such package, or it has no schema.
    """
    try:
        return cast("type[TaskConfig]", import_module(f"{package}.config").Config)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"task.package={package}: no package with config.Config and task.Task ({error})") from error


@cache
def task_schemas() -> dict[str, type[TaskConfig]]:
    """The schemas of all tasks under `configs/task`, by the name of the folder."""
    packages = {}
    for path in sorted((CONFIGS / "task").glob("*/*.yaml")):
        package = OmegaConf.select(OmegaConf.load(path), "task.package")
        if package:
            packages[path.parent.name] = package
    return {name: task_schema(package) for name, package in packages.items()}


def known_keys() -> frozenset[str]:
    """Every dotted key that a configuration may have, of any task."""
    tasks = (leaves(schema, "task.") for schema in task_schemas().values())
    return frozenset(leaves(TrainConfig)).union(*tasks, {f"reg.{name}" for name in _arm_keys()})


@cache
def _arm_keys() -> frozenset[str]:
    arms = (OmegaConf.load(path) for path in (CONFIGS / "reg").glob("*.yaml"))
    return frozenset(str(key) for arm in arms for key in cast("dict[Any, Any]", arm))


def leaves(schema: type, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a schema and of those nested in it."""
    for key, hint in get_type_hints(schema).items():
        yield f"{prefix}{key}"
        for kind in (hint, *get_args(hint)):
            if is_dataclass(kind):
                yield from leaves(cast(type, kind), f"{prefix}{key}.")
