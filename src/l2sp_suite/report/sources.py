"""What a choice of source classes measured, and the study of what a source is worth to a target."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

from l2sp_suite.report import captions
from l2sp_suite.report.logs import Provenance
from l2sp_suite.report.paper import Paper
from l2sp_suite.report.records import parse_records
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import ARMS, experiments_of, group, one_setting, setting_text, study_rows
from l2sp_suite.report.statistics import DIVERGED, Comparison, compare, interval, paired, summarise
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.tables import comparison_record, summary_record
from l2sp_suite.report.text import DASH, arm, difference, measured_interval, signed
from l2sp_suite.utils.errors import UserError

__all__ = [
    "MEASURES",
    "SHOWN",
    "Nearest",
    "Point",
    "Similarity",
    "Sources",
    "correlation",
    "correlation_text",
    "nearest_table",
    "points",
    "read_sources",
    "shown",
    "similarity_table",
    "sources_table",
]

SHOWN = 5
"""Nearest classes of each target that the table shows."""


@dataclass(frozen=True)
class Nearest:
    """A class of a list: `rank` among the source's classes by its own similarity to `target`, from 1.

    `source`: the class's name, by which a run keeps it; `label`: for people; `similarity` in (0, 1]; `images`: of it.
    """

    target: str
    rank: int
    source: str
    label: str
    family: str
    similarity: float
    images: int


@dataclass(frozen=True)
class Similarity:
    """How near some source classes together are to a target: a `list`, or a `family` of the source (`kind`).

    `emd` in units of the features, `similarity` in (0, 1] (protocol 3.3).
    """

    kind: str
    source: str
    target: str
    classes: int
    images: int
    emd: float
    similarity: float


@dataclass(frozen=True)
class Sources:
    """All that a choice left in `results/<scale>/source/`: nothing where none was made.

    `network`: what gave the features, in words; `gamma` of the similarity; `lists`: checksums of the lists by name.
    """

    similarities: Sequence[Similarity] = ()
    nearest: Sequence[Nearest] = ()
    network: str = ""
    gamma: float = nan
    lists: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A target fine-tuned from a source: the runs of both arms, and how similar the source is to it."""

    experiment: str
    source: str
    similarity: Similarity
    l2: Sequence[Row] = field(default_factory=list)
    l2_sp: Sequence[Row] = field(default_factory=list)


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
        told = f"{network['name']} with {network['weights']}, at {network['input_size']} px"
        lists = {name: str(entry["sha256"]) for name, entry in content["lists"].items()}
        files = {kind: folder / f"{stem}.csv" for kind, stem in ((Similarity, "similarity"), (Nearest, name))}
        texts = {kind: path.read_text(encoding="utf-8") for kind, path in files.items()}
        sums = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in content["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{origin}: damaged, or a list lacks ({error}): run scripts/select_source.py again") from error
    for file in sums:
        if sums[file] != content["files"][file]:
            raise UserError(f"{folder / file}: not of the choice in {origin.name}: run scripts/select_source.py again")
    similarities = parse_records(Similarity, texts[Similarity], files[Similarity])
    return Sources(similarities, parse_records(Nearest, texts[Nearest], files[Nearest]), told, gamma, lists)


def shown(
    rows: Sequence[Row], provenance: Sequence[Provenance], sources: Sources
) -> tuple[list[Row], list[tuple[Row, str]]]:
    """The study's runs whose similarity is known, and the others with what is wrong with each."""
    began = {run.key: run.w0_classes for run in provenance}
    known = {(f"dstl_{one.target}", one.source) for one in sources.similarities if one.kind == "list"}
    good: list[Row] = []
    refused: list[tuple[Row, str]] = []
    for row in study_rows(rows, "source"):
        source = _source_of(row)
        if (row.experiment, source) not in known:
            refused.append(
                (row, "of a target or a source that is not of the choice that scripts/select_source.py left")
            )
        elif began.get(row.key[1:], "") != sources.lists.get(source, "")[:12]:
            refused.append((row, "pre-trained on another list of classes than scripts/select_source.py left"))
        else:
            good.append(row)
    return good, refused


