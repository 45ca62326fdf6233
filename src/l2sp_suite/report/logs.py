"""What runs tell beside their results: curves, layers, data, provenance. Kept as CSV files beside rows.csv."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from l2sp_suite.report.collect import Problem
from l2sp_suite.report.records import EMPTY
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import group

__all__ = ["FILES", "DataSize", "Layer", "Logs", "Point", "Provenance", "read_logs"]

NAN = math.nan


@dataclass(frozen=True)
class Point:
    """One logged step of a chosen main run: loss of the batch, distances of the shared weights from w0 and zero."""

    experiment: str
    reg: str
    alpha: float
    beta: float
    seed: int
    step: int
    loss: float
    distance_w0: float = NAN
    distance_zero: float = NAN

    @property
    def key(self) -> tuple[object, ...]:
        """Order of the file."""
        return self.experiment, self.reg, self.alpha, self.beta, self.seed, self.step


@dataclass(frozen=True)
class Layer:
    """A shared weight at the end of an arm's chosen main runs, mean over `seeds`.

    `depth`: its place in the network; `distance_w0`, `length`, `length_w0`: ||w - w0||, ||w|| and ||w0||.
    """

    experiment: str
    reg: str
    alpha: float
    beta: float
    seeds: int
    depth: int
    layer: str
    distance_w0: float
    length: float
    length_w0: float

    @property
    def key(self) -> tuple[object, ...]:
        """Order of the file."""
        return self.experiment, self.reg, self.alpha, self.beta, self.depth


@dataclass(frozen=True)
class DataSize:
    """What an experiment was trained and evaluated on (`role`: target), or a start of it (`role`: its key).

    `train` and `test` count images, or pairs of frames of so many clips; `origin` says where starting weights are from.
    """

    experiment: str
    role: str
    origin: str = ""
    classes: int | None = None
    train: int | None = None
    test: int | None = None
    train_clips: int | None = None
    test_clips: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Order of the file."""
        return self.experiment, self.role


@dataclass(frozen=True)
class Provenance:
    """What made a run: code (`changed`: yes, if files differed from the commit), versions, machine, seconds.

    `w0_classes`: checksum of the list of classes that its start was pre-trained on; none for all of a data set.
    """

    study: str = field(metadata=EMPTY)
    experiment: str
    reg: str
    alpha: float
    beta: float
    seed: int
    commit: str = ""
    changed: str = ""
    python: str = ""
    torch: str = ""
    torchvision: str = ""
    timm: str = ""
    platform: str = ""
    device: str = ""
    cpus: int | None = None
    threads: int | None = None
    seconds: float = NAN
    memory_mb: int | None = None
    w0_classes: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """Order of the file."""
        return self.study, self.experiment, self.reg, self.alpha, self.beta, self.seed


FILES: Mapping[str, type] = {"curves": Point, "layers": Layer, "data": DataSize, "provenance": Provenance}
"""The kinds of records by the names of their files."""


@dataclass
class Logs:
    """The records of one scale."""

    curves: list[Point] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    data: list[DataSize] = field(default_factory=list)
    provenance: list[Provenance] = field(default_factory=list)


def read_logs(results: Path, rows: Sequence[Row]) -> tuple[Logs, list[Problem]]:
    """The records of those runs, which must have directories, and what could not be read. Never raises for a file."""
    logs, problems = Logs(), []
    layers: list[Layer] = []
    for row in rows:
        env, done = (_read_object(results / row.folder / name) for name in ("env.json", "done.json"))
        logs.provenance.append(_provenance(row, env, done))
        if row.study:
            continue
        logs.data += _sizes(row, env)
        if row.chosen:
            lines, problem = _read_lines(results / row.folder / "metrics.jsonl")
            if problem:
                problems.append(Problem("corrupt", (row.folder / "metrics.jsonl").as_posix(), problem))
            logs.curves += _points(row, lines)
            layers += _layers(row, lines)
    logs.layers = _means(layers)
    logs.data = _first_of_each(logs.data)
    return logs, problems


