"""Tables of the side studies and of settings beyond the selected ones; each is None where there are no runs for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any

import pandas as pd

from l2sp_suite.report.load import Results
from l2sp_suite.report.statistics import WORSE, Comparison, Summary, compare
from l2sp_suite.report.table import Column, Table, all_comparisons, columns_of_arms, comparison_columns, make_table
from l2sp_suite.report.tables import measured, value_of, values_of, values_of_arms
from l2sp_suite.report.text import DASH, Shown, count, difference, listed, setting_number
from l2sp_suite.report.texts import symbol, unit_of


@dataclass(frozen=True)
class Rung:
    """All arms of one experiment at one learning rate, by name of the arm; some may have no runs."""

    experiment: str
    lr: float
    metric: str
    arms: Mapping[str, pd.DataFrame]


@lru_cache(maxsize=2)
def ladder(results: Results) -> list[Rung]:
    """The learning-rate study, by experiment and rising learning rate.

    An arm has its selected hyper-parameters where runs of it exist, else the only setting it was run with; several
    raise `UserError`. Where the study has no run of an arm at the experiment's own learning rate, the main runs of that
    arm (same number of steps, with the same pretrained weights) take the place.
    """
    study = results.study("learning_rate")
    rungs = []
    for name in results.experiments(study):
        mine = study[study.experiment == name]
        arms = {arm: _arm_ladder(results, mine, name, arm) for arm in results.arms.names}
        for lr in sorted({lr for by_lr in arms.values() for lr in by_lr}):
            runs = {arm: by_lr.get(lr, study.iloc[:0]) for arm, by_lr in arms.items()}
            rungs.append(Rung(name, lr, mine.metric.iloc[0], runs))
    return rungs


def _arm_ladder(results: Results, study: pd.DataFrame, experiment: str, arm: str) -> dict[Any, pd.DataFrame]:
    runs = study[study.arm == arm]
    runs = runs[runs.selected] if runs.selected.any() else runs
    by_lr = {lr: results.one_setting(part) for lr, part in runs.groupby("lr")}
    main, alike = results.selected(experiment, arm), set(zip(study.steps, study.w0, strict=True))
    main = main.loc[[pair in alike for pair in zip(main.steps, main.w0, strict=True)]]
    return dict(iter(main.groupby("lr"))) | by_lr


def learning_rate(results: Results) -> Table | None:
    """All arms over the ladder of learning rates."""
    lines = [
        {"experiment": rung.experiment, "lr": rung.lr, "unit": unit_of(rung.metric).name}
        | values_of_arms(results, rung.arms)
        for rung in ladder(results)
    ]
    columns = [
        Column("experiment", "experiment"),
        Column("lr", "lr", setting_number),
        *columns_of_arms(results),
        *all_comparisons(results),
        *columns_of_arms(results, "{} train", "{}_train"),
        *columns_of_arms(results, "{} distance to w0", "{}_distance_w0"),
    ]
    return make_table("learning_rate", results, lines, columns) if lines else None


def regime(results: Results) -> Table | None:
    """Training from scratch against fine-tuning, a line for each experiment and setting that was trained from scratch.

    It shows whether the scale lies in the regime that the paper is about: fine-tuning wins by a wide margin and
    fits its training set.
    """
    lines = []
    for _, runs in results.study("from_scratch").groupby(
        ["experiment", "study", "arm", *results.setting], dropna=False
    ):
        first = runs.iloc[0]
        tuned = {arm: results.selected(first.experiment, arm) for arm in results.arms.names}
        line: dict[str, Any] = {"experiment": first.experiment, "unit": unit_of(first.metric).name}
        line |= {"scratch_study": first.study, "scratch_arm": first.arm} | values_of(results, runs, "scratch")
        line |= values_of_arms(results, tuned)
        known = {arm: value_of(part, "train_value") for arm, part in tuned.items() if part.train_value.notna().all()}
        lines.append(line | {f"_{arm}": known.get(arm, Summary()) for arm in tuned})
    lines.sort(key=lambda line: results.paper.order(line["experiment"]))
    columns = [
        Column("experiment", "experiment"),
        Column("from scratch", "scratch"),
        *columns_of_arms(results, "fine-tuned {}"),
        *columns_of_arms(results, "{} train", "_{}"),
    ]
    return make_table("regime", results, lines, columns) if lines else None


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
        all_runs = pd.concat([runs[(runs.experiment == name) & (runs.study_name == "flow_start")], *arms.values()])
        if all_runs.empty:
            continue
        # One and the same in all runs, where data and pretrained weights are.
        finite = all_runs[all_runs.value.abs() < math.inf]
        zero, start = (Shown(measured(finite, f"{FLOW}_{of}").mean, unit_of(FLOW).digits) for of in ("zero", "start"))
        sizes = sorted({int(n) for n in all_runs.n.dropna() if n})
        line: dict[str, Any] = {"_target": results.row(name).target, "experiment": name, "unit": unit_of(FLOW).name}
        line |= {"n": " or ".join(map(str, sizes)), "_n": " or ".join(map(count, sizes)) or None}
        line |= {"zero": zero, "pre_trained": start, "factor": zero / start if start else math.nan}
        line |= values_of_arms(results, arms)
        lines.append(line | {f"{arm}_branch": measured(part, f"{FLOW}_branch") for arm, part in arms.items()})
    columns = [
        Column("target", "_target"),
        Column("test pairs", "_n"),
        Column("zero flow", "zero"),
        Column("pre-trained", "pre_trained"),
    ]
    for arm, label in results.arms.pairs:
        columns += [Column(f"fine-tuned {label}", arm), Column(f"{label}, branch alone", f"{arm}_branch")]
    factor = Column("pre-trained against zero flow", "factor", lambda x: f"{x:.2f}×" if x == x else DASH)
    return make_table("flow", results, lines, [*columns, factor]) if lines else None


def alpha(results: Results) -> Table | None:
    """All settings of the experiments that were run with more than the selected ones."""
    main, lines = results.main, []
    for name in results.experiments(main[~main.selected]):
        base = results.selected(name, results.arms.baseline)
        for arm in results.arms.names:
            for runs in results.by_setting(main[(main.experiment == name) & (main.arm == arm)]):
                is_base = len(base) > 0 and base.index[0] in runs.index
                first = runs.iloc[0]
                line: dict[str, Any] = {
                    "experiment": name,
                    "arm": arm,
                    "unit": unit_of(first.metric).name,
                }
                line |= {"selected": bool(first.selected)} | values_of(results, runs, "ours")
                lines.append(line | {"difference": Comparison() if is_base else compare(base, runs)})
    columns = [
        Column("experiment", "experiment"),
        Column("regulariser", "arm", results.arms.label),
        *(Column(symbol(name), f"ours_{name}", setting_number) for name in results.hyper),
        Column("value", "ours"),
        *comparison_columns(f"difference to {results.arms.label(results.arms.baseline)}"),
        Column("train", "ours_train"),
        Column("distance to w0", "ours_distance_w0"),
        Column("selected", "selected", lambda selected: "yes" if selected else ""),
    ]
    return make_table("alpha", results, lines, columns) if lines else None


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
        parts = {name: mine[mine.experiment == name] for name in results.experiments(mine)}
        chosen = {name: _chosen(results, part, name, arm) for name, part in parts.items()}
        for name, part in parts.items():
            lines += _trials(results, part, chosen[name])
        for metric in mine.metric.unique():
            names = results.experiments(mine[mine.metric == metric])
            if len(names) > 1:
                common = set.intersection(*(chosen[name] for name in names))
                lines += _trials(results, _means(results, mine[mine.metric == metric], len(names)), common)
    columns = [
        Column("experiment", "experiment"),
        Column("arm", "arm", results.arms.label),
        Column("lr", "lr", setting_number),
        Column("steps", "steps"),
        *(Column(symbol(name), name, setting_number) for name in results.hyper),
        Column("validation", "validation"),
        *(Column(name, name, lambda mark: "yes" if mark else "") for name in ("best", "selected")),
    ]
    return make_table("selection", results, lines, columns) if lines else None


def _chosen(results: Results, trials: pd.DataFrame, experiment: str, arm: str) -> set[tuple[Any, ...]]:
    main = results.selected(experiment, arm)
    return set((main if len(main) else trials[trials.selected])[results.setting].itertuples(index=False, name=None))


def _means(results: Results, trials: pd.DataFrame, count: int) -> pd.DataFrame:
    """One run per setting and seed that each of `count` experiments was tried with: the mean over these."""
    by = [*results.setting, "seed"]
    values = trials.groupby(by, dropna=False)["value"]
    means = trials.assign(value=values.transform("mean"), experiment=f"mean of {count}")
    return means[values.transform("size") == count].drop_duplicates(by)


def _trials(results: Results, trials: pd.DataFrame, chosen: set[tuple[Any, ...]]) -> list[dict[str, Any]]:
    parts = [(runs.iloc[0], value_of(runs)) for runs in results.by_setting(trials)]
    means = [summary.mean for _, summary in parts if summary.mean == summary.mean]
    best = (max if trials.better.iloc[:1].eq("higher").all() else min)(means, default=None)
    return [
        {name: run[name] for name in ("experiment", "arm", *results.setting)}
        | {"unit": unit_of(run.metric).name, "validation": summary, "best": summary.mean == best}
        | {"selected": tuple(run[name] for name in results.setting) in chosen}
        for run, summary in parts
    ]


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
        return [run for run, c in self.tried if (c.mean >= 0 if self.better == "higher" else c.mean <= 0)]


@lru_cache(maxsize=2)
def sweeps(results: Results) -> list[Sweep]:
    """The experiments with at least three settings of an arm that share a seed with their selected baseline runs."""
    several = []
    for name in results.experiments(results.main):
        base = results.selected(name, results.arms.baseline)
        for arm in results.arms.others if len(base) else ():
            runs = results.main[(results.main.experiment == name) & (results.main.arm == arm)]
            tried = [(part.iloc[0], compare(base, part)) for part in results.by_setting(runs)]
            tried = [(run, c) for run, c in tried if c.n]
            if len(tried) > 2:
                several.append(Sweep(name, arm, base.metric.iloc[0], base.better.iloc[0], value_of(base), tried))
    return several


RULE = ("alpha", "beta")
"""The paper's rule is about these two: a safe choice has alpha larger than beta."""
_RATIOS = {"below": "<", "equal": "=", "above": ">"}


