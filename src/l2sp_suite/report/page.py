"""The report as one self-contained page: nothing is fetched, so that it opens from disk, anywhere, for good."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2sp_suite.report import captions, tables
from l2sp_suite.report.deviations import Deviations, read_deviations
from l2sp_suite.report.paper import Paper
from l2sp_suite.report.pictures import Picture
from l2sp_suite.report.provenance import when_and_where
from l2sp_suite.report.statistics import VERDICTS
from l2sp_suite.report.store import Evidence
from l2sp_suite.report.table import Table
from l2sp_suite.report.tables import Pair

__all__ = ["page"]

DEVIATIONS = Path(__file__).parents[3] / "docs" / "deviations.md"
_TEMPLATES = Path(__file__).parent / "templates"
_NUMBER = re.compile(r"[+\-−]?\d[\d,]*\.?\d*(e[+\-−]?\d+)?")
_MIME = {"png": "image/png", "gif": "image/gif"}


@dataclass(frozen=True)
class _Section:
    """A part of the page: names of its figures and tables, in this order; figures ending in `_` stand for all such."""

    id: str
    title: str
    figures: Sequence[str]
    tables: Sequence[str]


_SECTIONS = (
    _Section("results", "Table 3", ("table3.png",), ("table3",)),
    _Section("settings", "Settings of α and β", ("settings.png",), ("sweeps", "table4", "table5", "table6", "alpha")),
    _Section("training", "What the penalty does", ("training.png", "layers.png"), ("flow",)),
    _Section("predictions", "Predictions", ("predictions_", "animation_"), ()),
    _Section("rates", "Learning rates", ("learning_rate.png",), ("learning_rate",)),
    _Section(
        "sources",
        "From which source",
        ("sources.png", "similarity.png", "classes.png"),
        ("sources", "nearest", "similarity"),
    ),
    _Section("choices", "The regime, and how settings were chosen", (), ("regime", "selection")),
    _Section("data", "Data sets", (), ("table1", "table2")),
    _Section("theory", "Theory", ("figure1.png", "theory.png"), ("table7",)),
    _Section("origin", "What made the numbers", (), ("provenance",)),
)


_PLANS = {
    **{name: name for name in ("table4", "table5", "table6", "alpha", "learning_rate", "selection")},
    "regime": "from_scratch",
    "sources": "sources",
}
"""The plan of configs/sweep that makes the runs of a table."""


def page(
    root: Path,
    scale: str,
    evidence: Evidence,
    paper: Paper,
    made: Sequence[Table],
    found: Sequence[Picture],
    all_pictures: bool,
) -> str:
    """The page's HTML, with the figures in `root`/figures inside.

    Samples of data sets that are not ours to give are left out, and said, unless `all_pictures`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(_TEMPLATES)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    deviations = [part for part in read_deviations(DEVIATIONS) if part.scale in (scale, "paper", "every")]
    pairs = tables.pairs(evidence.rows, paper)
    by_name = {table.name: table for table in made}
    given = captions.own_pictures(scale) or all_pictures
    shown = [_figure(picture, root, given) for picture in found]
    sections = [_section(part, by_name, shown, scale) for part in _SECTIONS]
    return environment.get_template("report.html.j2").render(
        scale=scale,
        note=captions.scale_note(scale),
        verdict=_verdict(pairs),
        sections=[part for part in sections if part["figures"] or part["tables"]],
        details=[_details(pair, scale, evidence, deviations) for pair in pairs],
        deviations=[part for part in deviations if part.scale in (scale, "every")],
        inline=_inline,
    )


def _section(
    part: _Section, made: Mapping[str, Table], figures: Sequence[dict[str, Any]], scale: str
) -> dict[str, object]:
    shown = [figure for name in part.figures for figure in figures if _is(figure["name"], name)]
    listed = [_table(made[name], scale) for name in part.tables if name in made]
    return {"id": part.id, "title": part.title, "figures": shown, "tables": listed}


