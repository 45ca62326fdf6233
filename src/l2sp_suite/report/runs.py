"""Run directories, on disk or in `runs.zip`, to records. Every directory that gives none is named, with the reason."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from l2sp_suite.report.records import SCHEMAS, hyper_value
from l2sp_suite.report.texts import LOADER
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.run_paths import run_folder

Folder = Path | zipfile.Path
NOT_HYPER = ("name", "penalty", "penalize", "label", "selected")


@dataclass(frozen=True)
class Problem:
    """Something a person should know about one path (relative to the results folder).

    `kind`: unfinished, corrupt, mismatch, vanished, stale or diverged. A `diverged` run still counts as a row; all
    other kinds give none. `vanished` is a line of the earlier `rows.csv` whose run directory is gone; `stale` ones are
    rows that some table does not show any more.
    """

    kind: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.path}: {self.reason}"


@dataclass
class RunRecords:
    """Lines of the files of a scale, by file, and what was wrong with run directories. `layers` has one line a seed."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    provenance: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    hyper: set[str] = field(default_factory=set)


class _UnusableError(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def run_directories(root: Path) -> dict[PurePosixPath, Folder]:
    """The run directories of a scale's folder, by their path in it; those on disk before those of `runs.zip`."""
    folders: dict[PurePosixPath, Folder] = {}
    if (root / "runs.zip").is_file():
        try:
            archive = zipfile.Path(root / "runs.zip").root
        except zipfile.BadZipFile as error:
            raise UserError(f"{root / 'runs.zip'}: damaged ({error}); restore the file") from error
        for name in {name.rpartition("/")[0] for name in archive.namelist() if not name.endswith("/")}:
            folders[PurePosixPath(name)] = zipfile.Path(archive, f"{name}/")
    for pattern in ("runs/*/*/*", "studies/*/*/runs/*/*/*"):
        for path in root.glob(pattern):
            relative = PurePosixPath(path.relative_to(root).as_posix())
            # Hidden ones belong to editors and operating systems.
            if path.is_dir() and not any(part.startswith(".") for part in relative.parts):
                folders[relative] = path
    return folders


def read_runs(results: Path, scale: str) -> RunRecords:
    """Reads every run of `results/<scale>/`, main runs and studies. Never raises for the content of a directory.

    A run counts only if `done.json` and `config.yaml` parse and say the very path that they lie in.
    """
    records = RunRecords()
    for path, folder in sorted(run_directories(results / scale).items()):
        name = f"{scale}/{path}"
        try:
            _read_run(records, path, folder, scale)
        except _UnusableError as error:
            records.problems.append(Problem(error.kind, name, str(error)))
    return records


def _read_run(records: RunRecords, path: PurePosixPath, folder: Folder, scale: str) -> None:
    if not (folder / "done.json").exists():
        raise _UnusableError("unfinished", f"no done.json{_failure(folder)}")
    done = _load(folder / "done.json", json.loads)
    config = _load(folder / "config.yaml", lambda text: yaml.load(text, Loader=LOADER))
    env = _load(folder / "env.json", json.loads) if (folder / "env.json").exists() else {}
    try:
        row, hyper = _row(config, done, env)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _UnusableError("corrupt", f"no key {error}" if isinstance(error, KeyError) else str(error)) from error
    _check_path(path, row, hyper, scale)
    name = f"{scale}/{path}"
    records.hyper |= hyper.keys()
    records.rows.append(row)
    if not math.isfinite(row["value"]):
        records.problems.append(Problem("diverged", name, f"{row['metric']} is {row['value']}"))
    run = {key: row[key] for key in ("experiment", "arm", *hyper, "seed")}
    records.provenance.append({"study": row["study"], **run, **_provenance(env, done)})
    if row["study"]:
        return
    records.data += _sizes(row["experiment"], env)
    if row["selected"]:
        lines, problem = _read_lines(folder / "metrics.jsonl")
        if problem:
            records.problems.append(Problem("corrupt", f"{name}/metrics.jsonl", problem))
        records.curves += [run | point for point in _points(lines)]
        records.layers += [run | layer for layer in _layers(lines)]


def _failure(folder: Folder) -> str:
    # A run that stopped at a non-finite loss looks like a half run, but says why.
    if not (folder / "failed.json").exists():
        return ""
    try:
        return f"; it failed: {_load(folder / 'failed.json', json.loads).get('error')}"
    except _UnusableError as error:
        return f"; {error}"


def _load(path: Folder, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError, zipfile.BadZipFile) as error:
        first_line = str(error).partition("\n")[0]
        raise _UnusableError("corrupt", f"{path.name} cannot be read ({first_line})") from error
    if not isinstance(content, dict):
        raise _UnusableError("corrupt", f"{path.name} holds no mapping")
    return content


def _row(
    config: Mapping[str, Any], done: Mapping[str, Any], env: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, float | str]]:
    """A run's line of rows.csv, and its hyper-parameters, which are columns of that line too."""
    split, metric = str(config["evaluate"]["split"]), str(done["metric"])
    measured, train = done["results"][split], done["results"].get("train") or {}
    value, distance = _number(done["value"]), done.get("distance") or {}
    row, arm = config.get("row") or {}, config["arm"]
    hyper = {name: hyper_value(value) for name, value in sorted(config["reg"].items()) if name not in NOT_HYPER}
    better = done.get("better") or row.get("better")
    other = _number(measured[metric])
    if not (math.isclose(value, other, rel_tol=1e-9) or (value != value and other != other)):
        raise ValueError(f"value {value!r} is not results.{split}.{metric} {measured[metric]!r}")
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}, not higher or lower")
    if not isinstance(arm["selected"], bool):
        raise ValueError(f"arm.selected is {arm['selected']!r}, not true or false")
    if names := sorted(hyper.keys() & SCHEMAS["rows"].keys()):
        raise ValueError(f"a hyper-parameter is called as a column of rows.csv: {', '.join(names)}")
    line = {
        "scale": str(config["scale"]["name"]),
        "study": str(config.get("study") or ""),
        "experiment": str(config["experiment"]),
        "arm": str(config["reg"]["name"]),
        "label": str(arm.get("label") or ""),
        **hyper,
        "lr": _number(config["optim"]["lr"]),
        "selected": arm["selected"],
        "seed": _whole(config["seed"]),
        "steps": _whole(done["steps"]),
        "metric": metric,
        "better": better,
        "split": split,
        "value": value,
        "n": None if measured.get("n") is None else _whole(measured["n"]),
        "train_value": _number(train.get(done.get("train_metric", metric))),
        "distance_w0": _number(distance.get("w0")),
        "distance_zero": _number(distance.get("zero")),
        "config": str(done["config"])[:12],
        "w0": str(env.get("w0", ""))[:12],
        **{name: str(row.get(name) or "") for name in ("approach", "target", "task")},
        "metrics": _pairs({name: number for name, number in measured.items() if name != "n"}),
        "paper": _pairs(config.get("paper") or {}),
    }
    return line, hyper


