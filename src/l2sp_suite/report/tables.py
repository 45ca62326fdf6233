"""Tables 1 to 6: what the paper printed beside what we measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from l2sp_suite.report.load import Results
from l2sp_suite.report.paper import PaperRow, PaperSetting, read_lines
from l2sp_suite.report.statistics import VERDICTS, Comparison, Summary, compare, summarise
from l2sp_suite.report.table import Column, Table, make_table
from l2sp_suite.report.text import DASH, count, difference, interval_text, mean_and_sd, setting_number
from l2sp_suite.report.texts import mark, ours, say, symbol, unit_of, words

__all__ = [
    "Pair",
    "SETTINGS_TABLES",
    "claims",
    "comparison_columns",
    "family",
    "measured",
    "pairs",
    "per_arm",
    "settings_table",
    "table1",
    "table2",
    "table3",
    "value_of",
]

Line = TypeVar("Line")
SETTINGS_TABLES = ("table4", "table5", "table6")
"""The paper's tables of settings."""


@dataclass(frozen=True)
class Pair:
    """All arms of one experiment at their selected settings, and the comparison of each with the baseline.

    `arms`: the runs by name of the arm; `comparisons`: by name, without the baseline's. In the printed unit.
    """

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


def per_arm(results: Results, make: Callable[[str, str], Sequence[Column[Line]]]) -> list[Column[Line]]:
    """The columns that `make` gives for each arm, called with its name and its label."""
    return [column for arm in results.arms.names for column in make(arm, results.arms.label(arm))]


def comparison_columns(results: Results, get: Callable[[Line, str], Comparison]) -> list[Column[Line]]:
    """Difference to the baseline, interval and verdict of each other arm; they name it where there are several."""

    def columns(arm: str) -> list[Column[Line]]:
        def value(line: Line) -> Comparison:
            return get(line, arm)

        prefix = f"{results.arms.label(arm)} " if len(results.arms.others) > 1 else ""
        return comparison_group(value, f"{prefix}difference", prefix, f"{arm}_difference")

    return [column for arm in results.arms.others for column in columns(arm)]


def comparison_group(
    value: Callable[[Line], Comparison], heading: str = "difference", prefix: str = "", key: str = "difference"
) -> list[Column[Line]]:
    """Three columns of one comparison; `key` names the difference in the CSV."""
    return [
        Column(heading, value, difference, key),
        Column(f"{prefix}95 % interval", value, interval_text),
        Column(f"{prefix}verdict", value, lambda comparison: comparison.verdict or DASH),
    ]


@lru_cache(maxsize=2)
def pairs(results: Results) -> list[Pair]:
    """The rows of Table 3 in order: the paper's, with or without runs, then experiments of our own.

    Raises:
        UserError: an arm has selected runs of several settings.
    """
    extra = [name for name in results.experiments(results.main) if name not in results.paper.rows]
    lines = []
    for row in [*results.paper.table3, *map(results.row, extra)]:
        arms = {name: results.selected(row.experiment, name) for name in results.arms.names}
        base = arms[results.arms.baseline]
        lines.append(Pair(row, arms, {name: compare(base, arms[name], row.better) for name in results.arms.others}))
    return lines


def table3(results: Results) -> Table:
    """The comparisons of the paper's Table 3 and, beside them, ours at one scale.

    Accuracies, mIoU and IoU in percent, end-point errors in pixels. A cell without runs holds a dash.
    """

    def text(name: str) -> Callable[[Pair], str | None]:
        return lambda pair: getattr(pair.row, name) or None

    def printed(arm: str, label: str) -> list[Column[Pair]]:
        return [Column(f"paper {label}", lambda pair: pair.row.printed.get(arm) or None, key=f"paper_{arm}")]

    def measured_here(arm: str, label: str) -> list[Column[Pair]]:
        columns = [Column(f"{ours(results.scale)} {label}", lambda p: value_of(p.arms[arm]), mean_and_sd, arm)]
        return [*columns, *(Column("", _first(arm, name), key=f"{arm}_{name}") for name in _setting_columns(results))]

    columns: list[Column[Pair]] = [
        Column("#", text("number"), key="number"),
        Column("", text("experiment"), key="experiment"),
        Column("approach", text("approach"), mark),
        Column("target", text("target")),
        Column("task", text("task")),
        Column("metric", text("metric"), key="metric"),
        Column("", lambda pair: unit_of(pair.row.metric).name, key="unit"),
        Column("", text("better"), key="better"),
        *per_arm(results, printed),
        *per_arm(results, measured_here),
        *comparison_columns(results, lambda pair, arm: pair.comparisons[arm]),
    ]
    lines = pairs(results)
    slip = _counterexamples(results)
    values = {"slip": f" {say(words('captions')['tables']['table3']['slip'], counterexamples=slip)}" if slip else ""}
    summary = [*claims(results, lines), *_test_sizes(lines)]
    return make_table("table3", results, columns, lines, summary, values)


