"""Says whether the rows of a scale can start here: data, weights, disk; and what they cost on a GPU.

python scripts/doctor.py scale=paper data=/path/to/datasets
python scripts/doctor.py row=[dstl_cub200] device=h100
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from l2sp_suite.config import parse_options
from l2sp_suite.preflight import DEVICES, check_rows, describe_rows, fits_on_disk
from l2sp_suite.sweeps import load_plan
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass(frozen=True)
class Options:
    """Options of this script."""

    scale: str = field(default="paper", metadata={"meaning": "mini, small or paper"})
    data: str = field(default="data", metadata={"meaning": "folder of the data sets' folders"})
    row: list[str] = field(default_factory=list, metadata={"meaning": "experiments; []: every row of Table 3"})
    device: str = field(default="a100", metadata={"meaning": f"GPU of the estimates: {', '.join(DEVICES)}"})
    seeds: int = field(default=3, metadata={"meaning": "of each arm, in the estimate for all"})


def main(options: Options) -> int:
    """Prints what was checked; the exit status is 0 if every row that was asked for can start."""
    data, device = Path(options.data), DEVICES.get(options.device.lower())
    if device is None:
        raise UserError(f"device={options.device}: use one of {', '.join(DEVICES)}")
    if data.is_file():
        raise UserError(f"data={data}: a file; name the folder that holds the data sets' folders")
    logging.disable(logging.WARNING)  # what readers and loaders remark is in the lines below
    rows = list(tqdm(check_rows(options.scale, data, options.row), unit="row", disable=None, leave=False))
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    print(f"GPUs of this machine: {names or 'none'}")
    print("\n".join(describe_rows(rows, device, len(load_plan("table3").arms), options.seeds)))
    return not fits_on_disk(rows) or any(row.lacking for row in rows)


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main(parse_options(Options, sys.argv[1:], __doc__ or "")))
