"""The tables: golden files, missing cells, arms as data, and no number from the wrong source."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from report_trees import ARMS, FLOW_SETS, PAPER, edit, lines_of, results_of, write_arms, write_run

from l2sp_suite.report import build_report, read_arms, studies
from l2sp_suite.report.load import Results
from l2sp_suite.report.paper import read_paper
from l2sp_suite.report.tables import pairs, settings_table, table2, table3
from l2sp_suite.report.text import DASH
from l2sp_suite.report.theory import table7
from l2sp_suite.theory.checks import checks
from l2sp_suite.utils.errors import UserError

GOLDEN = Path(__file__).parent / "golden"
STUDIES = ("alpha", "flow", "learning_rate", "provenance", "regime", "selection", "sweeps")
NAMES = (*(f"table{number}" for number in range(1, 8)), *STUDIES)
ENC, SET = "encnet50_pcontext", "segflow_driving_clean"


def golden_files() -> dict[str, str]:
    """Golden files and what they are of: each table once for people and once for programs, and the records."""
    files = {f"{name}.{suffix}": f"tables/{name}.{suffix}" for name in NAMES for suffix in ("md", "csv")}
    return files | {f"{name}.records.csv": f"{name}.csv" for name in ("rows", "curves", "layers", "data", "provenance")}


def test_golden(tree: Path, read: Callable[[str], str]) -> None:
    """`UPDATE_GOLDEN=1 pytest tests/report` writes them anew; read the diff before you commit it."""
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    for name, path in golden_files().items():
        text, golden = read(path), GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8"), name
    for name in NAMES:  # LaTeX has the same cells
        text = read(f"tables/{name}.tex")
        columns = len(re.search(r"\\begin\{tabular\}\{(l+)\}", text)[1])  # type: ignore[index]
        body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].splitlines()
        lines = [line for line in body if line and line != r"\midrule"]
        assert len(lines) + 1 == sum(line.startswith("|") for line in read(f"tables/{name}.md").splitlines())
        assert all(len(re.findall(r"(?<!\\)&", line)) == columns - 1 and line.endswith(r" \\") for line in lines)
        assert not set(text) & set("±−—αβ")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    inputs = "\n".join(
        rf"\input{{{path.as_posix()}}}\clearpage" for path in sorted((tree / "mini" / "tables").glob("*.tex"))
    )
    text = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 20_000 and "Missing character" not in done.stdout


# Table 3


def ours_of(line: dict[str, str]) -> set[str]:
    return {cell for name, cell in line.items() if name.startswith("mini") or name in ("difference", "verdict")}


def test_without_runs_all_of_ours_are_dashes(tmp_path: Path) -> None:
    results = results_of(tmp_path)
    assert [ours_of(line) for line in lines_of(table3(results))] == [{DASH}] * 12
    for name, count in (("table4", 6), ("table5", 16), ("table6", 6)):
        lines = lines_of(settings_table(name, results))
        assert len(lines) == count and {cell for line in lines for cell in ours_of(line)} == {DASH}


@given(st.dictionaries(st.sampled_from([row.experiment for row in read_paper(PAPER).table3]), st.floats(0, 1)))
@settings(max_examples=8, deadline=None)
def test_our_cells_hold_our_values_only(values: dict[str, float]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, value in values.items():
            for arm, share in (("l2", 0.5), ("l2_sp", 1.0)):
                write_run(Path(folder), name, arm, 0, value * share)
        results = results_of(Path(folder))
        for line, printed in zip(lines_of(table3(results)), results.paper.table3, strict=True):
            assert [line["paper L2"], line["paper L2-SP"]] == list(printed.printed.values())
            value, (factor, digits) = values.get(printed.experiment), (1, 3) if printed.metric == "EPE" else (100, 2)
            if value is None:
                assert ours_of(line) == {DASH}
                continue
            cells = [float(line[f"mini {arm}"].removesuffix(" (1)")) for arm in ("L2", "L2-SP")]
            assert cells == pytest.approx([value * factor / 2, value * factor], abs=0.51 * 10**-digits)
            assert line["verdict"] == "one seed"


def test_a_lost_run_changes_its_own_row_only(tree: Path, read: Callable[[str], str]) -> None:
    before = lines_of(table3(results_of(tree)))
    (next(tree.glob("mini/runs/dstl_food101/l2_sp-*/seed=0")) / "done.json").unlink()
    (next(tree.glob("mini/runs/dstl_cub200/l2_sp-alpha=0.01-*/seed=2")) / "done.json").unlink()
    after = lines_of(table3(results_of(tree)))
    changed = {line["target"]: {k for k in line if line[k] != new[k]} for line, new in zip(before, after, strict=True)}
    assert {name for name, keys in changed.items() if keys} == {"CUB200", "Food101"}
    assert changed["Food101"] == {"mini L2-SP", "difference", "verdict"}  # one seed had no interval
    assert after[6]["mini L2-SP"].endswith("(2)") and after[6]["95 % interval"].endswith("(2)")
    assert after[10]["mini L2"] == "81.00 (1)" and after[10]["verdict"] == after[10]["difference"] == DASH


def test_headings_name_the_scale(tmp_path: Path) -> None:
    for scale, phrase in (("mini", "miniature"), ("small", "EfficientNet-Lite0"), ("x", "x scale: not the paper's")):
        results = results_of(tmp_path, scale)
        for table in (table3(results), settings_table("table6", results)):
            assert phrase in table.heading and any(name.startswith(scale) for name in table.header)


def test_two_selected_settings_are_refused_and_others_stay_out(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, alpha=0.3)
    assert ours_of(lines_of(table3(results_of(tmp_path)))[6]) == {DASH}
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    write_run(tmp_path, "dstl_cub200", "l2", 1, 0.5, lr=0.5)
    with pytest.raises(UserError, match=r"mini/runs/dstl_cub200: L2 has several settings.*lr=0\.02.*lr=0\.5"):
        build_report(tmp_path, "mini", PAPER, ARMS, figures=False)


def test_an_experiment_of_ones_own_stands_below_the_paper(tmp_path: Path) -> None:
    write_arms(tmp_path, "my_cats|dogs", {"l2": (0.5,), "l2_sp": (0.75,)}, row=None)
    named = {"approach": "EncNet", "target": "CamVid", "task": "image seg."}
    write_arms(tmp_path, "encnet_camvid", {"l2": (0.5,)}, row=named, paper={"l2": 61.5, "l2_sp": None})
    results = results_of(tmp_path)
    table = table3(results)
    camvid, cats = lines_of(table)[12:]
    assert [cats[k] for k in ("#", "approach", "target", "metric")] == [DASH, "own", "my_cats|dogs", "accuracy"]
    assert [cats[k] for k in ("paper L2", "mini L2", "mini L2-SP")] == [DASH, "50.00 (1)", "75.00 (1)"]
    assert [camvid[k] for k in ("approach", "target", "paper L2", "paper L2-SP")] == ["EncNet", "CamVid", "61.5", DASH]
    assert r"my\_cats\|dogs" in table.render("md") and r"my\_cats\textbar{}dogs" in table.render("tex")
    titles = [results.title(name) for name in (ENC, "encnet_camvid", "my_cats|dogs")]
    assert titles == ["EncNet-50, PASCAL-Context", "EncNet, CamVid", "my_cats|dogs"]


def test_summary_counts_the_verdicts(tree: Path) -> None:
    table = table3(results_of(tree))
    verdicts = [line["verdict"] for line in lines_of(table)]
    for verdict in ("better", "worse", "not separable", "one seed"):
        assert f"{verdicts.count(verdict)} {verdict}" in table.summary[0]
    assert "+0.16 percentage points (rows: 3)" in table.summary[0] and "−0.200 px" in table.summary[0]


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_no_number_of_the_paper_can_stand_among_ours(tree: Path, tmp_path: Path, scale: str) -> None:
    """Every printed number becomes one that no run has; in each format it then stands in the paper's columns alone."""
    if scale == "paper":
        (tree / "mini").rename(tree / "paper")
        for config in (tree / "paper").rglob("config.yaml"):
            edit(config, "scale.name", "paper")
    paper = tmp_path / "paper"
    shutil.copytree(PAPER, paper)
    for number in range(3, 7):
        path = paper / f"table{number}.csv"
        path.write_text(re.sub(r"\b\d{1,2}\.\d{1,2}\b", "7777", path.read_text()))
    build_report(tree, scale, paper, ARMS, figures=False)
    texts = {path.name: path.read_text() for path in (tree / scale / "tables").iterdir()}
    assert sum(text.count("7777") for text in texts.values()) > 100
    for name, text in texts.items():
        if name.endswith(".csv"):
            lines = [line for line in csv.reader(text.splitlines())]
        elif name.endswith(".md"):
            lines = [
                line.split(" | ") for line in text.splitlines() if line.startswith("|") and not line.startswith("|:")
            ]
        else:
            lines = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r" \\")]
        head = [cell.strip() for cell in lines[0]]
        assert len(set(head)) == len(head), name  # ours are not headed as the paper's are
        for line in lines[1:]:
            assert all("7777" not in cell for key, cell in zip(head, line, strict=True) if "paper" not in key), name


