"""The pages of a scale from one content: Markdown for docs/results, and HTML that holds its pictures."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from l2sp_suite.report.deviations import deviations_of
from l2sp_suite.report.load import Results
from l2sp_suite.report.pictures import Picture
from l2sp_suite.report.statistics import VERDICTS
from l2sp_suite.report.studies import commits
from l2sp_suite.report.table import Table
from l2sp_suite.report.tables import Pair, claims, family, pairs
from l2sp_suite.report.text import escape_markdown, listed
from l2sp_suite.report.texts import note_of_scale, own_pictures, words
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

_TEMPLATES = Path(__file__).parent / "templates"
_PLANS = {
    **{name: name for name in ("table4", "table5", "table6", "alpha", "learning_rate", "selection", "sources")},
    "regime": "from_scratch",
}
"""The plan of configs/sweep that makes the runs of a table."""


def page(content: Mapping[str, Any], template: str) -> str:
    """The text of a page: `template` is results.md.j2 or results.html.j2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=template.endswith("html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": escape_markdown, "code": _code, "embedded": _embedded}
    return environment.get_template(template).render(content)


def content_of(
    results: Results, tables: Sequence[Table], pictures: Sequence[Picture], all_pictures: bool = False
) -> dict[str, Any]:
    """What both pages show: the verdict, then all tables and figures by section, and what belongs to each row.

    Samples of data sets that are not ours to give are not `committed` and have no `path`, unless `all_pictures`.
    """
    lines, given = pairs(results), own_pictures(results.scale)
    by_name = {table.name: table for table in tables}
    shown: list[dict[str, Any]] = [
        {
            "picture": picture,
            "path": results.root / "figures" / picture.name if given or all_pictures or not picture.sample else None,
            "committed": given or not picture.sample,
        }
        for picture in pictures
    ]
    sections = [
        section
        | {
            "figures": [f for name in section["figures"] for f in shown if _is(f["picture"].name, name)],
            "tables": [
                (by_name[name], _command(by_name[name], results)) for name in section["tables"] if name in by_name
            ],
        }
        for section in words("notes")["sections"]
    ]
    return {
        "scale": results.scale,
        "note": note_of_scale(results.scale),
        "title": results.say("{others} against {baseline}"),
        "verdicts": [_verdict(results, arm, lines) for arm in results.arms.others],
        "claims": claims(results),
        "sections": [section for section in sections if section["figures"] or section["tables"]],
        "groups": _groups(results, lines),
    }


def _is(name: str, wanted: str) -> bool:
    return name.startswith(wanted) if wanted.endswith("_") else Path(name).stem == wanted


def _command(table: Table, results: Results) -> str:
    measured = any(value for record in table.records for name, value in record.items() if name.endswith("_n"))
    plan = _PLANS.get(table.name) if measured else None
    return f"make sweep-{plan} SCALE={results.scale}{_data(results, ' DATA=')}" if plan else ""


def _data(results: Results, key: str) -> str:
    """The part of a command that says where data sets are, at scales whose data is not drawn here."""
    return "" if own_pictures(results.scale) else f'{key}"$DATA"'


def _verdict(results: Results, arm: str, lines: Sequence[Pair]) -> dict[str, Any]:
    """Of one arm a sentence, and how many rows of Table 3 have which verdict."""
    label, baseline = results.arms.label(arm), results.arms.label(results.arms.baseline)
    verdicts = [pair.comparisons[arm].verdict for pair in lines]
    counts = {name: verdicts.count(name) for name in VERDICTS}
    apart = counts["better"] + counts["worse"]
    compared = apart + counts["not separable"]
    if not compared:
        lead = f"{label}: nothing is compared yet: no row has several runs of both arms that share their seeds."
    elif apart:
        lead = f"{label} can be told apart from {baseline} in {apart} of {compared} rows: "
        lead += f"better in {counts['better']}, worse in {counts['worse']}."
    else:
        lead = f"In none of {compared} rows can {label} be told apart from {baseline}."
    if others := sum(counts.values()) - compared:
        lead += f" {others} more rows have one seed, or a run that diverged."
    return {"arm": label, "lead": lead, "counts": counts, "rest": verdicts.count("")}


