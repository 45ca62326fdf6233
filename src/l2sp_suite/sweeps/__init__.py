"""Sweeps: plans of runs, their executor, and the campaign behind `make reproduce`."""

from l2sp_suite.sweeps.plan import Plan, expand, load_plan, plan_names, pretraining_of, table3
from l2sp_suite.sweeps.reproduce import Reproduction, run_reproduction

__all__ = ["Plan", "Reproduction", "expand", "load_plan", "plan_names", "pretraining_of", "run_reproduction", "table3"]
