"""Fetches, unpacks and verifies the official data sets; without `sets` it only tells what there is.

python scripts/prepare_data.py
python scripts/prepare_data.py sets=cub200,davis data=data
python scripts/prepare_data.py sets=all verify=true
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.config.options import parse_options
from l2sp_suite.download import OFFICIAL, FetchOptions, RetryPolicy, prepare, report, state_of, verify
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass
class Options:
    """What the script takes."""

    sets: str = ""  # names in configs/data, parted by commas, or all
    data: str = "data"  # folder of all data sets
    verify: bool = False  # fetch nothing
    keep: bool = False  # keep the archives after they were unpacked and verified


def main() -> None:
    """Tells what there is of the sets, and fetches them unless asked to verify alone."""
    options = parse_options(Options, sys.argv[1:], __doc__ or "")
    names, root = [name.strip() for name in options.sets.split(",") if name.strip()], Path(options.data)
    if not names:
        print(report({name: state_of(entry, root) for name, entry in OFFICIAL.items()}, root))
    elif options.verify:
        verify(names, root)
    else:
        prepare(names, root, FetchOptions(options.keep, RetryPolicy(timeout=60, tries=5, pause=3)))


if __name__ == "__main__":
    with one_line_errors():
        main()
