"""How safe is a strong pull, and how wide is the good region: all settings of L2-SP against L2's level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from l2sp_suite.report import captions
from l2sp_suite.report.paper import Paper, Unit
from l2sp_suite.report.rows import Row
from l2sp_suite.report.select import chosen_rows, experiments_of, group, main_rows, setting_order
from l2sp_suite.report.statistics import WORSE, Comparison, Summary, compare, summarise
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.text import DASH, difference, scaled, setting_number

__all__ = ["Sweep", "Tried", "sweeps", "sweeps_table"]


@dataclass(frozen=True)
class Tried:
    """One setting of L2-SP: its runs' metric, and their comparison with the chosen L2 over common seeds.

    A run that diverged leaves the comparison without numbers: such a setting is never good.
    """

    alpha: float
    beta: float
    summary: Summary
    comparison: Comparison


@dataclass(frozen=True)
class Sweep:
    """The settings of L2-SP that one experiment was run with, by rising alpha and beta, and L2's level."""

    experiment: str
    metric: str
    better: str
    level: Summary
    tried: Sequence[Tried]

    def good(self) -> list[Tried]:
        """The settings at least as good as L2, on average over common seeds."""
        return [
            t for t in self.tried if (t.comparison.mean >= 0 if self.better == "higher" else t.comparison.mean <= 0)
        ]


def sweeps(rows: Sequence[Row], paper: Paper) -> list[Sweep]:
    """The experiments with at least three settings of L2-SP that share a seed with their chosen L2 runs."""
    found = []
    for name in experiments_of(main_rows(rows), paper):
        base = chosen_rows(rows, name, "l2")
        mine = [row for row in main_rows(rows) if row.experiment == name and row.reg == "l2_sp"]
        settings = group(mine, lambda row: row.setting)
        tried = []
        for setting in sorted(settings, key=setting_order) if base else ():
            runs = settings[setting]
            comparison = compare(base, runs, base[0].better)
            if comparison.n:
                tried.append(Tried(setting.alpha, setting.beta, summarise([r.value for r in runs]), comparison))
        if len(tried) > 2:
            level = summarise([row.value for row in base])
            found.append(Sweep(name, base[0].metric, base[0].better, level, tried))
    return found


_RATIOS = {"below": "α < β", "equal": "α = β", "above": "α > β"}


def sweeps_table(rows: Sequence[Row], paper: Paper, scale: str) -> Table | None:
    """One line per experiment with several settings, or None without any."""
    header = ["experiment", "settings of L2-SP", "at least as good as L2", "these (α, β)", "clearly worse"]
    header += [f"mean difference, {ratio}" for ratio in _RATIOS.values()]
    heading = f"How strong may the pull be, {captions.scale_note(scale)}"
    table = Table("sweeps", heading, captions.sweeps(), header)
    for sweep in sweeps(rows, paper):
        unit, good = paper.unit(sweep.experiment, sweep.metric), sweep.good()
        worse = sum(t.comparison.verdict == WORSE for t in sweep.tried)
        pairs = ", ".join(f"({setting_number(t.alpha)}, {setting_number(t.beta)})" for t in good)
        cells = [sweep.experiment, str(len(sweep.tried)), str(len(good)), pairs or DASH, str(worse)]
        record: dict[str, Value] = {"scale": scale, "experiment": sweep.experiment, "unit": unit.name}
        record |= {"settings": len(sweep.tried), "good": len(good), "worse": worse}
        for name in _RATIOS:
            alike = [t.comparison.mean for t in sweep.tried if _ratio(t) == name]
            cells.append(_mean(alike, unit))
            record[f"difference_{name}"] = scaled(fmean(alike), unit) if alike else None
        table.add(cells, record)
    return table if table.lines else None


def _ratio(tried: Tried) -> str:
    return "equal" if tried.alpha == tried.beta else "above" if tried.alpha > tried.beta else "below"


def _mean(differences: Sequence[float], unit: Unit) -> str:
    """A mean over those that survived would flatter the settings."""
    lost = sum(not math.isfinite(d) for d in differences)
    if lost:
        return f"diverged ({lost} of {len(differences)})"
    return f"{difference(Comparison(fmean(differences)), unit)} ({len(differences)})" if differences else DASH
