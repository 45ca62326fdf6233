"""Fetches, unpacks and verifies the official data sets; without `sets` it only tells what there is.

python scripts/prepare_data.py
python scripts/prepare_data.py sets=cub200,davis data=data
python scripts/prepare_data.py sets=all verify=true
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from l2sp_suite.config import parse_options
from l2sp_suite.download import OFFICIAL, FetchOptions, RetryPolicy, prepare, report, state_of, verify
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass
class Options:
    """What the script takes."""

    sets: list[str] = field(default_factory=list, metadata={"meaning": "names in configs/data, or all"})
    data: str = field(default="data", metadata={"meaning": "folder of all data sets"})
    verify: bool = field(default=False, metadata={"meaning": "fetch nothing"})
    keep: bool = field(default=False, metadata={"meaning": "keep the archives after they were unpacked and verified"})


def main() -> None:
    """Tells what there is of the sets, and fetches them unless asked to verify alone."""
    options = parse_options(Options, sys.argv[1:], __doc__ or "")
    root = Path(options.data)
    if not options.sets:
        print(report({name: state_of(entry, root) for name, entry in OFFICIAL.items()}, root))
    elif options.verify:
        verify(options.sets, root)
    else:
        prepare(options.sets, root, FetchOptions(options.keep, RetryPolicy(timeout=60, tries=5, pause=3)))


if __name__ == "__main__":
    with one_line_errors():
        main()
