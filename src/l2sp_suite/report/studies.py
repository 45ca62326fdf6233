"""Tables of the side studies and of settings beyond the selected ones. Each is None where there are no runs for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any

import pandas as pd

from l2sp_suite.report.load import Results
from l2sp_suite.report.statistics import WORSE, Comparison, Summary, compare
from l2sp_suite.report.table import Column, Table, make_table
from l2sp_suite.report.tables import comparison_columns, comparison_group, measured, per_arm, value_of
from l2sp_suite.report.text import DASH, Shown, count, difference, listed, mean_and_sd, setting_number
from l2sp_suite.report.texts import FRACTION, symbol, unit_of

__all__ = ["Rung", "Sweep", "alpha", "flow", "ladder", "learning_rate", "provenance", "regime", "selection", "sweeps", "sweeps_table"]


@dataclass(frozen=True)
class Rung:
    """All arms of one experiment at one learning rate, by name of the arm; some may have no runs."""

    experiment: str
    lr: float
    arms: Mapping[str, pd.DataFrame]

    @property
    def runs(self) -> pd.DataFrame:
        """The runs of all arms."""
        return pd.concat([runs for runs in self.arms.values() if len(runs)])


@lru_cache(maxsize=2)
def ladder(results: Results) -> list[Rung]:
    """The learning-rate study, by experiment and rising learning rate.

    An arm has its selected hyper-parameters where runs of it exist, else the only setting it was run with; several raise
    `UserError`. Where the study has no run of an arm at the experiment's own learning rate, the main runs of that arm
    (same number of steps, with the same pretrained weights) take the place.
    """
    study = results.study("learning_rate")
    rungs = []
    for name in results.experiments(study):
        mine = study[study.experiment == name]
        arms = {arm: _arm_ladder(results, mine, name, arm) for arm in results.arms.names}
        for lr in sorted({lr for by_lr in arms.values() for lr in by_lr}):
            rungs.append(Rung(name, lr, {arm: by_lr.get(lr, study.iloc[:0]) for arm, by_lr in arms.items()}))
    return rungs


def _arm_ladder(results: Results, study: pd.DataFrame, experiment: str, arm: str) -> dict[float, pd.DataFrame]:
    runs = study[study.arm == arm]
    runs = runs[runs.selected] if runs.selected.any() else runs
    by_lr = {lr: results.one_setting(part) for lr, part in runs.groupby("lr")}
    main = results.selected(experiment, arm)
    alike = set(zip(study.steps, study.w0, strict=True))
    main = main[[pair in alike for pair in zip(main.steps, main.w0, strict=True)]]
    return {lr: part for lr, part in main.groupby("lr")} | by_lr


def _mean(runs: pd.DataFrame, column: str) -> Shown:
    """The mean of a column over runs: of distances with two decimals, of values as the metric is printed."""
    if runs.empty:
        return Shown(math.nan, 2)
    unit = FRACTION if column == "distance_w0" else unit_of(runs.metric.iloc[0])
    return Shown(fmean(runs[column]) * unit.factor, unit.digits)


def _arm_details(arm: str, runs: Callable[[Any], pd.DataFrame], results: Results, train: str = "", distance: str = "") -> list[Column[Any]]:
    """Columns of an arm's training metric and distance, under these headings, and of its hyper-parameters in the CSV."""

    def hyper(name: str) -> Column[Any]:
        return Column("", lambda line: runs(line)[name].iloc[0] if len(runs(line)) else None, key=f"{arm}_{name}")

    return [
        Column(train, lambda line: _mean(runs(line), "train_value"), key=f"{arm}_train"),
        Column(distance, lambda line: _mean(runs(line), "distance_w0"), key=f"{arm}_distance_w0"),
        *map(hyper, results.hyper),
    ]


def _unit(runs: pd.DataFrame) -> str:
    return unit_of(runs.metric.iloc[0]).name