def _read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty for a file that `collect` has accepted without it, or complained of."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The objects in a file of JSON lines, and what is wrong with it: that it is missing, or its first bad line."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        return [], f"cannot be read ({str(error).partition(chr(10))[0]}): no curves of this run"
    lines, problem = [], ""
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError("no object")
            lines.append(line)
        except (ValueError, RecursionError):
            problem = problem or f"line {number} cannot be read and is left out"
    return lines, problem


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else NAN
    except OverflowError:  # a whole number of hundreds of digits
        return NAN


def _text(value: object) -> str:
    """A value as text that can be written: JSON can hold halves of characters."""
    return str(value or "").encode("utf-8", "replace").decode()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _points(row: Row, lines: Iterable[Mapping[str, Any]]) -> list[Point]:
    names = ("loss", "distance_w0", "distance_zero")
    return [
        Point(row.experiment, row.reg, row.alpha, row.beta, row.seed, step, *(_digits(line.get(n)) for n in names))
        for line in lines
        if line.get("split") == "fit" and (step := _whole(line.get("step"))) is not None
    ]


def _digits(value: object) -> float:
    return float(f"{_number(value):.6g}")  # enough for a curve; the file is committed


def _layers(row: Row, lines: Iterable[Mapping[str, Any]]) -> list[Layer]:
    found = [line.get("layers") for line in lines if line.get("split") == "layers"]
    if not found or not isinstance(found[-1], dict):
        return []
    return [
        Layer(row.experiment, row.reg, row.alpha, row.beta, 1, depth, _text(name), *map(_number, norms))
        for depth, (name, norms) in enumerate(found[-1].items())
        if name and isinstance(norms, list) and len(norms) == 3
    ]


def _means(layers: Iterable[Layer]) -> list[Layer]:
    """Over the seeds of each arm."""
    means = []
    for alike in group(layers, lambda r: (r.experiment, r.reg, r.alpha, r.beta, r.depth, r.layer)).values():
        one = alike[0]
        norms = (_digits(fmean(getattr(r, name) for r in alike)) for name in ("distance_w0", "length", "length_w0"))
        means.append(Layer(one.experiment, one.reg, one.alpha, one.beta, len(alike), one.depth, one.layer, *norms))
    return means


def _sizes(row: Row, env: Mapping[str, Any]) -> list[DataSize]:
    found = [_size(row, "target", "", env)]
    starts = _mapping(env.get("start"))
    if "origin" in starts:  # an approach with one start
        starts = {"weights": starts}
    sources = _mapping(env.get("sources"))
    for key in sorted({*starts, *sources}):
        told = _mapping(sources.get(key))
        pre_training = f"{told.get('experiment')} at {told.get('scale')} scale" if told else ""
        found.append(_size(row, key, _text(pre_training or _mapping(starts.get(key)).get("origin")), told))
    return found


def _size(row: Row, role: str, origin: str, told: Mapping[str, Any]) -> DataSize:
    images, clips, names = (told.get(name) for name in ("images", "clips", "class_names"))
    classes = _whole(told.get("classes")) or (len(names) if isinstance(names, list) else None)
    counts = [_whole(_mapping(part).get(split)) for part in (images, clips) for split in ("train", "test")]
    return DataSize(row.experiment, role, origin, classes, *counts)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_of_each(sizes: Iterable[DataSize]) -> list[DataSize]:
    return [found[0] for found in group(sizes, lambda size: (size.experiment, size.role)).values()]


def _provenance(row: Row, env: Mapping[str, Any], done: Mapping[str, Any]) -> Provenance:
    versions = {name: _text(env.get(name)) for name in ("python", "torch", "torchvision", "timm", "platform")}
    dirty = env.get("dirty")
    return Provenance(
        row.study,
        row.experiment,
        row.reg,
        row.alpha,
        row.beta,
        row.seed,
        commit=_text(env.get("commit"))[:12],
        changed="yes" if dirty is True else "no" if dirty is False else "",
        **versions,
        device=_text(env.get("device")),
        cpus=_whole(env.get("cpus")),
        threads=_whole(env.get("threads")),
        seconds=_number(done.get("seconds")),
        memory_mb=_whole(done.get("peak_memory_mb")),
        w0_classes=_text(_mapping(_mapping(env.get("sources")).get("weights")).get("list"))[:12],
    )
