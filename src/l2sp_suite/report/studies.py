"""Tables of the side studies and of settings beyond the chosen ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from l2sp_suite.report import captions
from l2sp_suite.report.paper import Paper
from l2sp_suite.report.rows import Row, Setting
from l2sp_suite.report.select import (
    ARMS,
    chosen_rows,
    experiments_of,
    group,
    main_rows,
    one_setting,
    setting_order,
    study_rows,
)
from l2sp_suite.report.statistics import Comparison, Summary, compare, summarise
from l2sp_suite.report.table import Table, Value
from l2sp_suite.report.tables import comparison_record, measured, summary_record
from l2sp_suite.report.text import DASH, arm, difference, measured_interval, plain, setting_number

__all__ = ["Rung", "alpha", "flow", "ladder", "learning_rate", "regime", "selection"]


@dataclass(frozen=True)
class Rung:
    """Both arms of one experiment at one learning rate; either may be empty."""

    experiment: str
    lr: float
    l2: Sequence[Row]
    l2_sp: Sequence[Row]


def ladder(rows: Sequence[Row], paper: Paper) -> list[Rung]:
    """The learning-rate study, by experiment and rising learning rate.

    An arm has its chosen alpha and beta where runs of it exist, else the only setting it was run with;
    several raise `UserError`. Where the study has no run of an arm at the experiment's own learning rate,
    the main runs of that arm (same number of steps, from the same starting point) take the place.
    """
    study = study_rows(rows, "learning_rate")
    rungs = []
    for name in experiments_of(study, paper):
        mine = [row for row in study if row.experiment == name]
        arms = {reg: _arm_ladder(mine, chosen_rows(rows, name, reg), reg) for reg in ARMS}
        for lr in sorted({lr for by_lr in arms.values() for lr in by_lr}):
            rungs.append(Rung(name, lr, arms["l2"].get(lr, []), arms["l2_sp"].get(lr, [])))
    return rungs


def _arm_ladder(study: Sequence[Row], main: Sequence[Row], reg: str) -> dict[float, list[Row]]:
    arm_rows = [row for row in study if row.reg == reg]
    arm_rows = [row for row in arm_rows if row.chosen] or arm_rows
    by_lr = {lr: one_setting(found) for lr, found in group(arm_rows, lambda row: row.lr).items()}
    alike = {(row.steps, row.w0) for row in study}
    for lr, found in group([row for row in main if (row.steps, row.w0) in alike], lambda row: row.lr).items():
        by_lr.setdefault(lr, found)
    return by_lr


def _table(name: str, title: str, scale: str, caption: str, header: Sequence[str]) -> Table:
    return Table(name, f"{title}, {captions.scale_note(scale)}", caption, header)


def _value(rows: Sequence[Row]) -> Summary:
    return summarise([row.value for row in rows])


def _mean(rows: Sequence[Row], get: Callable[[Row], float]) -> float:
    return fmean(get(row) for row in rows) if rows else float("nan")


def _distance(rows: Sequence[Row]) -> str:
    mean = _mean(rows, lambda row: row.distance_w0)
    return f"{mean:.2f}" if mean == mean else DASH


def _better(experiment: str, rows: Sequence[Row], paper: Paper) -> str:
    row = paper.row(experiment)
    return row.better if row else rows[0].better


def learning_rate(rows: Sequence[Row], paper: Paper, scale: str) -> Table | None:
    """Both arms over the ladder of learning rates, or None without such a study."""
    rungs = ladder(rows, paper)
    header = ["experiment", "lr", "L2", "L2-SP", "difference", "95 % interval", "verdict"]
    header += ["L2 train", "L2-SP train", "L2 distance to w0", "L2-SP distance to w0"]
    table = _table("learning_rate", "Learning rates", scale, captions.learning_rate(), header)
    for rung in rungs:
        both = [*rung.l2, *rung.l2_sp]
        unit = paper.unit(rung.experiment, both[0].metric)
        c = compare(rung.l2, rung.l2_sp, _better(rung.experiment, both, paper))
        train = [plain(_mean(r, lambda row: row.train_value), unit) for r in (rung.l2, rung.l2_sp)]
        cells = [
            rung.experiment,
            setting_number(rung.lr),
            arm(_value(rung.l2), unit),
            arm(_value(rung.l2_sp), unit),
        ]
        cells += [difference(c, unit), measured_interval(c, unit), c.verdict or DASH]
        record: dict[str, Value] = {
            "scale": scale,
            "experiment": rung.experiment,
            "lr": rung.lr,
            "unit": unit.name,
        }
        for name, arm_rows in (("l2", rung.l2), ("l2_sp", rung.l2_sp)):
            record |= _arm_record(name, arm_rows, paper)
        table.add([*cells, *train, _distance(rung.l2), _distance(rung.l2_sp)], record | comparison_record(c, unit))
    return table if rungs else None


def _arm_record(name: str, rows: Sequence[Row], paper: Paper) -> dict[str, Value]:
    if not rows:
        keys = ("mean", "sd", "n", "train", "distance_w0", "alpha", "beta")
        return {f"{name}_{key}": 0 if key == "n" else None for key in keys}
    unit = paper.unit(rows[0].experiment, rows[0].metric)
    record = summary_record(name, _value(rows), unit)
    record[f"{name}_train"] = _mean(rows, lambda row: row.train_value) * unit.factor
    record[f"{name}_distance_w0"] = _mean(rows, lambda row: row.distance_w0)
    return record | {f"{name}_alpha": rows[0].alpha, f"{name}_beta": rows[0].beta}


def regime(rows: Sequence[Row], paper: Paper, scale: str) -> Table | None:
    """Training from scratch against fine-tuning, or None without runs from scratch.

    One line per experiment and setting that was trained from scratch. It shows whether the scale lies in the
    regime that the paper is about: fine-tuning wins by a wide margin and fits its training set.
    """
    scratch = study_rows(rows, "from_scratch")
    header = ["experiment", "from scratch", "fine-tuned L2", "fine-tuned L2-SP", "L2 train", "L2-SP train"]
    table = _table("regime", "From scratch or fine-tuned", scale, captions.regime(), header)
    points = group(scratch, lambda row: (row.experiment, row.study, row.reg, row.setting))
    for (name, study, reg, setting), found in sorted(points.items(), key=lambda item: paper.order(item[0][0])):
        arms = [chosen_rows(rows, name, arm_name) for arm_name in ARMS]
        unit = paper.unit(name, found[0].metric)
        train = [arm(summarise([row.train_value for row in r]), unit) if _has_train(r) else DASH for r in arms]
        cells = [name, arm(_value(found), unit), *(arm(_value(r), unit) for r in arms), *train]
        record: dict[str, Value] = {
            "scale": scale,
            "experiment": name,
            "unit": unit.name,
            "scratch_study": study,
        }
        record |= {"scratch_reg": reg, "scratch_lr": setting.lr, "scratch_steps": setting.steps}
        record |= _arm_record("scratch", found, paper)
        table.add(cells, record | _arm_record("l2", arms[0], paper) | _arm_record("l2_sp", arms[1], paper))
    return table if points else None


def _has_train(rows: Sequence[Row]) -> bool:
    return bool(rows) and all(row.train_value == row.train_value for row in rows)


def flow(rows: Sequence[Row], paper: Paper, scale: str) -> Table | None:
    """End-point errors of no motion, of the pre-trained flow branch and of the fine-tuned ones, or None without any.

    One line per experiment with that metric: of its main runs at the chosen settings, and of the runs of the study
    `flow_start`, which evaluate the pre-trained branch on a set that nothing is fine-tuned on.
    """
    runs = [row for row in (*main_rows(rows), *study_rows(rows, "flow_start")) if row.metric == "EPE"]
    header = ["target", "test pairs", "zero flow", "pre-trained", "fine-tuned L2", "L2, branch alone"]
    header += ["fine-tuned L2-SP", "L2-SP, branch alone", "pre-trained against zero flow"]
    table = _table("flow", "What fine-tuning adds to the pre-trained flow branch", scale, captions.flow(), header)
    for name in experiments_of(runs, paper):
        arms = [chosen_rows(runs, name, reg) for reg in ARMS]
        found = [*study_rows(_of(runs, name), "flow_start"), *arms[0], *arms[1]]
        if found:
            table.add(*_flow_line(found, arms, paper, scale))
    return table if table.lines else None


def _flow_line(
    found: Sequence[Row], arms: Sequence[Sequence[Row]], paper: Paper, scale: str
) -> tuple[list[str], dict[str, Value]]:
    first = found[0]
    printed, unit = paper.row(first.experiment), paper.unit(first.experiment, first.metric)
    zero, start = (_recorded(found, name) for name in ("EPE_zero", "EPE_start"))
    factor = zero / start if start else float("nan")
    pairs = sorted({row.n for row in found if row.n})
    cells = [printed.target if printed else first.target or first.experiment]
    cells += [" or ".join(f"{n:,}" for n in pairs) or DASH, plain(zero, unit), plain(start, unit)]
    for rows in arms:
        cells += [arm(_value(rows), unit), arm(measured(rows, "EPE_branch"), unit)]
    cells.append(f"{factor:.2f}×" if factor == factor else DASH)
    record: dict[str, Value] = {"scale": scale, "experiment": first.experiment, "unit": unit.name}
    record |= {"n": " or ".join(map(str, pairs)), "zero": zero, "pre_trained": start, "factor": factor}
    for reg, rows in zip(ARMS, arms, strict=True):
        record |= _arm_record(reg, rows, paper) | summary_record(f"{reg}_branch", measured(rows, "EPE_branch"), unit)
    return cells, record


def _recorded(rows: Sequence[Row], metric: str) -> float:
    """The mean of a metric over the runs that measured it: one and the same where data and start are."""
    values = [value for row in rows if (value := row.measured(metric)) is not None and math.isfinite(value)]
    return fmean(values) if values else float("nan")


def alpha(rows: Sequence[Row], paper: Paper, scale: str) -> Table | None:
    """All settings of the experiments that were run with more than the chosen ones, or None without such."""
    runs = main_rows(rows)
    names = [name for name in experiments_of(runs, paper) if any(not r.chosen for r in runs if r.experiment == name)]
    header = ["experiment", "regulariser", "α", "β", "value", "difference to L2", "95 % interval", "verdict"]
    header += ["train", "distance to w0", "chosen"]
    table = _table("alpha", "Settings of α and β", scale, captions.alpha(), header)
    for name in names:
        base = chosen_rows(runs, name, "l2")
        settings = group([r for r in runs if r.experiment == name], lambda r: (r.reg, r.setting))
        for _, found in sorted(settings.items(), key=lambda item: (item[0][0], setting_order(item[0][1]))):
            table.add(*_alpha_line(found, base, paper, scale))
    return table if names else None


def _alpha_line(
    found: Sequence[Row], base: Sequence[Row], paper: Paper, scale: str
) -> tuple[list[str], dict[str, Value]]:
    first = found[0]
    unit = paper.unit(first.experiment, first.metric)
    is_base = bool(base) and base[0].key == first.key
    c = Comparison() if is_base else compare(base, found, _better(first.experiment, found, paper))
    cells = [
        first.experiment,
        ARMS.get(first.reg, first.reg),
        setting_number(first.alpha),
        setting_number(first.beta),
    ]
    cells += [arm(_value(found), unit), difference(c, unit), measured_interval(c, unit), c.verdict or DASH]
    cells += [
        plain(_mean(found, lambda row: row.train_value), unit),
        _distance(found),
        "yes" if first.chosen else "",
    ]
    record: dict[str, Value] = {
        "scale": scale,
        "experiment": first.experiment,
        "reg": first.reg,
        "unit": unit.name,
    }
    record |= {"lr": first.lr, "steps": first.steps, "chosen": first.chosen}
    return cells, record | _arm_record("ours", found, paper) | comparison_record(c, unit)


def selection(rows: Sequence[Row], paper: Paper, scale: str) -> Table | None:
    """The validation trials by which each arm's setting was chosen, or None without trials.

    The chosen setting is the one of the arm's main runs (learning rate, steps, alpha, beta); before main runs
    exist, every trial with the default alpha and beta is marked. The best trial is marked apart, so that a
    choice against validation would show. Several experiments of one metric are followed by their mean, by which
    their common setting is chosen.
    """
    trials = study_rows(rows, "selection")
    header = ["experiment", "arm", "lr", "steps", "α", "β", "validation", "best", "chosen"]
    table = _table("selection", "Validation trials", scale, captions.selection(), header)
    names = experiments_of(trials, paper)
    for reg in ARMS:
        arm_trials = [row for row in trials if row.reg == reg]
        chosen = {name: _chosen_settings(rows, arm_trials, name, reg) for name in names}
        lines = [line for name in names for line in _trial_lines(_of(arm_trials, name), chosen[name], paper)]
        for alike in group(arm_trials, lambda row: row.metric).values():
            together = experiments_of(alike, paper)
            if len(together) > 1:
                common = set.intersection(*(chosen[name] for name in together))
                lines += _trial_lines(_means(alike, together), common, paper)
        for cells, record in lines:
            table.add(cells, {"scale": scale, **record})
    return table if trials else None


def _of(rows: Sequence[Row], experiment: str) -> list[Row]:
    return [row for row in rows if row.experiment == experiment]


def _chosen_settings(rows: Sequence[Row], trials: Sequence[Row], name: str, reg: str) -> set[Setting]:
    main = {row.setting for row in chosen_rows(rows, name, reg)}
    return main or {row.setting for row in _of(trials, name) if row.chosen}


def _means(trials: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """One row per setting and seed that every experiment was tried with."""
    points = group(trials, lambda row: (row.setting, row.seed)).values()
    full = [found for found in points if len(found) == len(names)]
    return [replace(f[0], experiment=f"mean of {len(names)}", value=fmean(r.value for r in f)) for f in full]


def _trial_lines(trials: Sequence[Row], chosen: set[Setting], paper: Paper) -> list[tuple[list[str], dict[str, Value]]]:
    by_setting = group(trials, lambda row: row.setting)
    summaries = {s: _value(by_setting[s]) for s in sorted(by_setting, key=setting_order)}
    means = [s.mean for s in summaries.values() if s.mean == s.mean]
    lines = []
    for setting, summary in summaries.items():
        first = by_setting[setting][0]
        unit = paper.unit(first.experiment, first.metric)
        top = (
            max(means, default=None)
            if _better(first.experiment, trials, paper) == "higher"
            else min(means, default=None)
        )
        marks = ["yes" if summary.mean == top else "", "yes" if setting in chosen else ""]
        cells = [first.experiment, ARMS[first.reg], setting_number(setting.lr), str(setting.steps)]
        cells += [setting_number(setting.alpha), setting_number(setting.beta), arm(summary, unit), *marks]
        record: dict[str, Value] = {"experiment": first.experiment, "reg": first.reg, "lr": setting.lr}
        record |= {"steps": setting.steps, "alpha": setting.alpha, "beta": setting.beta, "unit": unit.name}
        record |= summary_record("validation", summary, unit) | {
            "best": bool(marks[0]),
            "chosen": bool(marks[1]),
        }
        lines.append((cells, record))
    return lines
