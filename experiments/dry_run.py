"""Dry run of paper scale: every arm of every row of Table 3 at full size, two steps and one test item each.

python experiments/dry_run.py
python experiments/dry_run.py row=[dstl_cub200] results=/tmp/results
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from l2sp_suite.config import parse_options
from l2sp_suite.preflight import dry_run_rows, write_table
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass(frozen=True)
class Options:
    """Options of this script."""

    row: list[str] = field(
        default_factory=list, metadata={"meaning": "experiments; []: every row, and the table is written"}
    )
    results: str = field(default="results", metadata={"meaning": "where the table goes"})
    artifacts: str = field(default="artifacts/dry_run", metadata={"meaning": "where data, weights and runs go"})


def main(options: Options) -> int:
    """Makes the dry runs; the exit status is 1 where one failed, and then no table is written."""
    started = time.monotonic()
    records, failed = dry_run_rows(Path(options.artifacts), options.row, partial(print, flush=True))
    if failed:
        print(f"failed: {', '.join(failed)}")
    elif options.row:
        print(f"{len(records)} dry runs, all well; a table is written when all rows are asked for")
    else:
        print(write_table(Path(options.results), records))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes, with the drawing of what was missing")
    return bool(failed)


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main(parse_options(Options, sys.argv[1:], __doc__ or "")))
