"""The typed configuration: schemas, composition, identity.

No field has a default here: every value stands in a YAML file under `configs/`, and a key that no schema
knows is refused with the nearest right one.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp import limits
from l2sp.approaches.config import ApproachConfig
from l2sp.approaches.registry import approach_names, labels_of, limits_of, schema_of
from l2sp.errors import UserError

__all__ = [
    "CONFIGS",
    "PRINTED",
    "ROOT",
    "TrainConfig",
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
]

ROOT = Path(__file__).resolve().parents[2]
PRINTED = ROOT / "results" / "paper"  # the paper's tables
# A checkout's own, or another folder of the same layout: the tests put plans of their own there.
CONFIGS = Path(os.environ.get("L2SP_CONFIGS", ROOT / "configs"))

# Where a run happens and how it is labelled do not make it another run.
NOT_IDENTITY = ("paths", "runtime", "row", "paper")


@dataclass
class RowConfig:
    """The row of the paper's Table 3 that an experiment reproduces."""

    table: int = MISSING
    number: int = MISSING
    approach: str = MISSING
    target: str = MISSING
    task: str = MISSING
    metric: str = MISSING
    better: str = MISSING


@dataclass
class PaperConfig:
    """What the paper printed in that row."""

    l2: float = MISSING
    l2_sp: float = MISSING


@dataclass
class RegConfig:
    """The penalty: `reference` is `start` (L2-SP) or `origin` (plain L2); nothing else tells the arms apart."""

    name: str = MISSING
    reference: str = MISSING
    alpha: float = MISSING
    beta: float = MISSING


@dataclass
class OfficialCounts:
    """Sizes of the official release (protocol 3.5)."""

    classes: int = MISSING
    train: int = MISSING
    test: int = MISSING


@dataclass
class DataConfig:
    """A data set: its reader, the folder names it may have on disk, its official sizes, how to get it.

    `part`: the part of the miniature world that holds this set's counterpart, where `scale.world` says that one is
    written; null where there is none.
    """

    reader: str = MISSING
    part: str | None = MISSING
    folders: list[str] = MISSING
    official: OfficialCounts | None = MISSING
    remedy: str = MISSING


@dataclass
class ScaleConfig:
    """mini, pocket or paper (or smoke, for tests): which world is written, if any; whether counts must be official."""

    name: str = MISSING
    world: str | None = MISSING
    require_official: bool = MISSING


@dataclass
class WeightsConfig:
    """The starting point w0: `source_run` (pre-trained here), `file`, `timm`, a packaged net, or `none`."""

    source: str = MISSING
    experiment: str | None = MISSING
    file: str | None = MISSING
    sha256: str | None = MISSING


@dataclass
class ScheduleConfig:
    """Learning rate over time: `staircase` (x factor every `every_epochs`), `cosine`, `poly` (power), `constant`."""

    kind: str = MISSING
    warmup_steps: int = MISSING
    every_epochs: int = MISSING
    factor: float = MISSING
    power: float = MISSING


@dataclass
class OptimConfig:
    """`name`: sgd, or rmsprop with its `smoothing` (of the squared gradients) and `eps`; null for sgd.

    The length is given in epochs or in steps, the other one is null. `bf16`: autocast to bfloat16 in training.
    """

    name: str = MISSING
    lr: float = MISSING
    momentum: float = MISSING
    smoothing: float | None = MISSING
    eps: float | None = MISSING
    batch_size: int = MISSING
    epochs: int | None = MISSING
    steps: int | None = MISSING
    bf16: bool = MISSING
    schedule: ScheduleConfig = MISSING


@dataclass
class EvaluateConfig:
    """`split`: `test`, or `val`, the part of train (`hold_out`, a fraction) on which every choice is made."""

    split: str = MISSING
    hold_out: float = MISSING
    batch_size: int = MISSING