# Arms are data


def test_arms_are_those_of_the_plan_with_the_baseline_first(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("arms: [c, b_sp, a]\nbaseline: a\n")
    arms = read_arms(plan)
    assert arms.names == ("a", "c", "b_sp") and arms.label("b_sp") == "B-SP"
    arms = arms.with_runs([("z", "Z"), ("d", "A"), ("c", "")])
    assert [arms.label(name) for name in arms.names] == ["A (a)", "C", "B-SP", "A (d)", "Z"]
    for text in ("arms: [a]\n", "baseline: a\n", "[]", "a: ["):
        plan.write_text(text)
        with pytest.raises(UserError, match=r"plan\.yaml: give arms"):
            read_arms(plan)
    with pytest.raises(UserError, match="give arms"):
        read_arms(tmp_path / "none.yaml")


def write_third_arm(tree: Path) -> None:
    """Runs of an arm that no plan or table knows, with a hyper-parameter of its own, wherever the others are."""
    for source in sorted(tree.glob("mini/**/l2_sp-alpha=0.01-*/seed=*")) + sorted(
        tree.glob("mini/**/l2_sp-alpha=0.1-beta=0.1/seed=*")
    ):
        config = yaml.safe_load((source / "config.yaml").read_text())
        done = json.loads((source / "done.json").read_text())
        given = {"study": config["study"], "lr": config["optim"]["lr"], "split": config["evaluate"]["split"]}
        given |= {"n": done["results"][config["evaluate"]["split"]]["n"], "row": config["row"], "label": "L1-SP"}
        write_run(tree, config["experiment"], "l1_sp", config["seed"], done["value"] + 0.01 * config["seed"], **given)


def test_a_third_arm_is_a_further_column_everywhere(tree: Path) -> None:
    write_third_arm(tree)
    results = build_report(tree, "mini", PAPER, ARMS, figures=False)
    assert results.arms.names == ("l2", "l2_sp", "l1_sp") and results.hyper == ["alpha", "beta", "gamma"]
    line = lines_of(table3(results))[6]
    assert line["paper L1-SP"] == DASH and line["mini L1-SP"].endswith("(3)") and line["L1-SP verdict"] != DASH
    assert {"L2-SP difference", "L1-SP difference", "L1-SP 95 % interval"} <= line.keys()
    record = next(
        csv.DictReader(
            line for line in table3(results).render("csv").splitlines() if "cub200" in line or "scale" in line
        )
    )
    assert (record["l1_sp_alpha"], record["l1_sp_beta"], record["l1_sp_gamma"], record["l1_sp_pairs"]) == (
        "0.25",
        "",
        "2",
        "3",
    )
    for name in ("table5", "table6"):
        lines = [line for line in lines_of(settings_table(name, results)) if line["regulariser"] == "L1-SP"]
        assert [(line["α"], line["β"], line["gamma"], line["note"]) for line in lines] == [
            ("0.25", DASH, "2", "not in the paper; selected")
        ] * len(lines)
        assert lines
    assert lines_of(studies.learning_rate(results))[0]["L1-SP"].endswith("(2)")
    assert {line["arm"] for line in lines_of(studies.selection(results))} == {"L2", "L2-SP", "L1-SP"}
    assert lines_of(studies.flow(results))[1]["fine-tuned L1-SP"] != DASH
    assert lines_of(studies.regime(results))[0]["fine-tuned L1-SP"].endswith("(3)")
    assert "L1-SP against L2, 4 of 12 rows compared" in " ".join(table3(results).summary)


def test_what_other_arms_have_does_not_change_by_a_third(tree: Path) -> None:
    before = lines_of(table3(results_of(tree)))
    write_third_arm(tree)
    after = lines_of(table3(results_of(tree)))
    for line, new in zip(before, after, strict=True):
        assert [new[f"L2-SP {k}"] for k in ("difference", "95 % interval", "verdict")] == [
            line[k] for k in ("difference", "95 % interval", "verdict")
        ]
        assert new["mini L2-SP"] == line["mini L2-SP"]


# Tables 4 to 6


def write_segmentation(results: Path, experiment: str, arm: str, seed: int, miou: float, **given: object) -> Path:
    """A run directory of a task with two metrics."""
    folder = write_run(results, experiment, arm, seed, miou, row={"approach": "EncNet", "target": "CamVid"}, **given)
    measured = {"mIoU": miou, "pixAcc": miou + 0.3, "n": 40} if miou == miou else {"mIoU": miou, "n": 0}
    for key, value in (
        ("metric", "mIoU"),
        ("train_metric", "mIoU_single"),
        ("results", {"test": measured, "train": {"mIoU_single": 0.875, "n": 80}}),
    ):
        edit(folder / "done.json", key, value)
    return folder


def test_table4_has_the_papers_six_lines_and_ours_beside_them(tmp_path: Path) -> None:
    for seed in range(2):
        write_segmentation(tmp_path, ENC, "l2", seed, 0.40 + seed / 100, alpha=1e-4, beta=1e-4)
        write_segmentation(tmp_path, ENC, "l2_sp", seed, 0.42 + seed / 100, alpha=1e-4, beta=1e-3)
        miou = 0.41 if seed == 0 else float("nan")
        write_segmentation(tmp_path, ENC, "l2_sp", seed, miou, alpha=1e-3, beta=1e-4)
    results = results_of(tmp_path)
    assert set(results.runs.train_value) == {0.875}
    lines = lines_of(settings_table("table4", results))
    printed = [("EncNet-50", v) for v in ("50.84", "50.31", "51.12", "51.17")]
    assert [(line["approach"], line["paper mIoU"]) for line in lines] == [
        *printed, ("EncNet-101", "54.10"), ("EncNet-101", "54.12")
    ]  # fmt: skip
    assert lines[0]["mini mIoU"] == "40.50 ± 0.71 (2)" and lines[0]["mini pixAcc"] == "70.50 ± 0.71 (2)"
    assert lines[1]["mini mIoU"] == "42.50 ± 0.71 (2)" and lines[1]["mIoU difference to L2"] == "+2.00"
    assert lines[2]["mini mIoU"] == lines[2]["mini pixAcc"] == "diverged (1 of 2)" and lines[2]["verdict"] == "diverged"
    assert {line["mini mIoU"] for line in lines[3:]} == {DASH}


def test_the_note_marks_the_setting_of_table_3(tmp_path: Path) -> None:
    write_segmentation(tmp_path, ENC, "l2", 0, 0.4)
    write_segmentation(tmp_path, ENC, "l2_sp", 0, 0.4, alpha=0.5, beta=0.5)
    lines = lines_of(settings_table("table4", results_of(tmp_path)))
    notes = [line["note"] for line in lines if line["mini mIoU"] != DASH]
    assert notes == ["ours with α=0.001, β=0.001; selected", "not in the paper"]


def test_the_papers_own_weight_decay_has_its_row_in_table6(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.5 + 0.1 * seed, alpha=4e-5, beta=4e-5)
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.6 + 0.2 * seed)
    lines = lines_of(settings_table("table6", results_of(tmp_path)))
    difference = "accuracy difference to L2"
    assert lines[0]["mini accuracy"] == "55.00 ± 7.07 (2)"
    assert lines[0][difference] == "−15.00"  # against the tuned L2, not itself
    assert [lines[6][k] for k in ("regulariser", "α", "β", "paper accuracy")] == ["L2", "0.001", "0.001", DASH]
    assert "selected" in lines[6]["note"] and lines[6][difference] == DASH


