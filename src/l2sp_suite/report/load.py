"""All runs of a scale as one data frame, and what they recorded beside their results.

An experiment of whose main runs, or of whose runs in a study, there is no finished run directory (a clone has none at
mini scale) keeps its lines of rows.csv and its neighbours, but for those of runs whose own directory is there,
unfinished.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from l2sp_suite.report.arms import Arms
from l2sp_suite.report.paper import Paper, PaperRow
from l2sp_suite.report.records import (
    ORDER,
    SCHEMAS,
    columns_of,
    hyper_of,
    keys_of,
    parse_records,
    sort_records,
    to_text,
)
from l2sp_suite.report.runs import Problem, RunRecords, read_runs, six_digits
from l2sp_suite.report.text import setting_number
from l2sp_suite.report.texts import say, symbol
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically
from l2sp_suite.utils.run_paths import run_folder

FILES = ("rows", "curves", "layers", "data", "provenance")
RUN = ("study", "experiment", "arm", "*", "seed")


@dataclass(eq=False)
class Results:
    """All that is known of one scale.

    `runs` has a line a run: the columns of rows.csv and provenance.csv (see `records.SCHEMAS`), one for each
    hyper-parameter (`hyper`), and `study_name` (its study without the point); `main` are those of no side study.
    `problems` are for a person to read, `written` the files that were renewed.
    """

    root: Path
    arms: Arms
    paper: Paper
    hyper: list[str]
    runs: pd.DataFrame
    curves: pd.DataFrame
    layers: pd.DataFrame
    data: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)

    @property
    def scale(self) -> str:
        """The scale's name."""
        return self.root.name

    @property
    def setting(self) -> list[str]:
        """The columns of what is tuned on validation, in the order by which settings are sorted."""
        return ["lr", "steps", *self.hyper]

    def study(self, name: str) -> pd.DataFrame:
        """The runs of one side study, all points."""
        return self.runs[self.runs.study_name == name]

    def experiments(self, runs: pd.DataFrame) -> list[str]:
        """The experiments that occur in `runs`: the paper's in its order, then others by name."""
        return sorted(runs.experiment.unique(), key=self.paper.order)

    def selected(self, experiment: str, arm: str) -> pd.DataFrame:
        """The main runs of one arm at the setting that was chosen on validation, by seed; a run says itself if it is.

        Raises:
            UserError: runs of several settings say so, for instance after a default was changed.
        """
        if (experiment, arm) not in self._selected:
            main = self.main
            runs = main[(main.experiment == experiment) & (main.arm == arm) & main.selected]
            self._selected[experiment, arm] = self.one_setting(runs).sort_values("seed")
        return self._selected[experiment, arm]

    def one_setting(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs, if all have one setting: a mean over several would be no arm of any comparison.

        Raises:
            UserError: they have not.
        """
        settings = runs[self.setting]
        if len(runs) and len(settings := settings.drop_duplicates()) > 1:
            texts = [
                f"{self.setting_text(line)}, lr={setting_number(line['lr'])}, {line['steps']} steps"
                for line in settings.sort_values(self.setting).to_dict("records")
            ]
            run = runs.iloc[0]
            where = f"{self.scale}/{f'studies/{run.study}' if run.study else 'runs'}/{run.experiment}"
            raise UserError(
                f"{where}: {self.arms.label(run.arm)} has several settings where one is chosen ({'; '.join(texts)}); "
                "remove the runs of the setting that is no longer the default, or run them again"
            )
        return runs

    def by_setting(self, runs: pd.DataFrame) -> list[pd.DataFrame]:
        """The runs of each setting, by rising learning rate, steps and hyper-parameters."""
        return [part for _, part in runs.groupby(self.setting, dropna=False)] if len(runs) else []

    def say(self, text: str, **values: object) -> str:
        """`text` with its placeholders filled, see `texts.say`; `{baseline}` and `{others}` are the arms."""
        label = self.arms.label
        arms = {"baseline": label(self.arms.baseline), "others": " and ".join(map(label, self.arms.others))}
        return say(text, self.scale, **(arms | values))

    def setting_text(self, run: Any) -> str:
        """The hyper-parameters of a run (or another mapping) for people, e.g. α=0.01, β=0.001."""
        values = {name: run[name] for name in self.hyper if name in run and run[name] == run[name]}
        return ", ".join(f"{symbol(name)}={setting_number(value)}" for name, value in values.items())

    def row(self, experiment: str) -> PaperRow:
        """What an experiment reproduces or, of one of ours, what its runs say of themselves."""
        if experiment in self.paper.rows:
            return self.paper.rows[experiment]
        runs = self.runs[self.runs.experiment == experiment]
        if runs.empty:
            return PaperRow(experiment, "", "own", experiment, "", "", "higher", {})
        run = runs.sort_values("study", kind="stable").iloc[0]
        printed = dict(re.findall(r"(\S+)=(\S+)", run.paper))
        texts = (run.approach or "own", run.target or experiment, run.task, run.metric, run.better)
        return PaperRow(experiment, "", *texts, printed)

    def title(self, experiment: str) -> str:
        """Approach and target of an experiment, or its name where it has none."""
        row = self.row(experiment)
        named = experiment in self.paper.rows or (row.approach != "own" and row.target != experiment)
        return f"{row.approach}, {row.target}" if named else experiment

    def folder(self, run: Any) -> Path:
        """A run's directory, which may not be there."""
        hyper = {name: run[name] for name in self.hyper}
        return self.root / run_folder(run["experiment"], run["arm"], hyper, run["seed"], run["study"])

    def __post_init__(self) -> None:
        runs = self.runs
        self.runs = runs.assign(study_name=runs.study.str.partition("/")[0] if len(runs) else runs.study)
        self.main = self.runs[self.runs.study == ""]
        self._selected: dict[tuple[str, str], pd.DataFrame] = {}


def load_results(results: Path, scale: str, paper: Paper, arms: Arms) -> Results:
    """Reads the runs of a scale, renews its files by them, and returns what the files then hold.

    All numbers pass through the text of the files. Without any finished run nothing is written.

    Raises:
        UserError: a damaged file.
    """
    root = results / scale
    records = read_runs(results, scale)
    earlier = {name: _read_file(root / f"{name}.csv", name) for name in FILES}
    hyper = sorted({*records.hyper, *(name for file in earlier for name in hyper_of(earlier[file], file))})
    now = {name: _frame(records, name, hyper) for name in FILES}
    earlier = {name: _with_hyper(earlier[name], name, hyper) for name in FILES}
    here = set(_groups(now["rows"]))
    unfinished = {
        key
        for key, group, run in zip(
            _runs(earlier["rows"], hyper), _groups(earlier["rows"]), _records(earlier["rows"]), strict=True
        )
        if group not in here and (root / _folder_of(run, hyper)).is_dir()
    }
    frames, written, changed = {}, [], bool(len(now["rows"]) or unfinished)
    for name in FILES:
        kept = _kept(earlier[name], hyper, here, unfinished)
        text = to_text(sort_records(pd.concat([now[name], kept]), name, hyper), name, hyper)
        frames[name] = _with_hyper(parse_records(text, name, root / f"{name}.csv"), name, hyper)
        if changed:
            write_atomically(root / f"{name}.csv", text)
            written.append(root / f"{name}.csv")
    problems = [*records.problems, *_vanished(earlier["rows"], frames["rows"], hyper, here, unfinished)]
    by = columns_of("provenance", hyper, ORDER["provenance"])
    rows = frames.pop("rows").merge(frames.pop("provenance"), on=by, how="left")
    arms = arms.with_runs(zip(rows.arm, rows.label, strict=True))
    printed = {name for table in paper.settings.values() for line in table for name in line.hyper}
    hyper = sorted({*hyper, *printed})
    rows = rows.assign(**{name: float("nan") for name in hyper if name not in rows})
    return Results(root, arms, paper, hyper, rows, **frames, problems=problems, written=written)


def _read_file(path: Path, name: str) -> pd.DataFrame:
    return parse_records(
        path.read_text(encoding="utf-8") if path.is_file() else ",".join(SCHEMAS[name]).replace("*,", ""), name, path
    )


def _frame(records: RunRecords, name: str, hyper: Sequence[str]) -> pd.DataFrame:
    lines = getattr(records, name)
    frame = pd.DataFrame(lines, columns=None if lines else columns_of(name, hyper))
    frame = _with_hyper(frame, name, hyper)
    if name == "layers" and lines:  # means over the seeds of each arm
        by = ["experiment", "arm", *hyper, "depth", "layer"]
        norms = ["distance_w0", "length", "length_w0"]
        groups = frame.groupby(by, dropna=False, sort=False)[norms]
        means = groups.mean().map(six_digits)
        frame = means.assign(seeds=groups.size()).reset_index()
    return frame.drop_duplicates(["experiment", "role"]) if name == "data" else frame


def _with_hyper(frame: pd.DataFrame, name: str, hyper: Sequence[str]) -> pd.DataFrame:
    return frame.reindex(columns=columns_of(name, hyper))


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(rows.columns, line, strict=True)) for line in rows.itertuples(index=False)]


