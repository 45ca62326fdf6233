"""Makes tables, figures and pages of each scale from its runs, and prints Tables 3 to 6.

python scripts/report.py
python scripts/report.py results=/path/to/results scale=small figures=false
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from l2sp_suite.config import CONFIGS, PRINTED, parse_options, scale_names
from l2sp_suite.report import (
    build_report,
    print_tables,
    read_arms,
    scales_with_results,
    update_readme,
    write_deviations,
)
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass(frozen=True)
class Options:
    """Options of this script."""

    results: str = field(default="results", metadata={"meaning": "folder with a folder per scale"})
    scale: list[str] = field(default_factory=list, metadata={"meaning": "[]: every scale with rows or finished runs"})
    paper: str = field(default=str(PRINTED), metadata={"meaning": "folder of the paper's tables"})
    figures: bool = field(default=True, metadata={"meaning": "false: tables only"})
    pictures: bool = field(default=False, metadata={"meaning": "show samples of any data set, yours too"})
    docs: str | None = field(default=None, metadata={"meaning": "documents whose results and deviations are renewed"})
    readme: str | None = field(default=None, metadata={"meaning": "a page whose answer block is renewed"})
    quiet: bool = field(default=False, metadata={"meaning": "do not print the tables"})


def main(options: Options) -> None:
    """Builds every report that is asked for."""
    results, docs = Path(options.results), Path(options.docs) if options.docs else None
    scales = options.scale or scales_with_results(results)
    if not scales:
        raise UserError(f"results={results}: no scale has rows, a finished run or selected classes; make runs first")
    known = {*scale_names(), *scales_with_results(results)}
    if unknown := sorted(set(scales) - known):
        raise UserError(f"scale={unknown[0]}: no such scale; use {', '.join(sorted(known))}")
    reports = []
    for scale in scales:
        report = build_report(
            results,
            scale,
            Path(options.paper),
            read_arms(CONFIGS / "sweep" / "table3.yaml"),
            figures=options.figures,
            all_pictures=options.pictures,
            docs=docs / "results" if docs else None,
        )
        reports.append(report)
        if not options.quiet:
            print_tables(results, scale, ())
        print(f"{scale}: wrote {len(report.written)} files under {results / scale}")
    if docs:
        write_deviations(docs / "deviations.yaml", docs / "deviations.md")
    if options.readme:
        update_readme(Path(options.readme), reports)


if __name__ == "__main__":
    with one_line_errors():
        main(parse_options(Options, sys.argv[1:], __doc__ or ""))
