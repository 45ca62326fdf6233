"""What a choice leaves behind: the lists, the similarities, where they are from, and two pictures."""

from __future__ import annotations

import json
from pathlib import Path

from l2sp.choice.choose import Choice
from l2sp.data.classification import load_image
from l2sp.files import write_atomically
from l2sp.report.records import format_records
from l2sp.report.sources import Nearest, Similarity

__all__ = ["write_choice"]


def write_choice(choice: Choice, root: Path) -> list[Path]:
    """Writes below `root`, a scale's folder of results, and returns the paths.

    `source/`: `<list>.csv` for each list, `similarity.csv`, `origin.json`; `figures/`: `similarity.png`, the matrix of
    families and lists by targets, and `classes.png`, images of the nearest classes. Lists of an earlier choice that
    this one does not make anew are removed.
    """
    from l2sp.report.figures import classes, similarity  # matplotlib takes a second to import

    pictures = {
        name: [(label, load_image(path).permute(1, 2, 0).numpy()) for label, path in row]
        for name, row in choice.samples.items()
    }
    files: dict[str, str | bytes] = {
        f"source/{name}.csv": format_records(Nearest, entries) for name, entries in choice.lists.items()
    }
    files["source/similarity.csv"] = format_records(Similarity, choice.similarities)
    files["source/origin.json"] = json.dumps(choice.origin, indent=1) + "\n"
    files["figures/similarity.png"] = similarity(choice.similarities, root.name)
    files["figures/classes.png"] = classes(pictures)
    for old in set((root / "source").glob("*.csv")) - {root / name for name in files}:
        old.unlink()
    for name, content in files.items():
        write_atomically(root / name, content)
    return [root / name for name in files]