def sweeps_table(results: Results) -> Table | None:
    """How many settings of an arm are as good as the baseline, a line for each experiment with several settings."""
    lines = []
    for sweep in sweeps(results):
        names = [name for name in results.hyper if any(run[name] == run[name] for run, _ in sweep.tried)]
        good = [f"({', '.join(setting_number(run[name]) for name in names)})" for run in sweep.good()]
        line: dict[str, Any] = {"experiment": sweep.experiment, "arm": sweep.arm, "unit": unit_of(sweep.metric).name}
        line |= {"settings": len(sweep.tried), "good": len(good), "_good": ", ".join(good) or DASH}
        line["worse"] = sum(c.verdict == WORSE for _, c in sweep.tried)
        for name in _RATIOS:
            means = [c.mean for run, c in sweep.tried if _ratio(*(run[key] for key in RULE)) == name]
            diverged = sum(not math.isfinite(mean) for mean in means)
            line[f"difference_{name}"] = fmean(means) if means and not diverged else None
            line[f"_{name}"] = _mean_text(means, diverged, unit_of(sweep.metric).digits)
        lines.append(line)
    columns = [
        Column("experiment", "experiment"),
        Column("arm", "arm", results.arms.label),
        Column("settings", "settings"),
        Column(f"at least as good as {results.arms.label(results.arms.baseline)}", "good"),
        Column("these", "_good"),
        Column("clearly worse", "worse"),
        *(
            Column(f"mean difference, {symbol(RULE[0])} {s} {symbol(RULE[1])}", f"_{name}")
            for name, s in _RATIOS.items()
        ),
    ]
    return make_table("sweeps", results, lines, columns) if lines else None


