"""The files that all tables and figures are made from: rows.csv, and what runs tell beside their results.

An experiment of whose main runs, or of whose runs in a study, there is no finished run directory (a clone has none at
mini scale) keeps its lines, but for those of runs whose own directory is there, unfinished.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from l2sp_suite.report.collect import Problem, read_runs
from l2sp_suite.report.logs import FILES, Logs, read_logs
from l2sp_suite.report.records import format_records, parse_records
from l2sp_suite.report.rows import Row, format_rows, parse_rows
from l2sp_suite.report.select import group
from l2sp_suite.report.sources import Sources, read_sources, shown
from l2sp_suite.utils.files import write_atomically

__all__ = ["Evidence", "gather"]


@dataclass
class Evidence:
    """All that is known of one scale. `problems` are for a person to read, `written` the files that were renewed."""

    rows: list[Row]
    logs: Logs
    sources: Sources = field(default_factory=Sources)
    problems: list[Problem] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


def gather(results: Path, scale: str) -> Evidence:
    """Reads the run directories of a scale, renews its files by them, and returns what the files then hold.

    All numbers pass through the text of the files. Without any finished run nothing is written. Raises `UserError` for
    a damaged file.
    """
    root = results / scale
    found, problems = read_runs(results, scale)
    logs, more = read_logs(results, found)
    here = {(row.study_name, row.experiment) for row in found}
    path = root / "rows.csv"
    earlier = parse_rows(path.read_text(encoding="utf-8"), path) if path.is_file() else []
    unfinished = {_run(row) for row in earlier if _group(row) not in here and (results / row.folder).is_dir()}
    text = format_rows([*found, *_kept(earlier, here, unfinished)])
    rows = parse_rows(text, path)
    evidence = Evidence(
        rows, Logs(), read_sources(root), [*problems, *more, *_vanished(earlier, here, unfinished, rows)]
    )
    changed = bool(found or unfinished)
    _renew(evidence, path, text, changed)
    for name, kind in FILES.items():
        path = root / f"{name}.csv"
        old: list[Any] = parse_records(kind, path.read_text(encoding="utf-8"), path) if path.is_file() else []
        text = format_records(
            kind, sorted([*getattr(logs, name), *_kept(old, here, unfinished)], key=lambda record: record.key)
        )
        setattr(evidence.logs, name, parse_records(kind, text, path))
        _renew(evidence, path, text, changed)
    evidence.problems += _not_shown(evidence, scale)
    return evidence


def _not_shown(evidence: Evidence, scale: str) -> list[Problem]:
    _, refused = shown(evidence.rows, evidence.logs.provenance, evidence.sources)
    remedy = "no table shows them: choose as before, or delete their folders and run them anew (make source SEEDS=3)"
    return [
        Problem("stale", f"{scale}/studies/{study}", f"{len(part)} runs {part[0][1]}; {remedy}")
        for (study, _), part in group(refused, lambda pair: (pair[0].study, pair[1])).items()
    ]


Run = tuple[object, ...]


def _kept(earlier: Iterable[Any], here: set[tuple[str, str]], unfinished: set[Run]) -> list[Any]:
    return [record for record in earlier if _group(record) not in here and _run(record) not in unfinished]


def _run(record: Any) -> Run:
    """What names the run that a record is of; of records of several runs it names none."""
    names = ("experiment", "reg", "alpha", "beta", "seed")
    return getattr(record, "study", ""), *(getattr(record, name, None) for name in names)


def _group(record: Any) -> tuple[str, str]:
    return getattr(record, "study", "").partition("/")[0], record.experiment


def _vanished(
    earlier: Sequence[Row], here: set[tuple[str, str]], unfinished: set[Run], now: Iterable[Row]
) -> list[Problem]:
    # On a clone, a first new run would otherwise replace all committed rows without a word.
    keys = {row.key for row in now}
    reason = "in the earlier rows.csv, but no finished run directory holds it now; its row is dropped"
    lost = [row for row in earlier if row.key not in keys and (_group(row) in here or _run(row) in unfinished)]
    return [Problem("vanished", "/".join(map(str, row.key)), reason) for row in lost]


def _renew(evidence: Evidence, path: Path, text: str, changed: bool) -> None:
    if changed:
        write_atomically(path, text)
        evidence.written.append(path)