def _groups(results: Results, lines: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of Table 3 by system: how to make each, what made it, and how the system differs from the paper's."""
    systems = dict.fromkeys(family(pair.row.approach) for pair in lines)
    return [
        {
            "system": system,
            "rows": [_details(results, pair) for pair in lines if family(pair.row.approach) == system],
            "deviations": deviations_of(system.lower(), results.scale),
        }
        for system in systems
    ]


def _details(results: Results, pair: Pair) -> dict[str, str]:
    ran = {arm: runs for arm, runs in pair.arms.items() if len(runs)}
    seeds = sorted({int(seed) for runs in ran.values() for seed in runs.seed}) or [0]
    command = f"python experiments/train.py -m experiment={pair.row.experiment} scale={results.scale} "
    command += f"reg={','.join(ran or results.arms.names)} seed={','.join(map(str, seeds))}"
    return {
        "title": results.title(pair.row.experiment),
        "command": f"{command}{_data(results, ' paths.data=')}",
        "origin": _origin(pair),
    }


def _origin(pair: Pair) -> str:
    """What made one row, in a sentence."""
    runs = pd.concat(list(pair.arms.values()))
    runs = runs[runs.commit.notna()]
    if runs.empty:
        return "No run is on record here."
    seeds, seconds = ", ".join(map(str, sorted(runs.seed.unique()))), runs.seconds.median()
    texts = {name: listed(runs[name].dropna()) for name in ("device", "cpus", "threads", "torch", "timm")}
    took = f", {seconds:.0f} s each" if seconds == seconds else ""
    return (
        f"{len(runs)} runs{took}, seeds {seeds}; on {texts['device']} with {texts['cpus']} cores, {texts['threads']} "
        f"threads; torch {texts['torch']}, timm {texts['timm']}; commit {commits(runs)}."
    )


def _embedded(path: Path) -> str:
    kind = {".png": "png", ".gif": "gif"}[path.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _code(text: str) -> str:
    """Markdown's code as HTML; everything else is escaped."""
    from markupsafe import Markup

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False)))


_ANSWER = re.compile(r"(<!-- answer -->\n).*?(<!-- end of answer -->)", re.DOTALL)


def update_readme(path: Path, results: Sequence[Results]) -> None:
    """Renews the text between `<!-- answer -->` and `<!-- end of answer -->`: a small table, and the forest plot.

    The table has a line for each scale and arm that are compared; the plot is that of the first of `results` with one.

    Raises:
        UserError: the page has no such comments.
    """
    text = path.read_text(encoding="utf-8")
    lines, plots = ["| scale | rows compared | better | worse | not separable |", "|---|---|---|---|---|"], []
    for scale in results:
        rows = pairs(scale)
        for arm in scale.arms.others:
            counts = _verdict(scale, arm, rows)["counts"]
            numbers = [counts[name] for name in ("better", "worse", "not separable")]
            if any(numbers):
                lines.append(f"| {note_of_scale(scale.scale)} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
        plots += [scale] if (scale.root / "figures" / "table3.png").is_file() else []
    picture = ""
    if plots:
        file = (plots[0].root / "figures" / "table3.png").resolve().relative_to(path.resolve().parent)
        picture = (
            f"\n![{plots[0].say('{others} against {baseline}')}, {note_of_scale(plots[0].scale)}]({file.as_posix()})\n"
        )
    answer = "\n" + "\n".join(lines) + "\n" + picture + "\n"
    renewed, count = _ANSWER.subn(lambda match: match[1] + answer + match[2], text)
    if not count:
        raise UserError(f"{path}: has no block between <!-- answer --> and <!-- end of answer -->")
    write_atomically(path, renewed)
