"""What a choice of source classes measured, and the study of what a source is worth to a target."""

from __future__ import annotations

import hashlib
import json
import math
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
from l2sp_suite.report.statistics import DIVERGED, STORED, Comparison, interval, paired
from l2sp_suite.report.table import Column, Table, all_comparisons, columns_of_arms, make_table
from l2sp_suite.report.tables import values_of_arms
from l2sp_suite.report.text import DASH, setting_number, signed
from l2sp_suite.report.texts import unit_of
from l2sp_suite.utils.errors import UserError

NEAREST = 5
"""Nearest classes of each target that the table shows."""
Measure = Callable[["Point"], dict[int, float]]


@dataclass(frozen=True)
class Sources:
    """What source selection left in `results/<scale>/source/`; empty where there was none.

    `similarity` and `nearest` have the columns of `records.SCHEMAS`; `network` says what gave the features; `gamma` of
    the similarity; `lists`: checksums of the lists of classes by name.
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
    folder, origin = root / "source", root / "source" / "origin.json"
    if not origin.exists() and not (folder / "similarity.csv").exists():
        return Sources()
    try:
        content = json.loads(origin.read_text(encoding="utf-8"))
        name, gamma, network = content["choice"]["name"], float(content["choice"]["gamma"]), content["network"]
        features = f"{network['name']} with {network['weights']}, at {network['input_size']} px"
        lists = {name: str(entry["sha256"]) for name, entry in content["lists"].items()}
        texts = {stem: (folder / f"{stem}.csv").read_text(encoding="utf-8") for stem in ("similarity", name)}
        digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in content["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{origin}: damaged, or a list lacks ({error}): run scripts/select_source.py again") from error
    for file, digest in digests.items():
        if digest != content["files"][file]:
            raise UserError(f"{folder / file}: not of the choice in {origin.name}: run scripts/select_source.py again")
    similarity = parse_records(texts["similarity"], "similarity", folder / "similarity.csv")
    return Sources(similarity, parse_records(texts[name], "nearest", folder / f"{name}.csv"), features, gamma, lists)


@dataclass(frozen=True)
class Point:
    """A target fine-tuned from a source: the runs of each arm, and the line of `Sources.similarity` about the two."""

    experiment: str
    near: Any
    arms: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """The study's points, by target in the paper's order and by rising similarity, and the runs that are no points.

    `measures`: by name, what may go with a source's similarity: of a point its values by seed, in the printed unit.
    """

    sources: Sources
    points: Sequence[Point]
    measures: Mapping[str, Measure]
    problems: Sequence[Problem] = ()
    withheld: int = 0


def read_study(results: Results) -> Study:
    """The study `source`: of its runs, those whose similarity is known.

    Raises:
        UserError: damaged files of the choice, or an arm has runs of several settings.
    """
    sources, runs = read_sources(results.root), results.study("source")
    lists = sources.similarity[sources.similarity.kind == "list"] if len(sources.similarity) else sources.similarity
    near: dict[Any, Any] = {(line.target, line.source): line for line in lists.itertuples()}
    names = runs.study.str.extract(r"/.*?source=(\w+)")[0].fillna("")
    targets = [_target(name, {target for target, _ in near}) for name in runs.experiment]
    runs = runs.assign(source=names, target=targets, w0_classes=runs.w0_classes.fillna(""))
    runs = runs.assign(reason=[_refusal(run, near, sources) for run in runs.itertuples()])
    refused, runs = runs[runs.reason != ""], runs[runs.reason == ""]
    remedy = "no table shows them: choose as before, or delete their folders and run them anew (make source SEEDS=3)"
    problems = [
        Problem("stale", f"{results.scale}/studies/{study}", f"{len(part)} runs {reason}; {remedy}")
        for (study, reason), part in refused.groupby(["study", "reason"])
    ]
    points = [
        Point(
            str(name), near[target, source], {a: results.one_setting(part[part.arm == a]) for a in results.arms.names}
        )
        for (name, target, source), part in runs.groupby(["experiment", "target", "source"])
    ]
    points.sort(key=lambda point: (results.paper.order(point.experiment), point.near.similarity))
    return Study(sources, points, _measures(results), problems, len(refused))


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


def _measures(results: Results) -> dict[str, Measure]:
    def value(arm: str) -> Measure:
        def by_seed(point: Point) -> dict[int, float]:
            factors = point.arms[arm].metric.map(lambda metric: unit_of(metric).factor)
            return dict(zip(point.arms[arm].seed, point.arms[arm].value * factors, strict=True))

        return by_seed

    def gain(arm: str) -> Measure:
        def by_seed(point: Point) -> dict[int, float]:
            base, other = point.arms[results.arms.baseline], point.arms[arm]
            factor = unit_of(other.metric.iloc[0]).factor if len(other) else 1.0
            return {seed: (b - a) * factor for seed, a, b in paired(base, other)}

        return by_seed

    label, baseline = results.arms.label, results.arms.label(results.arms.baseline)
    accuracies = {f"the accuracy of {label(arm)}": value(arm) for arm in results.arms.names}
    return accuracies | {f"what {label(arm)} gains over {baseline}": gain(arm) for arm in results.arms.others}


def sources_table(results: Results, study: Study) -> Table | None:
    """All arms from every source, by target, with what correlates with similarity below."""
    lines = []
    for point in study.points:
        metric = next(runs.metric.iloc[0] for runs in point.arms.values() if len(runs))
        line: dict[str, Any] = {
            "experiment": point.experiment,
            "_target": point.near.target,
            "source": point.near.source,
        }
        line |= {"classes": point.near.classes, "emd": point.near.emd, "similarity": point.near.similarity}
        lines.append(line | {"unit": unit_of(metric).name} | values_of_arms(results, point.arms))
    columns = [
        Column("target", "_target"),
        *(Column(name, name) for name in ("source", "classes")),
        Column("similarity", "similarity", "{:.4f}".format),
        *columns_of_arms(results),
        *all_comparisons(results),
    ]
    withheld = f"{study.withheld} runs of the study are not shown: their lists are not those of today's choice."
    settings = []
    for arm, label in results.arms.pairs:
        texts = dict.fromkeys(results.setting_text(p.arms[arm].iloc[0]) for p in study.points if len(p.arms[arm]))
        settings.append(f"{label}: {' and '.join(texts) or DASH}")
    summary = [*([withheld] if study.withheld else []), f"{'; '.join(settings)}."]
    summary += [_sentence(study.points, name, get) for name, get in study.measures.items()]
    return make_table("sources", results, lines, columns, summary, **_features(study)) if lines else None


def correlation(points: Sequence[Point], get: Measure) -> Comparison:
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
    """Spearman's coefficient; None where one side is constant, NaN where a run diverged.

    Values that differ by less than rows.csv keeps of what they are made of (percent, or pixels) are ties.
    """
    if not all(map(math.isfinite, values)):
        return math.nan
    order = np.argsort(values)
    ranks = np.empty(len(values))
    ranks[order] = np.concatenate([[0], np.cumsum(np.diff(np.asarray(values)[order]) > 100 * STORED)])
    if len(set(near)) < 2 or len(set(ranks)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(near, ranks).statistic)


def _sentence(points: Sequence[Point], name: str, get: Measure) -> str:
    whole = correlation(points, get)
    if whole.n == 0:
        return f"{name[0].upper()}{name[1:]}: no rank correlation, for lack of common seeds or of sources."
    rest = correlation([point for point in points if point.near.source != "least"], get)
    without = f"; without the least similar source {correlation_text(rest)}" if rest.n else ""
    return f"Rank correlation of similarity with {name}, within targets: {correlation_text(whole)}{without}."


def correlation_text(c: Comparison) -> str:
    """A rank correlation with its interval and the number of its seeds; a dash where there is none."""
    if c.verdict == DIVERGED:
        return f"{DASH}, a run diverged"
    bounds = f" [{signed(c.low, 2)}, {signed(c.high, 2)}]" if c.n > 1 else ""
    return f"{signed(c.mean, 2)}{bounds} ({c.n})" if c.n else DASH


def _features(study: Study) -> dict[str, Any]:
    return {"network": study.sources.network, "gamma": setting_number(study.sources.gamma)}


def similarity_table(results: Results, study: Study) -> Table | None:
    """Similarities of the source's families, and of the lists, to each target."""
    near, lines = study.sources.similarity, []
    targets = list(near.target.unique()) if len(near) else []
    for (kind, source), part in near.groupby(["kind", "source"], sort=False) if targets else ():
        line: dict[str, Any] = {
            "kind": kind,
            "source": source,
            "classes": part.classes.iloc[0],
            "_images": part.images.iloc[0],
        }
        line |= {f"_{name}": value for name, value in zip(part.target, part.similarity, strict=True)}
        lines.append(line | {f"emd_{name}": value for name, value in zip(part.target, part.emd, strict=True)})
    columns = [Column("source", "source"), Column("kind", "kind")]
    columns += [Column("classes", "classes", "{:,}".format), Column("images", "_images", "{:,}".format)]
    columns += [Column(name, f"_{name}", "{:.4f}".format) for name in targets]
    return make_table("similarity", results, lines, columns, **_features(study)) if lines else None


def nearest_table(results: Results, study: Study) -> Table | None:
    """The nearest classes of each target, with the similarity of each alone."""
    near, lines, ranks = study.sources.nearest, [], range(1, NEAREST + 1)
    for target, part in near.groupby("target", sort=False) if len(near) else ():
        line: dict[str, Any] = {"target": target} | {
            f"{key}_{rank}": None for rank in ranks for key in ("", "source", "similarity")
        }
        for place, one in enumerate(part.sort_values("rank", kind="stable").head(NEAREST).itertuples(), 1):
            line |= {f"source_{place}": one.source, f"similarity_{place}": one.similarity}
            line[f"_{place}"] = f"{one.label} ({one.family}) {one.similarity:.4f}"
        lines.append(line)
    columns = [Column("target", "target"), *(Column(f"{rank}.", f"_{rank}") for rank in ranks)]
    return make_table("nearest", results, lines, columns, **_features(study)) if lines else None
