"""Makes tables, figures and pages of each scale from its runs, and prints Tables 3 to 6."""

from __future__ import annotations

import argparse
from pathlib import Path

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

ROOT = Path(__file__).resolve().parents[1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with one folder per scale")
    parser.add_argument("--scale", nargs="+", help="default: every scale that has rows or finished runs")
    parser.add_argument("--paper", type=Path, default=ROOT / "results" / "paper", help="folder of the paper's tables")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    parser.add_argument("--pictures", action="store_true", help="the page shows samples of any data set, yours too")
    parser.add_argument("--docs", type=Path, help="folder of the documents whose results and deviations are renewed")
    parser.add_argument("--readme", type=Path, help="a page whose answer block is renewed")
    parser.add_argument("--quiet", action="store_true", help="do not print the tables")
    return parser.parse_args()


def main() -> None:
    """Builds every report that is asked for."""
    args = _arguments()
    scales = args.scale or scales_with_results(args.results)
    if not scales:
        raise UserError(
            f"{args.results}: no scale has rows.csv, a finished run or a choice of classes; make runs first"
        )
    known = {path.stem for path in (ROOT / "configs" / "scale").glob("*.yaml")} | set(scales_with_results(args.results))
    if unknown := set(scales) - known:
        raise UserError(f"{', '.join(sorted(unknown))}: no such scale; use {', '.join(sorted(known))}")
    reports = []
    for scale in scales:
        report = build_report(
            args.results,
            scale,
            args.paper,
            read_arms(ROOT / "configs" / "sweep" / "table3.yaml"),
            figures=not args.no_figures,
            all_pictures=args.pictures,
            docs=args.docs / "results" if args.docs else None,
        )
        reports.append(report)
        if not args.quiet:
            print_tables(args.results, scale, ())
        print(f"{scale}: wrote {len(report.written)} files under {args.results / scale}")
    if args.docs:
        write_deviations(args.docs / "deviations.yaml", args.docs / "deviations.md")
    if args.readme:
        update_readme(args.readme, reports)


if __name__ == "__main__":
    with one_line_errors():
        main()
