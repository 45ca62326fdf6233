"""Makes tables, figures and pages of each scale from its run directories, and prints Tables 3 to 6.

python scripts/report.py
python scripts/report.py results=/path/to/results scale=[small] figures=false
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from l2sp_suite.config import PRINTED, parse_options, scale_names
from l2sp_suite.report import build_report, embed_tables, print_tables, scales_with_results
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
    readme: str | None = field(default=None, metadata={"meaning": "a page that quotes tables, to be renewed"})
    quiet: bool = field(default=False, metadata={"meaning": "do not print the tables"})


def main(options: Options) -> None:
    """Builds every report that is asked for."""
    results = Path(options.results)
    scales = options.scale or scales_with_results(results)
    if not scales:
        raise UserError(f"results={results}: no scale has rows, a finished run or selected classes; make runs first")
    if unknown := sorted(set(scales) - set(scale_names())):
        raise UserError(f"scale={unknown[0]}: no such scale; use {', '.join(scale_names())}")
    for scale in scales:
        files = build_report(results, scale, Path(options.paper), options.figures, all_pictures=options.pictures)
        if not options.quiet:
            print_tables(results, scale, ())
        print(f"{scale}: wrote {len(files)} files under {results / scale}")
    if options.readme:
        embed_tables(Path(options.readme))


if __name__ == "__main__":
    with one_line_errors():
        main(parse_options(Options, sys.argv[1:], __doc__ or ""))
