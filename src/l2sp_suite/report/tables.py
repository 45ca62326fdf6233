"""Tables 1 to 6: what the paper printed beside what we measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from l2sp_suite.report.load import Results
from l2sp_suite.report.paper import PaperRow, PaperSetting, read_lines
from l2sp_suite.report.statistics import VERDICTS, Comparison, Summary, compare, summarise
from l2sp_suite.report.table import Column, Table, all_comparisons, columns_of_arms, comparison_columns, make_table
from l2sp_suite.report.text import DASH, Shown, count, difference, setting_number
from l2sp_suite.report.texts import FRACTION, mark, ours, symbol, unit_of, words

SETTINGS_TABLES = ("table4", "table5", "table6")
"""The paper's tables of settings."""


@dataclass(frozen=True)
class Pair:
    """A row of Table 3: the runs of each arm at its selected setting, and the comparisons of the others."""

    row: PaperRow
    arms: Mapping[str, pd.DataFrame]
    comparisons: Mapping[str, Comparison]


def value_of(runs: pd.DataFrame, column: str = "value") -> Summary:
    """Mean and spread of the runs' own metric, on what they were evaluated on or (`train_value`) trained on."""
    return summarise(runs[column], unit_of(runs.metric.iloc[0])) if len(runs) else Summary()


def measured(runs: pd.DataFrame, metric: str) -> Summary:
    """Mean and spread of any recorded metric over those of the runs that measured it; diverged runs count as such."""
    if runs.empty or runs.metric.iloc[0] == metric:
        return value_of(runs)
    recorded = runs.metrics.str.extract(rf"(?:^| ){re.escape(metric)}=(\S+)")[0].astype(float)
    values = recorded.where(np.isfinite(runs.value), runs.value)
    return summarise(values[recorded.notna() | ~np.isfinite(runs.value)], unit_of(runs.metric.iloc[0]))


def mean_of(runs: pd.DataFrame, column: str) -> Shown:
    """The mean of a column over runs: of distances with two decimals, of values as the metric is printed."""
    if runs.empty:
        return Shown(math.nan, 2)
    unit = FRACTION if column == "distance_w0" else unit_of(runs.metric.iloc[0])
    return Shown(fmean(runs[column]) * unit.factor, unit.digits)


def values_of(results: Results, runs: pd.DataFrame, key: str) -> dict[str, Any]:
    """What tables say of an arm's runs: its value by `key`, training metric, distance to w0 and setting."""
    values: dict[str, Any] = {key: value_of(runs)}
    values |= {f"{key}_train": mean_of(runs, "train_value"), f"{key}_distance_w0": mean_of(runs, "distance_w0")}
    return values | {f"{key}_{name}": _first(runs, name) for name in (*results.hyper, "lr", "steps")}


def _first(runs: pd.DataFrame, name: str) -> Any:
    return runs[name].iloc[0] if len(runs) else None