def _folder_of(run: dict[str, Any], hyper: Iterable[str]) -> Any:
    return run_folder(run["experiment"], run["arm"], {k: run[k] for k in hyper}, run["seed"], run["study"])


def _kept(earlier: pd.DataFrame, hyper: Sequence[str], here: set[str], unfinished: set[str]) -> pd.DataFrame:
    """The earlier lines that no run directory speaks for or against."""
    runs = _runs(earlier, hyper)
    return earlier.loc[[g not in here and r not in unfinished for g, r in zip(_groups(earlier), runs, strict=True)]]


def _runs(frame: pd.DataFrame, hyper: Sequence[str]) -> list[str]:
    """The name of the run that each line is of; of lines of several runs none."""
    if "seed" not in frame:
        return [""] * len(frame)
    return keys_of(frame.assign(study=frame.get("study", "")), columns_of("rows", hyper, RUN))


def _groups(frame: pd.DataFrame) -> list[str]:
    """Study and experiment of each line: those of one group are replaced together."""
    studies = [study.partition("/")[0] for study in frame.get("study", [""] * len(frame))]
    return [f"{study}/{name}" for study, name in zip(studies, frame.experiment, strict=True)]


def _vanished(
    earlier: pd.DataFrame, now: pd.DataFrame, hyper: Sequence[str], here: set[str], unfinished: set[str]
) -> list[Problem]:
    # On a clone, a first new run would otherwise replace all committed rows without a word.
    by = columns_of("rows", hyper, ORDER["rows"])
    there = set(keys_of(now, by))
    reason = "in the earlier rows.csv, but no finished run directory holds it now; its row is dropped"
    lines = zip(keys_of(earlier, by), _groups(earlier), _runs(earlier, hyper), strict=True)
    return [
        Problem("vanished", key, reason)
        for key, group, run in lines
        if key not in there and (group in here or run in unfinished)
    ]