def learning_rate(results: Results) -> Table | None:
    """All arms over the ladder of learning rates."""
    rungs = ladder(results)
    details = {arm: _arm_details(arm, lambda rung, arm=arm: rung.arms[arm], results, f"{label} train", f"{label} distance to w0") for arm, label in results.arms.pairs}
    columns: list[Column[Rung]] = [
        Column("experiment", lambda rung: rung.experiment, key="experiment"),
        Column("lr", lambda rung: rung.lr, setting_number, "lr"),
        Column("", lambda rung: _unit(rung.runs), key="unit"),
        *per_arm(results, lambda arm, label: [Column(label, lambda rung: value_of(rung.arms[arm]), mean_and_sd, arm)]),
        *comparison_columns(results, lambda rung, arm: _against_baseline(results, rung.arms, arm)),
        *(part[0] for part in details.values()),
        *(part[1] for part in details.values()),
        *(column for part in details.values() for column in part[2:]),
    ]
    return make_table("learning_rate", results, columns, rungs) if rungs else None


def _against_baseline(results: Results, arms: Mapping[str, pd.DataFrame], arm: str) -> Comparison:
    base, other = arms[results.arms.baseline], arms[arm]
    return compare(base, other, base.better.iloc[0]) if len(base) else Comparison()


def regime(results: Results) -> Table | None:
    """Training from scratch against fine-tuning, a line for each experiment and setting that was trained from scratch.

    It shows whether the scale lies in the regime that the paper is about: fine-tuning wins by a wide margin and fits its
    training set.
    """
    scratch = results.study("from_scratch")
    by = ["experiment", "study", "arm"]
    points = [part for _, runs in scratch.groupby(by) for part in results.by_setting(runs)] if len(scratch) else []
    points.sort(key=lambda runs: results.paper.order(runs.experiment.iloc[0]))

    def tuned(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
        return results.selected(runs.experiment.iloc[0], arm)

    def train(runs: pd.DataFrame) -> Summary:
        return value_of(runs, "train_value") if runs.train_value.notna().all() else Summary()

    def first(name: str, key: str = "") -> Column[pd.DataFrame]:
        return Column("" if key else name, lambda runs: runs[name].iloc[0], key=key or name)

    columns: list[Column[pd.DataFrame]] = [
        first("experiment"),
        Column("", _unit, key="unit"),
        *(first(name, f"scratch_{name}") for name in ("study", "arm", "lr", "steps")),
        Column("from scratch", value_of, mean_and_sd, "scratch"),
        *_arm_details("scratch", lambda runs: runs, results),
        *per_arm(results, lambda arm, label: [Column(f"fine-tuned {label}", lambda runs: value_of(tuned(runs, arm)), mean_and_sd, arm)]),
        *per_arm(results, lambda arm, label: _arm_details(arm, lambda runs: tuned(runs, arm), results)),
        *per_arm(results, lambda arm, label: [Column(f"{label} train", lambda runs: train(tuned(runs, arm)), mean_and_sd)]),
    ]
    return make_table("regime", results, columns, points) if points else None


FLOW = "EPE"
"""The metric of optical flow. Runs record it also of no motion, of the pre-trained branch, and of the branch alone."""


def flow(results: Results) -> Table | None:
    """End-point errors of no motion, of the pre-trained flow branch and of the fine-tuned ones.

    One line per experiment with that metric: of its main runs at the selected settings, and of the runs of the study
    `flow_start`, which evaluate the pre-trained branch on a set that nothing is fine-tuned on.
    """
    runs = results.runs[(results.runs.metric == FLOW) & results.runs.study_name.isin(["", "flow_start"])]
    lines = []
    for name in results.experiments(runs):
        arms = {arm: results.selected(name, arm) for arm in results.arms.names}
        start = runs[(runs.experiment == name) & (runs.study_name == "flow_start")]
        parts = [part for part in (start, *arms.values()) if len(part)]
        if parts:
            lines.append((results.row(name).target, pd.concat(parts), arms))
    columns: list[Column[Any]] = [
        Column("target", lambda line: line[0]),
        Column("", lambda line: line[1].experiment.iloc[0], key="experiment"),
        Column("", lambda line: _unit(line[1]), key="unit"),
        Column("test pairs", lambda line: sorted({int(n) for n in line[1].n.dropna() if n}), lambda ns: " or ".join(map(count, ns)) or DASH),
        Column("", lambda line: " or ".join(str(n) for n in sorted({int(n) for n in line[1].n.dropna() if n})), key="n"),
        Column("zero flow", lambda line: _recorded(line[1], "zero"), key="zero"),
        Column("pre-trained", lambda line: _recorded(line[1], "start"), key="pre_trained"),
        *per_arm(results, lambda arm, label: [
            Column(f"fine-tuned {label}", lambda line: value_of(line[2][arm]), mean_and_sd, arm),
            *_arm_details(arm, lambda line: line[2][arm], results),
            Column(f"{label}, branch alone", lambda line: measured(line[2][arm], f"{FLOW}_branch"), mean_and_sd, f"{arm}_branch"),
        ]),
        Column("pre-trained against zero flow", lambda line: _factor(line[1]), lambda factor: f"{factor:.2f}×" if factor == factor else DASH, "factor"),
    ]  # fmt: skip
    return make_table("flow", results, columns, lines) if lines else None


def _recorded(runs: pd.DataFrame, of: str) -> Shown:
    """The mean of a metric over the runs that measured it: one and the same where data and pretrained weights are."""
    finite = runs[runs.value.abs() < math.inf]
    return Shown(measured(finite, f"{FLOW}_{of}").mean, unit_of(FLOW).digits)


def _factor(runs: pd.DataFrame) -> float:
    start = _recorded(runs, "start")
    return _recorded(runs, "zero") / start if start else math.nan


def alpha(results: Results) -> Table | None:
    """All settings of the experiments that were run with more than the selected ones."""
    main = results.main
    lines = []
    for name in results.experiments(main[~main.selected]):
        base = results.selected(name, results.arms.baseline)
        for arm in results.arms.names:
            for runs in results.by_setting(main[(main.experiment == name) & (main.arm == arm)]):
                is_base = len(base) > 0 and base.index[0] in runs.index
                lines.append((runs, Comparison() if is_base else compare(base, runs, runs.better.iloc[0])))

    def first(heading: str, name: str, format: Callable[[Any], str] = str, key: str = "") -> Column[Any]:
        return Column(heading, lambda line: line[0][name].iloc[0], format, key)

    columns: list[Column[Any]] = [
        first("experiment", "experiment", key="experiment"),
        first("regulariser", "arm", results.arms.label, "arm"),
        Column("", lambda line: _unit(line[0]), key="unit"),
        *(first("", name, key=name) for name in ("lr", "steps", "selected")),
        *(first(symbol(name), name, setting_number) for name in results.hyper),
        Column("value", lambda line: value_of(line[0]), mean_and_sd, "ours"),
        *comparison_group(lambda line: line[1], f"difference to {results.arms.label(results.arms.baseline)}"),
        *_arm_details("ours", lambda line: line[0], results, "train", "distance to w0"),
        first("selected", "selected", lambda selected: "yes" if selected else ""),
    ]
    return make_table("alpha", results, columns, lines) if lines else None


def selection(results: Results) -> Table | None:
    """The validation trials by which each arm's setting was chosen.

    The selected setting is the one of the arm's main runs (learning rate, steps, hyper-parameters); before main runs
    exist, every trial with the default hyper-parameters is marked. The best trial is marked apart, so that a choice
    against validation would show. Several experiments of one metric are followed by their mean, by which their common
    setting is chosen.
    """
    trials = results.study("selection")
    lines: list[dict[str, Any]] = []
    for arm in results.arms.names:
        mine = trials[trials.arm == arm]
        names = results.experiments(mine)
        chosen = {name: _chosen(results, mine[mine.experiment == name], name, arm) for name in names}
        for name in names:
            lines += _trials(results, mine[mine.experiment == name], chosen[name])
        for metric in mine.metric.unique():
            alike = mine[mine.metric == metric]
            together = results.experiments(alike)
            if len(together) > 1:
                common = set.intersection(*(chosen[name] for name in together))
                lines += _trials(results, _means(results, alike, len(together)), common)

    def yes(name: str) -> Column[dict[str, Any]]:
        return Column(name, lambda line: bool(line[name]), lambda mark: "yes" if mark else "", name)

    columns: list[Column[dict[str, Any]]] = [
        Column("experiment", lambda line: line["experiment"], key="experiment"),
        Column("arm", lambda line: line["arm"], results.arms.label, "arm"),
        Column("lr", lambda line: line["lr"], setting_number, "lr"),
        Column("steps", lambda line: line["steps"], key="steps"),
        *(Column(symbol(name), lambda line, name=name: line[name], setting_number, name) for name in results.hyper),
        Column("", lambda line: unit_of(line["metric"]).name, key="unit"),
        Column("validation", lambda line: line["summary"], mean_and_sd, "validation"),
        *map(yes, ("best", "selected")),
    ]
    return make_table("selection", results, columns, lines) if lines else None


def _settings_of(results: Results, runs: pd.DataFrame) -> set[tuple[Any, ...]]:
    return set(runs[results.setting].itertuples(index=False, name=None))


def _chosen(results: Results, trials: pd.DataFrame, experiment: str, arm: str) -> set[tuple[Any, ...]]:
    return _settings_of(results, results.selected(experiment, arm)) or _settings_of(results, trials[trials.selected])


def _means(results: Results, trials: pd.DataFrame, count: int) -> pd.DataFrame:
    """One run per setting and seed that each of `count` experiments was tried with: the mean over these."""
    points = trials.groupby([*results.setting, "seed"], dropna=False)
    full = trials[points["value"].transform("size") == count]
    means = full.groupby([*results.setting, "seed"], dropna=False)["value"].transform("mean")
    lines = full.assign(value=means, experiment=f"mean of {count}")
    return lines.drop_duplicates([*results.setting, "seed"])


def _trials(results: Results, trials: pd.DataFrame, chosen: set[tuple[Any, ...]]) -> list[dict[str, Any]]:
    lines = [runs.iloc[0].to_dict() | {"summary": value_of(runs)} for runs in results.by_setting(trials)]
    means = [line["summary"].mean for line in lines if line["summary"].mean == line["summary"].mean]
    for line in lines:
        top = max(means, default=None) if line["better"] == "higher" else min(means, default=None)
        line["best"] = line["summary"].mean == top
        line["selected"] = tuple(line[name] for name in results.setting) in chosen
    return lines


@dataclass(frozen=True)
class Sweep:
    """The settings of an arm that one experiment was run with, by rising hyper-parameters, and the baseline's level.

    `tried`: of each setting a run, for its hyper-parameters, and the comparison with the selected baseline over common
    seeds. A run that diverged leaves that without numbers: such a setting is never good.
    """

    experiment: str
    arm: str
    metric: str
    better: str
    level: Summary
    tried: Sequence[tuple[Any, Comparison]]

    def good(self) -> list[Any]:
        """The settings at least as good as the baseline, on average over common seeds."""
        higher = self.better == "higher"
        return [run for run, c in self.tried if (c.mean >= 0 if higher else c.mean <= 0)]


@lru_cache(maxsize=2)
def sweeps(results: Results) -> list[Sweep]:
    """The experiments with at least three settings of an arm that share a seed with their selected baseline runs."""
    found = []
    for name in results.experiments(results.main):
        base = results.selected(name, results.arms.baseline)
        for arm in results.arms.others if len(base) else ():
            runs = results.main[(results.main.experiment == name) & (results.main.arm == arm)]
            better = base.better.iloc[0]
            compared = [(part.iloc[0], compare(base, part, better)) for part in results.by_setting(runs)]
            tried = [(run, c) for run, c in compared if c.n]
            if len(tried) > 2:
                found.append(Sweep(name, arm, base.metric.iloc[0], better, value_of(base), tried))
    return found


RULE = ("alpha", "beta")
"""The paper's rule is about these two: a safe choice has alpha larger than beta."""
_RATIOS = {"below": ("<", lambda a, b: a < b), "equal": ("=", lambda a, b: a == b), "above": (">", lambda a, b: a > b)}


def sweeps_table(results: Results) -> Table | None:
    """How many settings of an arm are as good as the baseline, a line for each experiment with several settings."""
    lines = sweeps(results)
    a, b = map(symbol, RULE)

    def among(name: str) -> Column[Sweep]:
        sign, holds = _RATIOS[name]

        def alike(sweep: Sweep) -> list[float]:
            return [c.mean for run, c in sweep.tried if holds(*(run[key] for key in RULE))]

        def text(sweep: Sweep) -> str:
            means = alike(sweep)
            diverged = sum(not math.isfinite(mean) for mean in means)
            if diverged:  # a mean over those that survived would flatter the settings
                return f"diverged ({diverged} of {len(means)})"
            mean = Comparison(fmean(means), digits=unit_of(sweep.metric).digits) if means else None
            return f"{difference(mean)} ({len(means)})" if mean else DASH

        return Column(f"mean difference, {a} {sign} {b}", text), Column("", lambda s: _finite_mean(alike(s)), key=f"difference_{name}")

    def hyper(sweep: Sweep) -> str:
        names = [name for name in results.hyper if any(run[name] == run[name] for run, _ in sweep.tried)]
        return ", ".join(f"({', '.join(setting_number(run[name]) for name in names)})" for run in sweep.good()) or DASH

    columns: list[Column[Sweep]] = [
        Column("experiment", lambda sweep: sweep.experiment, key="experiment"),
        Column("arm", lambda sweep: sweep.arm, results.arms.label, "arm"),
        Column("", lambda sweep: unit_of(sweep.metric).name, key="unit"),
        Column("settings", lambda sweep: len(sweep.tried), key="settings"),
        Column(f"at least as good as {results.arms.label(results.arms.baseline)}", lambda s: len(s.good()), key="good"),
        Column("these", hyper),
        Column("clearly worse", lambda sweep: sum(c.verdict == WORSE for _, c in sweep.tried), key="worse"),
        *(column for name in _RATIOS for column in among(name)),
    ]
    return make_table("sweeps", results, columns, lines) if lines else None


def _finite_mean(means: Sequence[float]) -> float | None:
    mean = fmean(means) if means else math.nan
    return mean if math.isfinite(mean) else None


def provenance(results: Results) -> Table | None:
    """What made the numbers: a line for each experiment, of its main runs and of each side study."""
    runs = results.runs[results.runs.commit.notna()]
    lines = sorted(
        ((study, name, part) for (study, name), part in runs.groupby(["study_name", "experiment"])),
        key=lambda line: (line[0], results.paper.order(line[1])),
    )

    def made_by(name: str) -> Column[Any]:
        heading = {"cpus": "cores"}.get(name, name)
        return Column(heading, lambda line: listed(line[2][name].dropna()))

    columns: list[Column[Any]] = [
        Column("experiment", lambda line: line[1], key="experiment"),
        Column("study", lambda line: line[0], lambda study: study or "main", "study"),
        Column("runs", lambda line: len(line[2]), key="runs"),
        Column("seeds", lambda line: ", ".join(map(str, sorted(line[2].seed.unique())))),
        Column("commits", lambda line: commits(line[2])),
        Column("", lambda line: listed(line[2].commit).replace(DASH, ""), key="commits"),
        *map(made_by, ("torch", "timm", "device", "cpus", "threads")),
        Column("seconds a run", lambda line: line[2].seconds.median(), lambda s: f"{s:.0f}" if s == s else DASH, "seconds_median"),
        Column("hours in all", lambda line: line[2].seconds.sum(min_count=1), lambda s: f"{s / 3600:.2f}" if s == s else DASH, "seconds_sum"),
        Column("memory", lambda line: line[2].memory_mb.max(), lambda mb: DASH if pd.isna(mb) else f"{mb:,} MB", "memory_mb_max"),
    ]
    return make_table("provenance", results, columns, lines) if lines else None


def commits(runs: pd.DataFrame) -> str:
    """The commits of runs in seven digits; * where code was changed."""
    return listed(commit[:7] + "*" * (changed == "yes") for commit, changed in zip(runs.commit, runs.changed, strict=True))