def _setting_columns(results: Results) -> list[str]:
    return [*results.hyper, "lr", "steps"]


def _first(arm: str, name: str) -> Callable[[Pair], Any]:
    return lambda pair: pair.arms[arm][name].iloc[0] if len(pair.arms[arm]) else None


def _counterexamples(results: Results) -> str:
    """The printed settings that are behind the printed baseline, against the paper's own text."""
    found = []
    for lines in results.paper.settings.values():
        for setting in lines:
            row, metric = results.row(setting.experiment), list(setting.printed)[-1]
            base = next(s for s in lines if (s.experiment, s.arm) == (setting.experiment, results.arms.baseline))
            value, level = float(setting.printed[metric]), float(base.printed[metric])
            if value != level and (value < level) == (row.better == "higher"):
                found.append(
                    f"{row.approach}, {results.arms.label(setting.arm)} with {results.setting_text(setting.hyper)}: "
                    f"{setting.printed[metric]} {metric} against {base.printed[metric]} for "
                    f"{results.arms.label(base.arm)}"
                )
    return "; ".join(found)


def claims(results: Results, lines: Sequence[Pair]) -> list[str]:
    """What the rows say together, for each arm: verdicts and mean differences, and the paper's claim as a sign test."""
    sentences = []
    for arm in results.arms.others:
        label, baseline = results.arms.label(arm), results.arms.label(results.arms.baseline)
        compared = [pair for pair in lines if pair.comparisons[arm].verdict]
        counts = [f"{sum(p.comparisons[arm].verdict == v for p in compared)} {v}" for v in VERDICTS]
        parts = [f"{label} against {baseline}, {len(compared)} of {len(lines)} rows compared: {', '.join(counts)}."]
        for unit in dict.fromkeys(sorted((unit_of(p.row.metric) for p in compared), key=lambda u: u.name)):
            means = [p.comparisons[arm].mean for p in compared if unit_of(p.row.metric) == unit]
            if means := [mean for mean in means if math.isfinite(mean)]:
                mean = difference(Comparison(fmean(means), digits=unit.digits))
                parts.append(f"Mean paired difference {mean} {unit.differences} (rows: {len(means)}).")
        sentences += [" ".join(parts), *_signs(label, arm, compared)]
    return sentences


def _signs(label: str, arm: str, compared: Sequence[Pair]) -> list[str]:
    """The paper's overall claim as a sign test over the rows that several seeds stand behind."""
    each = [(pair.comparisons[arm], pair.row.better) for pair in compared]
    several = [(c.mean, better) for c, better in each if c.n > 1 and math.isfinite(c.mean) and c.mean]
    ahead = [(mean > 0) == (better == "higher") for mean, better in several]
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
        texts += [f"{pair.row.target} {' or '.join(f'{n:,}' for n in sizes)}"] if sizes else []
    return [f"Test items: {', '.join(texts)}."] if texts else []


@dataclass(frozen=True)
class _Setting:
    """A line of a table of settings: as printed (nothing, where only we ran it), our runs (maybe none), a remark."""

    printed: PaperSetting
    runs: pd.DataFrame
    note: str
    row: PaperRow
    comparison: Comparison = Comparison()


def settings_table(name: str, results: Results) -> Table:
    """The settings that the paper printed in Table 4, 5 or 6, then those that only we ran, by experiment.

    The last printed metric is the one that is compared. Every difference is to the experiment's selected setting of the
    baseline, or to the paper's own where none was selected.

    Raises:
        UserError: one setting of an arm was run with several learning rates or lengths.
    """
    printed = results.paper.settings[name]
    experiments = list(dict.fromkeys(setting.experiment for setting in printed))
    lines, references = [], []
    for experiment in experiments:
        runs = results.main[results.main.experiment == experiment]
        part = _lines(results, runs, [setting for setting in printed if setting.experiment == experiment])
        base = results.selected(experiment, results.arms.baseline)
        if base.empty:
            alike = (line.runs for line in part if line.printed.arm == results.arms.baseline and len(line.runs))
            base = next(alike, base)
        lines += [replace(line, comparison=_comparison(base, line)) for line in part]
        if len(base):
            label = results.arms.label(results.arms.baseline)
            references.append(f"the {label} runs with {results.setting_text(base.iloc[0])}")
    seeds = [len(line.runs) for line in lines if len(line.runs)]
    few = f" {seeds.count(1)} of the {len(seeds)} settings that ran have one seed: they are called neither better nor worse."
    baseline = results.arms.label(results.arms.baseline)
    values = {
        "few": few if 1 in seeds else "",
        "references": " and ".join(dict.fromkeys(references)) or f"{baseline}, of which there are no runs",
    }
    return make_table(name, results, _settings_columns(results, printed), lines, values=values)


