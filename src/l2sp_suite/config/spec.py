"""RunSpec: everything about a run that is known before it starts, resolved once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from l2sp_suite.config.class_lists import list_digest, read_classes
from l2sp_suite.config.composition import compose, override
from l2sp_suite.config.schema import Arm, DataConfig, TrainConfig, WeightsConfig
from l2sp_suite.config.synthetic import recipe_of
from l2sp_suite.utils.errors import UserError

__all__ = ["RunSpec", "fingerprint", "identity", "resolve", "spec_of"]

_NOT_IDENTITY = ("paths", "runtime", "row", "paper", "reg")


@dataclass(frozen=True)
class RunSpec:
    """One run, resolved: nobody after this asks the configuration, the registry or the data again.

    Attributes:
        config: the typed configuration; nobody changes it.
        identity: the part of it that makes the run what it is, as plain containers.
        path: the run's directory.
        pretraining: the pre-training runs that it starts from, by key of `TrainConfig.pretrained`.
        data_digest: checksum of the data that it would see, where a campaign has read that.
    """

    config: TrainConfig
    identity: Mapping[str, Any]
    path: Path
    pretraining: Mapping[str, RunSpec] = field(default_factory=dict)
    data_digest: str | None = None

    @property
    def arm(self) -> Arm:
        """The arm of the run."""
        return self.config.arm

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the identity."""
        return fingerprint(self.identity)

    @property
    def makes_weights(self) -> bool:
        """Whether other runs start from its weights."""
        return self.config.kind == "pre_train"

    @property
    def labels(self) -> dict[str, Any]:
        """What the report prints beside the result: row, paper's values, arm."""
        cfg = self.config
        if self.makes_weights:
            return {}
        row = None if cfg.row is None else asdict(cfg.row)
        return {"row": row, "paper": cfg.paper, "arm": {"label": self.arm.label, "selected": self.arm.is_selected}}

    @property
    def name(self) -> str:
        """Short name for people, e.g. `dstl_cub200 l2_sp-alpha=0.01-beta=0.001 seed 0`."""
        cfg = self.config
        study = f"{cfg.study} " if cfg.study else ""
        return f"{study}{cfg.experiment} {cfg.scale.name if self.makes_weights else self.arm.folder} seed {cfg.seed}"

    def with_threads(self, threads: int) -> RunSpec:
        """The same run with so many CPU threads."""
        return replace(self, config=replace(self.config, runtime=replace(self.config.runtime, threads=threads)))


def spec_of(overrides: tuple[str, ...] | list[str]) -> RunSpec:
    """The run that some Hydra overrides name.

    Raises:
        UserError: as `compose` and `resolve`.
    """
    return resolve(compose(overrides))


def resolve(cfg: TrainConfig) -> RunSpec:
    """Resolves a configuration: identity, directory, and the pre-training runs that it starts from.

    Raises:
        UserError: a pre-training run is not named or cannot be composed, or a list of classes cannot be read.
    """
    sources = {key: weights for key, weights in cfg.pretrained().items() if weights.source == "source_run"}
    pretraining = {key: _pretraining(cfg, key, weights) for key, weights in sources.items()}
    content = identity(cfg)
    if cfg.scale.world is not None:
        content["world_digest"] = recipe_of(cfg.scale.world, cfg.data.part).digest()
    if cfg.data.classes is not None:  # the file may be made anew under its name
        content["classes"] = list_digest(read_classes(Path(cfg.data.classes)))
    for key, spec in pretraining.items():
        content["source_run" if key == "weights" else f"{key}_source_run"] = spec.fingerprint
    return RunSpec(cfg, content, _directory(cfg, content), pretraining)


def _directory(cfg: TrainConfig, content: Mapping[str, Any]) -> Path:
    if cfg.kind == "pre_train":
        name = f"{cfg.experiment.replace('/', '-')}-{fingerprint(content)[:12]}"
        return Path(cfg.paths.artifacts) / cfg.scale.name / name
    root = Path(cfg.paths.results) / cfg.scale.name
    root = root / "studies" / cfg.study if cfg.study else root
    return root / "runs" / cfg.experiment / cfg.arm.folder / f"seed={cfg.seed}"


def _pretraining(cfg: TrainConfig, key: str, weights: WeightsConfig) -> RunSpec:
    if not weights.experiment:
        raise UserError(f"{key}.source=source_run needs {key}.experiment, e.g. source/dstl")
    return _composed(
        f"experiment={weights.experiment}",
        f"scale={weights.scale or cfg.scale.name}",
        "reg=l2",
        f"seed={cfg.seed if weights.seed is None else weights.seed}",
        f"runtime.device={cfg.runtime.device}",
        *(override(f"paths.{name}", path) for name, path in asdict(cfg.paths).items()),
    )


@cache
def _composed(*overrides: str) -> RunSpec:
    return spec_of(overrides)


def identity(cfg: TrainConfig) -> dict[str, Any]:
    """The part of a configuration that makes a run what it is, as plain containers."""
    content = {name: value for name, value in _plain(cfg).items() if name not in _NOT_IDENTITY}
    return {**content, "reg": cfg.arm.content}


def _plain(node: Any) -> Any:
    if isinstance(node, DataConfig):
        return {"reader": node.reader}  # what was read is compared by its digest
    if is_dataclass(node):
        return {item.name: _plain(getattr(node, item.name)) for item in fields(node) if _identifies(node, item)}
    if isinstance(node, Mapping):
        return {name: _plain(value) for name, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list | tuple) else node


def _identifies(node: Any, item: Any) -> bool:
    if isinstance(node, WeightsConfig) and item.name in ("scale", "seed"):
        return False  # the pre-training run that they name has its own identity
    later = "since" in item.metadata and getattr(node, item.name) == item.metadata["since"]
    return not (later or item.metadata.get("label"))


def fingerprint(content: Any) -> str:
    """sha256 (hex) of plain containers, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
