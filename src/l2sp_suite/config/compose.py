"""The typed configuration: composition, checks, identity.

Every value stands in a YAML file under `configs/`, and a key that the schema does not know is refused with the
nearest right one.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config import limits
from l2sp_suite.config.schema import RegConfig, ScheduleConfig, TrainConfig, WeightsConfig
from l2sp_suite.tasks.registry import (
    approach_names,
    further_sets,
    further_starts,
    labels_of,
    limits_of,
    schema_of,
    sets_of,
)
from l2sp_suite.utils.errors import UserError

__all__ = [
    "CONFIGS",
    "PRINTED",
    "ROOT",
    "SINCE",
    "chosen",
    "compose",
    "explain",
    "fingerprint",
    "identity",
    "known_keys",
    "override",
    "register",
    "scale_names",
    "typed",
    "unknown_key",
]

ROOT = Path(__file__).resolve().parents[3]
PRINTED = ROOT / "results" / "paper"  # the paper's tables
# A checkout's own, or another folder of the same layout: the tests put plans of their own there.
CONFIGS = Path(os.environ.get("L2SP_CONFIGS", ROOT / "configs"))

# Where a run happens and how it is labelled do not make it another run.
NOT_IDENTITY = ("paths", "runtime", "row", "paper")

SINCE: Mapping[type, Mapping[str, Any]] = {
    RegConfig: {"decay_scope": "weights"},
    ScheduleConfig: {"every_steps": None},
    WeightsConfig: {"statistics": "load"},
}
"""Settings that came when there were results already, by schema, with the value that means what those runs did.

At that value they are no part of a run's identity, so that it is the run that it was.
"""


def register() -> None:
    """Makes the schemas known to Hydra; `configs/train.yaml` and each approach's `paper.yaml` list them."""
    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    for name in approach_names():
        store.store(group=f"approach/{name}", name="schema", node=schema_of(name))


def scale_names() -> list[str]:
    """Names of all scales, sorted."""
    return sorted(path.stem for path in (CONFIGS / "scale").glob("*.yaml"))