def _settings_columns(results: Results, printed: Sequence[PaperSetting]) -> list[Column[_Setting]]:
    metrics, here = list(printed[0].printed), ours(results.scale)
    rows = {setting.experiment: results.row(setting.experiment) for setting in printed}.values()
    # What tells several experiments apart: their approach or, where all have one, their target.
    apart = [] if len(rows) < 2 else ["approach"] if len({row.approach for row in rows}) > 1 else ["target"]

    def ran(name: str) -> Column[_Setting]:
        return Column("", lambda line: line.runs[name].iloc[0] if len(line.runs) else None, key=f"ours_{name}")

    def hyper(name: str) -> Column[_Setting]:
        return Column(symbol(name), lambda line: line.printed.hyper.get(name, math.nan), setting_number, name)

    def paper_metric(metric: str) -> Column[_Setting]:
        return Column(f"paper {metric}", lambda line: line.printed.printed.get(metric), key=f"paper_{metric}")

    def our_metric(metric: str) -> Column[_Setting]:
        return Column(f"{here} {metric}", lambda line: measured(line.runs, metric), mean_and_sd, f"ours_{metric}")

    heading = f"{metrics[-1]} difference to {results.arms.label(results.arms.baseline)}"
    return [
        *(Column(name, lambda line, name=name: getattr(line.row, name)) for name in apart),
        Column("", lambda line: line.printed.experiment, key="experiment"),
        Column("regulariser", lambda line: line.printed.arm, results.arms.label, "arm"),
        *map(hyper, results.hyper),
        Column("", lambda line: unit_of(line.row.metric).name, key="unit"),
        *map(ran, _setting_columns(results)),
        *map(paper_metric, metrics),
        *map(our_metric, metrics),
        *comparison_group(lambda line: line.comparison, heading),
        Column("note", lambda line: line.note, key="note"),
    ]


def _comparison(base: pd.DataFrame, line: _Setting) -> Comparison:
    is_base = len(base) and len(line.runs) and base.index[0] in line.runs.index
    return Comparison() if is_base else compare(base, line.runs, line.row.better)


def _lines(results: Results, runs: pd.DataFrame, printed: Sequence[PaperSetting]) -> list[_Setting]:
    by = ["arm", *results.hyper]
    unprinted = {key: results.one_setting(part) for key, part in runs.groupby(by, dropna=False)} if len(runs) else {}
    row = results.row(printed[0].experiment)
    lines = []
    for setting in printed:
        values = [setting.hyper.get(name, math.nan) for name in results.hyper]
        key = next((k for k in unprinted if k[0] == setting.arm and _same(k[1:], values)), None)
        ours, note = (unprinted.pop(key), "") if key else (runs.iloc[:0], "")
        if ours.empty and setting.arm == results.arms.baseline:
            # The paper's weight decay fits the paper's scale; ours was chosen on our validation part.
            key = next((k for k, part in unprinted.items() if k[0] == setting.arm and part.selected.iloc[0]), None)
            ours = unprinted.pop(key) if key else ours
            note = f"ours with {results.setting_text(ours.iloc[0])}" if key else ""
        lines.append(_Setting(setting, ours, _note(note, ours), row))
    rest = sorted(unprinted.values(), key=lambda part: results.arms.names.index(part.arm.iloc[0]))
    for part in rest:
        first = part.iloc[0]
        setting = PaperSetting(first.experiment, first.arm, {name: first[name] for name in results.hyper})
        lines.append(_Setting(setting, part, _note("not in the paper", part), row))
    return lines


