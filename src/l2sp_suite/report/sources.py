"""What a choice of source classes measured, and the study of what a source is worth to a target."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from l2sp_suite.report.load import Results
from l2sp_suite.report.records import parse_records
from l2sp_suite.report.runs import Problem
from l2sp_suite.report.statistics import DIVERGED, STORED, Comparison, compare, interval, paired
from l2sp_suite.report.table import Column, Table, make_table
from l2sp_suite.report.tables import comparison_columns, per_arm, value_of
from l2sp_suite.report.text import DASH, mean_and_sd, setting_number, signed
from l2sp_suite.report.texts import unit_of
from l2sp_suite.utils.errors import UserError

__all__ = ["NEAREST", "Point", "Study", "Sources", "correlation", "correlation_text", "nearest_table", "read_sources", "read_study", "similarity_table", "sources_table"]

NEAREST = 5
"""Nearest classes of each target that the table shows."""


@dataclass(frozen=True)
class Sources:
    """What source selection left in `results/<scale>/source/`; empty where there was none.

    `similarity` and `nearest` have the columns of `records.SCHEMAS`; `network`: what gave the features, in words; `gamma` of the similarity;
    `lists`: checksums of the lists of classes by name.
    """

    similarity: pd.DataFrame = field(default_factory=pd.DataFrame)
    nearest: pd.DataFrame = field(default_factory=pd.DataFrame)
    network: str = ""
    gamma: float = math.nan
    lists: Mapping[str, str] = field(default_factory=dict)


def read_sources(root: Path) -> Sources:
    """What `scripts/select_source.py` wrote below a scale's folder of results.

    Raises:
        UserError: a file is damaged or lacks, or is not of the same choice as the others.
    """
    folder = root / "source"
    origin = folder / "origin.json"
    if not origin.exists() and not (folder / "similarity.csv").exists():
        return Sources()
    try:
        content = json.loads(origin.read_text(encoding="utf-8"))
        name, gamma, network = content["choice"]["name"], float(content["choice"]["gamma"]), content["network"]
        words = f"{network['name']} with {network['weights']}, at {network['input_size']} px"
        lists = {name: str(entry["sha256"]) for name, entry in content["lists"].items()}
        texts = {stem: (folder / f"{stem}.csv").read_text(encoding="utf-8") for stem in ("similarity", name)}
        digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in content["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{origin}: damaged, or a list lacks ({error}): run scripts/select_source.py again") from error
    for file, digest in digests.items():
        if digest != content["files"][file]:
            raise UserError(f"{folder / file}: not of the choice in {origin.name}: run scripts/select_source.py again")
    similarity = parse_records(texts["similarity"], "similarity", folder / "similarity.csv")
    return Sources(similarity, parse_records(texts[name], "nearest", folder / f"{name}.csv"), words, gamma, lists)


@dataclass(frozen=True)
class Point:
    """A target fine-tuned from a source: the runs of each arm, and how similar the source is to it (a line)."""

    experiment: str
    source: str
    near: Any
    arms: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """The study's points, by target in the paper's order and by rising similarity, and the runs that have none."""

    sources: Sources
    points: Sequence[Point]
    problems: Sequence[Problem]
    withheld: int

    def measures(self, results: Results) -> dict[str, Callable[[Point], dict[int, float]]]:
        """By name what may go with a source's similarity: of a point its values by seed."""

        def factor(point: Point, arm: str) -> float:
            return unit_of(point.arms[arm].metric.iloc[0]).factor if len(point.arms[arm]) else 1.0

        def value(arm: str) -> Callable[[Point], dict[int, float]]:
            return lambda point: {seed: value * factor(point, arm) for seed, value in zip(point.arms[arm].seed, point.arms[arm].value, strict=True)}

        def gain(arm: str) -> Callable[[Point], dict[int, float]]:
            def by_seed(point: Point) -> dict[int, float]:
                pairs = paired(point.arms[results.arms.baseline], point.arms[arm])
                return {seed: (other - base) * factor(point, arm) for seed, base, other in pairs}

            return by_seed

        label = results.arms.label
        base = label(results.arms.baseline)
        return {
            **{f"the accuracy of {label(arm)}": value(arm) for arm in results.arms.names},
            **{f"what {label(arm)} gains over {base}": gain(arm) for arm in results.arms.others},
        }