@dataclass
class PathsConfig:
    """Where things lie on this machine."""

    data: str = MISSING
    results: str = MISSING
    artifacts: str = MISSING


@dataclass
class RuntimeConfig:
    """How the machine is used; `device` is auto, cpu or cuda; intervals are in steps."""

    device: str = MISSING
    threads: int | None = MISSING
    workers: int = MISSING
    log_every: int = MISSING
    checkpoint_every: int = MISSING


@dataclass
class TrainConfig:
    """One run: experiment x reg x (alpha, beta) x scale x seed; `study` names a side study and its point."""

    experiment: str = MISSING
    seed: int = MISSING
    study: str | None = MISSING
    row: RowConfig | None = MISSING
    paper: PaperConfig | None = MISSING
    reg: RegConfig = MISSING
    data: DataConfig = MISSING
    scale: ScaleConfig = MISSING
    approach: ApproachConfig = MISSING
    weights: WeightsConfig = MISSING
    optim: OptimConfig = MISSING
    evaluate: EvaluateConfig = MISSING
    paths: PathsConfig = MISSING
    runtime: RuntimeConfig = MISSING


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
    unknown = sorted(set(_keys(OmegaConf.to_container(config))) - known_keys())
    if unknown:  # Hydra's `+key=value` adds even to a schema
        raise _unknown_key(unknown[0])
    cfg = cast(TrainConfig, config)
    if (cfg.optim.epochs is None) == (cfg.optim.steps is None):
        raise UserError("give the length of training as optim.epochs or as optim.steps, and null for the other")
    limits.check(cfg, limits.GENERAL)
    limits.check(cfg, limits_of(cfg.approach.name), "approach.")
    if (cfg.reg.name == "l2_sp") != (cfg.reg.reference == "start"):
        raise UserError(f"reg.reference={cfg.reg.reference} is not that of reg={cfg.reg.name}: choose by reg=l2, l2_sp")
    return cfg


def identity(cfg: TrainConfig) -> dict[str, Any]:
    """The part of a resolved configuration that makes a run what it is, as plain containers."""
    plain = cast(dict[str, Any], OmegaConf.to_container(cast(Any, cfg), resolve=True))
    for key in labels_of(cfg.approach.name):
        del plain["approach"][key]
    plain["data"] = {"reader": plain["data"]["reader"]}  # what was read is compared by its digest
    return {key: value for key, value in plain.items() if key not in NOT_IDENTITY}


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
        return _unknown_key(unknown.group(2) or unknown.group(1), known)
    if option:
        return _unknown_option(option.group(1))
    if override:
        return _unknown_key(override.group(1), known)
    where = getattr(cause, "full_key", None)
    lines = dict.fromkeys(str(e).splitlines()[0] for e in (error, cause) if str(e))
    return UserError(f"configuration: {f'{where}: ' if where else ''}{' '.join(lines)}")


def _unknown_key(key: str, known: Collection[str] = ()) -> UserError:
    near = difflib.get_close_matches(key, sorted(known or known_keys()), n=1, cutoff=0.0)
    return UserError(f"unknown configuration key '{key}'; nearest: '{near[0]}'")


def _unknown_option(option: str) -> UserError:
    group, _, name = option.rpartition("/")
    folder = CONFIGS / group
    choices = sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.0)
    hint = f"; nearest: '{near[0]}' (of {', '.join(choices)})" if near else ""
    return UserError(f"no configuration '{option}'{hint}")


def known_keys() -> frozenset[str]:
    """Every dotted key that a configuration may have."""
    own = (leaves(schema_of(name), "approach.") for name in approach_names())
    return frozenset(leaves(TrainConfig)).union(*own)


def leaves(schema: type, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a schema and of those nested in it."""
    for key, hint in get_type_hints(schema).items():
        nested = [kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)]
        yield f"{prefix}{key}"
        for kind in nested:
            yield from leaves(cast(type, kind), f"{prefix}{key}.")


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
