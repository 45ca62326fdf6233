"""The report of one scale: from run directories (or the committed files) to tables, figures and a page."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from l2sp_suite.report import studies
from l2sp_suite.report.collect import Problem
from l2sp_suite.report.data_sets import table1, table2
from l2sp_suite.report.page import page
from l2sp_suite.report.paper import Paper, read_paper
from l2sp_suite.report.pictures import STUDY_FIGURES, Picture, pictures
from l2sp_suite.report.provenance import provenance
from l2sp_suite.report.settings import SETTINGS_TABLES, settings_table
from l2sp_suite.report.sources import nearest_table, similarity_table, sources_table
from l2sp_suite.report.store import Evidence, gather
from l2sp_suite.report.sweeps import sweeps_table
from l2sp_suite.report.table import FORMATS, Table
from l2sp_suite.report.tables import table3
from l2sp_suite.report.theory import table7
from l2sp_suite.utils.files import write_atomically

__all__ = ["build_report", "print_tables", "scales_with_results"]

_log = logging.getLogger(__name__)

PRINTED = ("table3", *SETTINGS_TABLES)
"""The paper's tables of results."""


def build_report(
    results: Path,
    scale: str,
    paper: Path,
    figures: bool = True,
    quiet: bool = False,
    all_pictures: bool = False,
) -> list[Path]:
    """Writes the files of `results/<scale>/` that are made from runs and returns those written.

    A pure function of the run directories, the earlier files, the folder `paper` and, for the page, of
    docs/deviations.md: the same runs give the same bytes.
    `rows.csv` and the other records, see `store`; `tables/`: Tables 1 to 7, with dashes for what is missing, and those
    of studies only where there are runs, an older file of theirs being removed; `figures/`; and `report.html`.
    Everything that gave no row is logged. `quiet`, while runs still go on: nothing is logged and nothing removed.
    `figures=False` leaves figures and page alone. `all_pictures`: the page shows samples of data sets that are not ours
    to give, too.

    Raises `UserError` for bad paper tables, a damaged file of records, or several settings claimed as chosen.
    """
    root = results / scale
    printed = read_paper(paper)
    evidence = gather(results, scale)
    if not quiet:
        _log_problems(evidence.problems)
    made = _tables(evidence, printed, paper, scale)
    written = list(evidence.written)
    for table in made:
        written += _write_table(root / "tables", table)
    if not quiet:  # while runs go on, a study may only not have begun
        _remove_stale(root / "tables", _STUDIES.keys() - {table.name for table in made}, FORMATS)
    if figures:
        drawn = pictures(results, scale, evidence, printed)
        written += _write_figures(root / "figures", drawn)
        write_atomically(root / "report.html", page(root, scale, evidence, printed, made, drawn, all_pictures))
        written.append(root / "report.html")
    return written


_STUDIES: dict[str, Callable[[Evidence, Paper, str], Table | None]] = {
    "alpha": lambda evidence, paper, scale: studies.alpha(evidence.rows, paper, scale),
    "flow": lambda evidence, paper, scale: studies.flow(evidence.rows, paper, scale),
    "learning_rate": lambda evidence, paper, scale: studies.learning_rate(evidence.rows, paper, scale),
    "provenance": lambda evidence, paper, scale: provenance(evidence.logs.provenance, paper, scale),
    "regime": lambda evidence, paper, scale: studies.regime(evidence.rows, paper, scale),
    "selection": lambda evidence, paper, scale: studies.selection(evidence.rows, paper, scale),
    "nearest": lambda evidence, paper, scale: nearest_table(evidence.sources, scale),
    "similarity": lambda evidence, paper, scale: similarity_table(evidence.sources, scale),
    "sources": lambda evidence, paper, scale: sources_table(
        evidence.rows, evidence.logs.provenance, evidence.sources, paper, scale
    ),
    "sweeps": lambda evidence, paper, scale: sweeps_table(evidence.rows, paper, scale),
}


def _tables(evidence: Evidence, printed: Paper, folder: Path, scale: str) -> list[Table]:
    rows, sizes = evidence.rows, evidence.logs.data
    always = [
        table1(sizes, folder, scale),
        table2(sizes, rows, printed, folder, scale),
        table3(rows, printed, scale),
        *(settings_table(name, rows, printed, scale) for name in SETTINGS_TABLES),
        table7(scale),
    ]
    return [*always, *filter(None, (make(evidence, printed, scale) for make in _STUDIES.values()))]


def _log_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        _log.warning("%s", problem)


def _write_table(folder: Path, table: Table) -> list[Path]:
    paths = [folder / f"{table.name}.{file_format}" for file_format in FORMATS]
    for path, file_format in zip(paths, FORMATS, strict=True):
        write_atomically(path, table.render(file_format))
    return paths


def _write_figures(folder: Path, found: Iterable[Picture]) -> list[Path]:
    drawn = {picture.name: picture.draw for picture in found if picture.draw}
    for name, draw in drawn.items():
        write_atomically(folder / name, draw())
    # Pictures of predictions stay where the run directories with their samples are gone, as rows do.
    _remove_stale(folder, set(STUDY_FIGURES) - {Path(name).stem for name in drawn}, ("png",))
    return [folder / name for name in drawn]


def _remove_stale(folder: Path, names: Iterable[str], suffixes: Iterable[str]) -> None:
    for path in [folder / f"{name}.{suffix}" for name in sorted(names) for suffix in suffixes]:
        if path.exists():
            _log.warning("removed %s: no runs for it any more", path)
            path.unlink(missing_ok=True)  # two runners may tidy up at once


def scales_with_results(results: Path) -> list[str]:
    """Names of the scale folders of `results` that hold a `rows.csv`, a finished run or a choice of classes, sorted."""
    folders = sorted(folder for folder in results.iterdir() if folder.is_dir()) if results.is_dir() else []
    made = ("rows.csv", "source/origin.json")
    return [folder.name for folder in folders if any((folder / name).is_file() for name in made) or _any_run(folder)]


def _any_run(folder: Path) -> bool:
    patterns = ("runs/*/*/*/done.json", "studies/*/*/runs/*/*/*/done.json")
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def print_tables(results: Path, scale: str, names: Iterable[str], stream: TextIO | None = None) -> None:
    """Prints the Markdown of some tables, as `build_report` wrote it, to `stream` (default: stdout).

    A plan may be called otherwise than any table: names without one are passed over, and where none has one,
    the paper's tables are printed.
    """
    paths = {name: results / scale / "tables" / f"{name}.md" for name in (*names, *PRINTED)}
    for name in [name for name in names if paths[name].is_file()] or PRINTED:
        print(paths[name].read_text(encoding="utf-8"), file=stream or sys.stdout)