def _pairs(numbers: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_number(number):.10g}" for name, number in sorted(numbers.items()) if number is not None)


def _number(value: object) -> float:
    # Text too: YAML 1.1 reads 1e-3, without a point, as a string. Null is how some writers put NaN in JSON.
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _whole(value: object) -> int:
    number = _whole_or_none(value)
    if number is None:
        raise ValueError(f"{value!r} is not a whole number")
    return number


def _check_path(path: PurePosixPath, row: Mapping[str, Any], hyper: Mapping[str, float | str], scale: str) -> None:
    # A directory that was copied or renamed by hand would put its numbers into the wrong cell.
    if row["scale"] != scale:
        raise _UnusableError("mismatch", f"scale is {scale!r} by path and {row['scale']!r} by config.yaml")
    expected = run_folder(row["experiment"], row["arm"], hyper, row["seed"], row["study"])
    if path != expected:
        raise _UnusableError("mismatch", f"by its config.yaml it belongs in {scale}/{expected}")
    if not row["study"] and row["split"] == "val":
        raise _UnusableError("mismatch", "a main run evaluated on the validation part; tables report test only")
    if row["study"].partition("/")[0] == "selection" and row["split"] != "val":
        raise _UnusableError("mismatch", f"a selection trial evaluated on {row['split']}, not on the validation part")


