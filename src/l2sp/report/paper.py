"""What the paper printed, read from `results/paper/`; never a source of any number of ours."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from l2sp.errors import UserError

__all__ = ["PERCENT", "PX", "Paper", "PaperRow", "PaperSetting", "Unit", "read_paper"]

_REGS = {"L2": "l2", "L2-SP": "l2_sp"}


@dataclass(frozen=True)
class Unit:
    """How a stored value is printed: times `factor`, with `digits` decimals. A fraction becomes percent."""

    name: str
    factor: float
    digits: int


PERCENT, PX = Unit("percent", 100.0, 2), Unit("px", 1.0, 3)


@dataclass(frozen=True)
class PaperRow:
    """One row of Table 3; `l2` and `l2_sp` are the printed texts, empty for an experiment of our own."""

    experiment: str
    number: str
    approach: str
    target: str
    task: str
    metric: str
    better: str
    unit: Unit
    l2: str
    l2_sp: str


@dataclass(frozen=True)
class PaperSetting:
    """One line of Table 4 or 6: `reg` is `l2` or `l2_sp`; `printed` has the texts (percent) by metric."""

    experiment: str
    reg: str
    alpha: float
    beta: float
    printed: Mapping[str, str]


@dataclass(frozen=True)
class Paper:
    """Table 3 and, by name, the tables of settings as printed; `counterexamples`: what goes against the text."""

    table3: tuple[PaperRow, ...]
    settings: Mapping[str, tuple[PaperSetting, ...]]
    counterexamples: str = ""
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {row.experiment: i for i, row in enumerate(self.table3)})

    def row(self, experiment: str) -> PaperRow | None:
        """The row of Table 3 that an experiment reproduces, or None."""
        place = self._places.get(experiment)
        return None if place is None else self.table3[place]

    def order(self, experiment: str) -> tuple[int, str]:
        """Sort key: the paper's order, then experiments of our own by name."""
        return self._places.get(experiment, len(self.table3)), experiment

    def unit(self, experiment: str, metric: str) -> Unit:
        """How values of `experiment` are printed; without a row of the paper the end-point error is in pixels
        and everything else a fraction."""
        row = self.row(experiment)
        if row is not None:
            return row.unit
        return PX if "epe" in metric.lower() else PERCENT


def read_paper(folder: Path) -> Paper:
    """Reads `table3.csv`, `table4.csv` and `table6.csv` of `folder`.

    Raises `UserError` for a missing file or column, or a value out of its range.
    """
    table3 = [_row(i, line, folder) for i, line in enumerate(_lines(folder / "table3.csv"), 1)]
    experiments = {row.approach: row.experiment for row in reversed(table3)}
    settings = {
        "table4": _settings(folder / "table4.csv", experiments, {"pixacc": "pixAcc", "miou": "mIoU"}),
        "table6": _settings(folder / "table6.csv", experiments, {"accuracy": "accuracy"}),
    }
    return Paper(tuple(table3), settings, _counterexamples(folder / "table4.csv"))


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it ships with the repository, restore it") from error


def _counterexamples(path: Path) -> str:
    lines = _lines(path)
    try:
        l2 = {line["approach"]: line["miou"] for line in lines if line["reg"] == "L2"}
        lower = [line for line in lines if float(line["miou"]) < float(l2[line["approach"]])]
        return "; ".join(
            f"{line['approach']}, {line['reg']} with α={line['alpha']}, β={line['beta']}: "
            f"{line['miou']} mIoU against {l2[line['approach']]} for L2"
            for line in lower
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: bad or missing {error}") from error


def _row(number: int, line: dict[str, str], folder: Path) -> PaperRow:
    try:
        unit = {"percent": PERCENT, "px": PX}[line["unit"]]
        if float(line["factor"]) != unit.factor or line["better"] not in ("higher", "lower"):
            raise ValueError(f"factor {line['factor']}, better {line['better']}")
        texts = (line["approach"], line["target"], line["task"], line["metric"], line["better"])
        return PaperRow(line["experiment"], str(number), *texts, unit, line["L2"], line["L2SP"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{folder / 'table3.csv'}, row {number}: bad or missing {error}") from error


def _settings(path: Path, experiments: Mapping[str, str], metrics: Mapping[str, str]) -> tuple[PaperSetting, ...]:
    """The lines of a table of settings; `metrics` names its columns. Table 6 is about DSTL's first row alone."""
    try:
        return tuple(
            PaperSetting(
                experiments[line.get("approach", "DSTL")],
                _REGS[line["reg"]],
                float(line["alpha"]),
                float(line["beta"]),
                {name: line[column] for column, name in metrics.items()},
            )
            for line in _lines(path)
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: bad or missing {error}") from error
