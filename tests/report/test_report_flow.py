"""Table 5 and the pre-trained flow branch: less is better, and sets that Table 5 alone has stay out of Table 3."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from report_trees import FLOW_SETS, PAPER, write_run

from l2sp_suite.report import build_report, captions, embed_tables
from l2sp_suite.report.collect import read_runs
from l2sp_suite.report.paper import PX, read_paper
from l2sp_suite.report.rows import Row
from l2sp_suite.report.settings import settings_table
from l2sp_suite.report.studies import flow
from l2sp_suite.report.table import Table
from l2sp_suite.report.tables import pairs, table3
from l2sp_suite.report.text import DASH

SET = "segflow_driving_clean"


def rows_of(results: Path) -> list[Row]:
    return read_runs(results, "mini")[0]


def named(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.header, cells, strict=True)) for cells in table.lines]


def table5(results: Path) -> list[dict[str, str]]:
    return named(settings_table("table5", rows_of(results), read_paper(PAPER), "mini"))


def test_the_paper_s_cells_are_as_printed() -> None:
    lines = named(settings_table("table5", [], read_paper(PAPER), "mini"))
    with (PAPER / "table5.csv").open() as file:
        printed = list(csv.DictReader(file))
    wanted = [line[name.removeprefix("segflow_")] for name in FLOW_SETS for line in printed]
    assert [line["paper EPE"] for line in lines] == wanted and len(wanted) == 16
    assert [(line["regulariser"], line["α"], line["β"]) for line in lines[:4]] == [
        ("L2", DASH, DASH),
        ("L2-SP", "0.1", "1"),
        ("L2-SP", "0.1", "0.1"),
        ("L2-SP", "0.1", "0.01"),
    ]
    assert [line["target"] for line in lines[::4]] == ["Monkaa Clean", "Monkaa Final", "Driving Clean", "Driving Final"]
    for line in lines:
        assert {line["mini EPE"], line["EPE difference to L2"], line["95 % interval"], line["verdict"]} == {DASH}


def test_what_the_caption_says_of_the_paper_is_so() -> None:
    printed = read_paper(PAPER).settings["table5"]
    for name in FLOW_SETS:
        l2, *l2_sp = [s for s in printed if s.experiment == name]
        best = min(l2_sp, key=lambda s: float(s.printed["EPE"]))
        assert all(float(s.printed["EPE"]) < float(l2.printed["EPE"]) for s in l2_sp)
        assert best.beta == (0.1 if "monkaa" in name else 0.01)
        row = read_paper(PAPER).row(name)
        assert row is not None and (not row.number or row.l2_sp == l2_sp[1].printed["EPE"])


@pytest.mark.parametrize(("ours", "sign", "verdict"), [(3.0, "−", "better"), (5.0, "+", "worse")])
def test_less_is_better_there(tmp_path: Path, ours: float, sign: str, verdict: str) -> None:
    for seed in range(3):
        write_run(tmp_path, SET, "l2", seed, 4 + seed / 10)
        write_run(tmp_path, SET, "l2_sp", seed, ours + seed / 9, beta=1.0)
    line = table5(tmp_path)[9]
    assert (line["target"], line["β"], line["verdict"]) == ("Driving Clean", "1", verdict)
    assert line["EPE difference to L2"] == f"{sign}{1.011 if ours > 4 else 0.989}" and line["mini EPE"][-3:] == "(3)"


def test_l2_stands_in_its_line_with_the_weights_that_we_chose(tmp_path: Path) -> None:
    write_run(tmp_path, SET, "l2", 0, 4.0)
    line = table5(tmp_path)[8]
    assert (line["α"], line["β"], line["paper EPE"], line["mini EPE"]) == (DASH, DASH, "37.91", "4.000 (1)")
    assert line["note"] == "ours with α=5e-4, β=5e-4; chosen"
    assert sum(line["mini EPE"] != DASH for line in table5(tmp_path)) == 1


def test_one_seed_is_called_neither_better_nor_worse(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, SET, "l2", seed, 4.0 + seed)
    write_run(tmp_path, SET, "l2_sp", 0, 0.5, beta=1.0)
    line = table5(tmp_path)[9]
    assert (line["mini EPE"], line["verdict"], line["95 % interval"]) == ("0.500 (1)", "one seed", DASH)
    assert line["EPE difference to L2"] == "−3.500"
    table = settings_table("table5", rows_of(tmp_path), read_paper(PAPER), "mini")
    assert "1 of the 2 settings that ran have one seed" in table.caption
    assert "one seed" not in captions.settings("table5", "mini", ["L2"], [3, 3])


def test_sets_of_table_5_are_no_rows_of_table_3(tree: Path) -> None:
    paper, rows = read_paper(PAPER), rows_of(tree)
    assert {row.experiment for row in rows} >= {"segflow_monkaa_clean", SET, "flownet_chairs"}
    assert [pair.row for pair in pairs(rows, paper)] == list(paper.table3)
    assert len(table3(rows, paper, "mini").lines) == len(paper.table3) == 12


def test_sets_of_table_5_have_names_units_and_a_place(tmp_path: Path) -> None:
    paper = read_paper(PAPER)
    row = paper.row(SET)
    assert row is not None and row not in paper.table3
    assert (row.approach, row.target, row.better, row.unit) == ("SegFlow", "Driving Clean", "lower", PX)
    assert (row.number, row.l2, row.l2_sp) == ("", "", "")
    ordered = sorted(["dstl_cub200", "a", *reversed(FLOW_SETS), "segflow_davis"], key=paper.order)
    assert ordered == ["segflow_davis", *FLOW_SETS, "dstl_cub200", "a"]
    assert [r for r in paper.rows if r in paper.table3] == list(paper.table3) and len(paper.rows) == 14


def test_the_pre_trained_branch_is_between_no_motion_and_the_fine_tuned(tree: Path) -> None:
    table = flow(rows_of(tree), read_paper(PAPER), "mini")
    assert table is not None
    assert [list(cells) for cells in table.lines] == [
        ["Monkaa Clean", "24", "4.000", "1.600", "1.500 (1)", DASH, "1.250 (1)", DASH, "2.50×"],
        ["Monkaa Final", "1,200", "4.000", "1.600", "1.280 ± 0.030 (3)", DASH, "1.080 ± 0.036 (3)", DASH, "2.50×"],
        ["FlyingChairs", "640", "11.500", "2.875", DASH, DASH, DASH, DASH, "4.00×"],
    ]


def test_the_branch_stands_beside_what_it_is_a_part_of(tmp_path: Path) -> None:
    for seed, error in enumerate((1.0, 3.0)):
        write_run(tmp_path, SET, "l2", seed, 2.0, measured={"EPE_branch": error, "EPE_zero": 8.0, "EPE_start": 4.0})
    table = flow(rows_of(tmp_path), read_paper(PAPER), "mini")
    assert table is not None
    assert [line[2:6] for line in table.lines] == [["8.000", "4.000", "2.000 ± 0.000 (2)", "2.000 ± 1.414 (2)"]]
    assert (table.records[0]["l2_branch_mean"], table.records[0]["l2_sp_branch_n"]) == (2.0, 0)


def test_what_was_not_recorded_or_run_is_a_dash(tmp_path: Path) -> None:
    assert flow([], read_paper(PAPER), "mini") is None
    write_run(tmp_path, SET, "l2", 0, 2.0, measured={})
    write_run(tmp_path, SET, "l2_sp", 0, 1.0, beta=1.0)  # not the chosen setting
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    table = flow(rows_of(tmp_path), read_paper(PAPER), "mini")
    assert table is not None and [line[2:] for line in table.lines] == [
        [DASH, DASH, "2.000 (1)", DASH, DASH, DASH, DASH]
    ]
    assert table.records[0]["l2_sp_mean"] is None


def test_a_diverged_run_leaves_the_start_as_measured_by_the_others(tmp_path: Path) -> None:
    write_run(tmp_path, SET, "l2", 0, 2.0)
    folder = write_run(tmp_path, SET, "l2", 1, float("nan"))
    done = json.loads((folder / "done.json").read_text())
    done["results"] = {"test": {"EPE": float("nan"), "n": 0}}  # as the trainer leaves it
    (folder / "done.json").write_text(json.dumps(done))
    table = flow(rows_of(tmp_path), read_paper(PAPER), "mini")
    assert table is not None
    assert table.lines[0][1:5] == ["1,200", "4.000", "1.600", "diverged (1 of 2)"]


def test_files_of_both_tables_are_written_and_quoted(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, figures=False)
    page = tmp_path / "page.md"
    names = ("table5", "flow")
    page.write_text("".join(f"<!-- table: results/mini/tables/{n}.md -->\n<!-- end of table -->\n" for n in names))
    embed_tables(page)
    assert "**Table 5 (optical flow), mini scale" in page.read_text() and "| FlyingChairs " in page.read_text()