# What runs record beside their results, read with suspicion: nonsense is left out, and never stops the report.


def _read_lines(path: Folder) -> tuple[list[dict[str, Any]], str]:
    """The objects in a file of JSON lines, and what is wrong with it: that it is missing, or its first bad line."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, KeyError) as error:
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


def _lenient(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan


def six_digits(value: object) -> float:
    """Digits that are enough for a curve; the file is committed."""
    return float(f"{_lenient(value):.6g}")


def _text(value: object) -> str:
    """A value as text that can be written: JSON can hold halves of characters."""
    return str(value or "").encode("utf-8", "replace").decode()


def _whole_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _points(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for line in lines:
        step = _whole_or_none(line.get("step"))
        if line.get("split") == "fit" and step is not None:
            yield {"step": step, **{k: six_digits(line.get(k)) for k in ("loss", "distance_w0", "distance_zero")}}


def _layers(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The norms of the shared weights that were logged last: ||w - w0||, ||w|| and ||w0||."""
    logged = [line.get("layers") for line in lines if line.get("split") == "layers"]
    for depth, (name, norms) in enumerate(_mapping(logged[-1] if logged else None).items()):
        if name and isinstance(norms, list) and len(norms) == 3:
            names = ("distance_w0", "length", "length_w0")
            yield {"depth": depth, "layer": _text(name), **dict(zip(names, map(_lenient, norms), strict=True))}


def _sizes(experiment: str, env: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a run was trained on (`role`: target), and what its pre-trained weights are from (`role`: their key)."""
    yield _size(experiment, "target", "", env)
    weights = _mapping(env.get("pretrained"))
    if "origin" in weights:  # a task with one file of weights
        weights = {"weights": weights}
    runs = _mapping(env.get("pretrained_runs"))
    for key in sorted({*weights, *runs}):
        run = _mapping(runs.get(key))
        origin = f"{run.get('experiment')} at {run.get('scale')} scale" if run else ""
        yield _size(experiment, key, _text(origin or _mapping(weights.get(key)).get("origin")), run)


def _size(experiment: str, role: str, origin: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    names = counts.get("class_names")
    classes = _whole_or_none(counts.get("classes")) or (len(names) if isinstance(names, list) else None)
    sizes = {
        f"{split}{suffix}": _whole_or_none(_mapping(counts.get(kind)).get(split))
        for kind, suffix in (("images", ""), ("clips", "_clips"))
        for split in ("train", "test")
    }
    return {"experiment": experiment, "role": role, "origin": origin, "classes": classes, **sizes}


def _provenance(env: Mapping[str, Any], done: Mapping[str, Any]) -> dict[str, Any]:
    texts = ("python", "torch", "torchvision", "timm", "platform", "device")
    run = _mapping(_mapping(env.get("pretrained_runs")).get("weights"))
    return {
        **{name: _text(env.get(name)) for name in texts},
        "commit": _text(env.get("commit"))[:12],
        "changed": {True: "yes", False: "no"}.get(env["dirty"], "") if isinstance(env.get("dirty"), bool) else "",
        **{name: _whole_or_none(env.get(name)) for name in ("cpus", "threads")},
        "seconds": _lenient(done.get("seconds")),
        "memory_mb": _whole_or_none(done.get("peak_memory_mb")),
        "w0_classes": _text(run.get("list"))[:12],
    }
