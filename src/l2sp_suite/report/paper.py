"""What the paper printed, read from `results/paper/`; never a source of any number of ours."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from l2sp_suite.utils.errors import UserError

__all__ = ["PERCENT", "PX", "Paper", "PaperRow", "PaperSetting", "Unit", "read_lines", "read_paper"]

_REGS = {"L2": "l2", "L2-SP": "l2_sp"}
_FLOW_SETS = ("monkaa_clean", "monkaa_final", "driving_clean", "driving_final")  # the columns of Table 5
_FLOW_ALPHA = {"L2-SP": "0.1"}  # Table 5's own caption; L2's is not printed

Line = Mapping[str, str]


@dataclass(frozen=True)
class Unit:
    """How a stored value is printed: times `factor`, with `digits` decimals. A fraction becomes percent."""

    name: str
    factor: float
    digits: int


PERCENT, PX = Unit("percent", 100.0, 2), Unit("px", 1.0, 3)


@dataclass(frozen=True)
class PaperRow:
    """One row of Table 3; `l2` and `l2_sp` are the printed texts, empty for an experiment that it does not have."""

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
    """One experiment's line of Table 4, 5 or 6: `reg` is `l2` or `l2_sp`; `printed` has the texts by metric.

    Texts are in percent, or in pixels for the end-point error. What the paper does not print of L2's `alpha` and `beta`
    is NaN.
    """

    experiment: str
    reg: str
    alpha: float
    beta: float
    printed: Mapping[str, str]


@dataclass(frozen=True)
class Paper:
    """Table 3 and, by name, the tables of settings as printed; `counterexamples`: what goes against the text.

    `rows`: those of Table 3 and, among them, of the experiments that Table 5 alone has.
    """

    table3: tuple[PaperRow, ...]
    rows: tuple[PaperRow, ...]
    settings: Mapping[str, tuple[PaperSetting, ...]]
    counterexamples: str = ""
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {row.experiment: i for i, row in enumerate(self.rows)})

    def row(self, experiment: str) -> PaperRow | None:
        """What an experiment reproduces, a row of Table 3 or a set of Table 5, or None for one of our own."""
        place = self._places.get(experiment)
        return None if place is None else self.rows[place]

    def order(self, experiment: str) -> tuple[int, str]:
        """Sort key: the paper's order, then experiments of our own by name."""
        return self._places.get(experiment, len(self.rows)), experiment

    def unit(self, experiment: str, metric: str) -> Unit:
        """How values of `experiment` are printed; without a row of the paper the end-point error is in pixels
        and everything else a fraction."""
        row = self.row(experiment)
        if row is not None:
            return row.unit
        return PX if "epe" in metric.lower() else PERCENT


def read_paper(folder: Path) -> Paper:
    """Reads `table3.csv` to `table6.csv` of `folder`.

    Raises `UserError` for a missing file or column, or a value out of its range.
    """
    table3 = [_row(i, line, folder) for i, line in enumerate(read_lines(folder / "table3.csv"), 1)]
    experiments = {row.approach: row.experiment for row in reversed(table3)}
    scenes, birds = {"pixAcc": "pixacc", "mIoU": "miou"}, {"accuracy": "accuracy"}
    flows = {f"segflow_{name}": {"EPE": name} for name in _FLOW_SETS}
    settings = {
        "table4": _settings(folder / "table4.csv", lambda line: {experiments[line["approach"]]: scenes}),
        "table5": _settings(folder / "table5.csv", lambda line: flows, _FLOW_ALPHA),
        "table6": _settings(folder / "table6.csv", lambda line: {experiments["DSTL"]: birds}),
    }
    rows = _with_flows(table3, list(flows), folder)
    return Paper(tuple(table3), rows, settings, _counterexamples(folder / "table4.csv"))


def _with_flows(table3: Sequence[PaperRow], flows: Sequence[str], folder: Path) -> tuple[PaperRow, ...]:
    """Table 3's rows; those of Table 5's sets, which it has in part, become all of them."""
    known = {row.experiment: row for row in table3 if row.experiment in flows}
    if not known:
        raise UserError(f"{folder / 'table3.csv'}: bad or missing experiments: none of Table 5's sets is there")
    like = next(iter(known.values()))
    names = {name: name.removeprefix("segflow_").replace("_", " ").title() for name in flows}
    new = {name: replace(like, experiment=name, number="", target=names[name], l2="", l2_sp="") for name in flows}
    first = table3.index(like)
    rest = [row for row in table3[first:] if row.experiment not in known]
    return (*table3[:first], *(known.get(name, new[name]) for name in flows), *rest)


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of one printed table. Raises `UserError` if it is not there."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it ships with the repository, restore it") from error


def _counterexamples(path: Path) -> str:
    lines = read_lines(path)
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


def _settings(
    path: Path, cells: Callable[[Line], Mapping[str, Mapping[str, str]]], alphas: Line | None = None
) -> tuple[PaperSetting, ...]:
    """The lines of a table of settings.

    Args:
        path: the table.
        cells: says of a line which experiments it is about, and in which column each of their metrics stands.
        alphas: what alpha is, by regulariser, in a table without a column for it.
    """
    try:
        return tuple(
            PaperSetting(
                experiment,
                _REGS[line["reg"]],
                _weight(line["reg"], line["alpha"] if alphas is None else alphas.get(line["reg"], "")),
                _weight(line["reg"], line["beta"]),
                {metric: line[column] for metric, column in columns.items()},
            )
            for line in read_lines(path)
            for experiment, columns in cells(line).items()
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: bad or missing {error}") from error


def _weight(reg: str, text: str) -> float:
    return math.nan if reg == "L2" and text == "" else float(text)