def points(rows: Sequence[Row], provenance: Sequence[Provenance], sources: Sources, paper: Paper) -> list[Point]:
    """The points of the study's runs that are `shown`, by target in the paper's order, and by rising similarity.

    Raises:
        UserError: an arm has runs of several settings.
    """
    found = []
    known = {(f"dstl_{s.target}", s.source): s for s in sources.similarities if s.kind == "list"}
    study, _ = shown(rows, provenance, sources)
    runs = group(study, lambda row: (row.experiment, _source_of(row)))
    for name in experiments_of(study, paper):
        mine = [
            Point(name, source, known[name, source], *(one_setting([r for r in part if r.reg == reg]) for reg in ARMS))
            for (experiment, source), part in runs.items()
            if experiment == name
        ]
        found += sorted(mine, key=lambda point: point.similarity.similarity)
    return found


def _source_of(row: Row) -> str:
    match = re.search(r"source=(\w+)", row.study.partition("/")[2])
    return match[1] if match else ""


def sources_table(
    rows: Sequence[Row], provenance: Sequence[Provenance], sources: Sources, paper: Paper, scale: str
) -> Table | None:
    """Both arms from every source, by target, with what correlates with similarity below; None without the study."""
    header = ["target", "source", "classes", "similarity", "L2", "L2-SP", "difference", "95 % interval", "verdict"]
    heading = f"From which source, {captions.scale_note(scale)}"
    found = points(rows, provenance, sources, paper)
    table = Table("sources", heading, captions.sources(sources.gamma), header)
    for point in found:
        both = [*point.l2, *point.l2_sp]
        unit = paper.unit(point.experiment, both[0].metric)
        c = compare(point.l2, point.l2_sp, both[0].better)
        arms = [summarise([row.value for row in part]) for part in (point.l2, point.l2_sp)]
        near = point.similarity
        cells = [near.target, point.source, str(near.classes), f"{near.similarity:.4f}"]
        cells += [*(arm(one, unit) for one in arms), difference(c, unit), measured_interval(c, unit), c.verdict or DASH]
        record: dict[str, Value] = {"scale": scale, "experiment": point.experiment, "source": point.source}
        record |= {"emd": near.emd, "similarity": near.similarity, "unit": unit.name}
        for name, one in zip(("l2", "l2_sp"), arms, strict=True):
            record |= summary_record(name, one, unit)
        table.add(cells, record | comparison_record(c, unit))
    if not found:
        return None
    _, refused = shown(rows, provenance, sources)
    withheld = f"{len(refused)} runs of the study are not shown: their lists are not those of today's choice."
    table.summary = [
        *([withheld] if refused else []),
        _settings(found),
        *(_sentence(found, name, get) for name, get in MEASURES.items()),
    ]
    return table


def _settings(found: Sequence[Point]) -> str:
    """The arms' settings over all points."""
    told = []
    for reg, label in ARMS.items():
        rows = [row for point in found for row in (point.l2 if reg == "l2" else point.l2_sp)]
        told.append(f"{label}: {' and '.join(dict.fromkeys(setting_text(row.setting) for row in rows)) or DASH}")
    return f"{'; '.join(told)}."


def _l2(point: Point) -> dict[int, float]:
    return {row.seed: row.value for row in point.l2}


def _l2_sp(point: Point) -> dict[int, float]:
    return {row.seed: row.value for row in point.l2_sp}


def _gain(point: Point) -> dict[int, float]:
    return {base.seed: other.value - base.value for base, other in paired(point.l2, point.l2_sp)}


MEASURES: dict[str, Callable[[Point], dict[int, float]]] = {
    "the accuracy of L2": _l2,
    "the accuracy of L2-SP": _l2_sp,
    "what L2-SP gains over L2": _gain,
}
"""By seed, what may go with a source's similarity."""


