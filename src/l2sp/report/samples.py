"""Samples of predictions that runs keep, gathered for a picture: image, truth, both arms side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp.report.paper import Paper
from l2sp.report.rows import Row
from l2sp.report.select import ARMS, chosen_rows, experiments_of, main_rows, title_of

__all__ = ["SampleSheet", "sample_sheets"]


@dataclass(frozen=True)
class SampleSheet:
    """One experiment's samples: a line of files (image, truth, L2, L2-SP) each, and the names of its classes.

    `title` names the experiment for people.
    """

    experiment: str
    title: str
    lines: Sequence[tuple[Path, Path, Path, Path]]
    classes: Sequence[str]


def sample_sheets(results: Path, scale: str, rows: Sequence[Row], paper: Paper) -> list[SampleSheet]:
    """The experiments of whose arms, at their chosen settings, the first common seed's run directories keep samples."""
    sheets = []
    for name in experiments_of(main_rows(rows), paper):
        folders = _folders(results, scale, rows, name)
        if folders is None:
            continue
        l2, l2_sp = folders
        numbers = sorted((path.name.partition("-")[0] for path in l2.glob("samples/*-prediction.png")), key=int)
        lines = [_line(l2, l2_sp, number) for number in numbers]
        whole = [line for line in lines if all(path.is_file() for path in line)]
        if whole:
            sheets.append(SampleSheet(name, title_of(name, rows, paper), whole, _classes(l2)))
    return sheets


def _folders(results: Path, scale: str, rows: Sequence[Row], experiment: str) -> tuple[Path, Path] | None:
    arms = {reg: {row.seed: row for row in chosen_rows(rows, experiment, reg)} for reg in ARMS}
    seeds = sorted(arms["l2"].keys() & arms["l2_sp"].keys())
    if not seeds:
        return None
    l2, l2_sp = (_folder(results, scale, arms[reg][seeds[0]]) for reg in ARMS)
    return l2, l2_sp


def _folder(results: Path, scale: str, row: Row) -> Path:
    setting = f"{row.reg}-alpha={row.alpha:g}-beta={row.beta:g}"
    return results / scale / "runs" / row.experiment / setting / f"seed={row.seed}"


def _line(l2: Path, l2_sp: Path, number: str) -> tuple[Path, Path, Path, Path]:
    image, truth, prediction = (f"samples/{number}-{kind}.png" for kind in ("image", "truth", "prediction"))
    return l2 / image, l2 / truth, l2 / prediction, l2_sp / prediction


def _classes(folder: Path) -> list[str]:
    try:
        names = json.loads((folder / "env.json").read_text(encoding="utf-8")).get("class_names")
    except (OSError, ValueError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []
