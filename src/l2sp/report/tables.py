"""Tables 3 and 6: what the paper printed beside what we measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from l2sp.report import captions
from l2sp.report.paper import PX, Paper, PaperRow, PaperSetting, Unit
from l2sp.report.rows import Row
from l2sp.report.select import (
    ARMS,
    chosen_rows,
    experiments_of,
    group,
    main_rows,
    one_setting,
    same_weights,
    setting_order,
    setting_text,
)
from l2sp.report.statistics import VERDICTS, Comparison, Summary, compare, summarise
from l2sp.report.table import Table, Value
from l2sp.report.text import DASH, arm, difference, measured_interval, scaled, setting_number

__all__ = [
    "Pair",
    "comparison_record",
    "pairs",
    "summary_record",
    "table3",
    "table6",
]

CUB = "dstl_cub200"


@dataclass(frozen=True)
class Pair:
    """Both arms of one experiment at their chosen settings. `better` and units are in `row`."""

    row: PaperRow
    l2: Sequence[Row]
    l2_sp: Sequence[Row]
    comparison: Comparison


def pairs(rows: Sequence[Row], paper: Paper) -> list[Pair]:
    """The rows of Table 3 in order: the paper's, with or without runs, then experiments of our own.

    Raises `UserError` if an arm has chosen runs of several settings.
    """
    extra = [name for name in experiments_of(main_rows(rows), paper) if paper.row(name) is None]
    out = []
    for row in [*paper.table3, *(_own_row(name, rows, paper) for name in extra)]:
        l2, l2_sp = (chosen_rows(rows, row.experiment, reg) for reg in ARMS)
        out.append(Pair(row, l2, l2_sp, compare(l2, l2_sp, row.better)))
    return out


def _own_row(experiment: str, rows: Sequence[Row], paper: Paper) -> PaperRow:
    first = next(row for row in main_rows(rows) if row.experiment == experiment)
    unit = paper.unit(experiment, first.metric)
    return PaperRow(experiment, "", "own", experiment, "", first.metric, first.better, unit, "", "")


def summary_record(prefix: str, summary: Summary, unit: Unit) -> dict[str, Value]:
    """Un-rounded mean, standard deviation and n in the printed unit, for the CSV."""
    mean, sd = scaled(summary.mean, unit), scaled(summary.sd, unit)
    return {f"{prefix}_mean": mean, f"{prefix}_sd": sd, f"{prefix}_n": summary.n}


def comparison_record(comparison: Comparison, unit: Unit) -> dict[str, Value]:
    """Un-rounded difference, interval, pairs and verdict in the printed unit, for the CSV."""
    names = {"difference": comparison.mean, "low": comparison.low, "high": comparison.high}
    numbers: dict[str, Value] = {name: scaled(value, unit) for name, value in names.items()}
    return {**numbers, "pairs": comparison.n, "verdict": comparison.verdict}


def table3(rows: Sequence[Row], paper: Paper, scale: str) -> Table:
    """The twelve comparisons of the paper's Table 3 and, beside them, ours at one scale.

    Accuracies, mIoU and IoU in percent, end-point errors in pixels. A cell without runs holds a dash.
    """
    header = ["#", "approach", "target", "task", "metric", "paper L2", "paper L2-SP"]
    header += [f"{scale} L2", f"{scale} L2-SP", "difference", "95 % interval", "verdict"]
    caption = captions.table3(scale, paper.counterexamples)
    table = Table("table3", f"Table 3, {captions.scale_note(scale)}", caption, header)
    all_pairs = pairs(rows, paper)
    for pair in all_pairs:
        row, c = pair.row, pair.comparison
        ours = [arm(_summary(pair.l2), row.unit), arm(_summary(pair.l2_sp), row.unit)]
        printed = [row.number, row.approach, row.target, row.task, row.metric, row.l2, row.l2_sp]
        tail = [difference(c, row.unit), measured_interval(c, row.unit), c.verdict or DASH]
        table.add([text or DASH for text in printed] + ours + tail, _record3(pair, scale))
    table.summary = _summary_lines(all_pairs)
    return table


def _summary(rows: Iterable[Row]) -> Summary:
    return summarise([row.value for row in rows])


def _record3(pair: Pair, scale: str) -> Mapping[str, Value]:
    row = pair.row
    record: dict[str, Value] = {"scale": scale, "number": row.number, "experiment": row.experiment}
    record |= {"metric": row.metric, "unit": row.unit.name, "better": row.better}
    record |= {"paper_l2": row.l2, "paper_l2_sp": row.l2_sp}
    for name, rows in (("l2", pair.l2), ("l2_sp", pair.l2_sp)):
        record |= summary_record(name, _summary(rows), row.unit)
        setting = rows[0].setting if rows else None
        record |= {f"{name}_{key}": getattr(setting, key, None) for key in ("alpha", "beta", "lr", "steps")}
    return record | comparison_record(pair.comparison, row.unit)


def _summary_lines(all_pairs: Sequence[Pair]) -> list[str]:
    compared = [pair for pair in all_pairs if pair.comparison.verdict]
    counts = [f"{sum(p.comparison.verdict == v for p in compared)} {v}" for v in VERDICTS]
    parts = [f"L2-SP against L2, {len(compared)} of {len(all_pairs)} rows compared: {', '.join(counts)}."]
    for flow, name in ((False, "percentage points"), (True, "px of EPE, where negative is better")):
        same_unit = [p for p in compared if (p.row.unit == PX) == flow and math.isfinite(p.comparison.mean)]
        if same_unit:
            unit = same_unit[0].row.unit
            mean = Comparison(math.fsum(p.comparison.mean for p in same_unit) / len(same_unit))
            parts.append(f"Mean paired difference {difference(mean, unit)} {name} (rows: {len(same_unit)}).")
    return [" ".join(parts), *_test_sizes(all_pairs)]


def _test_sizes(all_pairs: Sequence[Pair]) -> list[str]:
    """How many items stand behind each value: a subset must not pass for the whole."""
    sizes = [(pair.row.target, {row.n for row in (*pair.l2, *pair.l2_sp) if row.n}) for pair in all_pairs]
    told = [f"{target} {' or '.join(f'{n:,}' for n in sorted(ns))}" for target, ns in sizes if ns]
    return [f"Test items: {', '.join(told)}."] if told else []


@dataclass(frozen=True)
class _Line6:
    """One line of Table 6: a printed setting, our runs for it (maybe none), and what to remark."""

    reg: str
    alpha: float
    beta: float
    accuracy: str
    rows: Sequence[Row]
    note: str


def table6(rows: Sequence[Row], paper: Paper, scale: str) -> Table:
    """The paper's six settings of alpha and beta on CUB-200, then settings that only we ran.

    Every difference is to the chosen (tuned) L2 setting, or to the paper's own L2 setting where none was
    chosen.
    Raises `UserError` if one pair (alpha, beta) of an arm was run with several learning rates or lengths.
    """
    runs = [row for row in main_rows(rows) if row.experiment == CUB]
    lines = _lines6(runs, paper.table6)
    own = next((line.rows for line in lines if line.reg == "l2" and line.rows), ())
    base = chosen_rows(runs, CUB, "l2") or list(own)
    header = ["regulariser", "α", "β", "paper accuracy", f"{scale} accuracy"]
    header += ["difference to L2", "95 % interval", "verdict", "note"]
    caption = captions.table6(scale, _reference6(base))
    table = Table("table6", f"Table 6 (CUB200), {captions.scale_note(scale)}", caption, header)
    paper_row = paper.row(CUB)
    unit, better = paper.unit(CUB, "accuracy"), paper_row.better if paper_row else "higher"
    for line in lines:
        is_base = bool(base) and bool(line.rows) and base[0].key == line.rows[0].key
        c = Comparison() if is_base else compare(base, line.rows, better)
        cells = [ARMS.get(line.reg, line.reg), setting_number(line.alpha), setting_number(line.beta)]
        cells += [line.accuracy or DASH, arm(_summary(line.rows), unit), difference(c, unit)]
        table.add([*cells, measured_interval(c, unit), c.verdict or DASH, line.note], _record6(line, c, unit, scale))
    return table


def _lines6(runs: Sequence[Row], printed: Sequence[PaperSetting]) -> list[_Line6]:
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
        lines.append(_Line6(s.reg, s.alpha, s.beta, s.accuracy, ours, _note(note, ours)))
    extra = sorted(left.values(), key=lambda found: (found[0].reg, setting_order(found[0].setting)))
    return lines + [_Line6(r[0].reg, r[0].alpha, r[0].beta, "", r, _note("not in the paper", r)) for r in extra]


def _note(note: str, rows: Sequence[Row]) -> str:
    chosen = "chosen on validation" if rows and rows[0].chosen else ""
    return "; ".join(filter(None, [note, chosen]))


def _reference6(base: Sequence[Row]) -> str:
    if not base:
        return "L2, of which there are no runs"
    return f"the L2 runs with {setting_text(base[0].setting)}"


def _record6(line: _Line6, comparison: Comparison, unit: Unit, scale: str) -> Mapping[str, Value]:
    first = line.rows[0].setting if line.rows else None
    record: dict[str, Value] = {"scale": scale, "reg": line.reg, "alpha": line.alpha, "beta": line.beta}
    record |= {"paper": line.accuracy, "unit": unit.name}
    record |= {f"ours_{key}": getattr(first, key, None) for key in ("alpha", "beta", "lr", "steps")}
    record |= summary_record("ours", _summary(line.rows), unit)
    return record | comparison_record(comparison, unit) | {"note": line.note}
