"""Table 3: what the paper printed beside what we measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from l2sp_suite.report import captions
from l2sp_suite.report.paper import PX, Paper, PaperRow, Unit
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import ARMS, chosen_rows, experiments_of, main_rows
from l2sp_suite.report.statistics import VERDICTS, Comparison, Summary, compare, sign_test, summarise
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.text import DASH, arm, difference, measured_interval, scaled

__all__ = ["Pair", "claims", "comparison_record", "measured", "pairs", "summary_record", "table3"]


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
    texts = (first.approach or "own", first.target or experiment, first.task, first.metric, first.better)
    return PaperRow(experiment, "", *texts, unit, "", "")


def measured(rows: Sequence[Row], metric: str) -> Summary:
    """Mean and spread of a metric over those of the runs that measured it."""
    found = [row.measured(metric) for row in rows]
    return summarise([value for value in found if value is not None])


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
    header += [f"{captions.ours(scale)} L2", f"{captions.ours(scale)} L2-SP", "difference", "95 % interval", "verdict"]
    caption = captions.table3(scale, paper.counterexamples)
    table = Table("table3", f"Table 3, {captions.scale_note(scale)}", caption, header)
    all_pairs = pairs(rows, paper)
    for pair in all_pairs:
        row, c = pair.row, pair.comparison
        ours = [arm(_summary(pair.l2), row.unit), arm(_summary(pair.l2_sp), row.unit)]
        printed = [row.number, captions.marked(row.approach), row.target, row.task, row.metric, row.l2, row.l2_sp]
        tail = [difference(c, row.unit), measured_interval(c, row.unit), c.verdict or DASH]
        table.add([text or DASH for text in printed] + ours + tail, _record3(pair, scale))
    table.summary = [*claims(all_pairs), *_test_sizes(all_pairs)]
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


def claims(all_pairs: Sequence[Pair]) -> list[str]:
    """What the rows say together, a sentence or two each: verdicts and mean differences, and the paper's claim."""
    compared = [pair for pair in all_pairs if pair.comparison.verdict]
    counts = [f"{sum(p.comparison.verdict == v for p in compared)} {v}" for v in VERDICTS]
    parts = [f"L2-SP against L2, {len(compared)} of {len(all_pairs)} rows compared: {', '.join(counts)}."]
    for flow, name in ((False, "percentage points"), (True, "px of EPE, where negative is better")):
        same_unit = [p for p in compared if (p.row.unit == PX) == flow and math.isfinite(p.comparison.mean)]
        if same_unit:
            unit = same_unit[0].row.unit
            mean = Comparison(math.fsum(p.comparison.mean for p in same_unit) / len(same_unit))
            parts.append(f"Mean paired difference {difference(mean, unit)} {name} (rows: {len(same_unit)}).")
    return [" ".join(parts), *_signs(compared)]


def _signs(compared: Sequence[Pair]) -> list[str]:
    """The paper's overall claim as a sign test over the rows that several seeds stand behind."""
    several = [pair for pair in compared if pair.comparison.n > 1 and math.isfinite(pair.comparison.mean)]
    signs = [(p.comparison.mean > 0) == (p.row.better == "higher") for p in several if p.comparison.mean]
    wins, losses = signs.count(True), signs.count(False)
    if not wins + losses:
        return []
    left = len(compared) - wins - losses
    without = f" ({left} left out: one seed, diverged, or no difference)" if left else ""
    return [
        f"L2-SP is ahead on average in {wins} of {wins + losses} rows with several seeds{without}: two-sided sign "
        f"test, p = {sign_test(wins, losses):.2g}, as if rows were independent, which those with one start are not."
    ]


def _test_sizes(all_pairs: Sequence[Pair]) -> list[str]:
    """How many items stand behind each value: a subset must not pass for the whole."""
    sizes = [(pair.row.target, {row.n for row in (*pair.l2, *pair.l2_sp) if row.n}) for pair in all_pairs]
    told = [f"{target} {' or '.join(f'{n:,}' for n in sorted(ns))}" for target, ns in sizes if ns]
    return [f"Test items: {', '.join(told)}."] if told else []
