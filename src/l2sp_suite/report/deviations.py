"""What differs from the paper, from `docs/deviations.yaml`: beside the rows that it concerns, and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from l2sp_suite.report.text import escape_markdown
from l2sp_suite.report.texts import LOADER, ROOT

__all__ = ["deviations_of", "read_deviations", "write_deviations"]

Entry = Mapping[str, Any]
FILE = ROOT / "docs" / "deviations.yaml"


@cache
def read_deviations(path: Path = FILE) -> tuple[Entry, ...]:
    """The entries of the file; none where there is no such file, as beside an installed package."""
    return tuple(yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)) if path.is_file() else ()


def deviations_of(task: str, scale: str) -> list[dict[str, str]]:
    """What concerns a task at a scale: `what`, `choice` and `key` of each entry; those of paper scale where it has none."""
    mine = [entry for entry in read_deviations(FILE) if task in entry.get("tasks", ())]
    here = [entry for entry in mine if scale in entry["scales"]]
    own = [entry for entry in here if len(entry["tasks"]) == 1]
    return list(map(_texts, here if own else [entry for entry in mine if "paper" in entry["scales"]]))


def _texts(entry: Entry) -> dict[str, str]:
    some = f" (only {', '.join(entry['experiments'])})" if "experiments" in entry else ""
    choice = " ".join(str(entry[name]) for name in ("choice", "reason") if name in entry)
    keys = ", ".join(f"`{key}`" for key in entry.get("keys", ())) or f"({entry.get('where', 'report')})"
    return {"what": f"{entry['text']}{some}", "choice": choice, "key": keys}
