"""Says whether the rows of a scale can start here: data, weights, disk; and what they cost on a GPU.

python scripts/doctor.py --scale paper --data /path/to/datasets
python scripts/doctor.py --scale paper --row dstl_cub200 --device h100
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from tqdm import tqdm

from l2sp_suite.preflight.cost import DEVICES
from l2sp_suite.preflight.doctor import check_rows, describe_rows, room
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


def main() -> int:
    """Prints what was found; the exit status is 0 if every row that was asked for can start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="paper", help="mini, pocket or paper")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets' folders")
    parser.add_argument("--row", action="append", default=[], help="an experiment (default: all of Table 3)")
    parser.add_argument(
        "--device", default="a100", type=str.lower, choices=DEVICES, help="the GPU that estimates are for"
    )
    parser.add_argument("--seeds", type=int, default=3, help="of each arm, in the estimate for all")
    arguments = parser.parse_args()
    if arguments.data.is_file():
        raise UserError(f"DATA={arguments.data}: a file; name the folder that holds the data sets' folders")
    logging.disable(logging.WARNING)  # what readers and loaders remark is in the lines below
    rows = list(tqdm(check_rows(arguments.scale, arguments.data, arguments.row), unit="row", disable=None, leave=False))
    count = torch.cuda.device_count()
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(count))
    print(f"GPUs of this machine: {names or 'none'}")
    print("\n".join(describe_rows(rows, DEVICES[arguments.device], arguments.seeds)))
    return not room(rows) or any(row.lacking for row in rows)


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main())
