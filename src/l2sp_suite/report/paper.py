"""What the paper printed, read from `results/paper/`; never a source of any number of ours."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from l2sp_suite.report.texts import unit_of, words
from l2sp_suite.utils.errors import UserError

HYPER = ("alpha", "beta")
"""The hyper-parameters that the paper's tables of settings print."""


@dataclass(frozen=True)
class PaperRow:
    """A row of Table 3, or what stands for one: `printed` has the paper's texts by arm, e.g. `{"l2": "88.47"}`."""

    experiment: str
    number: str
    approach: str
    target: str
    task: str
    metric: str
    better: str
    printed: Mapping[str, str]


@dataclass(frozen=True)
class PaperSetting:
    """One experiment's line of Table 4, 5 or 6: an arm, its hyper-parameters, and the printed texts by metric.

    Texts are in percent, or in pixels for the end-point error. What is not printed of a hyper-parameter is NaN.
    """

    experiment: str
    arm: str
    hyper: Mapping[str, Any]
    printed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    """Table 3 and, by name, the tables of settings as printed; `folder` has the CSV files.

    `rows`: those of Table 3 and, among them, of the experiments that the tables of settings alone have.
    """

    folder: Path
    table3: tuple[PaperRow, ...]
    rows: Mapping[str, PaperRow]
    settings: Mapping[str, tuple[PaperSetting, ...]]

    def order(self, experiment: str) -> tuple[int, str]:
        """Sort key: the paper's order, then experiments of our own by name."""
        names = list(self.rows)
        return names.index(experiment) if experiment in self.rows else len(names), experiment


def read_paper(folder: Path) -> Paper:
    """Reads `table3.csv` to `table6.csv` of `folder`.

    Raises:
        UserError: a missing file or column, or a value out of its range.
    """
    table3 = tuple(_row(number, line, folder) for number, line in enumerate(read_lines(folder / "table3.csv"), 1))
    rows = {row.experiment: row for row in table3}
    settings = {}
    for name, table in words("paper")["settings"].items():
        rows = _with_others(rows, table["lines"], folder)
        settings[name] = tuple(_settings(folder / f"{name}.csv", table))
    return Paper(folder, table3, rows, settings)


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of one printed table. Raises `UserError` if it is not there."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it ships with the repository, restore it") from error


def _row(number: int, line: dict[str, str], folder: Path) -> PaperRow:
    try:
        unit = unit_of(line["metric"])
        if (line["unit"], float(line["factor"])) != (unit.name, unit.factor):
            raise ValueError(f"unit {line['unit']}, factor {line['factor']}")
        if line["better"] not in ("higher", "lower"):
            raise ValueError(f"better {line['better']}")
        texts = {name: line[name] for name in ("approach", "target", "task", "metric", "better")}
        printed = {arm: line[column] for column, arm in words("paper")["arms"].items() if column in line}
        return PaperRow(line["experiment"], str(number), **texts, printed=printed)
    except (KeyError, ValueError) as error:
        raise UserError(f"{folder / 'table3.csv'}, row {number}: bad or missing {error}") from error


def _with_others(rows: dict[str, PaperRow], lines: Sequence[Any], folder: Path) -> dict[str, PaperRow]:
    """The rows and, beside those of the same table of settings, the experiments that it alone has."""
    names = [line["experiment"] for line in lines]
    known = [name for name in rows if name in names]
    like = {line["experiment"]: line.get("like", line["experiment"]) for line in lines}
    if missing := sorted({name for name in like.values() if name not in rows}):
        raise UserError(f"{folder / 'table3.csv'}: bad or missing experiments: {', '.join(missing)}")
    new = {
        line["experiment"]: replace(
            rows[line["like"]], experiment=line["experiment"], number="", target=line["target"], printed={}
        )
        for line in lines
        if line["experiment"] not in rows
    }
    order = [name for name in rows if name not in known]
    order[list(rows).index(known[0]) : 0] = names if new else known
    return {name: rows.get(name) or new[name] for name in order} if new else rows


def _settings(path: Path, table: Mapping[str, Any]) -> Iterator[PaperSetting]:
    """The lines of a table of settings, see configs/report/paper.yaml."""
    try:
        for line in read_lines(path):
            given = line | ({"alpha": table["alpha"][line["reg"]]} if "alpha" in table else {})
            bare = line["reg"] in table.get("not_printed", ())
            hyper = {name: math.nan if bare and not given[name] else float(given[name]) for name in HYPER}
            arm = words("paper")["arms"][line["reg"]]
            for part in table["lines"]:
                if any(line[column] != value for column, value in part.get("where", {}).items()):
                    continue
                printed = {metric: line[column] for metric, column in part["metrics"].items()}
                yield PaperSetting(part["experiment"], arm, hyper, printed)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: bad or missing {error}") from error
