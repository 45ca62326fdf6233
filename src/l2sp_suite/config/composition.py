"""Composition: from Hydra overrides to one typed, checked configuration."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config.fields import check
from l2sp_suite.config.keys import leaves, task_schema
from l2sp_suite.config.messages import explain, unknown_key
from l2sp_suite.config.places import CONFIGS
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["compose", "hydra_errors", "override", "register", "typed"]

_FREE = ("reg", "paper", "optim.kwargs", "data.official", "data.at_least")
"""Tables whose keys are not the schema's: hyper-parameters of a penalty, arguments of an optimiser, counts."""


def register() -> None:
    """Makes the schema known to Hydra; `configs/train.yaml` lists it."""
    ConfigStore.instance().store(name="schema", node=TrainConfig)


def compose(overrides: Sequence[str]) -> TrainConfig:
    """Composes `configs/train.yaml` with Hydra overrides, e.g. `["experiment=dstl_cub200", "reg=l2"]`.

    Raises:
        UserError: an unknown key or option (the message has the nearest right one), a wrong type, a missing value.
    """
    register()
    with hydra_errors(), _own_hydra(), initialize_config_dir(version_base=None, config_dir=str(CONFIGS)):
        return typed(hydra_compose("train", overrides=list(overrides)))


@contextlib.contextmanager
def hydra_errors() -> Iterator[None]:
    """Turns errors of Hydra and OmegaConf into a `UserError` of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error


def override(key: str, text: str) -> str:
    """`key='text'` in Hydra's grammar, whatever characters the text has."""
    # Backslashes count only before a quote, where they come in pairs: ours, or the one that closes.
    escaped = re.sub(r"(\\*)('|\Z)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), text)
    return f"{key}='{escaped}'"


@contextlib.contextmanager
def _own_hydra() -> Iterator[None]:
    """Sets a running `hydra.main` aside, which holds the one global Hydra."""
    shared = GlobalHydra.instance()
    active, shared.hydra = shared.hydra, None
    try:
        yield
    finally:
        shared.hydra = active


def typed(config: DictConfig) -> TrainConfig:
    """Resolves and checks a composed configuration.

    Raises:
        UserError: a value is missing, of a wrong type or out of its range, or the settings contradict each other.
    """
    OmegaConf.resolve(config)
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"no value for {', '.join(missing)}: give it on the command line or in a YAML under {CONFIGS}")
    schema = task_schema(config.task.package)
    _refuse_unknown(config, {*leaves(TrainConfig), *leaves(schema, "task.")})
    task = OmegaConf.merge({"task": OmegaConf.structured(schema)}, {"task": config.task}).task
    cfg = cast(TrainConfig, OmegaConf.to_object(config))
    cfg = replace(cfg, task=OmegaConf.to_object(task))
    check(cfg)
    _check_arm(cfg)
    if (cfg.optim.epochs is None) == (cfg.optim.steps is None):
        raise UserError("give the length of training as optim.epochs or as optim.steps, and null for the other")
    if len({data.part for data in cfg.data_sets().values()}) > 1:
        raise UserError("the data sets of a run must be in one part of the world: give all the same data.part")
    return replace(cfg, task=cfg.task.with_published_values(cfg.weights))


def _refuse_unknown(config: DictConfig, known: set[str]) -> None:
    """Hydra's `+key=value` adds even to a schema."""
    for name in _keys(OmegaConf.to_container(config), known):
        if name not in known and not name.startswith(tuple(f"{table}." for table in _FREE)):
            raise unknown_key(name)


def _keys(node: Any, known: set[str], prefix: str = "") -> Iterator[str]:
    """Dotted keys, down to those of which the schema has no deeper ones."""
    for name, value in node.items():
        dotted = f"{prefix}{name}"
        yield dotted
        if isinstance(value, dict) and any(key.startswith(f"{dotted}.") for key in known):
            yield from _keys(value, known, f"{dotted}.")


def _check_arm(cfg: TrainConfig) -> None:
    try:
        arm = cfg.arm
    except KeyError as error:
        raise UserError(f"reg has no {error.args[0]}: give it in configs/reg, as l2.yaml does") from error
    for name, value in arm.hyperparameters.items():
        if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
            raise UserError(f"reg.{name}={value}: give a number from 0")
    if odd := sorted(arm.hyperparameters.keys() ^ arm.selected.keys()):
        raise UserError(f"reg={arm.name}: {odd[0]} is in only one of reg and reg.selected; give both the same keys")
