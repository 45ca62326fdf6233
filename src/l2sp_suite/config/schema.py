"""The schema of a run: every key with its type, its range and what it means. Values stand in YAML files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from omegaconf import MISSING

from l2sp_suite.config.fields import Check, at_least, key, one_of, span, triple

__all__ = [
    "Arm", "DataConfig", "DryRunConfig", "EvaluateConfig", "OptimConfig", "PathsConfig", "RowConfig", "RuntimeConfig",
    "ScaleConfig", "ScheduleConfig", "TaskConfig", "TrainConfig", "WeightsConfig",
]  # fmt: skip

T = TypeVar("T")
_STUDY = re.compile(r"[^/\s]+/[^/\s]+")


@dataclass
class RowConfig:
    """The row of the paper's tables that an experiment reproduces."""

    table: int = key("3, or 5 where Table 5 alone has the row")
    number: int = key("row of that table, counted from 1")
    approach: str = key("as printed, e.g. DSTL")
    target: str = key("target data set as printed, e.g. CUB200")
    task: str = key("task as printed, e.g. image classif.")
    metric: str = key("metric as printed, e.g. accuracy")
    better: str = key("which values of the metric are better", one_of("higher", "lower"))


@dataclass
class Arm:
    """One arm of a comparison: a penalty by class, its hyper-parameters, and those that the tables report.

    `configs/reg/<name>.yaml`; every key of that file beside those named here is a hyper-parameter.
    """

    name: str
    label: str
    penalty: str
    penalize: str
    selected: dict[str, Any]
    hyperparameters: dict[str, Any]

    @property
    def is_selected(self) -> bool:
        """Whether this is the setting that the tables report, chosen on validation."""
        return self.hyperparameters == self.selected

    @property
    def folder(self) -> str:
        """Name of the run directory's folder, e.g. `l2_sp-alpha=0.01-beta=0.001`."""
        settings = (f"{name}={_short(value)}" for name, value in sorted(self.hyperparameters.items()))
        return "-".join([self.name, *settings])

    @property
    def content(self) -> dict[str, Any]:
        """What makes a run with this arm another run than one with another arm."""
        later = {} if self.penalize == "weights" else {"penalize": self.penalize}
        return {"name": self.name, "penalty": self.penalty, **later, **self.hyperparameters}


@dataclass
class DataConfig:
    """A data set: its reader, where it lies, what its official release holds."""

    reader: str = key("the function of l2sp_suite.datasets that reads it")
    part: str | None = key(
        "the part of the synthetic world that stands in for it at scale mini",
        one_of("objects", "scenes", "views", "clips"),
    )
    folders: list[str] = key("names that its folder may have below paths.data")
    official: dict[str, int] | None = key("numbers of the official release: classes, train, test, height, ...")
    at_least: dict[str, int] | None = key("lower bounds of numbers that are not known for certain")
    classes: str | None = key("CSV that lists the classes to keep (scripts/select_source.py); null keeps all")
    remedy: str = key("how to get it, for error messages")


@dataclass
class ScaleConfig:
    """How large an experiment is: mini, small or paper; smoke for tests."""

    name: str = key("mini, small, paper or smoke")
    world: str | None = key("recipe of the synthetic data; null reads official releases")
    require_official: bool = key("whether a data set must be the whole official release")


@dataclass
class WeightsConfig:
    """Pre-trained weights: w0 of the penalty, and what the network is initialised with."""

    source: str = key(
        "where they come from: a pre-training run of ours, a file, timm, a package, or from scratch",
        one_of("none", "file", "source_run", "efficientnet_lite0", "timm"),
    )
    experiment: str | None = key("of source_run: the pre-training run's experiment")
    scale: str | None = key("of source_run: its scale; null: the run's own")
    seed: int | None = key("of source_run: its seed; null: the run's own", at_least(0))
    file: str | None = key("of file: the path below paths.data")
    sha256: str | None = key("expected checksum of the file; null checks nothing")
    statistics: str = key(
        "running statistics of batch norm: load, or fresh ones that training re-estimates",
        one_of("load", "fresh"),
        since="load",
    )


@dataclass
class ScheduleConfig:
    """Learning rate over time, as a factor of `optim.lr`."""

    kind: str = key("step, cosine, poly or constant", one_of("step", "cosine", "poly", "constant"))
    warmup_steps: int = key("steps of a linear warm-up", at_least(0))
    step_size: int = key("of step: length of a stair", at_least(1))
    step_unit: str = key("of step: what step_size counts", one_of("epochs", "steps"))
    gamma: float = key("of step: factor at the end of each stair", span(0, 1, "(]"))
    power: float = key("of poly: exponent", span(0))