def _is(name: str, wanted: str) -> bool:
    return name.startswith(wanted) if wanted.endswith("_") else name == wanted


def _figure(picture: Picture, root: Path, given: bool) -> dict[str, Any]:
    path = root / "figures" / picture.name
    sample = picture.name.startswith(("predictions_", "animation_", "classes."))
    content = ""
    if given or not sample:
        kind = _MIME[path.suffix.lstrip(".")]
        content = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    file = f"results/{root.name}/figures/{picture.name}"
    texts = {"heading": picture.heading, "alt": picture.alt, "caption": picture.caption}
    return {
        "name": picture.name,
        "src": content,
        "file": file,
        "moving": picture.name.endswith(".gif"),
        **texts,
    }


def _table(table: Table, scale: str) -> dict[str, object]:
    lines = [[{"text": cell, "sort": _sort_key(cell)} for cell in line] for line in table.lines]
    measured = any(value for record in table.records for name, value in record.items() if name.endswith("_n"))
    plan = _PLANS.get(table.name) if measured else None
    keep = {
        "command": f"make sweep-{plan} SCALE={scale}{_data(scale, ' DATA=')}" if plan else "",
        "name": table.name,
        "heading": table.heading,
        "caption": table.caption,
        "summary": table.summary,
    }
    return {**keep, "header": list(table.header), "lines": lines}


def _sort_key(cell: str) -> str:
    """The number that a cell begins with (in brackets: its first one), or nothing: then texts are compared."""
    match = _NUMBER.match(cell.lstrip("[("))
    return match[0].replace(",", "").replace("−", "-") if match else ""


def _verdict(pairs: Sequence[Pair]) -> dict[str, object]:
    """The summary that stands first: a sentence, and how many rows of Table 3 have which verdict."""
    verdicts = [pair.comparison.verdict for pair in pairs]
    counts = {name: verdicts.count(name) for name in VERDICTS}
    told = counts["better"] + counts["worse"]
    compared = told + counts["not separable"]
    others = sum(counts.values()) - compared
    if not compared:
        lead = "Nothing is compared yet: no row has several runs of both arms that share their seeds."
    elif told:
        parts = f"better in {counts['better']}, worse in {counts['worse']}"
        lead = f"L2-SP can be told apart from L2 in {told} of {compared} rows: {parts}."
    else:
        lead = f"In none of {compared} rows can L2-SP be told apart from L2."
    more = tables.claims(pairs)[1:] if compared else []
    if others:
        more.append(f"{others} more rows have one seed, or a run that diverged.")
    return {"lead": " ".join([lead, *more]), "counts": list(counts.items()), "rest": verdicts.count("")}


def _details(pair: Pair, scale: str, evidence: Evidence, deviations: Iterable[Deviations]) -> dict[str, object]:
    """What belongs to one row of Table 3: how to make it, what made it, and how it differs from the paper."""
    row = pair.row
    approach = re.split(r"[-* ]", row.approach)[0].lower()
    concerning = [part for part in deviations if part.approach == approach]
    own = [part for part in concerning if part.scale == scale]
    seeds = sorted({run.seed for run in (*pair.l2, *pair.l2_sp)}) or [0]
    command = f"python experiments/train.py -m experiment={row.experiment} scale={scale} reg=l2,l2_sp "
    mine = {run.key[1:] for run in (*pair.l2, *pair.l2_sp)}
    runs = [run for run in evidence.logs.provenance if run.key in mine]
    return {
        "command": f"{command}seed={','.join(map(str, seeds))}{_data(scale, ' paths.data=')}",
        "provenance": when_and_where(runs),
        "deviations": own or concerning,
    }


def _data(scale: str, key: str) -> str:
    """The part of a command that says where data sets are, at scales whose data is not drawn here."""
    return "" if captions.own_pictures(scale) else f'{key}"$DATA"'


def _inline(text: str) -> str:
    """Markdown's code and bold as HTML; everything else is escaped."""
    from markupsafe import Markup

    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", escaped))
