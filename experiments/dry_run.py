"""Rehearses paper scale: both arms of every row of Table 3 at full size, two steps and one test item each.

python experiments/rehearse.py
python experiments/rehearse.py --row dstl_cub200 --results /tmp/results
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from l2sp_suite.preflight.dry_run import rehearse_all
from l2sp_suite.report.rehearsal import write_rehearsal
from l2sp_suite.utils.exit_codes import one_line_errors


def main() -> int:
    """Parses the command line; the exit status is 1 when a run failed, and then no table is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", action="append", default=[], help="an experiment (default: all); writes no table")
    parser.add_argument("--results", default="results", help="where the table goes")
    parser.add_argument("--artifacts", default="artifacts/rehearsal", help="where data, weights and runs go")
    arguments = parser.parse_args()
    started = time.monotonic()
    found, failed = rehearse_all(Path(arguments.artifacts), arguments.row, partial(print, flush=True))
    if failed:
        print(f"failed: {', '.join(failed)}")
    elif arguments.row:
        print(f"{len(found)} runs rehearsed, all well; a table is written when all rows are asked for")
    else:
        print(write_rehearsal(Path(arguments.results), found))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes, with the drawing of what lacked")
    return bool(failed)


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main())
