"""The tables: golden files, missing cells, and no number from the wrong source."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_trees import CHOSEN, PAPER, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.collect import read_runs
from l2sp_suite.report.paper import read_paper
from l2sp_suite.report.rows import Row
from l2sp_suite.report.settings import settings_table
from l2sp_suite.report.studies import ladder
from l2sp_suite.report.tables import table3
from l2sp_suite.report.text import DASH
from l2sp_suite.utils.errors import UserError

GOLDEN = Path(__file__).parent / "golden"
STUDIES = ("alpha", "flow", "learning_rate", "provenance", "regime", "selection", "sweeps")
NAMES = (*(f"table{number}" for number in range(1, 8)), *STUDIES)
RECORDS = ("rows", "curves", "layers", "data", "provenance")
FIRST_OURS = 7  # column of Table 3 where ours begins


@pytest.mark.parametrize("suffix", ["md", "csv", "tex"])
def test_golden(tree: Path, read: Callable[[str], str], suffix: str) -> None:
    """`UPDATE_GOLDEN=1 pytest tests/report` writes them anew; read the diff before you commit it."""
    build_report(tree, "mini", PAPER, figures=False)
    files = {f"{name}.{suffix}": f"tables/{name}.{suffix}" for name in NAMES}
    if suffix == "csv":
        files |= {f"{name}.records.csv": f"{name}.csv" for name in RECORDS}
    for name, path in files.items():
        text, golden = read(path), GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8"), name


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, figures=False)
    inputs = "\n".join(
        rf"\input{{{path.as_posix()}}}\clearpage" for path in sorted((tree / "mini" / "tables").glob("*.tex"))
    )
    text = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 20_000 and "Missing character" not in done.stdout


def cells(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.split(" | ")] for line in text.splitlines() if line.startswith("| ")]


def test_without_runs_all_of_ours_are_dashes() -> None:
    paper = read_paper(PAPER)
    for line in table3([], paper, "mini").lines:
        assert list(line[FIRST_OURS:]) == [DASH] * 5
    for line in settings_table("table6", [], paper, "mini").lines:
        assert list(line[4:]) == [DASH] * 4 + [""]
    assert len(table3([], paper, "mini").lines) == 12 and len(settings_table("table6", [], paper, "mini").lines) == 6


@given(st.dictionaries(st.sampled_from([r.experiment for r in read_paper(PAPER).table3]), st.floats(0, 1)))
@settings(max_examples=40, deadline=None)
def test_our_cells_hold_our_values_only(values: dict[str, float]) -> None:
    paper = read_paper(PAPER)
    rows = [
        Row(
            "mini",
            "",
            name,
            reg,
            *CHOSEN[reg],
            0.1,
            True,
            0,
            9,
            "m",
            "higher",
            "test",
            value / (1 + (reg == "l2")),
        )
        for name, value in values.items()
        for reg in CHOSEN
    ]
    for line, printed in zip(table3(rows, paper, "mini").lines, paper.table3, strict=True):
        assert list(line[5:7]) == [printed.l2, printed.l2_sp]
        if printed.experiment not in values:
            assert set(line[FIRST_OURS:]) == {DASH}
            continue
        value, unit = values[printed.experiment], printed.unit
        expected = [f"{v * unit.factor:.{unit.digits}f} (1)" for v in (value / 2, value)]
        assert list(line[7:9]) == expected and line[11] == "one seed"


def test_one_lost_run_changes_its_own_row_only(tree: Path, read: Callable[[str], str]) -> None:
    build_report(tree, "mini", PAPER, figures=False)
    before = cells(read("tables/table3.md"))
    (run,) = tree.glob("mini/runs/dstl_food101/l2_sp-*/seed=0")
    (run / "done.json").unlink()
    build_report(tree, "mini", PAPER, figures=False)
    after = cells(read("tables/table3.md"))
    changed = [(r, c) for r, line in enumerate(before) for c, cell in enumerate(line) if cell != after[r][c]]
    # Its own cell, and what is computed from it: difference and verdict (one seed had no interval).
    assert {r for r, _ in changed} == {11} and [c for _, c in changed] == [8, 9, 11]
    assert after[11][7] == "81.00 (1)" and after[11][8:] == [DASH] * 3 + [f"{DASH}             |"]


def test_headings_name_the_scale() -> None:
    paper = read_paper(PAPER)
    for scale, phrase in (
        ("mini", "miniature"),
        ("pocket", "EfficientNet-Lite0"),
        ("x", "x scale: not the paper's"),
    ):
        for table in (table3([], paper, scale), settings_table("table6", [], paper, scale)):
            assert phrase in table.heading and any(name.startswith(scale) for name in table.header)


def test_two_chosen_settings_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    write_run(tmp_path, "dstl_cub200", "l2", 1, 0.5, lr=0.5)
    with pytest.raises(UserError, match=r"mini/runs/dstl_cub200: L2 has several settings.*lr=0\.02.*lr=0\.5"):
        build_report(tmp_path, "mini", PAPER, figures=False)


def test_a_setting_that_was_not_chosen_stays_out_of_table3(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, alpha=0.3)
    rows, _ = read_runs(tmp_path, "mini")
    assert {cell for line in table3(rows, read_paper(PAPER), "mini").lines for cell in line[FIRST_OURS:]} == {DASH}


def test_the_papers_own_weight_decay_has_its_row_in_table6(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.5 + 0.1 * seed, alpha=4e-5, beta=4e-5)
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.6 + 0.2 * seed)
    lines = settings_table("table6", read_runs(tmp_path, "mini")[0], read_paper(PAPER), "mini").lines
    assert lines[0][4] == "55.00 ± 7.07 (2)" and lines[0][5] == "−15.00"  # against the tuned L2, not itself
    assert lines[6][:4] == ["L2", "0.001", "0.001", DASH] and "chosen" in lines[6][8] and lines[6][5] == DASH


def test_an_experiment_of_ones_own_stands_below_the_paper(tmp_path: Path) -> None:
    for reg, value in (("l2", 0.5), ("l2_sp", 0.75)):
        write_run(tmp_path, "my_cats|dogs", reg, 0, value)
    table = table3(read_runs(tmp_path, "mini")[0], read_paper(PAPER), "mini")
    assert len(table.lines) == 13
    assert table.lines[12][1:9] == [
        "own",
        "my_cats|dogs",
        DASH,
        "accuracy",
        DASH,
        DASH,
        "50.00 (1)",
        "75.00 (1)",
    ]
    assert r"my\_cats\|dogs" in table.render("md") and r"my\_cats\textbar{}dogs" in table.render("tex")


def test_summary_counts_the_verdicts(tree: Path, read: Callable[[str], str]) -> None:
    build_report(tree, "mini", PAPER, figures=False)
    line = next(line for line in read("tables/table3.md").splitlines() if line.startswith("L2-SP against L2"))
    verdicts = [cell[-1].rstrip(" |") for cell in cells(read("tables/table3.md"))]
    for verdict in ("better", "worse", "not separable", "one seed"):
        assert f"{verdicts.count(verdict)} {verdict}" in line
    assert "+0.16 percentage points (rows: 3)" in line and "−0.200 px" in line


def test_selection_marks_the_best_and_the_chosen_apart(tmp_path: Path, read: Callable[[str], str]) -> None:
    results = tmp_path / "results"
    for lr, value in ((0.02, 0.5), (0.04, 0.7)):
        write_run(results, "dstl_cub200", "l2", 0, value, study=f"selection/lr={lr}", lr=lr, split="val")
    write_run(results, "dstl_cub200", "l2", 0, 0.6, lr=0.02)
    build_report(results, "mini", PAPER, figures=False)
    with (results / "mini" / "tables" / "selection.csv").open() as file:
        marks = {line["lr"]: (line["best"], line["chosen"]) for line in csv.DictReader(file)}
    assert marks == {"0.02": ("False", "True"), "0.04": ("True", "False")}


def test_a_common_setting_is_chosen_by_the_mean_over_experiments(tmp_path: Path, read: Callable[[str], str]) -> None:
    results = tmp_path / "results"
    values = {("dstl_cub200", 0.02): 0.5, ("dstl_food101", 0.02): 0.9, ("dstl_cub200", 0.04): 0.6}
    for (name, lr), value in values.items():
        write_run(results, name, "l2", 0, value, study=f"selection/lr={lr}", lr=lr, split="val")
    build_report(results, "mini", PAPER, figures=False)
    with (results / "mini" / "tables" / "selection.csv").open() as file:
        lines = [(r["experiment"], r["lr"], r["validation_mean"], r["best"]) for r in csv.DictReader(file)]
    assert lines == [
        ("dstl_cub200", "0.02", "50", "False"),
        ("dstl_cub200", "0.04", "60", "True"),
        ("dstl_food101", "0.02", "90", "True"),
        ("mean of 2", "0.02", "70", "True"),  # 0.04 was not tried everywhere
    ]


def test_latex_has_as_many_cells_as_columns(tree: Path, read: Callable[[str], str]) -> None:
    build_report(tree, "mini", PAPER, figures=False)
    for name in NAMES:
        text = read(f"tables/{name}.tex")
        columns = len(re.search(r"\\begin\{tabular\}\{(l+)\}", text)[1])  # type: ignore[index]
        body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].splitlines()
        rows = [line for line in body if line and line != r"\midrule"]
        assert all(len(re.findall(r"(?<!\\)&", row)) == columns - 1 and row.endswith(r" \\") for row in rows)
        assert all(text.count(rf"\{rule}rule") == 1 for rule in ("top", "mid", "bottom"))
        assert not set(text) & set("±−—αβ")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("table3.csv", "px,1,", "px,100,"),
        ("table3.csv", "unit", "dimension"),
        ("table6.csv", "1e-1", "much"),
        ("table4.csv", "miou", "iou"),
        ("table5.csv", "driving_clean", "driving"),
        ("table5.csv", "L2-SP,1e0", "L2-SP,"),
        ("table5.csv", None, None),
        ("table3.csv", "segflow_", "flow_"),
        ("table6.csv", None, None),
    ],
)
def test_bad_paper_tables_are_user_errors(tmp_path: Path, file: str, old: str | None, new: str | None) -> None:
    for source in PAPER.glob("*.csv"):
        text = source.read_text(encoding="utf-8")
        if source.name != file:
            (tmp_path / source.name).write_text(text)
        elif old is not None and new is not None:
            (tmp_path / source.name).write_text(text.replace(old, new))
    with pytest.raises(UserError, match=file):
        read_paper(tmp_path)


def test_the_papers_slip_is_read_from_its_table4() -> None:
    slip = "EncNet-50, L2-SP with α=1e-4, β=1e-3: 50.31 mIoU against 50.84 for L2"
    assert read_paper(PAPER).counterexamples == slip


@pytest.mark.parametrize("start,rungs", [("feed" * 16, [0.01, 0.02]), ("beef" * 16, [0.01])])
def test_main_runs_are_a_rung_only_from_the_ladder_s_starting_point(
    tmp_path: Path, start: str, rungs: list[float]
) -> None:
    """A clone brings the rows of another machine's ladder; its own starting point may have ended elsewhere."""
    for reg in ("l2", "l2_sp"):
        write_run(tmp_path, "dstl_cub200", reg, 0, 0.5, lr=0.01, study="learning_rate/lr=0.01")
        write_run(tmp_path, "dstl_cub200", reg, 0, 0.6, lr=0.02, start=start)
    rows, _ = read_runs(tmp_path, "mini")
    assert [rung.lr for rung in ladder(rows, read_paper(PAPER))] == rungs