def table5(results: Path) -> list[dict[str, str]]:
    return lines_of(settings_table("table5", results_of(results)))


def test_the_papers_cells_of_table5_are_as_printed(tmp_path: Path) -> None:
    lines = table5(tmp_path)
    with (PAPER / "table5.csv").open() as file:
        printed = list(csv.DictReader(file))
    assert [line["paper EPE"] for line in lines] == [
        line[name.removeprefix("segflow_")] for name in FLOW_SETS for line in printed
    ]
    assert [(line["regulariser"], line["α"], line["β"]) for line in lines[:4]] == [
        ("L2", DASH, DASH), ("L2-SP", "0.1", "1"), ("L2-SP", "0.1", "0.1"), ("L2-SP", "0.1", "0.01")
    ]  # fmt: skip
    assert [line["target"] for line in lines[::4]] == ["Monkaa Clean", "Monkaa Final", "Driving Clean", "Driving Final"]


def test_what_the_captions_say_of_the_paper_is_so() -> None:
    paper = read_paper(PAPER)
    for name in FLOW_SETS:
        l2, *l2_sp = [s for s in paper.settings["table5"] if s.experiment == name]
        best = min(l2_sp, key=lambda s: float(s.printed["EPE"]))
        assert all(float(s.printed["EPE"]) < float(l2.printed["EPE"]) for s in l2_sp)
        assert best.hyper["beta"] == (0.1 if "monkaa" in name else 0.01)
        row = paper.rows[name]
        assert not row.number or row.printed["l2_sp"] == l2_sp[1].printed["EPE"]


