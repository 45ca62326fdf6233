"""From run directories to rows. Every directory that gives no row is named, with the reason."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from l2sp_suite.report.rows import Row, to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Problem", "collect", "read_runs"]

Kind = Literal["unfinished", "corrupt", "mismatch", "duplicate", "unexpected", "diverged", "vanished", "stale"]

_SETTING = re.compile(r"(?P<reg>[A-Za-z0-9_]+)-alpha=(?P<alpha>.+)-beta=(?P<beta>.+)")
_SEED = re.compile(r"seed=(\d+)")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast


@dataclass(frozen=True)
class Problem:
    """Something a person should know about one path (relative to the results folder).

    A `diverged` run still counts as a row; all other kinds give none. `vanished` is a line of the earlier
    `rows.csv` whose run directory is gone; `stale` ones are rows that some table does not show any more.
    """

    kind: Kind
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.path}: {self.reason}"


class _UnusableError(Exception):
    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind: Kind = kind


@dataclass(frozen=True)
class _Place:
    """A seed directory and what its path claims."""

    path: Path
    scale: str
    study: str


def collect(results: Path, scale: str) -> tuple[pd.DataFrame, list[Problem]]:
    """Reads every run of `results/<scale>/`: main runs and side studies.

    Returns the finished runs (columns of `rows.csv`, sorted) and the list of what was left out or looks
    wrong. A run counts only if `done.json` and `config.yaml` parse and agree with the path. Never raises for
    the content of a run directory; a scale folder that does not exist gives no rows.
    """
    rows, problems = read_runs(results, scale)
    return to_frame(rows), problems


def read_runs(results: Path, scale: str) -> tuple[list[Row], list[Problem]]:
    """`collect` as typed rows, for use inside the package."""
    rows: dict[tuple[object, ...], Row] = {}
    problems: list[Problem] = []
    for place in _seed_directories(results / scale, scale, problems, results):
        name = place.path.relative_to(results).as_posix()
        try:
            row = _read_run(place)
        except _UnusableError as error:
            problems.append(Problem(error.kind, name, str(error)))
            continue
        if row.key in rows:
            problems.append(Problem("duplicate", name, "another directory holds the same run; that one is used"))
            continue
        rows[row.key] = row
        if not math.isfinite(row.value):
            problems.append(Problem("diverged", name, f"{row.metric} is {row.value}"))
    return sorted(rows.values(), key=lambda row: row.key), problems


def _children(folder: Path) -> list[Path]:
    # Sorted, because file systems list in any order; hidden ones belong to editors and operating systems.
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _seed_directories(root: Path, scale: str, problems: list[Problem], results: Path) -> Iterator[_Place]:
    bases = [(root / "runs", "")]
    for study in _children(root / "studies"):
        bases += [(point / "runs", f"{study.name}/{point.name}") for point in _children(study)]
    for base, study_point in bases:
        for folder in [seed for run in _children(base) for setting in _children(run) for seed in _children(setting)]:
            if _path_claims(folder) is None:
                reason = "expected <reg>-alpha=<a>-beta=<b>/seed=<s>"
                problems.append(Problem("unexpected", folder.relative_to(results).as_posix(), reason))
            else:
                yield _Place(folder, scale, study_point)


def _path_claims(folder: Path) -> tuple[str, float, float, int] | None:
    setting, seed = _SETTING.fullmatch(folder.parent.name), _SEED.fullmatch(folder.name)
    if setting is None or seed is None:
        return None
    try:
        alpha, beta = float(setting["alpha"]), float(setting["beta"])
    except ValueError:
        return None
    return (setting["reg"], alpha, beta, int(seed[1])) if math.isfinite(alpha + beta) else None


def _read_run(place: _Place) -> Row:
    if not (place.path / "done.json").exists():
        raise _UnusableError("unfinished", f"no done.json{_failure(place.path)}")
    done = _load(place.path / "done.json", json.loads)
    config = _load(place.path / "config.yaml", lambda text: yaml.load(text, Loader=_LOADER))
    env = _load(place.path / "env.json", json.loads) if (place.path / "env.json").exists() else {}
    try:
        row = _make_row(place, config, done, env)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise _UnusableError("corrupt", reason) from error
    _check_path(place, row, str(config.get("study") or ""))
    return row


def _failure(folder: Path) -> str:
    # A run that stopped at a non-finite loss looks like a half run, but says why.
    if not (folder / "failed.json").exists():
        return ""
    try:
        return f"; it failed: {_load(folder / 'failed.json', json.loads).get('error')}"
    except _UnusableError as error:
        return f"; {error}"


def _load(path: Path, parse: Any) -> Mapping[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        first_line = str(error).partition("\n")[0]
        raise _UnusableError("corrupt", f"{path.name} cannot be read ({first_line})") from error
    if not isinstance(content, dict):
        raise _UnusableError("corrupt", f"{path.name} holds no mapping")
    return content


def _make_row(place: _Place, config: Mapping[str, Any], done: Mapping[str, Any], env: Mapping[str, Any]) -> Row:
    reg, split, metric = config["reg"], str(config["evaluate"]["split"]), str(done["metric"])
    measured, train = done["results"][split], done["results"].get("train") or {}
    value, distance = _number(done["value"]), done.get("distance") or {}
    if not _same(value, _number(measured[metric])):
        raise ValueError(f"value {value!r} is not results.{split}.{metric} {measured[metric]!r}")
    better = config["row"]["better"]
    if better not in ("higher", "lower"):
        raise ValueError(f"row.better is {better!r}, not higher or lower")
    if not isinstance(config["chosen"], bool):
        raise ValueError(f"chosen is {config['chosen']!r}, not true or false")
    return Row(
        scale=str(config["scale"]["name"]),
        study=place.study,
        experiment=str(config["experiment"]),
        reg=str(reg["name"]),
        alpha=_number(reg["alpha"]),
        beta=_number(reg["beta"]),
        lr=_number(config["optim"]["lr"]),
        chosen=config["chosen"],
        seed=_whole(config["seed"]),
        steps=_whole(done["steps"]),
        metric=metric,
        better=better,
        split=split,
        value=value,
        n=None if measured.get("n") is None else _whole(measured["n"]),
        train_value=_number(train.get(done.get("train_metric", metric), math.nan)),
        distance_w0=_number(distance.get("w0", math.nan)),
        distance_zero=_number(distance.get("zero", math.nan)),
        config=str(done["config"])[:12],
        w0=str(env.get("w0", ""))[:12],
        **{name: str(config["row"].get(name, "")) for name in ("approach", "target", "task")},
        metrics=" ".join(f"{name}={_number(x):.10g}" for name, x in sorted(measured.items()) if name != "n"),
    )


def _number(value: object) -> float:
    # Text too: YAML 1.1 reads 1e-3, without a point, as a string. Null is how some writers put NaN in JSON.
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _same(a: float, b: float, tolerance: float = 1e-9) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance)


def _check_path(place: _Place, row: Row, study: str) -> None:
    # A directory that was copied or renamed by hand would put its numbers into the wrong cell.
    claims = _path_claims(place.path)
    assert claims is not None
    reg, alpha, beta, seed = claims
    checks = {
        "scale": (place.scale, row.scale),
        "study": (place.study, study),
        "experiment": (place.path.parent.parent.name, row.experiment),
        "reg": (reg, row.reg),
        "seed": (seed, row.seed),
        # Names of directories hold six digits.
        "alpha": (alpha, alpha if _same(alpha, row.alpha, 1e-5) else row.alpha),
        "beta": (beta, beta if _same(beta, row.beta, 1e-5) else row.beta),
    }
    for name, (path_says, config_says) in checks.items():
        if path_says != config_says:
            raise _UnusableError("mismatch", f"{name} is {path_says!r} by path and {config_says!r} by config.yaml")
    if not row.study and row.split == "val":
        raise _UnusableError("mismatch", "a main run evaluated on the validation part; tables report test only")
    if row.study_name == "selection" and row.split != "val":
        raise _UnusableError("mismatch", f"a selection trial evaluated on {row.split}, not on the validation part")
