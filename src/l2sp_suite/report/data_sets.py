"""Tables 1 and 2: what the paper's sources and targets hold officially, and what they hold here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from l2sp_suite.report import captions
from l2sp_suite.report.logs import DataSize
from l2sp_suite.report.paper import Paper, read_lines
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import title_of
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.text import DASH

__all__ = ["table1", "table2"]


def table1(sizes: Sequence[DataSize], folder: Path, scale: str) -> Table:
    """The source data sets, and by which sets and weights they are replaced at this scale.

    `folder` holds the official sizes. Raises `UserError` if they are not there.
    """
    header = ["approach", "source", "classes", "train", "evaluation", f"{captions.ours(scale)}: weights from"]
    header += [f"{captions.ours(scale)} {name}" for name in ("classes", "train", "evaluation")]
    table = Table("table1", f"Table 1 (sources), {captions.scale_note(scale)}", captions.table1(scale), header)
    for line in read_lines(folder / "table1.csv"):
        cells = [line["approach"], line["source"], *(_count(line[name]) for name in ("classes", "train", "evaluation"))]
        for size in _sources(sizes, line["approach"], line["key"]) or [None]:
            table.add([*cells, size.origin if size else DASH, *_ours(size)], _record(line, size, scale))
    return table


def _sources(sizes: Sequence[DataSize], approach: str, key: str) -> Sequence[DataSize | None]:
    """What the experiments of an approach start from, each once."""
    mine = [size for size in sizes if size.role == key and size.experiment.startswith(approach.lower())]
    return list({replace(size, experiment=""): size for size in mine}.values())


def table2(sizes: Sequence[DataSize], rows: Sequence[Row], paper: Paper, folder: Path, scale: str) -> Table:
    """The target data sets: official sizes, and what the runs of this scale were trained and evaluated on."""
    header = ["target", "approach", "classes", "train", "evaluation"]
    header += [f"{captions.ours(scale)} {name}" for name in ("classes", "train", "evaluation")]
    table = Table("table2", f"Table 2 (targets), {captions.scale_note(scale)}", captions.table2(scale), header)
    found = {size.experiment: size for size in sizes if size.role == "target"}
    lines = read_lines(folder / "table2.csv")
    for line in lines:
        size = found.get(line["experiment"])
        official = [_count(line["classes"])]
        official += [_items(line[name], line[f"{name}_clips"]) for name in ("train", "evaluation")]
        table.add([line["target"], line["approach"], *official, *_ours(size)], _record(line, size, scale))
    own = [name for name in sorted(found) if paper.row(name) is None]  # targets that the paper has not
    for name in own:
        approach, _, target = title_of(name, rows, paper).partition(", ")
        line = {"target": target or name, "experiment": name, "approach": approach}
        table.add([line["target"], approach, DASH, DASH, DASH, *_ours(found[name])], _record(line, found[name], scale))
    return table


def _ours(size: DataSize | None) -> list[str]:
    if size is None:
        return [DASH] * 3
    return [_count(size.classes), _items(size.train, size.train_clips), _items(size.test, size.test_clips)]


def _count(number: int | str | None) -> str:
    return f"{int(number):,}" if number else DASH


def _items(number: int | str | None, clips: int | str | None) -> str:
    if not clips or clips == number:  # a pair of frames a clip
        return _count(number)
    told = f"{_count(clips)} {'clip' if int(clips) == 1 else 'clips'}"
    return f"{_count(number)} ({told})" if number else told


def _record(line: dict[str, str], size: DataSize | None, scale: str) -> dict[str, Value]:
    names = ("classes", "train", "test", "train_clips", "test_clips")
    ours = {f"ours_{name}": getattr(size, name, None) for name in names}
    return {"scale": scale, **line, "ours_origin": size.origin if size else "", **ours}