def compose(overrides: Sequence[str]) -> TrainConfig:
    """Composes `configs/train.yaml` with Hydra overrides, e.g. `["experiment=dstl_cub200", "reg=l2"]`.

    Raises:
        UserError: an unknown key or option (the message has the nearest right one), a wrong type, a missing value.
    """
    register()
    try:
        with _own_hydra(), initialize_config_dir(version_base=None, config_dir=str(CONFIGS)):
            return typed(hydra_compose("train", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error


def override(key: str, text: str) -> str:
    """`key='text'` in Hydra's grammar, whatever characters the text has."""
    # Backslashes count only before a quote, where they come in pairs: ours, or the one that closes.
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
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


def typed(config: Any) -> TrainConfig:
    """Resolves and checks a composed configuration.

    Raises:
        UserError: a value is missing, or the settings contradict each other.
    """
    OmegaConf.resolve(config)
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(f"no value for {', '.join(missing)}: give it on the command line or in a YAML under {CONFIGS}")
    unknown = sorted(set(_keys(OmegaConf.to_container(config), known_keys())) - known_keys())
    if unknown:  # Hydra's `+key=value` adds even to a schema
        raise unknown_key(unknown[0])
    cfg = cast(TrainConfig, config)
    if (cfg.optim.epochs is None) == (cfg.optim.steps is None):
        raise UserError("give the length of training as optim.epochs or as optim.steps, and null for the other")
    if (cfg.optim.schedule.every_epochs is None) == (cfg.optim.schedule.every_steps is None):
        raise UserError("give optim.schedule.every_epochs or optim.schedule.every_steps, and null for the other")
    limits.check(cfg, limits.GENERAL)
    limits.check(cfg, limits_of(cfg.approach.name), "approach.")
    if len({data.part for data in sets_of(cfg).values()}) > 1:
        raise UserError("the data sets of a run must be in one part of the miniature: give all the same data.part")
    if (cfg.reg.name == "l2_sp") != (cfg.reg.reference == "start"):
        raise UserError(f"reg.reference={cfg.reg.reference} is not that of reg={cfg.reg.name}: choose by reg=l2, l2_sp")
    return cfg


def identity(cfg: TrainConfig) -> dict[str, Any]:
    """The part of a resolved configuration that makes a run what it is, as plain containers."""
    plain = cast(dict[str, Any], OmegaConf.to_container(cast(Any, cfg), resolve=True))
    _drop_later(plain, TrainConfig)
    _drop_later(plain["approach"], schema_of(cfg.approach.name))
    for key in labels_of(cfg.approach.name):
        del plain["approach"][key]
    for node in _named(plain, further_sets(cfg.approach.name), "data"):
        reader = node["reader"]
        node.clear()
        node["reader"] = reader  # what was read is compared by its digest
    for node in _named(plain, further_starts(cfg.approach.name), "weights"):
        del node["scale"], node["seed"]  # the run that they name has its own identity
    return {key: value for key, value in plain.items() if key not in NOT_IDENTITY}


def _drop_later(plain: dict[str, Any], schema: type) -> None:
    """Removes from a node, and from those in it, the settings of `SINCE` that stand at their value."""
    for key, before in SINCE.get(schema, {}).items():
        if plain[key] == before:
            del plain[key]
    for key, kind in _nodes(schema):
        if isinstance(plain.get(key), dict):
            _drop_later(plain[key], kind)


def _named(plain: dict[str, Any], further: Sequence[str], main: str) -> list[dict[str, Any]]:
    """The node `main`, and those of the approach's settings `further` that are not null."""
    return [plain[main], *(plain["approach"][key] for key in further if plain["approach"][key] is not None)]


def chosen(cfg: TrainConfig) -> bool:
    """Whether a run has its arm's reported setting (`approach.penalty`)."""
    setting = cfg.approach.penalty.l2 if cfg.reg.name == "l2" else cfg.approach.penalty.l2_sp
    return (cfg.reg.alpha, cfg.reg.beta) == (setting.alpha, setting.beta)


def fingerprint(content: Any) -> str:
    """sha256 (hex) of plain containers, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def explain(error: Exception, known: Collection[str] = ()) -> UserError:
    """Turns Hydra's and OmegaConf's errors into one line with the nearest key (of `known`) or option."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(f"{error} {cause}".split())
    unknown = re.search(r"Key '([^']+)' (?:is not in struct|not in '\w+')(?:.*?full_key: ([\w.]+))?", text)
    option = re.search(r"Could not find '([^']+)'", text)
    override = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        return unknown_key(unknown.group(2) or unknown.group(1), known)
    if option:
        return _unknown_option(option.group(1))
    if override:
        return unknown_key(override.group(1), known)
    where = getattr(cause, "full_key", None)
    lines = dict.fromkeys(str(e).splitlines()[0] for e in (error, cause) if str(e))
    return UserError(f"configuration: {f'{where}: ' if where else ''}{' '.join(lines)}")


def unknown_key(key: str, known: Collection[str] = ()) -> UserError:
    """Says which key (of `known`; none: of a run's) is nearest to one that there is not."""
    if key in (known or known_keys()):
        return UserError(
            f"configuration key '{key}' is of another approach than this experiment's (source= and presets are for one)"
        )
    near = difflib.get_close_matches(key, sorted(known or known_keys()), n=1, cutoff=0.0)
    return UserError(f"unknown configuration key '{key}'; nearest: '{near[0]}'")


def _unknown_option(option: str) -> UserError:
    group, _, name = option.rpartition("/")
    folder = CONFIGS / group
    choices = sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.0)
    if near and name in scale_names():
        return UserError(f"no configuration '{option}': scale={name} has none, only {', '.join(choices)}")
    hint = f"; nearest: '{near[0]}' (of {', '.join(choices)})" if near else ""
    return UserError(f"no configuration '{option}'{hint}")


def known_keys() -> frozenset[str]:
    """Every dotted key that a configuration may have."""
    own = (leaves(schema_of(name), "approach.") for name in approach_names())
    return frozenset(leaves(TrainConfig)).union(*own)


def leaves(schema: type, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a schema and of those nested in it."""
    nodes = dict(_nodes(schema))
    for key in get_type_hints(schema):
        yield f"{prefix}{key}"
        if key in nodes:
            yield from leaves(nodes[key], f"{prefix}{key}.")


def _nodes(schema: type) -> Iterator[tuple[str, type]]:
    """The keys of a schema that hold another, or a list of it, with that one."""
    for key, hint in get_type_hints(schema).items():
        for kind in (hint, *get_args(hint)):
            if is_dataclass(kind):
                yield key, cast(type, kind)


def _keys(node: Any, known: Collection[str], prefix: str = "") -> Iterator[str]:
    """Dotted keys of a configuration, down to those that the schema has no deeper keys of: a table's are its own."""
    for key, value in node.items():
        dotted = f"{prefix}{key}"
        yield dotted
        if isinstance(value, dict) and any(name.startswith(f"{dotted}.") for name in known):
            yield from _keys(value, known, f"{dotted}.")
