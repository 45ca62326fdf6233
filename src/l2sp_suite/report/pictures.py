"""All figures of a report: what each shows, in words too, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from l2sp_suite.report.load import Results
from l2sp_suite.report.samples import CLIP, STILLS, animation, note_of_samples, predictions, sample_sheets
from l2sp_suite.report.sources import NEAREST, Study, correlation, correlation_text
from l2sp_suite.report.studies import ladder, sweeps
from l2sp_suite.report.tables import pairs
from l2sp_suite.report.text import difference
from l2sp_suite.report.texts import words

STUDY_FIGURES = ("table3", "settings", "training", "layers", "learning_rate", "sources", "similarity")
"""Names of figures that only runs make: without these an older file is out of date."""


@dataclass(frozen=True)
class Picture:
    """A figure: the name of its file, its heading, what it shows for those who cannot see it, and its caption.

    `draw` is None for one that is there already and whose samples are not. `sample`: it shows images of a data set.
    """

    name: str
    title: str
    alt: str
    caption: str
    draw: Callable[[], bytes] | None
    sample: bool = False


def pictures(results: Results, study: Study) -> list[Picture]:
    """The figures that there is evidence for, and earlier ones of samples."""
    shown: list[Picture] = []

    def add(name: str, draw: str, *data: Any, alt: str = "", sample: bool = False) -> None:
        text = {part: results.say(value) for part, value in words("captions")["figures"][name].items()}
        bound = partial(_draw, draw, *data) if draw else None
        shown.append(Picture(f"{name}.png", text["title"], alt or text["alt"], text["caption"], bound, sample))

    label = results.arms.label
    if forest := [p for p in pairs(results) if any(c.mean == c.mean for c in p.comparisons.values())]:
        texts = [
            f"{p.row.approach}, {p.row.target}: {label(arm)} {difference(c)}, {c.verdict}"
            for p in forest
            for arm, c in p.comparisons.items()
            if c.mean == c.mean
        ]
        add(
            "table3",
            "comparisons.forest",
            results,
            forest,
            alt=results.say("Minus {baseline}: ") + " " + "; ".join(texts),
        )
    if tried := sweeps(results):
        texts = [f"{results.title(s.experiment)}: {label(s.arm)} {len(s.good())} of {len(s.tried)}" for s in tried]
        alt = f"Settings at least as good as {label(results.arms.baseline)}: {'; '.join(texts)}"
        add("settings", "comparisons.settings", results, tried, alt=alt)
    if rungs := ladder(results):
        titles = ", ".join(dict.fromkeys(results.title(rung.experiment) for rung in rungs))
        alt = f"Test metric and distance to w0 of all arms over the learning rate: {titles}; numbers in the table"
        add("learning_rate", "comparisons.learning_rate", results, rungs, alt=alt)
    if study.points:
        texts = [f"{name} {correlation_text(correlation(study.points, get))}" for name, get in study.measures.items()]
        add("sources", "sources.sources", results, study, alt=f"Rank correlation with similarity: {'; '.join(texts)}")
    near = study.sources.similarity
    if len(near):
        best = near[near.kind == "family"].sort_values("similarity").groupby("target", sort=False).source.last()
        alt = f"Nearest family: {'; '.join(f'{target} {name}' for target, name in best.items())}"
        add("similarity", "sources.similarity", near, results.scale, alt=alt)
        if (results.root / "figures" / "classes.png").is_file():  # scripts/select_source.py has the images
            ranked = study.sources.nearest.sort_values("rank").groupby("target", sort=False).label
            alt = "; ".join(f"{target}: {', '.join(labels.head(NEAREST))}" for target, labels in ranked)
            add("classes", "", alt=alt, sample=True)
    for name, frame, draw in (
        ("training", results.curves, "training.training"),
        ("layers", results.layers, "training.layers"),
    ):
        several = [e for e in results.experiments(frame) if frame[frame.experiment == e].arm.nunique() > 1]
        if several:
            add(name, draw, results, several, alt=f"Panels: {', '.join(map(results.title, several))}")
    add("figure1", "theory.figure1")
    add("theory", "theory.theory")
    return [*shown, *_of_samples(results)]


def _draw(function: str, *data: Any) -> bytes:
    """Draws a figure; matplotlib, which takes a second to import, is imported with the module of the function."""
    module, name = function.split(".")
    drawn: bytes = getattr(import_module(f"l2sp_suite.report.figures.{module}"), name)(*data)
    return drawn


def _of_samples(results: Results) -> list[Picture]:
    drawn: dict[str, Callable[[], bytes]] = {}
    for sheet in sample_sheets(results, STILLS):
        drawn[f"predictions_{sheet.experiment}.png"] = partial(predictions, sheet, results.scale)
    for clip in sample_sheets(results, CLIP):
        drawn[f"animation_{clip.experiment}.gif"] = partial(animation, clip)
    shown = []
    for experiment in results.experiments(results.main):
        for name in (f"predictions_{experiment}.png", f"animation_{experiment}.gif"):
            if name in drawn or (results.root / "figures" / name).is_file():
                title = results.title(experiment)
                arms = " and ".join(text for _, text in results.arms.pairs)
                alt = f"{title}: test items beside their truth and what {arms} predict"
                note = note_of_samples(results, results.main[results.main.experiment == experiment].metric.iloc[0])
                shown.append(Picture(name, title, alt, note, drawn.get(name), sample=True))
    return shown