def _ratio(a: float, b: float) -> str:
    return "equal" if a == b else "above" if a > b else "below" if a < b else ""


def _mean_text(means: Sequence[float], diverged: int, digits: int) -> str:
    if diverged:  # a mean over those that survived would flatter the settings
        return f"diverged ({diverged} of {len(means)})"
    return f"{difference(Comparison(fmean(means), digits=digits))} ({len(means)})" if means else DASH


def provenance(results: Results) -> Table | None:
    """What made the numbers: a line for each experiment, of its main runs and of each side study."""
    lines = []
    for (study, name), runs in results.runs[results.runs.commit.notna()].groupby(["study_name", "experiment"]):
        line: dict[str, Any] = {"experiment": name, "study": study, "runs": len(runs)}
        line |= {"_seeds": ", ".join(map(str, sorted(runs.seed.unique()))), "_commits": commits(runs)}
        line |= {f"_{key}": listed(runs[key].dropna()) for key in ("torch", "timm", "device", "cpus", "threads")}
        line |= {"commits": listed(runs.commit).replace(DASH, ""), "seconds_median": runs.seconds.median()}
        lines.append(line | {"seconds_sum": runs.seconds.sum(min_count=1), "memory_mb_max": runs.memory_mb.max()})
    lines.sort(key=lambda line: (line["study"], results.paper.order(line["experiment"])))
    columns = [
        Column("experiment", "experiment"),
        Column("study", "study", lambda study: study or "main"),
        Column("runs", "runs"),
        *(Column(name, f"_{name}") for name in ("seeds", "commits", "torch", "timm", "device")),
        Column("cores", "_cpus"),
        Column("threads", "_threads"),
        Column("seconds a run", "seconds_median", lambda s: f"{s:.0f}" if s == s else DASH),
        Column("hours in all", "seconds_sum", lambda s: f"{s / 3600:.2f}" if s == s else DASH),
        Column("memory", "memory_mb_max", lambda mb: DASH if pd.isna(mb) else f"{mb:,} MB"),
    ]
    return make_table("provenance", results, lines, columns) if lines else None


def commits(runs: pd.DataFrame) -> str:
    """The commits of runs in seven digits; * where code was changed."""
    return listed(
        commit[:7] + "*" * (changed == "yes") for commit, changed in zip(runs.commit, runs.changed, strict=True)
    )