@pytest.mark.parametrize(("ours", "sign", "verdict"), [(3.0, "−", "better"), (5.0, "+", "worse")])
def test_less_is_better_there(tmp_path: Path, ours: float, sign: str, verdict: str) -> None:
    write_arms(tmp_path, SET, {"l2": [4 + seed / 10 for seed in range(3)]})
    write_arms(tmp_path, SET, {"l2_sp": [ours + seed / 9 for seed in range(3)]}, beta=1.0)
    line = table5(tmp_path)[9]
    assert (line["target"], line["β"], line["verdict"]) == ("Driving Clean", "1", verdict)
    assert line["EPE difference to L2"] == f"{sign}{1.011 if ours > 4 else 0.989}" and line["mini EPE"][-3:] == "(3)"


def test_l2_stands_in_its_line_and_one_seed_is_no_verdict(tmp_path: Path) -> None:
    write_arms(tmp_path, SET, {"l2": (4.0, 5.0, 6.0)})
    write_run(tmp_path, SET, "l2_sp", 0, 0.5, beta=1.0)
    table = settings_table("table5", results_of(tmp_path))
    l2, l2_sp = lines_of(table)[8:10]
    assert (l2["α"], l2["β"], l2["paper EPE"], l2["mini EPE"]) == (DASH, DASH, "37.91", "5.000 ± 1.000 (3)")
    assert l2["note"] == "ours with α=5e-4, β=5e-4; selected"
    assert (l2_sp["mini EPE"], l2_sp["verdict"], l2_sp["95 % interval"]) == ("0.500 (1)", "one seed", DASH)
    assert l2_sp["EPE difference to L2"] == "−3.500"
    assert "1 of the 2 settings that ran have one seed" in table.caption
    assert "one seed" not in settings_table("table4", results_of(tmp_path)).caption


