"""The report of one scale: from run directories (or a committed `rows.csv`) to tables and figures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from l2sp.files import write_atomically
from l2sp.report import studies, tables
from l2sp.report.animation import animation
from l2sp.report.collect import Problem, read_runs
from l2sp.report.paper import Paper, read_paper
from l2sp.report.rows import Row, format_rows, parse_rows
from l2sp.report.samples import CLIP, sample_sheets
from l2sp.report.settings import SETTINGS_TABLES, settings_table
from l2sp.report.table import FORMATS, Table

__all__ = ["build_report", "print_tables", "scales_with_results"]

_log = logging.getLogger(__name__)


def build_report(results: Path, scale: str, paper: Path, figures: bool = True, quiet: bool = False) -> list[Path]:
    """Writes `rows.csv`, `tables/` and `figures/` of `results/<scale>/` and returns the files written.

    A pure function of the run directories and of the folder `paper`: the same runs give the same bytes. All
    numbers pass through the text of `rows.csv`. An experiment of whose main runs, or of whose runs in a study,
    there is no finished run directory (a clone has none at mini scale) keeps its lines there. Tables 3 to 6 are
    always written, with dashes for what is missing; the tables and figures of studies only where there are runs,
    and an older file of theirs is removed. Everything that gave no row is logged. `quiet`, while runs still go
    on: nothing is logged and nothing removed. `figures=False` leaves the folder `figures/` alone.

    Raises `UserError` for bad paper tables, a damaged `rows.csv`, or several settings claimed as chosen.
    """
    root = results / scale
    printed = read_paper(paper)
    rows, written = _rows(results, scale, quiet)
    made = [
        tables.table3(rows, printed, scale),
        *(settings_table(name, rows, printed, scale) for name in SETTINGS_TABLES),
        *(make(rows, printed, scale) for make in _STUDIES.values()),
    ]
    for table in filter(None, made):
        written += _write_table(root / "tables", table)
    if not quiet:  # while runs go on, a study may only not have begun
        _remove_stale(root / "tables", _STUDIES.keys() - {table.name for table in made if table}, FORMATS)
    if figures:
        written += _write_figures(results, rows, printed, scale)
    return written


_ALWAYS = ("table3", *SETTINGS_TABLES)
_STUDIES = {
    "alpha": studies.alpha,
    "flow": studies.flow,
    "learning_rate": studies.learning_rate,
    "regime": studies.regime,
    "selection": studies.selection,
}


def _rows(results: Path, scale: str, quiet: bool) -> tuple[list[Row], list[Path]]:
    path = results / scale / "rows.csv"
    found, problems = read_runs(results, scale)
    earlier = parse_rows(path.read_text(encoding="utf-8"), path) if path.is_file() else []
    run_here = {(row.study_name, row.experiment) for row in found}
    superseded = [row for row in earlier if (row.study_name, row.experiment) in run_here]
    kept = [row for row in earlier if (row.study_name, row.experiment) not in run_here]
    text = format_rows(sorted([*found, *kept], key=lambda row: row.key))
    rows = parse_rows(text, path)
    if not quiet:
        _log_problems([*problems, *_vanished(superseded, rows)])
    if not found:
        return rows, []
    write_atomically(path, text)
    return rows, [path]


def _vanished(earlier: Iterable[Row], now: Iterable[Row]) -> list[Problem]:
    # On a clone, a first new run would otherwise replace all committed rows without a word.
    keys = {row.key for row in now}
    reason = "in the earlier rows.csv, but no finished run directory holds it now; its row is dropped"
    return [Problem("vanished", "/".join(map(str, row.key)), reason) for row in earlier if row.key not in keys]


def _log_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        _log.warning("%s", problem)


def _write_table(folder: Path, table: Table) -> list[Path]:
    paths = [folder / f"{table.name}.{file_format}" for file_format in FORMATS]
    for path, file_format in zip(paths, FORMATS, strict=True):
        write_atomically(path, table.render(file_format))
    return paths


def _write_figures(results: Path, rows: list[Row], paper: Paper, scale: str) -> list[Path]:
    folder = results / scale / "figures"
    drawn = _pictures(results, rows, paper, scale)
    for name, content in drawn.items():
        write_atomically(folder / name, content)
    # Pictures of predictions stay where the run directories with their samples are gone, as rows do.
    _remove_stale(folder, {"table3", "learning_rate"} - {Path(name).stem for name in drawn}, ("png",))
    return [folder / name for name in drawn]


def _pictures(results: Path, rows: list[Row], paper: Paper, scale: str) -> dict[str, bytes]:
    """Contents of all figures that there are runs for, by file name."""
    forest = [pair for pair in tables.pairs(rows, paper) if pair.comparison.mean == pair.comparison.mean]
    rungs, sheets = studies.ladder(rows, paper), sample_sheets(results, scale, rows, paper)
    clips = sample_sheets(results, scale, rows, paper, CLIP)
    drawn = {f"animation_{clip.experiment}.gif": animation(clip) for clip in clips}
    if not (forest or rungs or sheets):
        return drawn
    from l2sp.report import figures  # matplotlib takes longer to import than all tables to make

    if forest:
        drawn["table3.png"] = figures.forest(forest, scale)
    if rungs:
        drawn["learning_rate.png"] = figures.learning_rate(rungs, paper, scale)
    return drawn | {f"predictions_{sheet.experiment}.png": figures.predictions(sheet, scale) for sheet in sheets}


def _remove_stale(folder: Path, names: Iterable[str], suffixes: Iterable[str]) -> None:
    for path in [folder / f"{name}.{suffix}" for name in sorted(names) for suffix in suffixes]:
        if path.exists():
            _log.warning("removed %s: no runs for it any more", path)
            path.unlink(missing_ok=True)  # two runners may tidy up at once


def scales_with_results(results: Path) -> list[str]:
    """Names of the scale folders of `results` that hold a `rows.csv` or at least one finished run, sorted."""
    folders = sorted(folder for folder in results.iterdir() if folder.is_dir()) if results.is_dir() else []
    return [folder.name for folder in folders if (folder / "rows.csv").is_file() or _any_run(folder)]


def _any_run(folder: Path) -> bool:
    patterns = ("runs/*/*/*/done.json", "studies/*/*/runs/*/*/*/done.json")
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def print_tables(results: Path, scale: str, names: Iterable[str], stream: TextIO | None = None) -> None:
    """Prints the Markdown of some tables, as `build_report` wrote it, to `stream` (default: stdout).

    A plan may be called otherwise than any table: names without one are passed over, and where none has one,
    the paper's tables are printed.
    """
    paths = {name: results / scale / "tables" / f"{name}.md" for name in (*names, *_ALWAYS)}
    for name in [name for name in names if paths[name].is_file()] or _ALWAYS:
        print(paths[name].read_text(encoding="utf-8"), file=stream or sys.stdout)