def read_study(results: Results) -> Study:
    """The study `source`: of its runs, those whose similarity is known.

    Raises:
        UserError: damaged files of the choice, or an arm has runs of several settings.
    """
    sources = read_sources(results.root)
    runs = results.study("source")
    if runs.empty:
        return Study(sources, [], [], 0)
    lists = sources.similarity[sources.similarity.kind == "list"] if len(sources.similarity) else sources.similarity
    near = {(line.target, line.source): line for line in lists.itertuples()}
    runs = runs.assign(
        source=runs.study.str.extract(r"/.*?source=(\w+)")[0].fillna(""),
        target=[_target(name, {target for target, _ in near}) for name in runs.experiment],
        w0_classes=runs.w0_classes.fillna(""),
    )
    reasons = [_refusal(run, near, sources) for run in runs.itertuples()]
    refused = runs.assign(reason=reasons)[[bool(reason) for reason in reasons]]
    remedy = "no table shows them: choose as before, or delete their folders and run them anew (make source SEEDS=3)"
    problems = [
        Problem("stale", f"{results.scale}/studies/{study}", f"{len(part)} runs {reason}; {remedy}")
        for (study, reason), part in refused.groupby(["study", "reason"])
    ]
    points = []
    shown = runs[[not reason for reason in reasons]]
    for name in results.experiments(shown):
        for (source, target), part in shown[shown.experiment == name].groupby(["source", "target"]):
            arms = {arm: results.one_setting(part[part.arm == arm]) for arm in results.arms.names}
            points.append(Point(name, source, near[target, source], arms))
    points.sort(key=lambda point: (results.paper.order(point.experiment), point.near.similarity))
    return Study(sources, points, problems, len(refused))


def _target(experiment: str, targets: set[str]) -> str:
    """The data set among the targets of the choice that an experiment is called after, e.g. cub200 of dstl_cub200."""
    return max((name for name in targets if f"_{experiment}".endswith(f"_{name}")), key=len, default="")


def _refusal(run: Any, near: Mapping[tuple[str, str], Any], sources: Sources) -> str:
    """Why the similarity of a run's source to its target is not known; empty where it is."""
    if (run.target, run.source) not in near:
        return "of a target or a source that is not of the choice that scripts/select_source.py left"
    if run.w0_classes != sources.lists.get(run.source, "")[:12]:
        return "pre-trained on another list of classes than scripts/select_source.py left"
    return ""


def sources_table(results: Results, study: Study) -> Table | None:
    """All arms from every source, by target, with what correlates with similarity below."""

    def near(heading: str, name: str, format: Callable[[Any], str] = str, key: str = "") -> Column[Point]:
        return Column(heading, lambda point: getattr(point.near, name), format, key)

    def runs(point: Point) -> pd.DataFrame:
        return pd.concat([part for part in point.arms.values() if len(part)])

    def comparison(point: Point, arm: str) -> Comparison:
        return compare(point.arms[results.arms.baseline], point.arms[arm], runs(point).better.iloc[0])

    columns: list[Column[Point]] = [
        near("target", "target"),
        Column("", lambda point: point.experiment, key="experiment"),
        Column("source", lambda point: point.source, key="source"),
        near("classes", "classes"),
        near("", "emd", key="emd"),
        near("similarity", "similarity", "{:.4f}".format, "similarity"),
        Column("", lambda point: unit_of(runs(point).metric.iloc[0]).name, key="unit"),
        *per_arm(results, lambda arm, label: [Column(label, lambda point: value_of(point.arms[arm]), mean_and_sd, arm)]),
        *comparison_columns(results, comparison),
    ]
    if not study.points:
        return None
    withheld = f"{study.withheld} runs of the study are not shown: their lists are not those of today's choice."
    summary = [
        *([withheld] if study.withheld else []),
        _settings(results, study.points),
        *(_sentence(study.points, name, get) for name, get in study.measures(results).items()),
    ]
    values = {"gamma": setting_number(study.sources.gamma)}
    return make_table("sources", results, columns, study.points, summary, values)


def _settings(results: Results, points: Sequence[Point]) -> str:
    """The arms' settings over all points."""
    texts = []
    for arm, label in results.arms.pairs:
        settings = dict.fromkeys(results.setting_text(p.arms[arm].iloc[0]) for p in points if len(p.arms[arm]))
        texts.append(f"{label}: {' and '.join(settings) or DASH}")
    return f"{'; '.join(texts)}."