def test_sets_of_table_5_have_names_and_a_place_but_no_row_in_table_3(tree: Path) -> None:
    results = results_of(tree)
    assert [pair.row for pair in pairs(results)] == list(results.paper.table3) and len(lines_of(table3(results))) == 12
    row = results.paper.rows[SET]
    assert (row.approach, row.target, row.better, row.number, row.printed) == (
        "SegFlow",
        "Driving Clean",
        "lower",
        "",
        {},
    )
    ordered = sorted(["dstl_cub200", "a", *reversed(FLOW_SETS), "segflow_davis"], key=results.paper.order)
    assert ordered == ["segflow_davis", *FLOW_SETS, "dstl_cub200", "a"]
    assert [r for r in results.paper.rows.values() if r in results.paper.table3] == list(results.paper.table3)


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


def test_the_papers_slip_is_read_from_its_table4(tmp_path: Path) -> None:
    slip = "EncNet-50, L2-SP with α=1e-4, β=0.001: 50.31 mIoU against 50.84 for L2."
    assert slip in table3(results_of(tmp_path)).caption


# Studies


@pytest.fixture
def trials(tmp_path: Path) -> Callable[..., Results]:
    def write(values: dict[tuple[str, float], float]) -> Results:
        for (name, lr), value in values.items():
            write_run(tmp_path, name, "l2", 0, value, study=f"selection/lr={lr}", lr=lr, split="val")
        return results_of(tmp_path)

    return write


