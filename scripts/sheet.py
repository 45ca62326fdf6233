"""Draws a contact sheet of the synthetic data; what is not on disk is drawn first.

python scripts/sheet.py                                    # all parts of the default recipe: artifacts/sheet.png
python scripts/sheet.py part=clips world=tiny per_set=8 out=clips.png paths.artifacts=artifacts
"""

from __future__ import annotations

import sys
from pathlib import Path

from l2sp_suite.datasets.synthetic import synthetic_root, world_errors
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors
from miniworld import PARTS, contact_sheet

_DEFAULTS = {"part": "all", "world": "default", "per_set": "14", "out": "", "paths.artifacts": "artifacts"}


def main() -> None:
    """Reads `key=value` arguments and draws."""
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if unknown := given.keys() - _DEFAULTS.keys():
        raise UserError(f"{', '.join(sorted(unknown))}: no such key; there are {', '.join(_DEFAULTS)}")
    options = {**_DEFAULTS, **given}
    if not options["per_set"].isdecimal() or not int(options["per_set"]):
        raise UserError(f"per_set={options['per_set']}: give a number of images in a row, 1 or more")
    artifacts = Path(options["paths.artifacts"])
    out = Path(options["out"] or artifacts / "sheet.png")
    parts = list(PARTS) if options["part"] == "all" else [options["part"]]
    worlds = {part: synthetic_root(artifacts, options["world"], part) for part in parts}
    with world_errors():
        contact_sheet(worlds, out, int(options["per_set"]))
    print(out)


if __name__ == "__main__":
    with one_line_errors():
        main()
