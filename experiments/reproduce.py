"""Does the runs that the tables need and are not done yet, then rewrites the tables.

python experiments/reproduce.py scale=mini seeds=3
python experiments/reproduce.py plan=[learning_rate] dry=true
"""

from __future__ import annotations

import sys

from l2sp_suite.config import parse_options
from l2sp_suite.sweeps import Reproduction, run_reproduction
from l2sp_suite.utils.exit_codes import one_line_errors

if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(run_reproduction(parse_options(Reproduction, sys.argv[1:], __doc__ or "")))
