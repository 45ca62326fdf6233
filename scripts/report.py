"""Makes tables, figures and the page of each scale from its run directories, and prints Tables 3 to 6."""

from __future__ import annotations

import argparse
from pathlib import Path

from l2sp_suite.config import PRINTED, scale_names
from l2sp_suite.report import build_report, embed_tables, print_tables, scales_with_results
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with one folder per scale")
    parser.add_argument("--scale", nargs="+", help="default: every scale that has rows or finished runs")
    parser.add_argument("--paper", type=Path, default=PRINTED, help="folder of the paper's tables")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    parser.add_argument("--pictures", action="store_true", help="the page shows samples of any data set, yours too")
    parser.add_argument("--readme", type=Path, help="a page that quotes tables, to be renewed")
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
    if unknown := set(scales) - set(scale_names()):
        raise UserError(f"{', '.join(sorted(unknown))}: no such scale; use {', '.join(scale_names())}")
    for scale in scales:
        files = build_report(args.results, scale, args.paper, not args.no_figures, all_pictures=args.pictures)
        if not args.quiet:
            print_tables(args.results, scale, ())
        print(f"{scale}: wrote {len(files)} files under {args.results / scale}")
    if args.readme:
        embed_tables(args.readme)


if __name__ == "__main__":
    with one_line_errors():
        main()
