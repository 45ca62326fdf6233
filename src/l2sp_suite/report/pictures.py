"""All figures of a report: what each shows, in words too, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from l2sp_suite.report import captions, studies, tables
from l2sp_suite.report.animation import animation
from l2sp_suite.report.logs import Layer, Point
from l2sp_suite.report.paper import Paper
from l2sp_suite.report.rows import Row
from l2sp_suite.report.samples import CLIP, STILLS, sample_sheets
from l2sp_suite.report.select import ARMS, experiments_of, group, main_rows, title_of
from l2sp_suite.report.sources import MEASURES, SHOWN, correlation, correlation_text, points
from l2sp_suite.report.store import Evidence
from l2sp_suite.report.sweeps import sweeps
from l2sp_suite.report.text import difference

__all__ = ["STUDY_FIGURES", "Picture", "pictures"]

STUDY_FIGURES = ("table3", "settings", "training", "layers", "learning_rate", "sources", "similarity")
"""Names of figures that only rows and logs make: without these an older file is out of date."""


@dataclass(frozen=True)
class Picture:
    """A figure: the name of its file, its heading, what it shows for those who cannot see it, and its caption.

    `draw` is None for one that an earlier report drew, whose samples are not here.
    """

    name: str
    heading: str
    alt: str
    caption: str
    draw: Callable[[], bytes] | None


def pictures(results: Path, scale: str, evidence: Evidence, paper: Paper) -> list[Picture]:
    """The figures that there is evidence for, in the order of the page, and earlier ones of predictions."""
    found = [*_of_rows(evidence, paper, scale), *_of_sources(results, evidence, paper, scale)]
    found += [*_of_logs(evidence, paper, scale), *_of_theory()]
    return found + _of_samples(results, scale, evidence.rows, paper)


def _of_rows(evidence: Evidence, paper: Paper, scale: str) -> list[Picture]:
    from l2sp_suite.report import figures

    rows, found = evidence.rows, []
    forest = [pair for pair in tables.pairs(rows, paper) if pair.comparison.mean == pair.comparison.mean]
    if forest:
        alt = "L2-SP minus L2: " + "; ".join(
            f"{p.row.approach}, {p.row.target} {difference(p.comparison, p.row.unit)}, {p.comparison.verdict}"
            for p in forest
        )
        draw = partial(figures.forest, forest, scale)
        found.append(Picture("table3.png", "L2-SP against L2", alt, captions.figure("table3"), draw))
    if tried := sweeps(rows, paper):
        titles = {sweep.experiment: title_of(sweep.experiment, rows, paper) for sweep in tried}
        alt = "Settings at least as good as L2: " + "; ".join(
            f"{titles[sweep.experiment]} {len(sweep.good())} of {len(sweep.tried)}" for sweep in tried
        )
        draw = partial(figures.settings, tried, titles, paper, scale)
        found.append(Picture("settings.png", "How strong may the pull be", alt, captions.figure("settings"), draw))
    if rungs := studies.ladder(rows, paper):
        names = ", ".join(dict.fromkeys(title_of(rung.experiment, rows, paper) for rung in rungs))
        alt = f"Test metric and distance to w0 of both arms over the learning rate: {names}; numbers in the table"
        draw = partial(figures.learning_rate, rungs, paper, scale)
        found.append(Picture("learning_rate.png", "Learning rates", alt, captions.figure("learning_rate"), draw))
    return found


def _of_sources(results: Path, evidence: Evidence, paper: Paper, scale: str) -> list[Picture]:
    from l2sp_suite.report import figures

    found = []
    if study := points(evidence.rows, evidence.logs.provenance, evidence.sources, paper):
        told = {name: correlation_text(correlation(study, get)) for name, get in MEASURES.items()}
        alt = "Rank correlation with similarity: " + "; ".join(f"{name} {text}" for name, text in told.items())
        draw = partial(figures.sources, study, scale)
        found.append(Picture("sources.png", "From which source", alt, captions.figure("sources"), draw))
    if matrix := evidence.sources.similarities:
        best = {one.target: one for one in sorted(matrix, key=lambda one: one.similarity) if one.kind == "family"}
        alt = "Nearest family: " + "; ".join(f"{target} {one.source}" for target, one in best.items())
        draw = partial(figures.similarity, matrix, scale)
        found.append(Picture("similarity.png", "Similarity", alt, captions.figure("similarity"), draw))
        if (results / scale / "figures" / "classes.png").is_file():  # scripts/select_source.py has the images
            chosen = group(evidence.sources.nearest, lambda one: one.target)
            alt = "; ".join(f"{name}: {', '.join(c.label for c in part[:SHOWN])}" for name, part in chosen.items())
            found.append(Picture("classes.png", "Nearest classes", alt, captions.figure("classes"), None))
    return found


def _of_logs(evidence: Evidence, paper: Paper, scale: str) -> list[Picture]:
    from l2sp_suite.report import figures

    pictured: list[Picture] = []
    logs, rows = evidence.logs, evidence.rows
    kinds: tuple[tuple[str, Sequence[Point] | Sequence[Layer], str], ...] = (
        ("training", logs.curves, "During training"),
        ("layers", logs.layers, "Layer by layer"),
    )
    for name, records, heading in kinds:
        arms = {experiment: {r.reg for r in found} for experiment, found in _by_experiment(records).items()}
        both = sorted((experiment for experiment, regs in arms.items() if regs >= ARMS.keys()), key=paper.order)
        titles = {experiment: title_of(experiment, rows, paper) for experiment in both}
        if titles:
            alt = f"{captions.figure(name)} Panels: {', '.join(titles.values())}"
            draw = partial(getattr(figures, name), records, titles, scale)
            pictured.append(Picture(f"{name}.png", heading, alt, captions.figure(name), draw))
    return pictured


def _by_experiment(records: Sequence[Point] | Sequence[Layer]) -> dict[str, list[Point | Layer]]:
    return group(records, lambda record: record.experiment)


def _of_theory() -> list[Picture]:
    from l2sp_suite.report import figures

    headings = {"figure1": "Figure 1, computed", "theory": "When L2-SP beats least squares"}
    return [
        Picture(f"{name}.png", heading, captions.figure_alt(name), captions.figure(name), getattr(figures, name))
        for name, heading in headings.items()
    ]


def _of_samples(results: Path, scale: str, rows: Sequence[Row], paper: Paper) -> list[Picture]:
    from l2sp_suite.report import figures

    drawn: dict[str, Callable[[], bytes]] = {}
    for sheet in sample_sheets(results, rows, paper, STILLS):
        drawn[f"predictions_{sheet.experiment}.png"] = partial(figures.predictions, sheet, scale)
    for clip in sample_sheets(results, rows, paper, CLIP):
        drawn[f"animation_{clip.experiment}.gif"] = partial(animation, clip)
    found = []
    for experiment in experiments_of(main_rows(rows), paper):
        title = title_of(experiment, rows, paper)
        metric = next(row.metric for row in main_rows(rows) if row.experiment == experiment)
        for kind, suffix in (("predictions", "png"), ("animation", "gif")):
            name = f"{kind}_{experiment}.{suffix}"
            if name in drawn or (results / scale / "figures" / name).is_file():
                alt = f"{title}: test items beside their truth and what L2 and L2-SP predict"
                found.append(Picture(name, title, alt, captions.sample_note(metric), drawn.get(name)))
    return found