def correlation(points: Sequence[Point], get: Callable[[Point], dict[int, float]]) -> Comparison:
    """Spearman's rank correlation with similarity among the sources of a target, mean over targets, over the seeds.

    Between targets accuracies differ for other reasons than similarity, hence within each. `mean` in [-1, 1] is over
    seeds, `low` and `high` bound its 95 % interval there (NaN for one seed), `n` is their number. Left out are seeds
    that some point lacks, targets with fewer than three sources, and of a seed those all of whose values are equal. One
    diverged run makes the verdict "diverged" and leaves all numbers out.
    """
    values = [(point, get(point)) for point in points]
    targets = [[v for v in values if v[0].experiment == name] for name in dict.fromkeys(p.experiment for p in points)]
    targets = [part for part in targets if len(part) > 2]
    seeds = sorted(set.intersection(*(set(by_seed) for part in targets for _, by_seed in part))) if targets else []
    means = []
    for seed in seeds:
        each = [_spearman([p.near.similarity for p, _ in part], [v[seed] for _, v in part]) for part in targets]
        means += [fmean(rho for rho in each if rho is not None)] if any(rho is not None for rho in each) else []
    if not all(map(math.isfinite, means)):
        return Comparison(n=len(means), verdict=DIVERGED)
    low, high = (min(max(end, -1.0), 1.0) for end in interval(means))
    return Comparison(fmean(means), low, high, len(means)) if means else Comparison()


def _spearman(near: Sequence[float], values: Sequence[float]) -> float | None:
    """Spearman's coefficient; None where one side is constant, NaN where a run diverged."""
    if not all(map(math.isfinite, values)):
        return math.nan
    ranks = _ties(values)
    if len(set(near)) < 2 or len(set(ranks)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(near, ranks).statistic)


def _ties(values: Sequence[float]) -> list[int]:
    """The rank of each value, the same for values that differ by less than rows.csv keeps of what they are made of."""
    order = np.argsort(values)
    gaps = np.diff(np.asarray(values)[order]) > STORED * 100
    ranks = np.empty(len(values), dtype=int)
    ranks[order] = np.concatenate([[0], np.cumsum(gaps)])
    return [int(rank) for rank in ranks]


def _sentence(points: Sequence[Point], name: str, get: Callable[[Point], dict[int, float]]) -> str:
    whole = correlation(points, get)
    if whole.n == 0:
        return f"{name[0].upper()}{name[1:]}: no rank correlation, for lack of common seeds or of sources."
    rest = correlation([point for point in points if point.source != "least"], get)
    without = f"; without the least similar source {correlation_text(rest)}" if rest.n else ""
    return f"Rank correlation of similarity with {name}, within targets: {correlation_text(whole)}{without}."


def correlation_text(c: Comparison) -> str:
    """A rank correlation with its interval and the number of its seeds; a dash where there is none."""
    if c.verdict == DIVERGED:
        return f"{DASH}, a run diverged"
    bounds = f" [{signed(c.low, 2)}, {signed(c.high, 2)}]" if c.n > 1 else ""
    return f"{signed(c.mean, 2)}{bounds} ({c.n})" if c.n else DASH


def similarity_table(results: Results, study: Study) -> Table | None:
    """Similarities of the source's families, and of the lists, to each target."""
    if study.sources.similarity.empty:
        return None
    targets = list(study.sources.similarity.target.unique())
    lines = [part.set_index("target") for _, part in study.sources.similarity.groupby(["kind", "source"], sort=False)]

    def first(name: str, format: Callable[[Any], str] = str, key: str = "") -> Column[pd.DataFrame]:
        return Column(name, lambda part: part[name].iloc[0], format, key)

    columns: list[Column[pd.DataFrame]] = [
        first("source", key="source"),
        first("kind", key="kind"),
        first("classes", "{:,}".format, "classes"),
        first("images", "{:,}".format),
        *(Column(name, lambda part, name=name: part.similarity[name], "{:.4f}".format) for name in targets),
        *(Column("", lambda part, name=name: part.emd[name], key=f"emd_{name}") for name in targets),
    ]
    return make_table("similarity", results, columns, lines, values=_features(study.sources))


def _features(sources: Sources) -> dict[str, object]:
    return {"network": sources.network, "gamma": setting_number(sources.gamma)}


def nearest_table(results: Results, study: Study) -> Table | None:
    """The nearest classes of each target, with the similarity of each alone."""
    if study.sources.nearest.empty:
        return None
    near = study.sources.nearest.sort_values("rank", kind="stable")
    lines = [(name, list(near[near.target == name].head(NEAREST).itertuples())) for name in study.sources.nearest.target.unique()]

    def ranked(rank: int) -> list[Column[Any]]:
        def get(line: Any) -> Any:
            return line[1][rank - 1] if len(line[1]) >= rank else None

        def text(line: Any) -> str | None:
            return f"{get(line).label} ({get(line).family}) {get(line).similarity:.4f}" if get(line) else None

        return [
            Column(f"{rank}.", text),
            *(Column("", lambda line, name=name: getattr(get(line), name, None), key=f"{name}_{rank}") for name in ("source", "similarity")),
        ]

    target: list[Column[Any]] = [Column("target", lambda line: line[0], key="target")]
    columns = [*target, *(column for rank in range(1, NEAREST + 1) for column in ranked(rank))]
    return make_table("nearest", results, columns, lines, values=_features(study.sources))
