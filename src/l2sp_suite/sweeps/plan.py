"""Plans: which runs a table, a sweep or a study needs. One YAML each under `configs/sweep/`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from l2sp_suite.config import CONFIGS, RunSpec, TrainConfig, compose, explain, leaves, resolve, scale_names
from l2sp_suite.utils.errors import UserError

__all__ = ["Plan", "expand", "load_plan", "plan_names", "pretraining_of", "reproduction", "table3"]


@dataclass
class Block:
    """Some runs of a plan at one scale: experiments x points x (product of the grid's lists) x arms x seeds.

    The plan's arms are taken where the point names none.
    """

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
    arms: list[str] = MISSING
    baseline: str = MISSING
    scales: dict[str, list[Block]] = MISSING

    def points(self, scale: str, seeds: int) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Number of seeds and overrides of every point at a scale."""
        for block in self.scales.get(scale, []):
            for experiment, point, cell in itertools.product(
                block.experiments, block.points, itertools.product(*block.grid)
            ):
                settings = [*point, *cell]
                named = any(text.startswith("reg=") for text in settings)
                for arm in [[]] if named else [[f"reg={name}"] for name in self.arms]:
                    study = [f"study='{self._study(settings)}'"] if self.study else []
                    yield block.seeds or seeds, (f"experiment={experiment}", *arm, *settings, *study)

    def _study(self, settings: Sequence[str]) -> str:
        """`learning_rate/lr=0.02`: the study, and what its points set beside the penalty."""
        pairs = [text.split("=", 1) for text in settings if not text.startswith("reg")]
        point = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in pairs)
        return f"{self.study}/{point or 'all'}"


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
            raise UserError(f"{path}: write name, study, arms, baseline and scales, for each a list of blocks of runs")
        plan = _typed(content)
    except (OmegaConfBaseException, ValueError, YAMLError) as error:
        raise UserError(f"{path}: {explain(error, (*leaves(Plan), *leaves(Block)))}") from error
    if plan.baseline not in plan.arms:
        raise UserError(f"{path}: baseline {plan.baseline} is none of its arms, {', '.join(plan.arms)}")
    return plan


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


def expand(plans: Sequence[Plan], scale: str, seeds: int, common: Sequence[str] = ()) -> list[RunSpec]:
    """The distinct runs of some plans, seed 0 of every point first, so that a whole table stands early.

    Args:
        plans: what to run; a plan without that scale is left out.
        scale: mini, small or paper.
        seeds: number of seeds, 0..seeds-1; a plan may ask for fewer.
        common: overrides for every run, e.g. paths.

    Raises:
        UserError: a plan names an unknown experiment or key, or two points share a directory.
    """
    points = [
        (limit, compose([*overrides, f"scale={scale}", *common]))
        for plan in plans
        for limit, overrides in plan.points(scale, seeds)
    ]
    specs: dict[Path, RunSpec] = {}
    for seed in range(seeds):
        for cfg in [cfg for limit, cfg in points if seed < limit]:
            spec = resolve(replace(cfg, seed=seed))
            known = specs.setdefault(spec.path, spec)
            if known.fingerprint != spec.fingerprint:
                raise UserError(f"two points claim {spec.path} with different settings: name a study")
    return list(specs.values())


def table3(scale: str, only: Sequence[str] = (), common: Sequence[str] = ()) -> list[TrainConfig]:
    """The rows of Table 3 at a scale, with the baseline and seed 0.

    Args:
        scale: mini, small or paper.
        only: names of experiments; all rows where it is empty.
        common: as of `expand`.

    Raises:
        UserError: there is no row at that scale, or none of that name.
    """
    plan = load_plan("table3")
    names = [experiment for block in plan.scales.get(scale, []) for experiment in block.experiments]
    if not names:
        with_rows = ", ".join(name for name in scale_names() if name in plan.scales)
        raise UserError(f"scale={scale}: Table 3 has no row at this scale; use {with_rows}")
    for name in only:
        if name not in names:
            raise UserError(f"{name}: no row of Table 3 at scale={scale}; use some of {', '.join(names)}")
    wanted = [name for name in names if not only or name in only]
    return [compose([f"experiment={name}", f"scale={scale}", f"reg={plan.baseline}", *common]) for name in wanted]


def pretraining_of(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """The distinct pre-training runs that some runs start from."""
    return list({source.path: source for spec in specs for source in spec.pretraining.values()}.values())
