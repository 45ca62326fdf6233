"""What a choice leaves behind: the lists, the similarities, where they are from, and two pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from l2sp_suite.datasets import load_image
from l2sp_suite.report.records import format_records
from l2sp_suite.report.sources import Nearest, Similarity
from l2sp_suite.source_selection.choose import Choice
from l2sp_suite.utils.files import write_atomically

__all__ = ["write_choice"]


def write_choice(choice: Choice, root: Path) -> list[Path]:
    """Writes below `root`, a scale's folder of results, and returns the paths.

    `figures/`: `similarity.png`, the matrix of families and lists by targets, and `classes.png`, images of the nearest
    classes; `source/`: `<list>.csv` for each list, `similarity.csv`, and last `origin.json`, with the checksums of
    these, by which a reader knows that they belong together. Other lists stay.
    """
    from l2sp_suite.report.figures import classes, similarity  # matplotlib takes a second to import

    pictures = {
        name: [(label, load_image(path).permute(1, 2, 0).numpy()) for label, path in row]
        for name, row in choice.samples.items()
    }
    records = {f"{name}.csv": format_records(Nearest, entries) for name, entries in choice.lists.items()}
    records["similarity.csv"] = format_records(Similarity, choice.similarities)
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in records.items()}
    files: dict[str, str | bytes] = {
        "figures/similarity.png": similarity(choice.similarities, root.name),
        "figures/classes.png": classes(pictures),
        **{f"source/{name}": text for name, text in records.items()},
        "source/origin.json": json.dumps({**choice.origin, "files": sums}, indent=1) + "\n",
    }
    for name, content in files.items():
        write_atomically(root / name, content)
    return [root / name for name in files]
