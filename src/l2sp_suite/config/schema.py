"""The schema of a run's configuration: every key with its type. No field has a default; values stand in YAML files."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from l2sp_suite.config.task import ApproachConfig

__all__ = [
    "DataConfig",
    "EvaluateConfig",
    "OptimConfig",
    "PaperConfig",
    "PathsConfig",
    "RegConfig",
    "RowConfig",
    "RuntimeConfig",
    "ScaleConfig",
    "ScheduleConfig",
    "TrainConfig",
    "WeightsConfig",
]


@dataclass
class RowConfig:
    """The row of the paper's Table 3 that an experiment reproduces; of Table 5 where that alone has it."""

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
    """The penalty: `reference` is `start` (L2-SP) or `origin` (plain L2); nothing else tells the arms apart.

    `decay_scope`: `weights`, those of convolutions and linear layers (section 5.1), or `all` parameters.
    """

    name: str = MISSING
    reference: str = MISSING
    alpha: float = MISSING
    beta: float = MISSING
    decay_scope: str = MISSING


@dataclass
class DataConfig:
    """A data set: its reader, the folder names it may have on disk, how to get it.

    `official`: sizes of the official release (protocol 3.5) by the names of what the reader counts: `train`, `test`,
    `classes`, `train_sequences`, `test_sequences`, `height` and `width` of frames; null where there is none.
    `at_least`: bounds on others of these numbers that are not known for certain; null where there are none.
    `classes`: a CSV that lists the classes to keep, as `scripts/select_source.py` writes it; null keeps all.
    `part`: the part of the miniature world that holds this set's counterpart, where `scale.world` says that one is
    written; null where there is none.
    """

    reader: str = MISSING
    part: str | None = MISSING
    folders: list[str] = MISSING
    official: dict[str, int] | None = MISSING
    at_least: dict[str, int] | None = MISSING
    classes: str | None = MISSING
    remedy: str = MISSING


@dataclass
class ScaleConfig:
    """mini, pocket or paper (or smoke, for tests): which world is written, if any; whether counts must be official."""

    name: str = MISSING
    world: str | None = MISSING
    require_official: bool = MISSING


@dataclass
class WeightsConfig:
    """The starting point w0: `source_run` (pre-trained here), `file`, `timm`, a packaged net, or `none`.

    `experiment`: the pre-training run, at the scale named `scale`, with `seed`; null: the run's own. `statistics`: of
    batch norm, `load`, or `fresh`, those of a new network; for a network without batch norm they are the same.
    """

    source: str = MISSING
    experiment: str | None = MISSING
    scale: str | None = MISSING
    seed: int | None = MISSING
    file: str | None = MISSING
    sha256: str | None = MISSING
    statistics: str = MISSING


@dataclass
class ScheduleConfig:
    """Learning rate over time: `staircase` (times `factor` at each stair), `cosine`, `poly` (power), `constant`.

    A stair is `every_epochs` long, or `every_steps`; the other one is null.
    """

    kind: str = MISSING
    warmup_steps: int = MISSING
    every_epochs: int | None = MISSING
    every_steps: int | None = MISSING
    factor: float = MISSING
    power: float = MISSING


@dataclass
class OptimConfig:
    """`name`: sgd; rmsprop or adam, with `smoothing` of the squared gradients and `eps`; both are null for sgd.

    adam: `momentum` and `smoothing` are its two betas. The length is given in epochs or in steps, the other one is
    null; 0 steps evaluate the start. `bf16`: autocast to bfloat16 in training.
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
