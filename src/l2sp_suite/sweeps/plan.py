"""Plans: which runs a table, a sweep or a study needs. One YAML each under `configs/sweep/`."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from l2sp_suite.config.compose import CONFIGS, compose, explain, leaves
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.runs import Run, run_of, source_of
from l2sp_suite.tasks.registry import starts_of
from l2sp_suite.utils.errors import UserError

__all__ = ["Plan", "Planned", "expand", "load_plan", "plan_names", "reproduction", "sources_of", "table3"]


@dataclass
class Block:
    """Some runs of a plan at one scale: experiments x points x (product of the grid's lists) x seeds."""

    experiments: list[str] = MISSING
    points: list[list[str]] = field(default_factory=lambda: [[]])
    grid: list[list[str]] = field(default_factory=list)
    seeds: int | None = None  # fewer seeds than asked for, where one is enough
    reproduce: bool = True  # part of `make reproduce`


@dataclass
class Plan:
    """A named set of runs; a `study` keeps them apart from the runs of the paper's tables."""

    name: str = MISSING
    study: str | None = MISSING
    scales: dict[str, list[Block]] = MISSING
    arms: list[str] = field(default_factory=list)  # of the report, which compares them with the baseline
    baseline: str | None = None


@dataclass(frozen=True)
class Planned:
    """One run to do: the Hydra overrides that name it, its configuration and its directory."""

    overrides: tuple[str, ...]
    cfg: TrainConfig
    run: Run
    data: str | None = None
    """Digest of the data that the run would see, where it must be compared."""

    @property
    def done(self) -> bool:
        """Whether the run is finished, with this configuration and on this data.

        Raises:
            UserError: its directory belongs to another configuration or other data.
        """
        if not self.run.done:
            return False
        if self.data is not None:
            self.run.check_data(self.data)
        return True

    @property
    def label(self) -> str:
        """Short name for people."""
        study = f"{self.cfg.study} " if self.cfg.study else ""
        return f"{study}{self.cfg.experiment} {self.run.path.parent.name} seed {self.cfg.seed}"


def plan_names() -> list[str]:
    """Names of all plans."""
    return sorted(path.stem for path in (CONFIGS / "sweep").glob("*.yaml"))


def load_plan(name: str) -> Plan:
    """Reads `configs/sweep/<name>.yaml`.

    Raises:
        UserError: there is no such plan, or it has an unknown key or a wrong type.
    """
    path = CONFIGS / "sweep" / f"{name}.yaml"
    if not path.exists():
        raise UserError(f"no plan '{name}' in {path.parent}: use one of {', '.join(plan_names())}")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        scales = content.get("scales") if isinstance(content, dict) else None
        if not isinstance(scales, dict) or not all(isinstance(blocks, list) for blocks in scales.values()):
            raise UserError(f"{path}: write name, study and scales, and for each scale a list of blocks of runs")
        return _typed(content)
    except (OmegaConfBaseException, ValueError, YAMLError) as error:
        raise UserError(f"{path}: {explain(error, (*leaves(Plan), *leaves(Block)))}") from error


def _typed(content: Any) -> Plan:
    """The plan, its blocks typed one by one: merging alone leaves untyped what lies in a list."""
    scales = {
        scale: [OmegaConf.merge(OmegaConf.structured(Block), block) for block in blocks]
        for scale, blocks in content["scales"].items()
    }
    return cast(Plan, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Plan), {**content, "scales": scales})))


def reproduction(scale: str) -> list[Plan]:
    """What `make reproduce` runs of the plans at a scale, the paper's tables before what we add."""
    plans = [load_plan(name) for name in sorted(plan_names(), key=lambda name: (not name.startswith("table"), name))]
    for plan in plans:
        plan.scales = {scale: [block for block in plan.scales.get(scale, []) if block.reproduce]}
    return [plan for plan in plans if plan.scales[scale]]


def expand(plans: Sequence[Plan], scale: str, seeds: int, common: Sequence[str] = ()) -> list[Planned]:
    """The distinct runs of some plans, seed 0 of every point first, so that a whole table stands early.

    Args:
        plans: what to run; a plan without that scale is left out.
        scale: mini, pocket or paper.
        seeds: number of seeds, 0..seeds-1; a plan may ask for fewer.
        common: overrides for every run, e.g. paths.

    Raises:
        UserError: a plan names an unknown experiment or key, or two points share a directory.
    """
    points = [
        (block.seeds or seeds, (*overrides, f"scale={scale}", *common))
        for plan in plans
        for block in plan.scales.get(scale, [])
        for overrides in _points(plan, block)
    ]
    composed = {overrides: compose(overrides) for _, overrides in points}
    found: dict[Path, Planned] = {}
    for seed in range(seeds):
        for limit, overrides in points:
            if seed < limit:
                planned = _planned(overrides, composed[overrides], seed)
                known = found.setdefault(planned.run.path, planned)
                if known.run.fingerprint != planned.run.fingerprint:
                    raise UserError(f"two points claim {planned.run.path} with different settings: name a study")
    return list(found.values())


def table3(scale: str, only: Sequence[str] = (), common: Sequence[str] = ()) -> list[Planned]:
    """Both arms of the rows of Table 3 at a scale, with seed 0.

    Args:
        scale: mini, pocket or paper.
        only: names of experiments; all rows where it is empty.
        common: as of `expand`.

    Raises:
        UserError: there is no row at that scale, or none of that name.
    """
    planned = expand([load_plan("table3")], scale, 1, common)
    known = list(dict.fromkeys(item.cfg.experiment for item in planned))
    if not known:
        raise UserError(f"scale={scale}: Table 3 has no row at this scale; use mini, pocket or paper")
    for name in only:
        if name not in known:
            raise UserError(f"{name}: no row of Table 3 at scale={scale}; use some of {', '.join(known)}")
    return [item for item in planned if not only or item.cfg.experiment in only]


def _points(plan: Plan, block: Block) -> list[tuple[str, ...]]:
    points = []
    for experiment, point, cell in itertools.product(block.experiments, block.points, itertools.product(*block.grid)):
        overrides = [*point, *cell]
        study = [f"study='{_study(plan.study, overrides)}'"] if plan.study else []
        points.append((f"experiment={experiment}", *overrides, *study))
    return points


def _study(study: str, overrides: Sequence[str]) -> str:
    """`learning_rate/lr=0.02`: the study, and what its points set beside the penalty."""
    pairs = [override.split("=", 1) for override in overrides if not override.startswith("reg")]
    return "/".join([study, ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in pairs) or "all"])


def _planned(overrides: tuple[str, ...], cfg: TrainConfig, seed: int) -> Planned:
    # Composing takes a tenth of a second; the seeds of a point differ in one key.
    own = copy.deepcopy(cfg)
    own.seed = seed
    return Planned((*overrides, f"seed={seed}"), own, run_of(own))


def sources_of(configs: Sequence[TrainConfig]) -> list[Planned]:
    """The distinct pre-training runs that some runs start from."""
    needed = dict(
        source_of(cfg, key) for cfg in configs for key, start in starts_of(cfg).items() if start.source == "source_run"
    )
    return [Planned(overrides, cfg, run_of(cfg)) for overrides, cfg in needed.items()]
