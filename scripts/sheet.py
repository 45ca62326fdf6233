"""Draw a contact sheet of the miniature world (building the world first if need be)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from l2sp.data.miniature import Recipe, build_world, contact_sheet
from l2sp.errors import UserError


def main() -> int:
    """Read the arguments and draw; 2 on a user's error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path("artifacts/miniature"), help="the world (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("artifacts/sheet.png"), help="the picture (default: %(default)s)"
    )
    parser.add_argument("--per-set", type=int, default=14, help="images in a row (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="build the smoke-test world instead of the full one")
    args = parser.parse_args()
    try:
        # A world that is there is drawn as it is, whatever its recipe.
        if not (args.root / "world.json").exists():
            build_world(args.root, Recipe.tiny() if args.tiny else Recipe())
        contact_sheet(args.root, args.out, args.per_set)
    except UserError as error:
        print(f"sheet: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