@dataclass
class OptimConfig:
    """The optimiser and the length of training."""

    name: str = key("a class of torch.optim, e.g. SGD, Adam, RMSprop")
    lr: float = key("base learning rate", span(0, ends="(]"))
    kwargs: dict[str, Any] = key("further arguments of that class, e.g. momentum")
    batch_size: int = key("items in a batch", at_least(1))
    epochs: int | None = key("length of training in epochs; null where steps is given", at_least(1))
    steps: int | None = key("length in optimiser steps; null where epochs is given; 0 evaluates w0", at_least(0))
    bf16: bool = key("autocast to bfloat16 in training")
    schedule: ScheduleConfig = MISSING


@dataclass
class EvaluateConfig:
    """On what a run is evaluated."""

    split: str = key("test, or val: the part of train on which every choice is made", one_of("test", "val"))
    hold_out: float = key("share of train that val takes", span(0, 1, "()"))
    batch_size: int = key("items in a batch of the evaluation", at_least(1))


@dataclass
class PathsConfig:
    """Where things lie on this machine."""

    data: str = key("folder of the data sets' folders")
    results: str = key("folder of run directories and tables")
    artifacts: str = key("folder of what can be made again: synthetic data, pre-trained weights")


@dataclass
class RuntimeConfig:
    """How the machine is used."""

    device: str = key("auto, cpu or cuda")
    threads: int | None = key("CPU threads of the run; null takes every core", at_least(1))
    workers: int = key("processes that load data", at_least(0))
    log_every: int = key("steps between lines of metrics.jsonl", at_least(1))
    checkpoint_every: int = key("steps between checkpoints", at_least(1))


@dataclass
class DryRunConfig:
    """What a dry run of paper scale needs of a task (experiments/dry_run.py)."""

    worlds: list[str] = key("recipes of synthetic data in official layout and size, as <recipe>/<part>")
    overrides: list[str] = key("how its runs differ from those of paper scale, as Hydra overrides")
    rates: list[float] = key("the published learning rate at the first, the middle and the last step", triple(0))


@dataclass
class TaskConfig:
    """What the configuration of every task holds; its package adds keys of its own."""

    name: str = key("e.g. classification")
    package: str = key("Python package of the task: `config.Config` is its schema, `task.Task` its class", label=True)
    penalty: dict[str, Any] = key("hyper-parameters by arm that the tables report at this scale", label=True)
    dry_run: DryRunConfig | None = field(
        default=None, metadata={"meaning": "how experiments/dry_run.py runs its rows; null: not at all", "label": True}
    )

    def with_published_values(self, weights: WeightsConfig) -> TaskConfig:
        """The configuration with what the named network's weights were published with, where a key is null."""
        return self


@dataclass
class TrainConfig:
    """One run: experiment x arm x hyper-parameters x scale x seed."""

    experiment: str = key("name of the experiment, as in configs/experiment")
    kind: str = key("fine_tune, or pre_train: to make weights that others start from", one_of("fine_tune", "pre_train"))
    seed: int = key("seed of everything random in the run", at_least(0))
    study: str | None = key(
        "side study and its point, which keep the run apart from those of the paper's tables",
        Check(lambda v: bool(_STUDY.fullmatch(v)) and ".." not in v.split("/"), "<name>/<point>, e.g. mine/lr=0.1"),
    )
    row: RowConfig | None = MISSING
    paper: dict[str, float] | None = key("what the paper printed in that row, by arm")
    reg: dict[str, Any] = key("the arm: see configs/reg")
    data: DataConfig = MISSING
    scale: ScaleConfig = MISSING
    task: Any = MISSING
    weights: WeightsConfig = MISSING
    optim: OptimConfig = MISSING
    evaluate: EvaluateConfig = MISSING
    paths: PathsConfig = MISSING
    runtime: RuntimeConfig = MISSING

    @property
    def arm(self) -> Arm:
        """The arm that `reg` describes."""
        named = ("name", "label", "penalty", "penalize", "selected")
        hyperparameters = {name: value for name, value in self.reg.items() if name not in named}
        return Arm(**{name: self.reg[name] for name in named}, hyperparameters=hyperparameters)

    def data_sets(self) -> dict[str, DataConfig]:
        """The data sets of the run: `data`, by which it is evaluated, and what its task has beside it, by key."""
        return {"data": self.data, **_of_kind(self.task, DataConfig)}

    def pretrained(self) -> dict[str, WeightsConfig]:
        """The pre-trained weights of the run: `weights`, and what its task has beside them, by key."""
        return {"weights": self.weights, **_of_kind(self.task, WeightsConfig)}


def _of_kind(node: Any, kind: type[T]) -> dict[str, T]:
    values = {item.name: getattr(node, item.name) for item in fields(node)}
    return {name: value for name, value in values.items() if isinstance(value, kind)}


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
