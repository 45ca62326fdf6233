"""From run directories to `rows.csv`, tables, figures and pages: files to files, without torch."""

from l2sp_suite.report.arms import Arms, read_arms
from l2sp_suite.report.build import build_report, draw_similarity, print_tables, scales_with_results
from l2sp_suite.report.deviations import write_deviations
from l2sp_suite.report.pages import update_readme

__all__ = [
    "Arms",
    "build_report",
    "draw_similarity",
    "print_tables",
    "read_arms",
    "scales_with_results",
    "update_readme",
    "write_deviations",
]
