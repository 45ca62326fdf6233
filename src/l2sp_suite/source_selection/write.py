"""What a choice leaves behind: the lists, the similarities, where they are from, and two pictures."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from l2sp_suite.datasets.classification import load_image
from l2sp_suite.report import draw_similarity
from l2sp_suite.source_selection.choose import Choice, Nearest, Similarity
from l2sp_suite.utils.files import write_atomically

__all__ = ["write_choice"]


def write_choice(choice: Choice, root: Path) -> list[Path]:
    """Writes below `root`, a scale's folder of results, and returns the paths.

    `source/`: `<list>.csv` for each list, `similarity.csv`, and then `origin.json`, with the checksums of these, by
    which a reader knows that they belong together; `figures/`: `classes.png`, images of the nearest classes, and
    `similarity.png`, the matrix of families and lists by targets. Other lists stay.
    """
    records = {f"{name}.csv": _csv(entries) for name, entries in choice.lists.items()}
    records["similarity.csv"] = _csv(choice.similarities)
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in records.items()}
    files: dict[str, str | bytes] = {
        "figures/classes.png": _draw_classes(choice.samples),
        **{f"source/{name}": text for name, text in records.items()},
        "source/origin.json": json.dumps({**choice.origin, "files": sums}, indent=1) + "\n",
    }
    for name, content in files.items():
        write_atomically(root / name, content)
    write_atomically(root / "figures/similarity.png", draw_similarity(root))
    return [root / name for name in ("figures/similarity.png", *files)]


def _csv(records: Sequence[Nearest] | Sequence[Similarity]) -> str:
    return pd.DataFrame(map(asdict, records)).to_csv(index=False, float_format="%.10g", lineterminator="\n")


def _draw_classes(samples: Mapping[str, Sequence[tuple[str, Path]]]) -> bytes:
    """For each target a row of images with what they show: its own, then its nearest classes."""
    from matplotlib.figure import Figure  # takes a second to import

    width = max(len(row) for row in samples.values())
    figure = Figure(figsize=(1.2 * width, 1.42 * len(samples)), layout="constrained")
    axes = figure.subplots(len(samples), width, squeeze=False)
    for line, row in zip(axes, samples.values(), strict=True):
        for ax in line:
            ax.set_axis_off()
        for place, (ax, (label, path)) in enumerate(zip(line, row, strict=False)):
            ax.imshow(load_image(path).permute(1, 2, 0).numpy())
            ax.set_title(label, fontsize=7, fontweight="normal" if place else "bold")
    figure.suptitle("Targets (left) and their nearest source classes", fontsize=10)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=80, metadata={"Software": None})
    return out.getvalue()
