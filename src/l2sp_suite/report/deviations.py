"""What differs from the paper, from `docs/deviations.yaml`: beside the rows that it concerns, and as a document."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from l2sp_suite.report.texts import LOADER, ROOT, words
from l2sp_suite.utils.files import write_atomically

FILE = ROOT / "docs" / "deviations.yaml"
_KINDS = ("tasks", "studies", "presets")


@cache
def read_deviations(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The entries of the file, see its head; none where there is no such file, as beside an installed package."""
    return tuple(yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)) if path.is_file() else ()


def deviations_of(task: str, scale: str) -> list[dict[str, str]]:
    """What concerns a task at a scale, as `text_of`; that of paper scale where the scale has nothing of its own."""
    mine = [entry for entry in read_deviations(FILE) if task in entry.get("tasks", ())]
    own = any(scale in entry["scales"] and len(entry["tasks"]) == 1 for entry in mine)
    return [text_of(entry) for entry in mine if (scale if own else "paper") in entry["scales"]]


def text_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """An entry for people: `what` differs or is open, our `choice` and its reason, and the `key` that changes it."""
    some = f" (only {', '.join(entry['experiments'])})" if "experiments" in entry else ""
    choice = " ".join(str(entry[name]) for name in ("choice", "reason") if name in entry)
    keys = ", ".join(f"`{key}`" for key in entry.get("keys", ())) or f"({entry.get('where', '')})"
    points = ", ".join(map(str, entry.get("points", ()))) or "-"
    return {"points": points, "what": f"{entry['text']}{some}", "choice": choice, "key": keys}


def write_deviations(source: Path, page: Path) -> None:
    """Writes the document that is made of `source`: a table for each group of scales and tasks, studies or presets."""
    groups: dict[str, list[dict[str, str]]] = {}
    for entry in read_deviations(source):
        kind = next(kind for kind in _KINDS if kind in entry)
        names = words("notes")["deviations"]
        of = " and ".join(names.get(name, name) for name in entry[kind]) if len(entry[kind]) < 3 else "Every task"
        at = f"{' and '.join(entry['scales'])} scale" if len(entry["scales"]) < 3 else "every scale"
        groups.setdefault(f"{of} at {at}", []).append(text_of(entry))
    parts = [words("notes")["phrases"]["deviations"].strip()]
    for title, entries in groups.items():
        cells = [[entry[name].replace("|", "\\|") for name in ("points", "what", "choice", "key")] for entry in entries]
        table = ["| point | what is open or differs | our choice, and why | key |", "|---|---|---|---|"]
        parts += [f"## {title}", "\n".join([*table, *(f"| {' | '.join(line)} |" for line in cells)])]
    write_atomically(page, "\n\n".join(parts) + "\n")
