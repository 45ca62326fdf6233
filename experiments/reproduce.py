"""Does the runs that the tables need and are not done yet, then rewrites the tables.

python experiments/reproduce.py --scale mini --seeds 3
python experiments/reproduce.py --plan learning_rate --dry
"""

from __future__ import annotations

import argparse

from l2sp_suite.sweeps.reproduce import Campaign, run_campaign
from l2sp_suite.utils.exit_codes import one_line_errors


def main() -> int:
    """Parses the command line; the exit status is 1 when a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="mini", help="mini, pocket or paper")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0..n-1 of every point")
    parser.add_argument("--jobs", type=int, default=None, help="processes at once (default: one a core)")
    parser.add_argument(
        "--plan", action="append", help="a plan of configs/sweep (default: those of the paper's tables)"
    )
    parser.add_argument("--data", default=None, help="folder of the official data sets")
    parser.add_argument("--results", default="results", help="where runs and tables go")
    parser.add_argument("--dry", action="store_true", help="list the runs and do nothing")
    return run_campaign(Campaign(**vars(parser.parse_args())))


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main())
