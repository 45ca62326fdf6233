"""From run directories to the data frame: nothing is dropped in silence, nothing depends on the order of the disk."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_trees import ARMS, PAPER, clone_of, edit, results_of, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.records import SCHEMAS, parse_records, to_text
from l2sp_suite.report.runs import read_runs
from l2sp_suite.utils.errors import UserError

NUMBER = st.floats(-1e300, 1e300) | st.just(math.nan)
CELLS = {
    "name": st.text("abz_09,'\"\n", min_size=1, max_size=8),
    "text": st.text("abz_09,'\"\n", max_size=8),
    "whole": st.integers(-(2**53), 2**53),
    "whole?": st.none() | st.integers(0, 10**9),
    "number": NUMBER,
    "number?": NUMBER,
    "truth": st.booleans(),
    "hyper": st.just(math.nan) | st.sampled_from([0.0, 4e-5, 1 / 3, "group"]),
}
RUN = "mini/runs/dstl_cub200/l2-alpha=0.001-beta=0.001/seed=0"


def kinds(results: Path) -> list[tuple[str, str]]:
    return sorted((p.kind, p.path) for p in results_of(results).problems)


@pytest.mark.parametrize("name", SCHEMAS)
def test_records_round_trip(name: str) -> None:
    hyper = ["alpha", "gamma"] if "*" in SCHEMAS[name] else []
    columns = {column: CELLS[kind] for column, kind in SCHEMAS[name].items() if column != "*"}
    columns |= {column: CELLS["hyper"] for column in hyper}

    @given(st.lists(st.fixed_dictionaries(columns), max_size=3))
    @settings(max_examples=10, deadline=None)
    def check(lines: list[dict[str, Any]]) -> None:
        text = to_text(pd.DataFrame(lines, columns=list(columns)), name, hyper)
        again = parse_records(text, name, "here.csv")
        assert len(again) == len(lines) and to_text(again, name, hyper) == text

    check()


@pytest.mark.parametrize("name", SCHEMAS)
def test_damaged_files_name_themselves_and_the_line(name: str) -> None:
    head = ",".join(column for column in SCHEMAS[name] if column != "*")
    for text, message in (("a,b\n", "no column"), ("", "no column"), (f"{head}\n{',' * head.count(',')}\n", "line 2")):
        with pytest.raises(UserError, match=rf"x\.csv.*{message}"):
            parse_records(text, name, "x.csv")


def test_values_pass_through_with_ten_digits(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.123456789012, alpha=4e-5, train=None, n=None)
    frame = results_of(tmp_path).runs
    assert frame.value[0] == 0.123456789
    line = (tmp_path / "mini" / "rows.csv").read_text().splitlines()
    cells = dict(zip(line[0].split(","), line[1].split(","), strict=True))
    assert (cells["value"], cells["alpha"], cells["n"], cells["train_value"]) == ("0.123456789", "4e-05", "", "")
    assert (cells["selected"], cells["arm"], cells["label"]) == ("false", "l2", "")


def test_a_run_becomes_a_row(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2_sp", 4, 0.75, study="learning_rate/lr=0.02", n=40, train=0.9, label="SP")
    results = results_of(tmp_path)
    row = results.runs.iloc[0].to_dict()
    assert not results.problems and row["study"] == "learning_rate/lr=0.02" and row["config"] == "0123456789ab"
    expected = {"value": 0.75, "n": 40, "train_value": 0.9, "distance_w0": 3.25, "seed": 4, "alpha": 0.01}
    assert {key: row[key] for key in expected} == expected and row["selected"] and results.arms.label("l2_sp") == "SP"
    assert (row["commit"], row["seconds"], row["changed"]) == ("c0ffeec0ffee", 12.5, "no")


def test_no_folder_no_rows(tmp_path: Path) -> None:
    results = results_of(tmp_path, "nowhere")
    assert results.runs.empty and not results.problems and not results.written


def test_order_of_creation_other_files_and_times_do_not_matter(tmp_path: Path) -> None:
    jobs = [("dstl_cub200", arm, seed) for arm in ("l2", "l2_sp") for seed in range(3)]
    for name, order in (("a", jobs), ("b", jobs[::-1])):
        for experiment, arm, seed in order:
            write_run(tmp_path / name, experiment, arm, seed, seed / 20)
    edit(tmp_path / "b" / RUN / "done.json", "more", [1])
    (tmp_path / "b" / "mini" / "runs" / ".DS_Store").mkdir()
    (tmp_path / "b" / "mini" / "runs" / "notes.txt").write_text("hello")
    assert kinds(tmp_path / "a") == kinds(tmp_path / "b") == []
    assert (tmp_path / "a/mini/rows.csv").read_bytes() == (tmp_path / "b/mini/rows.csv").read_bytes()


@pytest.mark.parametrize(
    ("file", "content", "kind"),
    [
        ("done.json", b"{", "corrupt"),
        ("done.json", b"[]", "corrupt"),
        ("done.json", b"{}", "corrupt"),
        ("done.json", b"[" * 100_000, "corrupt"),
        ("done.json", b"\xff\xfe", "corrupt"),
        ("config.yaml", b"a: [", "corrupt"),
        ("config.yaml", b"", "corrupt"),
        ("config.yaml", b"experiment: 3", "corrupt"),
        ("env.json", b"[]", "corrupt"),
        ("done.json", None, "unfinished"),
        ("config.yaml", None, "corrupt"),
    ],
)
def test_unusable_files_are_listed(tmp_path: Path, file: str, content: bytes | None, kind: str) -> None:
    path = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5) / file
    write_run(tmp_path, "dstl_cub200", "l2", 1, 0.5)
    path.unlink() if content is None else path.write_bytes(content)
    assert kinds(tmp_path) == [(kind, RUN)]
    assert list(results_of(tmp_path).runs.seed) == [1]


@pytest.mark.parametrize(
    ("file", "keys", "value", "kind", "reason"),
    [
        ("config.yaml", "seed", 7, "mismatch", "seed=7"),
        ("config.yaml", "scale.name", "small", "mismatch", "scale"),
        ("config.yaml", "study", "learning_rate/lr=1", "mismatch", "studies/learning_rate/lr=1"),
        ("config.yaml", "experiment", "dstl_food101", "mismatch", "dstl_food101"),
        ("config.yaml", "reg.alpha", 0.5, "mismatch", "alpha=0.5"),
        ("config.yaml", "reg.gamma", 0.5, "mismatch", "gamma=0.5"),
        ("config.yaml", "reg.lr", 0.5, "corrupt", "a hyper-parameter is called as a column"),
        ("config.yaml", "arm.selected", "yes", "corrupt", "selected"),
        ("config.yaml", "arm", ..., "corrupt", "no key 'arm'"),
        ("done.json", "better", "more", "corrupt", "better"),
        ("config.yaml", "optim.lr", True, "corrupt", "number"),
        ("config.yaml", "evaluate.split", "val", "corrupt", "val"),
        ("done.json", "value", 0.6, "corrupt", "results"),
        ("done.json", "value", ..., "corrupt", "no key 'value'"),
        ("done.json", "steps", 3.5, "corrupt", "whole"),
        ("done.json", "steps", 10**400, "corrupt", "whole"),
        ("done.json", "results", {}, "corrupt", "test"),
        ("done.json", "results", [1], "corrupt", ""),
    ],
)
def test_contradictions_are_listed(tmp_path: Path, file: str, keys: str, value: Any, kind: str, reason: str) -> None:
    edit(write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5) / file, keys, value)
    results = results_of(tmp_path)
    assert results.runs.empty and [p.kind for p in results.problems] == [kind]
    assert reason in results.problems[0].reason and str(results.problems[0]).startswith(f"{kind}: {RUN}: ")


def test_yaml_numbers_without_a_point_and_six_digits_of_names(tmp_path: Path) -> None:
    edit(write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5) / "config.yaml", "reg.alpha", "1e-3")
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, alpha=1 / 3, beta=2 / 3)
    assert list(results_of(tmp_path).runs.alpha) == [1e-3, 0.3333333333]


def test_the_reason_of_a_failed_run_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    (folder / "done.json").unlink()
    for content, reason in (('{"error": "loss is nan"}', "it failed: loss is nan"), ("{", "failed.json cannot")):
        (folder / "failed.json").write_text(content)
        (problem,) = results_of(tmp_path).problems
        assert problem.kind == "unfinished" and reason in problem.reason


def test_validation_and_test_do_not_mix(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, split="val")
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, study="selection/lr=1")
    assert [kind for kind, _ in kinds(tmp_path)] == ["mismatch"] * 2 and results_of(tmp_path).runs.empty


def test_renamed_and_copied_directories_are_listed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    for copy in ("seed=00", "seed=3", "old", "../l2-alpha=nan-beta=x/seed=0", "../l2/seed=0"):
        shutil.copytree(folder, folder.parent / copy)
    assert [kind for kind, _ in kinds(tmp_path)] == ["mismatch"] * 5 and len(results_of(tmp_path).runs) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_run_stays_a_row_and_is_listed(tmp_path: Path, value: float) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, value)
    if value != value:  # as some writers put it
        edit(folder / "done.json", "value", None)
        edit(folder / "done.json", "results.test.accuracy", None)
    assert kinds(tmp_path) == [("diverged", RUN)]
    assert not math.isfinite(results_of(tmp_path).runs.value[0])


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
        lambda name: name not in (".", "..") and len(name.encode()) < 200
    ),
    st.integers(1, 3),
    st.binary(max_size=40),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_stray_directory_and_content_is_survived(tmp_path: Path, name: str, depth: int, content: bytes) -> None:
    root = tmp_path / "stray"
    shutil.rmtree(root, ignore_errors=True)
    write_run(root, "dstl_cub200", "l2", 0, 0.5)
    parts = ["dstl_cub200", "l2-alpha=0.001-beta=0.001", "seed=1"]
    parts[depth - 1] = name
    folder = root.joinpath("mini", "runs", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    if depth != 3 or name != "seed=0":
        (folder / "done.json").write_bytes(content)
    records = read_runs(root, "mini")
    assert [row["value"] for row in records.rows] == [0.5]
    assert name.startswith(".") or records.problems or (depth == 3 and name == "seed=0")


# Runs in one file


def packed(tree: Path, folder: Path) -> Path:
    """A results folder whose runs are in runs.zip."""
    (folder / "mini").mkdir(parents=True)
    with zipfile.ZipFile(folder / "mini" / "runs.zip", "w") as archive:
        for path in sorted((tree / "mini").rglob("seed=*/*")):
            archive.write(path, path.relative_to(tree / "mini").as_posix())
    return folder


def test_runs_in_a_file_are_read_like_directories(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    zipped = packed(tree, tmp_path / "zipped")
    build_report(zipped, "mini", PAPER, ARMS, figures=False)
    for path in (tree / "mini").rglob("*.csv"):
        assert (zipped / path.relative_to(tree)).read_bytes() == path.read_bytes(), path


def test_a_directory_on_disk_wins_over_the_file_s(tmp_path: Path) -> None:
    write_run(tmp_path / "old", "dstl_cub200", "l2", 0, 0.5)
    write_run(tmp_path / "old", "dstl_cub200", "l2", 1, 0.5)
    results = packed(tmp_path / "old", tmp_path / "new")
    write_run(results, "dstl_cub200", "l2", 0, 0.75)
    write_run(results, "dstl_cub200", "l2", 2, 0.25)
    assert list(results_of(results).runs.value) == [0.75, 0.5, 0.25]


def test_a_damaged_file_of_runs_is_named(tmp_path: Path) -> None:
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "runs.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match=r"runs\.zip: damaged"):
        results_of(tmp_path)
    zipped = packed(write_run(tmp_path / "a", "dstl_cub200", "l2", 0, 0.5).parents[4], tmp_path / "b")
    data = (zipped / "mini" / "runs.zip").read_bytes()
    (zipped / "mini" / "runs.zip").write_bytes(data.replace(b'"accuracy": 0.5', b'"accuracy": 0.6', 1))
    assert [kind for kind, _ in kinds(zipped)] == ["corrupt"]  # its checksum says so


# What runs record beside their results


def test_only_selected_main_runs_have_curves(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, w0=6.0)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, alpha=0.5)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, study="learning_rate/lr=0.02")
    results = results_of(tmp_path)
    assert not results.problems and results.runs.commit.notna().sum() == 3
    points = [tuple(line) for line in results.curves[["step", "loss", "distance_w0"]].itertuples(index=False)]
    assert points == [(100, 0.02, 2.0), (200, 0.01, 4.0), (300, 0.00666667, 6.0)]
    first = results.layers.iloc[0]
    assert (first.depth, first.layer, first.distance_w0, first.length, first.length_w0) == (
        0,
        "conv0.weight",
        3,
        5,
        5.5,
    )
    assert list(results.data.role) == ["target", "weights"]


def test_layers_are_means_over_seeds(tmp_path: Path) -> None:
    for seed, w0 in enumerate((2.0, 4.0)):
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.5, w0=w0)
    line = results_of(tmp_path).layers.iloc[0]
    assert (line.seeds, line.depth, line.distance_w0, line.length, line.length_w0) == (2, 0, 1.5, 5.0, 5.5)


@pytest.mark.parametrize(
    ("content", "reason", "kept"),
    [
        (None, "cannot be read", 0),
        ("", "", 0),
        ('{"step": 9, "split": "fit", "loss": 1}\n{"step": 1', "line 2 cannot be read", 1),
        ('[1]\n{"step": 9, "split": "fit", "loss": 1}\n', "line 1 cannot be read", 1),
        ("[" * 100_000 + "\n", "line 1 cannot be read", 0),
        ('{"step": "x", "split": "fit"}\n{"split": "layers", "layers": [1]}\n{"split": "layers"}\n', "", 0),
        ('{"step": 1, "split": "fit", "loss": NaN}\n', "", 1),
    ],
)
def test_broken_logs_are_listed_and_the_rest_is_used(
    tmp_path: Path, content: str | None, reason: str, kept: int
) -> None:
    path = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5) / "metrics.jsonl"
    path.unlink() if content is None else path.write_text(content)
    results = results_of(tmp_path)
    assert len(results.curves) == kept and len(results.runs) == 1 and results.layers.empty
    problems = [reason in problem.reason and problem.path.endswith("metrics.jsonl") for problem in results.problems]
    assert problems == [True] * bool(reason)


def test_nonsense_in_the_environment_is_no_reason_to_stop(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    nonsense: tuple[dict[str, Any], ...] = (
        {"images": 3, "pretrained": [], "pretrained_runs": {"weights": 1}, "cpus": "two", "dirty": 7},
        {"dirty": [1], "torch": "\ud800", "commit": {"a": 1}, "pretrained": {"origin": "\udfff"}},
        {},
    )
    line = {"step": 3, "split": "fit", "loss": 10**400}
    layers = {"split": "layers", "layers": {"": [1, 2, 3], "a": [1, 2], "\ud800": [1, 10**400, "x"]}}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(part) + "\n" for part in (line, layers)))
    for env in nonsense:
        (folder / "env.json").write_text(json.dumps(env))
        results = results_of(tmp_path)  # written and read again
        assert pd.isna(results.runs.cpus[0]) and results.runs.changed[0] == "" and pd.isna(results.data.train[0])
        assert math.isnan(results.curves.loss[0]) and list(results.layers.layer) == ["?"]


def test_a_clone_keeps_what_its_runs_do_not_replace(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, ARMS, figures=False)
    clone = clone_of(tree, tmp_path / "clone")
    write_run(clone, "dstl_cub200", "l2", 7, 0.25)
    whole, part = results_of(tree), results_of(clone)
    others = [results.curves[results.curves.experiment != "dstl_cub200"] for results in (whole, part)]
    pd.testing.assert_frame_equal(*[frame.reset_index(drop=True) for frame in others])
    assert set(part.curves[part.curves.experiment == "dstl_cub200"].seed) == {7}
    runs = list(part.runs[part.runs.experiment == "dstl_cub200"].study)
    assert runs.count("") == 1 and runs.count("from_scratch/default") == 3  # another study, other runs
    assert "vanished" in {problem.kind for problem in part.problems}
