"""Says at once why set-up cannot work here: Python too old, or the disk too small. Runs on any Python 3."""

import argparse
import shutil
import sys

OLDEST = (3, 11, 4)  # unpacks archives by a filter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, required=True, help="disk space that the environment needs")
    needed = parser.parse_args().gigabytes
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        wanted = ".".join(map(str, OLDEST))
        sys.exit(
            "set-up needs Python %s or newer, %s is %s: make PYTHON=python%s ..."
            % (wanted, sys.executable, found, ".".join(map(str, OLDEST[:2])))
        )
    free = shutil.disk_usage(".").free / 1e9
    if free < needed:
        sys.exit("set-up needs %.0f GB of disk here, %.1f GB are free: make room, or clone elsewhere" % (needed, free))


if __name__ == "__main__":
    main()
