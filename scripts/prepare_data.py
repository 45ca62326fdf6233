"""Fetches, unpacks and verifies the official data sets; without a name it only tells what there is.

python scripts/prepare_data.py
python scripts/prepare_data.py cub200 davis --data data
python scripts/prepare_data.py all --verify
"""

from __future__ import annotations

import argparse
from pathlib import Path

from l2sp_suite.download.command import prepare, report, verify
from l2sp_suite.download.download import Patience
from l2sp_suite.download.registry import OFFICIAL
from l2sp_suite.download.sets import Wishes, state_of
from l2sp_suite.utils.exit_codes import one_line_errors


def main() -> None:
    """Reads the names, which commas may part too, and does what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help=f"{', '.join(OFFICIAL)}, or all")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of all data sets (default: data)")
    parser.add_argument("--verify", "--list", action="store_true", help="fetch nothing")
    parser.add_argument("--keep", action="store_true", help="keep the archives after they were unpacked and verified")
    args = parser.parse_args()
    names = [name.strip() for given in args.sets for name in given.split(",") if name.strip()]
    if not names:
        print(report({name: state_of(entry, args.data) for name, entry in OFFICIAL.items()}, args.data))
    elif args.verify:
        verify(names, args.data)
    else:
        prepare(names, args.data, Wishes(args.keep, Patience(timeout=60, tries=5, pause=3)))


if __name__ == "__main__":
    with one_line_errors():
        main()