def test_selection_marks_the_best_and_the_selected_apart(tmp_path: Path, trials: Callable[..., Results]) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.6, lr=0.02)
    table = studies.selection(trials({("dstl_cub200", 0.02): 0.5, ("dstl_cub200", 0.04): 0.7}))
    assert {line["lr"]: (line["best"], line["selected"]) for line in lines_of(table)} == {
        "0.02": ("", "yes"), "0.04": ("yes", "")
    }  # fmt: skip


def test_a_common_setting_is_chosen_by_the_mean_over_experiments(trials: Callable[..., Results]) -> None:
    values = {("dstl_cub200", 0.02): 0.5, ("dstl_food101", 0.02): 0.9, ("dstl_cub200", 0.04): 0.6}
    lines = lines_of(studies.selection(trials(values)))
    assert [(line["experiment"], line["lr"], line["validation"], line["best"]) for line in lines] == [
        ("dstl_cub200", "0.02", "50.00 (1)", ""),
        ("dstl_cub200", "0.04", "60.00 (1)", "yes"),
        ("dstl_food101", "0.02", "90.00 (1)", "yes"),
        ("mean of 2", "0.02", "70.00 (1)", "yes"),  # 0.04 was not tried everywhere
    ]


@pytest.mark.parametrize("start,rungs", [("feed" * 16, [0.01, 0.02]), ("beef" * 16, [0.01])])
def test_main_runs_are_a_rung_only_from_the_ladders_weights(tmp_path: Path, start: str, rungs: list[float]) -> None:
    """A clone brings the rows of another machine's ladder; its own pretrained weights may have ended elsewhere."""
    for arm in ("l2", "l2_sp"):
        write_run(tmp_path, "dstl_cub200", arm, 0, 0.5, lr=0.01, study="learning_rate/lr=0.01")
        write_run(tmp_path, "dstl_cub200", arm, 0, 0.6, lr=0.02, start=start)
    assert [rung.lr for rung in studies.ladder(results_of(tmp_path))] == rungs


def test_the_pre_trained_branch_is_between_no_motion_and_the_fine_tuned(tree: Path) -> None:
    table = studies.flow(results_of(tree))
    assert table is not None and table.cells == [
        ["Monkaa Clean", "24", "4.000", "1.600", "1.500 (1)", DASH, "1.250 (1)", DASH, "2.50×"],
        ["Monkaa Final", "1,200", "4.000", "1.600", "1.280 ± 0.030 (3)", DASH, "1.080 ± 0.036 (3)", DASH, "2.50×"],
        ["FlyingChairs", "640", "11.500", "2.875", DASH, DASH, DASH, DASH, "4.00×"],
    ]


def test_the_branch_stands_beside_what_it_is_a_part_of(tmp_path: Path) -> None:
    for seed, error in enumerate((1.0, 3.0)):
        write_run(tmp_path, SET, "l2", seed, 2.0, measured={"EPE_branch": error, "EPE_zero": 8.0, "EPE_start": 4.0})
    folder = write_run(tmp_path, SET, "l2", 2, float("nan"))
    edit(folder / "done.json", "results", {"test": {"EPE": float("nan"), "n": 0}})  # as the trainer leaves it
    table = studies.flow(results_of(tmp_path))
    assert table is not None
    assert table.cells[0][1:6] == ["1,200", "8.000", "4.000", "diverged (1 of 3)", "diverged (1 of 3)"]
    shutil.rmtree(folder)
    table = studies.flow(results_of(tmp_path))
    assert table is not None and table.cells[0][2:6] == ["8.000", "4.000", "2.000 ± 0.000 (2)", "2.000 ± 1.414 (2)"]


