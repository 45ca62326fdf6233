"""Samples of predictions that runs keep, gathered for a picture: image, truth, both arms side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.report.paper import Paper
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import ARMS, chosen_rows, experiments_of, main_rows, title_of

__all__ = ["CLIP", "PANELS", "STILLS", "SampleSheet", "sample_sheets"]

STILLS, CLIP = re.compile(r"(\d+)"), re.compile(r"clip(\d+)")
"""Names of samples: single items, and the frames of one clip."""

PANELS = ("image", "truth", *ARMS.values())
"""What the files of a line of a sheet show."""


@dataclass(frozen=True)
class SampleSheet:
    """One experiment's samples: a line of files (`PANELS`) each, and the names of its classes, if it has any.

    `title` names the experiment for people; `metric` is what its table shows.
    """

    experiment: str
    title: str
    metric: str
    lines: Sequence[tuple[Path, Path, Path, Path]]
    classes: Sequence[str]


def sample_sheets(
    results: Path, rows: Sequence[Row], paper: Paper, names: re.Pattern[str] = STILLS
) -> list[SampleSheet]:
    """The experiments of whose arms, at their chosen settings, the first common seed's run directories keep samples.

    `names`: which samples, `STILLS` or `CLIP`. Their lines are in the order of the numbers.
    """
    sheets = []
    for name in experiments_of(main_rows(rows), paper):
        arms = _first_pair(rows, name)
        if arms is None:
            continue
        l2, l2_sp = (results / row.folder for row in arms)
        lines = [_line(l2, l2_sp, sample) for sample in _samples(l2, names)]
        whole = [line for line in lines if all(path.is_file() for path in line)]
        if whole:
            title = title_of(name, rows, paper)
            sheets.append(SampleSheet(name, title, arms[0].metric, whole, _classes(l2)))
    return sheets


def _first_pair(rows: Sequence[Row], experiment: str) -> tuple[Row, Row] | None:
    arms = {reg: {row.seed: row for row in chosen_rows(rows, experiment, reg)} for reg in ARMS}
    seeds = sorted(arms["l2"].keys() & arms["l2_sp"].keys())
    return (arms["l2"][seeds[0]], arms["l2_sp"][seeds[0]]) if seeds else None


def _samples(folder: Path, names: re.Pattern[str]) -> list[str]:
    """Names of a run's samples; what is not called as asked is passed over."""
    kept = [path.name.removesuffix("-prediction.png") for path in folder.glob("samples/*-prediction.png")]
    numbers = {name: int(found[1]) for name in kept if (found := names.fullmatch(name))}
    return sorted(numbers, key=lambda name: (numbers[name], name))


def _line(l2: Path, l2_sp: Path, sample: str) -> tuple[Path, Path, Path, Path]:
    image, truth, prediction = (f"samples/{sample}-{kind}.png" for kind in ("image", "truth", "prediction"))
    return l2 / image, l2 / truth, l2 / prediction, l2_sp / prediction


def _classes(folder: Path) -> list[str]:
    try:
        names = json.loads((folder / "env.json").read_text(encoding="utf-8")).get("class_names")
    except (OSError, ValueError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []
