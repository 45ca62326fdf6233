"""Chooses the source classes that are nearest to some targets, and writes the lists that pre-training reads.

python scripts/select_source.py
python scripts/select_source.py choice=pocket targets=[cub200,food101] k=5 paths.data=/path/to/datasets
python scripts/select_source.py choice=subset_b paths.data=/path/to/datasets
python scripts/select_source.py choice=pocket features.network=resnet50.a1_in1k features.source=timm

The keys are those of configs/choice/*.yaml, and paths.data, paths.results, paths.artifacts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from l2sp_suite.source_selection.choose import choose
from l2sp_suite.source_selection.config import load_choice
from l2sp_suite.source_selection.write import write_choice
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


def main(arguments: list[str]) -> None:
    """Chooses, writes, and prints what stands where."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    config, cfg = load_choice(arguments)
    root = Path(cfg.paths.results) / cfg.scale.name
    try:  # before minutes go into features
        (root / "source").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"paths.results={cfg.paths.results}: cannot be written to ({error.strerror})") from error
    for path in write_choice(choose(config, cfg), root):
        print(path)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
