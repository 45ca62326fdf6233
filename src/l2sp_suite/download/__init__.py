"""The official data sets: where they come from, what of them is on disk, and how the rest gets there."""

from l2sp_suite.download.command import prepare, report, verify
from l2sp_suite.download.download import RetryPolicy
from l2sp_suite.download.registry import OFFICIAL, Archive, OfficialSet
from l2sp_suite.download.sets import FetchOptions, lacking, state_of
from l2sp_suite.download.state import State, Status, inspect, load

__all__ = [
    "OFFICIAL", "Archive", "FetchOptions", "OfficialSet", "RetryPolicy", "State", "Status", "inspect", "lacking",
    "load", "prepare", "report", "state_of", "verify",
]  # fmt: skip