def correlation(found: Sequence[Point], get: Callable[[Point], dict[int, float]]) -> Comparison:
    """Spearman's rank correlation with similarity among the sources of a target, mean over targets, over the seeds.

    Between targets accuracies differ for other reasons than similarity, hence within each. `mean` in [-1, 1] is over
    seeds, `low` and `high` bound its 95 % interval there (NaN for one seed), `n` is their number. Left out are seeds
    that some point lacks, targets with fewer than three sources, and of a seed those all of whose values are equal. One
    diverged run makes the verdict "diverged" and leaves all numbers out.
    """
    by_target = [part for part in group(found, lambda point: point.experiment).values() if len(part) > 2]
    seeds = sorted(set.intersection(*(set(get(point)) for part in by_target for point in part))) if by_target else []
    means = []
    for seed in seeds:
        values = [([p.similarity.similarity for p in part], [get(p)[seed] for p in part]) for part in by_target]
        each = [_spearman(near, value) for near, value in values if len(set(near)) > 1 and len(set(value)) > 1]
        means += [fmean(each)] if each else []
    if not all(map(isfinite, means)):
        return Comparison(n=len(means), verdict=DIVERGED)
    low, high = (min(max(end, -1.0), 1.0) for end in interval(means))
    return Comparison(fmean(means), low, high, len(means)) if means else Comparison()


def _spearman(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic) if all(map(isfinite, b)) else nan


def _sentence(found: Sequence[Point], name: str, get: Callable[[Point], dict[int, float]]) -> str:
    whole = correlation(found, get)
    if whole.n == 0:
        return f"{name[0].upper()}{name[1:]}: no rank correlation, for lack of common seeds or of sources."
    rest = correlation([point for point in found if point.source != "least"], get)
    without = f"; without the least similar source {correlation_text(rest)}" if rest.n else ""
    return f"Rank correlation of similarity with {name}, within targets: {correlation_text(whole)}{without}."


def correlation_text(c: Comparison) -> str:
    """A rank correlation with its interval and the number of its seeds; a dash where there is none."""
    if c.verdict == DIVERGED:
        return f"{DASH}, a run diverged"
    bounds = f" [{signed(c.low, 2)}, {signed(c.high, 2)}]" if c.n > 1 else ""
    return f"{signed(c.mean, 2)}{bounds} ({c.n})" if c.n else DASH


def similarity_table(sources: Sources, scale: str) -> Table | None:
    """Similarities of the source's families, and of the lists, to each target; None without a choice."""
    targets = list(dict.fromkeys(one.target for one in sources.similarities))
    heading = f"Similarity of sources and targets, {captions.scale_note(scale)}"
    table = Table(
        "similarity",
        heading,
        captions.similarity(sources.network, sources.gamma),
        ["source", "kind", "classes", "images", *targets],
    )
    for (kind, source), part in group(sources.similarities, lambda one: (one.kind, one.source)).items():
        by_target = {one.target: one for one in part}
        cells = [source, kind, f"{part[0].classes:,}", f"{part[0].images:,}"]
        record: dict[str, Value] = {"scale": scale, "kind": kind, "source": source, "classes": part[0].classes}
        record |= {f"emd_{name}": by_target[name].emd for name in targets}
        table.add([*cells, *(f"{by_target[name].similarity:.4f}" for name in targets)], record)
    return table if table.lines else None


def nearest_table(sources: Sources, scale: str) -> Table | None:
    """The nearest classes of each target, with the similarity of each alone; None without a choice."""
    heading = f"Nearest source classes, {captions.scale_note(scale)}"
    header = ["target", *(f"{rank}." for rank in range(1, SHOWN + 1))]
    table = Table("nearest", heading, captions.nearest(sources.network, sources.gamma), header)
    for target, part in group(sources.nearest, lambda one: one.target).items():
        first = sorted(part, key=lambda one: one.rank)[:SHOWN]
        cells = [f"{one.label} ({one.family}) {one.similarity:.4f}" for one in first]
        record: dict[str, Value] = {"scale": scale, "target": target}
        for one in first:
            record |= {f"source_{one.rank}": one.source, f"similarity_{one.rank}": one.similarity}
        table.add([target, *cells, *[DASH] * (SHOWN - len(cells))], record)
    return table if table.lines else None
