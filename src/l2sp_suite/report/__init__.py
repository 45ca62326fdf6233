"""From run directories to `rows.csv`, tables and figures: files to files, without torch."""

from __future__ import annotations

from l2sp_suite.report.build import build_report, print_tables, scales_with_results
from l2sp_suite.report.collect import Problem, collect
from l2sp_suite.report.embed import embed_tables

__all__ = ["Problem", "build_report", "collect", "embed_tables", "print_tables", "scales_with_results"]
