"""The report of one scale: from run directories (or the committed files) to tables, figures and pages."""

from __future__ import annotations

import hashlib
import logging
import sys
import zlib
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from l2sp_suite.report import studies
from l2sp_suite.report.arms import Arms
from l2sp_suite.report.load import Results, load_results
from l2sp_suite.report.pages import content_of, page
from l2sp_suite.report.paper import read_paper
from l2sp_suite.report.sources import Study, nearest_table, read_sources, read_study, similarity_table, sources_table
from l2sp_suite.report.table import FORMATS, Table
from l2sp_suite.report.tables import SETTINGS_TABLES, settings_table, table1, table2, table3
from l2sp_suite.report.texts import ROOT
from l2sp_suite.report.theory import table7
from l2sp_suite.utils.files import write_atomically

_log = logging.getLogger(__name__)

PRINTED = ("table3", *SETTINGS_TABLES)
"""The paper's tables of results."""
STUDIES = {
    "alpha": studies.alpha,
    "flow": studies.flow,
    "learning_rate": studies.learning_rate,
    "provenance": studies.provenance,
    "regime": studies.regime,
    "selection": studies.selection,
    "sweeps": studies.sweeps_table,
}
SOURCES = {"nearest": nearest_table, "similarity": similarity_table, "sources": sources_table}


def build_report(
    results: Path,
    scale: str,
    paper: Path,
    arms: Arms,
    figures: bool = True,
    quiet: bool = False,
    all_pictures: bool = False,
    docs: Path | None = None,
) -> Results:
    """Writes the files of `results/<scale>/` that are made from runs; those written are in the answer's `written`.

    A pure function of the run directories, the earlier files, the folder `paper` and, for the pages, of
    docs/deviations.yaml: the same runs give the same bytes.
    `rows.csv` and the other records, see `load`; `tables/`: Tables 1 to 7, with dashes for what is missing, and those
    of studies only where there are runs, an older file of theirs being removed; `figures/`; and `report.html`.
    Everything that gave no row is logged.

    Args:
        results: the folder of results.
        scale: which scale's.
        paper: the folder of the paper's tables.
        arms: the baseline, and the arms that are compared with it; others that have runs are added.
        figures: False leaves figures and pages alone.
        quiet: while runs still go on: nothing is logged and nothing removed.
        all_pictures: report.html shows samples of data sets that are not ours to give, too.
        docs: the folder in which `<scale>.md` is written, the same page for the repository.

    Raises:
        UserError: bad paper tables, a damaged file of records, or several settings claimed as selected.
    """
    loaded = load_results(results, scale, read_paper(paper), arms)
    study = read_study(loaded)
    if not quiet:
        for problem in [*loaded.problems, *study.problems]:
            _log.warning("%s", problem)
    tables = _tables(loaded, study)
    for table in tables:
        for file_format in FORMATS:
            _write(loaded, loaded.root / "tables" / f"{table.name}.{file_format}", table.render(file_format))
    if not quiet:  # while runs go on, a study may only not have begun
        _remove_stale(loaded.root / "tables", {*STUDIES, *SOURCES} - {table.name for table in tables}, FORMATS)
    if figures:
        _figures_and_pages(loaded, study, tables, all_pictures, docs)
    return loaded


def _tables(results: Results, study: Study) -> list[Table]:
    always = [table1(results), table2(results), table3(results)]
    always += [*(settings_table(name, results) for name in SETTINGS_TABLES), table7(results)]
    some = [*(make(results) for make in STUDIES.values()), *(make(results, study) for make in SOURCES.values())]
    return [*always, *filter(None, some)]


def _figures_and_pages(
    results: Results, study: Study, tables: list[Table], all_pictures: bool, docs: Path | None
) -> None:
    from l2sp_suite.report.pictures import STUDY_FIGURES, pictures

    shown, stamp = pictures(results, study), _stamp(results)
    for picture in shown:
        if picture.draw:
            path = results.root / "figures" / picture.name
            _write(results, path, picture.draw() if picture.sample else _drawn(path, picture.draw, stamp))
    # Pictures of predictions stay where the run directories with their samples are gone, as rows do.
    drawn = {Path(picture.name).stem for picture in shown if picture.draw}
    _remove_stale(results.root / "figures", set(STUDY_FIGURES) - drawn, ("png",))
    content = content_of(results, tables, shown, all_pictures)
    _write(results, results.root / "report.html", page(content, "results.html.j2"))
    if docs:
        _write(results, docs / f"{results.scale}.md", page(content, "results.md.j2"))


def _stamp(results: Results) -> bytes:
    """A checksum of all that figures are made of: records, words, code, matplotlib."""
    suite, words = Path(__file__).parents[1], ROOT / "configs" / "report"
    folders = {
        results.root: "*.csv",
        results.root / "source": "*",
        words: "*",
        suite / "theory": "*.py",
        suite / "report": "**/*.py",
    }
    digest = hashlib.sha256(version("matplotlib").encode())
    for path in [path for folder, pattern in folders.items() for path in sorted(folder.glob(pattern))]:
        digest.update(path.read_bytes())
    return digest.hexdigest().encode()


def _drawn(path: Path, draw: Callable[[], bytes], stamp: bytes) -> bytes:
    """The PNG of a figure, with the stamp as a comment; the one that is there, if it has that: drawing takes long."""
    if path.is_file() and stamp in (there := path.read_bytes())[:200]:
        return there
    png, comment = draw(), b"tEXtSource\0" + stamp
    chunk = (len(comment) - 4).to_bytes(4, "big") + comment + zlib.crc32(comment).to_bytes(4, "big")
    return png[:33] + chunk + png[33:]  # behind the header


def _write(results: Results, path: Path, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    if not path.is_file() or path.read_bytes() != data:  # a clone's are most often the same
        write_atomically(path, data)
    results.written.append(path)


def _remove_stale(folder: Path, names: Iterable[str], suffixes: Iterable[str]) -> None:
    for path in [folder / f"{name}.{suffix}" for name in sorted(names) for suffix in suffixes]:
        if path.exists():
            _log.warning("removed %s: no runs for it any more", path)
            path.unlink(missing_ok=True)  # two runners may tidy up at once


def draw_similarity(root: Path) -> bytes:
    """The figure of the similarities that source selection left below a scale's folder of results."""
    from l2sp_suite.report.figures.sources import similarity

    return similarity(read_sources(root).similarity, root.name)


def scales_with_results(results: Path) -> list[str]:
    """Names of the scale folders of `results` that hold rows, a finished run or a choice of classes, sorted."""
    folders = sorted(folder for folder in results.iterdir() if folder.is_dir()) if results.is_dir() else []
    made = ("rows.csv", "runs.zip", "source/origin.json", "runs/*/*/*/done.json", "studies/*/*/runs/*/*/*/done.json")
    return [folder.name for folder in folders if any(next(folder.glob(name), None) for name in made)]


def print_tables(results: Path, scale: str, names: Iterable[str], stream: TextIO | None = None) -> None:
    """Prints the Markdown of some tables, as `build_report` wrote it, to `stream` (default: stdout).

    A plan may be called otherwise than any table: names without one are passed over, and where none has one,
    the paper's tables are printed.
    """
    paths = {name: results / scale / "tables" / f"{name}.md" for name in (*names, *PRINTED)}
    for name in [name for name in names if paths[name].is_file()] or PRINTED:
        print(paths[name].read_text(encoding="utf-8"), file=stream or sys.stdout)
