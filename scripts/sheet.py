"""Draws a contact sheet of the miniature world, whose parts are written first if they are not there."""

from __future__ import annotations

import argparse
from pathlib import Path

from l2sp_suite.utils.exit_codes import one_line_errors
from miniworld import PARTS, contact_sheet, ensure_world


def main() -> None:
    """Reads the arguments and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="where worlds lie")
    parser.add_argument("--world", default="default", help="recipe: default or tiny")
    parser.add_argument("--out", type=Path, default=Path("artifacts/sheet.png"), help="the picture")
    parser.add_argument("--per-set", type=int, default=14, help="images in a row")
    args = parser.parse_args()
    worlds = {part: ensure_world(args.artifacts, args.world, part) for part in PARTS}
    contact_sheet(worlds, args.out, args.per_set)
    print(args.out)


if __name__ == "__main__":
    with one_line_errors():
        main()
