"""Before a run: what its network holds, what it costs, whether it can start here, and a dry run at full size."""

from l2sp_suite.preflight.cost import DEVICES, Cost, Device, measure
from l2sp_suite.preflight.describe import describe
from l2sp_suite.preflight.doctor import RowCheck, check_rows, describe_rows, fits_on_disk
from l2sp_suite.preflight.dry_run import DryRun, dry_run_row, dry_run_rows
from l2sp_suite.preflight.dry_run_table import read_records, write_table

__all__ = [
    "DEVICES", "Cost", "Device", "DryRun", "RowCheck", "check_rows", "describe", "describe_rows", "dry_run_row",
    "dry_run_rows", "fits_on_disk", "measure", "read_records", "write_table",
]  # fmt: skip
