"""Selects the source classes that are nearest to some targets, and writes the lists that pre-training reads.

python scripts/select_source.py
python scripts/select_source.py selection=small targets=[cub200,food101] k=5 paths.data=/path/to/datasets
python scripts/select_source.py selection=subset_b paths.data=/path/to/datasets
python scripts/select_source.py selection=small features.network=resnet50.a1_in1k features.source=timm

The keys are those of configs/source_selection/*.yaml, and paths.data, paths.results, paths.artifacts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from l2sp_suite.source_selection import load_selection, select_source, write_selection
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


def main(arguments: list[str]) -> None:
    """Selects, writes, and prints what stands where."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    config = load_selection(arguments)
    root = Path(config.paths.results) / config.scale
    try:  # before minutes go into features
        (root / "source").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"paths.results={config.paths.results}: cannot be written to ({error.strerror})") from error
    for path in write_selection(select_source(config), root):
        print(path)
    print(f"tables and figures: python scripts/report.py scale=[{config.scale}]")


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
