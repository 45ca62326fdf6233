"""Tables 4, 5 and 6: the paper's settings of alpha and beta, what it printed and what we measured with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from l2sp_suite.report import captions
from l2sp_suite.report.paper import Paper, PaperRow, PaperSetting, Unit
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import (
    ARMS,
    chosen_rows,
    group,
    main_rows,
    one_setting,
    same_weights,
    setting_order,
    setting_text,
)
from l2sp_suite.report.statistics import Comparison, compare
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.tables import comparison_record, measured, summary_record
from l2sp_suite.report.text import DASH, arm, difference, measured_interval, setting_number

__all__ = ["SETTINGS_TABLES", "settings_table"]

SETTINGS_TABLES: Mapping[str, str] = {
    "table4": "Table 4 (PASCAL-Context)",
    "table5": "Table 5 (optical flow)",
    "table6": "Table 6 (CUB200)",
}
"""Titles of the tables of settings by name."""


@dataclass(frozen=True)
class _Line:
    """One setting: as printed (`printed` is empty where only we ran it), our runs (maybe none), what to remark."""

    setting: PaperSetting
    rows: Sequence[Row]
    note: str


def settings_table(name: str, rows: Sequence[Row], paper: Paper, scale: str) -> Table:
    """The settings that the paper printed, then those that only we ran, by experiment.

    The last printed metric is the one that is compared. Every difference is to the experiment's chosen (tuned) L2
    setting, or to the paper's own L2 setting where none was chosen.
    Raises `UserError` if one pair (alpha, beta) of an arm was run with several learning rates or lengths.
    """
    printed = paper.settings[name]
    metrics = list(printed[0].printed)
    experiments = list(dict.fromkeys(setting.experiment for setting in printed))
    named = _told_apart_by([_row(experiment, paper) for experiment in experiments])
    header = [
        *named,
        "regulariser",
        "α",
        "β",
        *(f"paper {m}" for m in metrics),
        *(f"{captions.ours(scale)} {m}" for m in metrics),
    ]
    header += [f"{metrics[-1]} difference to L2", "95 % interval", "verdict", "note"]
    bases, lines = {}, []
    for experiment in experiments:
        runs = [row for row in main_rows(rows) if row.experiment == experiment]
        own = _lines(runs, [setting for setting in printed if setting.experiment == experiment])
        bases[experiment] = chosen_rows(runs, experiment, "l2") or _first_l2(own)
        lines += own
    seeds = [len(line.rows) for line in lines if line.rows]
    references = [_reference(base) for base in bases.values() if base] or ["L2, of which there are no runs"]
    caption = captions.settings(name, scale, references, seeds)
    table = Table(name, f"{SETTINGS_TABLES[name]}, {captions.scale_note(scale)}", caption, header)
    for line in lines:
        row = _row(line.setting.experiment, paper)
        cells = [str(getattr(row, name)) for name in named]
        _add(table, cells, line, bases[line.setting.experiment], row, metrics, scale)
    return table


def _row(experiment: str, paper: Paper) -> PaperRow:
    row = paper.row(experiment)
    assert row is not None  # the settings' experiments are those of Tables 3 and 5
    return row


def _told_apart_by(rows: Sequence[PaperRow]) -> list[str]:
    """The column that a table of several experiments needs: their approach or, where all have one, their target."""
    if len(rows) < 2:
        return []
    return ["approach"] if len({row.approach for row in rows}) > 1 else ["target"]


def _first_l2(lines: Sequence[_Line]) -> list[Row]:
    return list(next((line.rows for line in lines if line.setting.reg == "l2" and line.rows), ()))


def _add(
    table: Table,
    cells: list[str],
    line: _Line,
    base: Sequence[Row],
    row: PaperRow,
    metrics: Sequence[str],
    scale: str,
) -> None:
    setting = line.setting
    is_base = bool(base) and bool(line.rows) and base[0].key == line.rows[0].key
    c = Comparison() if is_base else compare(base, line.rows, row.better)
    cells += [ARMS[setting.reg], setting_number(setting.alpha), setting_number(setting.beta)]
    cells += [setting.printed.get(metric) or DASH for metric in metrics]
    cells += [arm(measured(line.rows, metric), row.unit) for metric in metrics]
    cells += [difference(c, row.unit), measured_interval(c, row.unit), c.verdict or DASH, line.note]
    table.add(cells, _record(line, c, row.unit, metrics, scale))


def _lines(runs: Sequence[Row], printed: Sequence[PaperSetting]) -> list[_Line]:
    left = {key: one_setting(found) for key, found in group(runs, lambda r: (r.reg, r.alpha, r.beta)).items()}
    lines = []
    for s in printed:
        key = next(
            (k for k, found in left.items() if k[0] == s.reg and same_weights(found[0], s.alpha, s.beta)),
            None,
        )
        ours, note = (left.pop(key), "") if key else ([], "")
        if not ours and s.reg == "l2":
            # The paper's weight decay fits the paper's scale; ours was chosen on our validation part.
            key = next((k for k, found in left.items() if k[0] == "l2" and found[0].chosen), None)
            ours = left.pop(key) if key else []
            note = f"ours with {setting_text(ours[0].setting)}" if ours else ""
        lines.append(_Line(s, ours, _note(note, ours)))
    extra = sorted(left.values(), key=lambda found: (found[0].reg, setting_order(found[0].setting)))
    return lines + [_Line(_unprinted(found[0]), found, _note("not in the paper", found)) for found in extra]


def _unprinted(row: Row) -> PaperSetting:
    return PaperSetting(row.experiment, row.reg, row.alpha, row.beta, {})


def _note(note: str, rows: Sequence[Row]) -> str:
    chosen = "chosen" if rows and rows[0].chosen else ""
    return "; ".join(filter(None, [note, chosen]))


def _reference(base: Sequence[Row]) -> str:
    return f"the L2 runs with {setting_text(base[0].setting)}"


def _record(line: _Line, c: Comparison, unit: Unit, metrics: Sequence[str], scale: str) -> Mapping[str, Value]:
    setting, first = line.setting, line.rows[0].setting if line.rows else None
    record: dict[str, Value] = {"scale": scale, "experiment": setting.experiment, "reg": setting.reg}
    record |= {"alpha": setting.alpha, "beta": setting.beta, "unit": unit.name}
    record |= {f"ours_{key}": getattr(first, key, None) for key in ("alpha", "beta", "lr", "steps")}
    for metric in metrics:
        record |= {f"paper_{metric}": setting.printed.get(metric, "")}
        record |= summary_record(f"ours_{metric}", measured(line.rows, metric), unit)
    return record | comparison_record(c, unit) | {"note": line.note}
