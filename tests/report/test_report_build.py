"""The whole report: same runs, same bytes; a clone without runs; no torch; the command line."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from report_trees import ARMS, PAPER, clone_of, write_run

from l2sp_suite.report import build_report, pictures, print_tables, scales_with_results
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

SCRIPT = Path(__file__).parents[2] / "scripts" / "report.py"
STUDIES = ("alpha", "flow", "learning_rate", "provenance", "regime", "selection", "sweeps")


def snapshot(root: Path) -> dict[str, bytes]:
    kept = [p for p in root.rglob("*") if p.is_file() and not {"runs", "studies"} & set(p.relative_to(root).parts)]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in kept}


def test_same_runs_same_bytes_figures_too(
    tree: Path, tmp_path: Path, drawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tree, tmp_path / "b"
    for done in sorted(first.rglob("done.json"), reverse=True):  # another order of creation
        shutil.copytree(done.parent, second / done.parent.relative_to(first))
    written = build_report(first, "mini", PAPER, ARMS).written
    build_report(second, "mini", PAPER, ARMS)
    assert snapshot(first) == snapshot(second)
    assert sorted(p.relative_to(first).as_posix() for p in written) == sorted(snapshot(first))
    before = snapshot(first)
    monkeypatch.setattr(pictures, "_draw", lambda *_: 1 / 0)  # what is there is not drawn again
    build_report(first, "mini", PAPER, ARMS)
    assert snapshot(first) == before
    with pytest.raises(ZeroDivisionError):
        write_run(first, "dstl_cub200", "l2", 9, 0.5)  # but for other runs it is
        build_report(first, "mini", PAPER, ARMS)
    for png in first.rglob("*.png"):
        assert png.read_bytes().startswith(b"\x89PNG") and b"Software" not in png.read_bytes()


def test_a_clone_makes_the_committed_tables_from_rows(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    clone = clone_of(tree, tmp_path / "clone")
    (clone / "mini" / "runs" / "dstl_cub200" / "l2-alpha=1-beta=1" / "seed=0").mkdir(parents=True)  # unfinished
    written = build_report(clone, "mini", PAPER, ARMS, figures=False).written
    assert snapshot(clone) == snapshot(tree)
    assert clone / "mini" / "rows.csv" not in written


def test_a_new_run_in_a_clone_replaces_the_lines_of_its_own_experiment_alone(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    clone = clone_of(tree, tmp_path / "clone")
    write_run(clone, "dstl_cub200", "l2", 7, 0.25)
    build_report(clone, "mini", PAPER, ARMS, figures=False)
    before, after = ((root / "mini" / "rows.csv").read_text().splitlines()[1:] for root in (tree, clone))
    others = [line for line in before if not line.startswith("mini,,dstl_cub200,")]
    assert [line for line in after if not line.startswith("mini,,dstl_cub200,")] == others
    assert len(after) == len(others) + 1 and any(line.startswith("mini,,dstl_aircraft,") for line in others)


def test_rows_that_vanish_are_said(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    shutil.rmtree(next(tree.glob("mini/runs/dstl_food101/l2_sp-*")))
    with caplog.at_level(logging.WARNING):
        build_report(tree, "mini", PAPER, ARMS, figures=False)
    assert [r.message for r in caplog.records if r.message.startswith("vanished")] == [
        "vanished: mini//dstl_food101/l2_sp/0.01/0.001/0: in the earlier rows.csv, but no finished run "
        "directory holds it now; its row is dropped"
    ]


def test_problems_are_logged(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_run(tree, "dstl_nabirds", "l2", 0, 0.5)
    (folder / "done.json").write_text("{")
    (write_run(tree, "dstl_nabirds", "l2", 1, 0.5) / "done.json").unlink()
    with caplog.at_level(logging.WARNING):
        build_report(tree, "mini", PAPER, ARMS, figures=False)
    assert [r.message.partition(":")[0] for r in caplog.records] == ["corrupt", "unfinished"]


def test_studies_without_runs_have_no_files_and_old_ones_go(tree: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS)
    shutil.rmtree(tree / "mini" / "studies")
    shutil.rmtree(next(tree.glob("mini/runs/dstl_cub200/l2_sp-alpha=0.5*")))
    shutil.rmtree(next(tree.glob("mini/runs/dstl_cub200/l2_sp-alpha=0.0001*")))
    for folder in list(tree.glob("mini/runs/segflow_*")):
        shutil.rmtree(folder)
    for records in (tree / "mini").glob("*.csv"):
        records.unlink()
    build_report(tree, "mini", PAPER, ARMS)
    files = set(snapshot(tree))
    assert {f"mini/tables/table{number}.md" for number in range(1, 8)} <= files
    assert {name for name in STUDIES if f"mini/tables/{name}.md" in files} == {"provenance"}
    figures = {Path(name).stem for name in files if "/figures/" in name}
    assert figures == {"table3", "training", "layers", "figure1", "theory"}


def test_while_runs_go_on_nothing_is_removed_or_said(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_report(tree, "mini", PAPER, ARMS)
    before = set(snapshot(tree))
    for folder in ("runs", "studies"):
        shutil.rmtree(tree / "mini" / folder)
    (tree / "mini" / "rows.csv").unlink()
    write_run(tree, "dstl_cub200", "l2", 0, 0.5)
    with caplog.at_level(logging.WARNING):
        build_report(tree, "mini", PAPER, ARMS, figures=False, quiet=True)
    assert set(snapshot(tree)) == before and not caplog.records


def test_an_empty_scale_gives_dashes_and_no_rows_file(tmp_path: Path) -> None:
    written = build_report(tmp_path, "small", PAPER, ARMS).written
    tables = [f"table{i}.{s}" for i in range(1, 8) for s in ("csv", "md", "tex")]
    assert sorted(p.name for p in written) == sorted([*tables, "figure1.png", "theory.png", "report.html"])


def test_a_diverged_run_is_drawn_and_printed(tmp_path: Path, drawn: None) -> None:
    for seed in range(2):
        for lr, value in ((0.1, 0.7), (0.4, float("nan") if seed else 0.1)):
            study = {"study": f"learning_rate/lr={lr}", "lr": lr}
            write_run(tmp_path, "dstl_cub200", "l2", seed, value, **study)
            write_run(tmp_path, "dstl_cub200", "l2_sp", seed, 0.7 + seed / 10, **study)
    build_report(tmp_path, "mini", PAPER, ARMS)
    text = (tmp_path / "mini" / "tables" / "learning_rate.md").read_text()
    assert "diverged (1 of 2)" in text and (tmp_path / "mini" / "figures" / "learning_rate.png").is_file()


def test_damaged_rows_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mini" / "rows.csv"
    path.parent.mkdir()
    path.write_text("nonsense\n")
    with pytest.raises(UserError, match=r"rows\.csv"):
        build_report(tmp_path, "mini", PAPER, ARMS)
    assert path.read_text() == "nonsense\n"


def test_print_tables(tree: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    out = io.StringIO()
    print_tables(tree, "mini", ("table3", "table4", "table5", "table6", "none_such"), out)
    default = io.StringIO()
    print_tables(tree, "mini", ["none_such"], default)
    assert default.getvalue() == out.getvalue()
    assert "# Table 3, mini scale" in out.getvalue() and "# Table 6 (CUB200), mini scale" in out.getvalue()


def test_scales_are_found_by_rows_or_finished_runs(tree: Path) -> None:
    (tree / "paper").mkdir()
    (tree / "empty" / "runs" / "e" / "s" / "seed=0").mkdir(parents=True)
    write_run(tree, "dstl_cub200", "l2", 0, 0.5, scale="small", study="learning_rate/lr=1")
    assert scales_with_results(tree) == ["mini", "small"]
    assert scales_with_results(tree / "nowhere") == []


def test_the_only_run_of_a_study_may_go_too(tmp_path: Path) -> None:
    """A clone keeps rows of experiments that have no run there, but not of a run whose own directory says otherwise."""
    only = write_run(tmp_path, "dstl_food101", "l2", 0, 0.5)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    build_report(tmp_path, "mini", PAPER, ARMS, figures=False)
    (only / "done.json").unlink()
    build_report(tmp_path, "mini", PAPER, ARMS, figures=False)
    for name in ("rows", "curves", "provenance"):
        text = (tmp_path / "mini" / f"{name}.csv").read_text()
        assert "dstl_food101" not in text and "dstl_cub200" in text


def test_broken_logs_are_said(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    (next(tree.glob("mini/runs/dstl_food101/l2-*/*")) / "metrics.jsonl").unlink()
    with caplog.at_level(logging.WARNING):
        build_report(tree, "mini", PAPER, ARMS, figures=False)
    assert [r.message.partition(": cannot")[0] for r in caplog.records] == [
        "corrupt: mini/runs/dstl_food101/l2-alpha=0.001-beta=0.001/seed=0/metrics.jsonl"
    ]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "old\n")

    def fail(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk"):
        write_atomically(path, "new\n")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "old\n"


def script(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, args)], capture_output=True, text=True, check=False)


def test_command_line(tree: Path, tmp_path: Path) -> None:
    done = script(f"results={tree}", f"paper={PAPER}", "figures=false")
    assert done.returncode == 0 and "# Table 3, mini scale" in done.stdout
    none = script(f"results={tmp_path / 'nothing'}")
    assert none.returncode == 2 and none.stdout == "" and "no scale has rows" in none.stderr
    assert "Traceback" not in none.stderr


def test_neither_torch_nor_tasks_are_imported_nor_matplotlib_for_tables(tree: Path) -> None:
    call = f"build_report(Path({str(tree)!r}), 'mini', Path({str(PAPER)!r}), Arms(('l2', 'l2_sp'))"
    code = (
        "import sys; from pathlib import Path; from l2sp_suite.report import Arms, build_report;"
        f"{call}, figures=False); heavy = 'torch', 'matplotlib', 'hydra';"
        f"print([m for m in heavy if m in sys.modules]); {call}); suite = 'datasets', 'tasks', 'sweeps', 'training';"
        "print([m for m in ('torch', *(f'l2sp_suite.{s}' for s in suite)) if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