def values_of_arms(results: Results, arms: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """`values_of` each arm, by its name, and the comparisons with the baseline."""
    values = {key: value for arm, runs in arms.items() for key, value in values_of(results, runs, arm).items()}
    return values | {f"{arm}_difference": c for arm, c in comparisons_of(results, arms).items()}


def comparisons_of(results: Results, arms: Mapping[str, pd.DataFrame]) -> dict[str, Comparison]:
    """The comparison of each arm with the baseline."""
    return {arm: compare(arms[results.arms.baseline], arms[arm]) for arm in results.arms.others}


@lru_cache(maxsize=2)
def pairs(results: Results) -> list[Pair]:
    """The rows of Table 3 in order: the paper's, with or without runs, then experiments of our own.

    Raises:
        UserError: an arm has selected runs of several settings.
    """
    own = [name for name in results.experiments(results.main) if name not in results.paper.rows]
    lines = []
    for row in [*results.paper.table3, *map(results.row, own)]:
        arms = {arm: results.selected(row.experiment, arm) for arm in results.arms.names}
        lines.append(Pair(row, arms, comparisons_of(results, arms)))
    return lines


def table3(results: Results) -> Table:
    """The comparisons of the paper's Table 3 and, beside them, ours at one scale.

    Accuracies, mIoU and IoU in percent, end-point errors in pixels. A cell without runs holds a dash.
    """
    texts = ("number", "experiment", "approach", "target", "task", "metric", "better")
    lines = [
        {name: getattr(pair.row, name) or None for name in texts}
        | {"unit": unit_of(pair.row.metric).name}
        | {f"paper_{arm}": pair.row.printed.get(arm) for arm in results.arms.names}
        | values_of_arms(results, pair.arms)
        for pair in pairs(results)
    ]
    columns = [
        Column("#", "number"),
        Column("approach", "approach", mark),
        *(Column(name, name) for name in ("target", "task", "metric")),
        *columns_of_arms(results, "paper {}", "paper_{}"),
        *columns_of_arms(results, f"{ours(results.scale)} {{}}"),
        *all_comparisons(results),
    ]
    against = _counterexamples(results)
    slip = results.say(words("captions")["tables"]["table3"]["slip"], counterexamples=against) if against else ""
    summary = [*claims(results), *_test_sizes(pairs(results))]
    return make_table("table3", results, lines, columns, summary, slip=f" {slip}".rstrip())


def _counterexamples(results: Results) -> str:
    """The printed settings that are behind the printed baseline, against the paper's own text."""
    label, baseline, texts = results.arms.label, results.arms.baseline, []
    for lines in results.paper.settings.values():
        for line in lines:
            row, (metric, text) = results.row(line.experiment), list(line.printed.items())[-1]
            base = next(s for s in lines if (s.experiment, s.arm) == (line.experiment, baseline)).printed[metric]
            if float(text) != float(base) and (float(text) < float(base)) == (row.better == "higher"):
                setting = f"{label(line.arm)} with {results.setting_text(line.hyper)}"
                texts.append(f"{row.approach}, {setting}: {text} {metric} against {base} for {label(baseline)}")
    return "; ".join(texts)


def claims(results: Results) -> list[str]:
    """What the rows say together, for each arm: verdicts and mean differences, and the paper's claim as a sign test."""
    sentences = []
    for arm in results.arms.others:
        label, baseline = results.arms.label(arm), results.arms.label(results.arms.baseline)
        compared = [(p.row, p.comparisons[arm]) for p in pairs(results) if p.comparisons[arm].verdict]
        counts = ", ".join(f"{sum(c.verdict == verdict for _, c in compared)} {verdict}" for verdict in VERDICTS)
        text = f"{label} against {baseline}, {len(compared)} of {len(pairs(results))} rows compared: {counts}."
        for unit in sorted({unit_of(row.metric) for row, _ in compared}, key=lambda unit: unit.name):
            means = [c.mean for row, c in compared if unit_of(row.metric) == unit and math.isfinite(c.mean)]
            if means:
                mean = difference(Comparison(fmean(means), digits=unit.digits))
                text += f" Mean paired difference {mean} {unit.differences} (rows: {len(means)})."
        sentences += [text, *_signs(label, compared)]
    return sentences


def _signs(label: str, compared: Sequence[tuple[PaperRow, Comparison]]) -> list[str]:
    """The paper's overall claim as a sign test over the rows that several seeds stand behind."""
    several = [(row, c) for row, c in compared if c.n > 1 and math.isfinite(c.mean) and c.mean]
    ahead = [(c.mean > 0) == (row.better == "higher") for row, c in several]
    if not ahead:
        return []
    from scipy.stats import binomtest

    out = len(compared) - len(ahead)
    without = f" ({out} left out: one seed, diverged, or no difference)" if out else ""
    return [
        f"{label} is ahead on average in {sum(ahead)} of {len(ahead)} rows with several seeds{without}: two-sided sign "
        f"test, p = {binomtest(sum(ahead), len(ahead)).pvalue:.2g}, as if rows were independent, which those with the "
        "same pretrained weights are not."
    ]


def _test_sizes(lines: Sequence[Pair]) -> list[str]:
    """How many items stand behind each value: a subset must not pass for the whole."""
    texts = []
    for pair in lines:
        sizes = sorted({int(n) for runs in pair.arms.values() for n in runs.n.dropna()})
        texts += [f"{pair.row.target} {' or '.join(map(count, sizes))}"] if sizes else []
    return [f"Test items: {', '.join(texts)}."] if texts else []


def settings_table(name: str, results: Results) -> Table:
    """The settings that the paper printed in Table 4, 5 or 6, then those that only we ran, by experiment.

    The last printed metric is the one that is compared. Every difference is to the experiment's selected setting of the
    baseline, or to the paper's own where none was selected.

    Raises:
        UserError: one setting of an arm was run with several learning rates or lengths.
    """
    printed = results.paper.settings[name]
    metrics, baseline = list(printed[0].printed), results.arms.label(results.arms.baseline)
    rows = {setting.experiment: results.row(setting.experiment) for setting in printed}
    lines, references, seeds = [], [], []
    for experiment, row in rows.items():
        runs = results.main[results.main.experiment == experiment]
        part = _settings(results, runs, [setting for setting in printed if setting.experiment == experiment])
        base = results.selected(experiment, results.arms.baseline)
        if base.empty:
            base = next((r for s, r, _ in part if s.arm == results.arms.baseline and len(r)), base)
        references += [f"the {baseline} runs with {results.setting_text(base.iloc[0])}"] if len(base) else []
        seeds += [len(ours) for _, ours, _ in part if len(ours)]
        lines += [_settings_line(results, row, setting, ours, base, note, metrics) for setting, ours, note in part]
    # What tells several experiments apart: their approach or, where all have one, their target.
    apart = "approach" if len({row.approach for row in rows.values()}) > 1 else "target"
    columns = [
        *([Column(apart, f"_{apart}")] if len(rows) > 1 else []),
        Column("regulariser", "arm", results.arms.label),
        *(Column(symbol(name), name, setting_number) for name in results.hyper),
        *(Column(f"paper {metric}", f"paper_{metric}") for metric in metrics),
        *(Column(f"{ours(results.scale)} {metric}", f"ours_{metric}") for metric in metrics),
        *comparison_columns(f"{metrics[-1]} difference to {baseline}"),
        Column("note", "note"),
    ]
    few = f" {seeds.count(1)} of the {len(seeds)} settings that ran have one seed: they are neither better nor worse."
    reference = " and ".join(dict.fromkeys(references)) or f"{baseline}, of which there are no runs"
    return make_table(name, results, lines, columns, references=reference, few=few if 1 in seeds else "")


def _settings_line(
    results: Results,
    row: PaperRow,
    setting: PaperSetting,
    runs: pd.DataFrame,
    base: pd.DataFrame,
    note: str,
    metrics: Sequence[str],
) -> dict[str, Any]:
    is_base = len(base) > 0 and base.index[0] in runs.index
    line: dict[str, Any] = {
        "_approach": row.approach,
        "_target": row.target,
        "experiment": row.experiment,
        "arm": setting.arm,
    }
    line |= {name: setting.hyper.get(name, math.nan) for name in results.hyper} | {"unit": unit_of(row.metric).name}
    line |= {f"ours_{name}": _first(runs, name) for name in (*results.hyper, "lr", "steps")}
    for metric in metrics:
        line |= {f"paper_{metric}": setting.printed.get(metric), f"ours_{metric}": measured(runs, metric)}
    selected = "selected" if len(runs) and runs.selected.iloc[0] else ""
    return line | {
        "difference": Comparison() if is_base else compare(base, runs),
        "note": "; ".join(filter(None, [note, selected])),
    }


def _settings(
    results: Results, runs: pd.DataFrame, printed: Sequence[PaperSetting]
) -> list[tuple[PaperSetting, pd.DataFrame, str]]:
    """The printed settings, then those that only we ran, each with our runs (maybe none) and a remark."""
    by = ["arm", *results.hyper]
    unprinted = {key: results.one_setting(part) for key, part in runs.groupby(by, dropna=False)}
    lines = []
    for setting in printed:
        values = [setting.hyper.get(name, math.nan) for name in results.hyper]
        key = next((k for k in unprinted if k[0] == setting.arm and _same(k[1:], values)), None)
        note = ""
        if key is None and setting.arm == results.arms.baseline:
            # The paper's weight decay fits the paper's scale; ours was chosen on our validation part.
            key = next((k for k, part in unprinted.items() if k[0] == setting.arm and part.selected.iloc[0]), None)
            note = f"ours with {results.setting_text(unprinted[key].iloc[0])}" if key else ""
        lines.append((setting, unprinted.pop(key) if key else runs.iloc[:0], note))
    for part in sorted(unprinted.values(), key=lambda part: results.arms.names.index(part.arm.iloc[0])):
        first = part.iloc[0]
        setting = PaperSetting(first.experiment, first.arm, {name: first[name] for name in results.hyper})
        lines.append((setting, part, "not in the paper"))
    return lines


def _same(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether two settings are one, up to the ten digits of rows.csv."""
    return all(
        x == y or (x != x and y != y) or (not isinstance(x, str) and math.isclose(x, y, rel_tol=1e-8))
        for x, y in zip(a, b, strict=True)
    )


def family(approach: str) -> str:
    """The system that an approach of Table 3 is a variant of, e.g. EncNet for EncNet-50."""
    return re.split(r"[-* ]", approach)[0]


def table1(results: Results) -> Table:
    """The source data sets, and which sets and weights take their place at this scale.

    Raises:
        UserError: the folder of the paper's tables lacks the official sizes.
    """
    lines: list[dict[str, Any]] = []
    families = {name: family(results.row(name).approach) for name in results.data.experiment.unique()}
    for printed in read_lines(results.paper.folder / "table1.csv"):
        data = results.data[results.data.role == printed["key"]]
        data = data[data.experiment.map(families) == printed["approach"]].drop(columns="experiment").drop_duplicates()
        lines += [printed | _ours(size) for size in data.to_dict("records")] or [printed | _ours({})]
    here, sizes = ours(results.scale), ("classes", "train", "evaluation")
    columns = [Column(name, name) for name in ("approach", "source")] + [Column(name, name, count) for name in sizes]
    origin = Column(f"{here}: weights from", "ours_origin", lambda text: text or DASH)
    return make_table("table1", results, lines, [*columns, origin, *_our_sizes(here)])


def table2(results: Results) -> Table:
    """The target data sets: official sizes, and what the runs of this scale were trained and evaluated on.

    Raises:
        UserError: the folder of the paper's tables lacks the official sizes.
    """
    target = results.data[results.data.role == "target"].set_index("experiment", drop=False)
    sizes = {size["experiment"]: size for size in target.to_dict("records")}
    lines: list[dict[str, Any]] = read_lines(results.paper.folder / "table2.csv")
    for row in map(results.row, sorted(name for name in sizes if name not in results.paper.rows)):
        blank = dict.fromkeys(lines[0], "")  # a target that the paper has not
        lines.append(blank | {"target": row.target, "experiment": row.experiment, "approach": row.approach})
    for line in lines:
        line |= _ours(sizes.get(line["experiment"], {}))
        line |= {f"_{name}": _items(line[name], line[f"{name}_clips"]) for name in ("train", "evaluation")}
    columns = [Column("target", "target"), Column("approach", "approach"), Column("classes", "classes", count)]
    columns += [Column(name, f"_{name}") for name in ("train", "evaluation")]
    return make_table("table2", results, lines, columns + _our_sizes(ours(results.scale)))


def _ours(size: Mapping[Any, Any]) -> dict[str, Any]:
    names = ("classes", "train", "test", "train_clips", "test_clips")
    counts = {f"ours_{name}": None if pd.isna(size.get(name)) else int(size[name]) for name in names}
    texts = {
        f"_ours_{split}": _items(counts[f"ours_{split}"], counts[f"ours_{split}_clips"]) for split in ("train", "test")
    }
    return {"ours_origin": size.get("origin", ""), **counts, **texts}


def _our_sizes(here: str) -> list[Column]:
    sizes = [Column(f"{here} train", "_ours_train"), Column(f"{here} evaluation", "_ours_test")]
    return [Column(f"{here} classes", "ours_classes", count), *sizes]


def _items(number: int | str | None, clips: int | str | None) -> str:
    if not clips or clips == number:  # a pair of frames a clip
        return count(number)
    text = f"{count(clips)} {'clip' if int(clips) == 1 else 'clips'}"
    return f"{count(number)} ({text})" if number else text