def _same(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether two settings are one, up to the ten digits of rows.csv."""
    return all(
        x == y or (x != x and y != y) or (not isinstance(x, str) and math.isclose(x, y, rel_tol=1e-8))
        for x, y in zip(a, b, strict=True)
    )


def _note(note: str, runs: pd.DataFrame) -> str:
    return "; ".join(filter(None, [note, "selected" if len(runs) and runs.selected.iloc[0] else ""]))


def family(approach: str) -> str:
    """The system that an approach of Table 3 is a variant of, e.g. EncNet for EncNet-50."""
    return re.split(r"[-* ]", approach)[0]


_SIZES = ("classes", "train", "test", "train_clips", "test_clips")


def table1(results: Results) -> Table:
    """The source data sets, and which sets and weights take their place at this scale.

    Raises:
        UserError: the folder of the paper's tables lacks the official sizes.
    """
    lines = []
    families = {name: family(results.row(name).approach) for name in results.data.experiment.unique()}
    for printed in read_lines(results.paper.folder / "table1.csv"):
        data = results.data[(results.data.role == printed["key"])]
        data = data[data.experiment.map(families) == printed["approach"]].drop(columns="experiment").drop_duplicates()
        lines += [printed | _ours(size) for size in data.to_dict("records")] or [printed | _ours({})]
    here, sizes = ours(results.scale), ("classes", "train", "evaluation")
    columns: list[Column[dict[str, Any]]] = [
        *(_cell(name, key=name) for name in ("approach", "source")),
        _cell("", "key", key="key"),
        *(_cell(name, name, count, name) for name in sizes),
        _cell("", "unit", key="unit"),
        Column(f"{here}: weights from", lambda line: line["ours_origin"], lambda text: text or DASH, "ours_origin"),
        *_our_sizes(here),
    ]
    return make_table("table1", results, columns, lines)


def table2(results: Results) -> Table:
    """The target data sets: official sizes, and what the runs of this scale were trained and evaluated on.

    Raises:
        UserError: the folder of the paper's tables lacks the official sizes.
    """
    target = results.data[results.data.role == "target"].set_index("experiment")
    sizes = {str(name): size for name, size in zip(target.index, target.to_dict("records"), strict=True)}
    lines = [line | _ours(sizes.get(line["experiment"], {})) for line in read_lines(results.paper.folder / "table2.csv")]
    for name in sorted(name for name in sizes if name not in results.paper.rows):
        row = results.row(name)  # a target that the paper has not
        lines.append({"target": row.target, "experiment": name, "approach": row.approach} | _ours(sizes[name]))
    columns: list[Column[dict[str, Any]]] = [
        _cell("target", key="target"),
        _cell("", "experiment", key="experiment"),
        _cell("approach", key="approach"),
        _cell("classes", "classes", count, "classes"),
        *(
            Column(name, lambda line, name=name: (line.get(name), line.get(f"{name}_clips")), lambda pair: _items(*pair))
            for name in ("train", "evaluation")
        ),
        *(_cell("", name, key=name) for name in ("train", "evaluation", "train_clips", "evaluation_clips")),
        _cell("", "ours_origin", key="ours_origin"),
        *_our_sizes(ours(results.scale)),
    ]
    return make_table("table2", results, columns, lines)


def _cell(name: str, field: str = "", format: Callable[[Any], str] = str, key: str = "") -> Column[dict[str, Any]]:
    return Column(name, lambda line: line.get(field or name), format, key)


def _ours(size: Mapping[str, Any]) -> dict[str, Any]:
    counts = {f"ours_{name}": None if pd.isna(size.get(name)) else int(size[name]) for name in _SIZES}
    return {"ours_origin": size.get("origin", ""), **counts}


def _our_sizes(here: str) -> list[Column[dict[str, Any]]]:
    """Ours of a line: classes, and items with clips where videos were counted."""

    def items(split: str) -> Callable[[dict[str, Any]], tuple[Any, Any]]:
        return lambda line: (line[f"ours_{split}"], line[f"ours_{split}_clips"])

    return [
        _cell(f"{here} classes", "ours_classes", count, "ours_classes"),
        Column(f"{here} train", items("train"), lambda pair: _items(*pair)),
        Column(f"{here} evaluation", items("test"), lambda pair: _items(*pair)),
        *(_cell("", f"ours_{name}", key=f"ours_{name}") for name in _SIZES[1:]),
    ]


def _items(number: int | str | None, clips: int | str | None) -> str:
    if not clips or clips == number:  # a pair of frames a clip
        return count(number)
    text = f"{count(clips)} {'clip' if int(clips) == 1 else 'clips'}"
    return f"{count(number)} ({text})" if number else text