def test_flow_that_was_not_recorded_or_run_is_a_dash(tmp_path: Path) -> None:
    assert studies.flow(results_of(tmp_path)) is None
    write_run(tmp_path, SET, "l2", 0, 2.0, measured={})
    write_run(tmp_path, SET, "l2_sp", 0, 1.0, beta=1.0)  # not the selected setting
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    table = studies.flow(results_of(tmp_path))
    assert table is not None and [line[2:] for line in table.cells] == [[DASH, DASH, "2.000 (1)", *[DASH] * 4]]


def test_sweep_finds_the_good_region(tmp_path: Path) -> None:
    write_arms(tmp_path, "dstl_cub200", {"l2": (0.5, 0.5)})
    for alpha, beta, value in ((1e-4, 1e-4, 0.52), (1e-2, 1e-3, 0.5), (1e-3, 1e-2, 0.4), (1.0, 1e-3, 0.46)):
        write_arms(tmp_path, "dstl_cub200", {"l2_sp": (value, value + 0.01)}, alpha=alpha, beta=beta)
    (sweep,) = studies.sweeps(results_of(tmp_path))
    assert [(run.alpha, run.beta) for run in sweep.good()] == [(1e-4, 1e-4), (1e-2, 1e-3)]
    table = studies.sweeps_table(results_of(tmp_path))
    assert table is not None and table.cells[0] == [
        *("dstl_cub200", "L2-SP", "4", "2", "(1e-4, 1e-4), (0.01, 0.001)", "1"),
        *("−9.50 (1)", "+2.50 (1)", "−1.50 (2)"),
    ]


def test_a_setting_that_diverged_is_counted_and_never_averaged_away(tmp_path: Path) -> None:
    write_arms(tmp_path, "dstl_cub200", {"l2": (0.5, 0.5)})
    for alpha, value in ((1e-4, 0.51), (1e-2, 0.5), (1.0, 0.49), (10.0, float("nan"))):
        write_arms(tmp_path, "dstl_cub200", {"l2_sp": (0.4 if alpha > 1 else value, value)}, alpha=alpha, beta=1e-3)
    line = lines_of(studies.sweeps_table(results_of(tmp_path)))[0]
    assert (line["settings"], line["at least as good as L2"]) == ("4", "2")
    assert (line["mean difference, α > β"], line["mean difference, α < β"]) == ("diverged (1 of 3)", "+1.00 (1)")


def test_a_sweep_needs_three_settings_and_a_level(tmp_path: Path) -> None:
    for alpha in (0.1, 0.2, 0.3):
        write_run(tmp_path, "dstl_cub200", "l2_sp", 0, 0.5, alpha=alpha)
    assert studies.sweeps(results_of(tmp_path)) == []
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    assert len(studies.sweeps(results_of(tmp_path))[0].tried) == 3


def test_sizes_of_data_are_what_runs_counted(tree: Path) -> None:
    lines = {line["target"]: line for line in lines_of(table2(results_of(tree)))}
    assert [lines["CUB200"][k] for k in ("classes", "train", "mini classes", "mini train")] == [
        "200",
        "5,994",
        "20",
        "192",
    ]
    assert (
        lines["Monkaa"]["mini train"] == "192 (30 clips)" and lines["Monkaa"]["mini evaluation"] == "1,200 (20 clips)"
    )


def test_table_7_shows_theory_and_its_check(tmp_path: Path) -> None:
    assert len(checks()) == 9 and max(check.deviation for check in checks()) < 0.01
    wins = [(check.ratio[0] < 1, check.ratio[1] < 1) for check in checks()]
    assert all(a == b for a, b in wins) and {a for a, _ in wins} == {True, False}
    table = table7(results_of(tmp_path))
    assert [line[0] for line in table.cells] == ["LS", "L2", "L2-SP"]
    assert table.cells[2][-1] == "0.0875 / 0.0875" and "paper: variance" in table.header
    assert "‖ε‖² = 0.05: at every α" in table.caption
