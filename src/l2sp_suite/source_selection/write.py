"""The files of a source selection: lists, similarities, origin, and a picture of the nearest classes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from l2sp_suite.datasets import load_image
from l2sp_suite.report import draw_similarity
from l2sp_suite.source_selection.nearest import Nearest
from l2sp_suite.source_selection.select import Selection, Similarity
from l2sp_suite.utils.files import csv_text, write_atomically

__all__ = ["write_selection"]


def write_selection(selection: Selection, root: Path) -> list[Path]:
    """Writes below `root`, a scale's folder of results, and returns the paths.

    `source/<list>.csv` for each list, `source/similarity.csv`, `figures/classes.png`, and `source/origin.json`, with
    the checksums of the CSV files, by which a reader knows that they belong together; last `figures/similarity.png`,
    the matrix of superclasses and lists by targets. Other lists stay.
    """
    records = {f"{name}.csv": _list_text(entries) for name, entries in selection.lists.items()}
    columns = [item.name for item in fields(Similarity)]
    records["similarity.csv"] = csv_text(columns, map(astuple, selection.similarities))
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in records.items()}
    files: dict[str, str | bytes] = {
        "figures/classes.png": _draw(selection.samples),
        **{f"source/{name}": text for name, text in records.items()},
        "source/origin.json": json.dumps({**selection.origin, "files": sums}, indent=1) + "\n",
    }
    for name, content in files.items():
        write_atomically(root / name, content)
    write_atomically(root / "figures" / "similarity.png", draw_similarity(root))
    return [*(root / name for name in files), root / "figures" / "similarity.png"]


def _list_text(entries: Sequence[Nearest]) -> str:
    lines = ((e.target, e.rank, e.source, e.label, e.superclass, e.similarity, e.images) for e in entries)
    return csv_text(("target", "rank", "source", "label", "family", "similarity", "images"), lines)


def _draw(samples: Mapping[str, Sequence[tuple[str, Path]]]) -> bytes:
    """For each target a row of images with their labels: its own, then its nearest classes."""
    from matplotlib.figure import Figure  # takes a second to import

    width = max(len(row) for row in samples.values())
    figure = Figure(figsize=(1.2 * width, 1.42 * len(samples)), layout="constrained")
    axes = figure.subplots(len(samples), width, squeeze=False)
    for line, row in zip(axes, samples.values(), strict=True):
        for ax in line:
            ax.set_axis_off()
        for index, (ax, (label, path)) in enumerate(zip(line, row, strict=False)):
            ax.imshow(load_image(path).permute(1, 2, 0).numpy())
            ax.set_title(label, fontsize=7, fontweight="normal" if index else "bold")
    figure.suptitle("Targets (left) and their nearest source classes", fontsize=10)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=80, metadata={"Software": None})  # bytes that depend on the data alone
    return out.getvalue()
