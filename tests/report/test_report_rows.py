"""From directories to rows: nothing is dropped in silence, and nothing depends on the order of the disk."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_trees import write_run

from l2sp_suite.report import collect
from l2sp_suite.report.collect import read_runs
from l2sp_suite.report.rows import COLUMNS, Row, format_rows, parse_rows
from l2sp_suite.utils.errors import UserError

NUMBER = st.floats(-1e300, 1e300) | st.just(math.nan) | st.just(math.inf)
NAME = st.text("abz_09", min_size=1, max_size=8)
ROWS = st.builds(
    Row,
    *[NAME, NAME.map(lambda n: n + "/p=1") | st.just(""), NAME, st.sampled_from(["l2", "l2_sp"])],
    *[st.sampled_from([0.0, 4e-5, 1e-3, 0.1, 1 / 3])] * 3,
    *[
        st.booleans(),
        st.integers(0, 99),
        st.integers(1, 10**6),
        NAME,
        st.sampled_from(["higher", "lower"]),
        NAME,
    ],
    *[NUMBER, st.none() | st.integers(1, 9999), NUMBER, NUMBER, NUMBER, st.just("ab12")],
)


def kinds(results: Path) -> list[tuple[str, str]]:
    return sorted((p.kind, p.path) for p in read_runs(results, "mini")[1])


@given(st.lists(ROWS, max_size=3, unique_by=lambda row: row.key))
@settings(max_examples=40, deadline=None)
def test_text_of_rows_round_trips(rows: list[Row]) -> None:
    text = format_rows(rows)
    assert format_rows(parse_rows(text)) == text
    assert format_rows(reversed(parse_rows(text))) == text


def test_values_pass_through_with_ten_digits() -> None:
    row = Row("mini", "", "e", "l2", 4e-5, 1e-3, 0.1, True, 0, 3, "accuracy", "higher", "test", 0.123456789012)
    line = format_rows([row]).splitlines()[1].split(",")
    cells = dict(zip(COLUMNS, line, strict=True))
    assert (cells["value"], cells["alpha"], cells["n"], cells["train_value"]) == (
        "0.123456789",
        "4e-05",
        "",
        "",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "no column"), (",".join(COLUMNS) + "\nmini\n", "line 2"), ("", "no column")],
)
def test_damaged_rows_file_is_a_user_error(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_rows(text, "here/rows.csv")


def test_a_run_becomes_a_row(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2_sp", 4, 0.75, study="learning_rate/lr=0.02", n=40, train=0.9)
    frame, problems = collect(tmp_path, "mini")
    assert not problems and tuple(frame.columns) == COLUMNS
    row = frame.iloc[0].to_dict()
    assert row["study"] == "learning_rate/lr=0.02" and row["config"] == "0123456789ab" and bool(row["chosen"])
    expected = {"value": 0.75, "n": 40, "train_value": 0.9, "distance_w0": 3.25, "seed": 4, "alpha": 0.01}
    assert {key: row[key] for key in expected} == expected


def test_no_folder_no_rows(tmp_path: Path) -> None:
    frame, problems = collect(tmp_path, "nowhere")
    assert frame.empty and not problems and tuple(frame.columns) == COLUMNS


def test_order_of_creation_does_not_matter(tmp_path: Path) -> None:
    jobs = [("dstl_cub200", reg, seed) for reg in ("l2", "l2_sp") for seed in range(11)]
    texts = []
    for name, order in (("a", jobs), ("b", jobs[::-1])):
        for experiment, reg, seed in order:
            write_run(tmp_path / name, experiment, reg, seed, seed / 20)
        texts.append(format_rows(read_runs(tmp_path / name, "mini")[0]))
    assert texts[0] == texts[1]


def test_wall_time_and_extra_files_do_not_matter(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    before = format_rows(read_runs(tmp_path, "mini")[0])
    done = json.loads((folder / "done.json").read_text())
    (folder / "done.json").write_text(json.dumps(done | {"wall_s": 99.0, "more": [1]}))
    (folder / "metrics.jsonl").write_text("{}")
    (tmp_path / "mini" / "runs" / ".DS_Store").mkdir()
    (tmp_path / "mini" / "runs" / "notes.txt").write_text("hello")
    assert format_rows(read_runs(tmp_path, "mini")[0]) == before and kinds(tmp_path) == []


RUN = "mini/runs/dstl_cub200/l2-alpha=0.001-beta=0.001/seed=0"


@pytest.mark.parametrize(
    ("file", "content", "kind"),
    [
        ("done.json", "{", "corrupt"),
        ("done.json", "[]", "corrupt"),
        ("done.json", "{}", "corrupt"),
        ("done.json", "[" * 100_000, "corrupt"),
        ("config.yaml", "a: [", "corrupt"),
        ("config.yaml", "", "corrupt"),
        ("config.yaml", "experiment: 3", "corrupt"),
        ("done.json", None, "unfinished"),
        ("config.yaml", None, "corrupt"),
    ],
)
def test_unusable_files_are_listed(tmp_path: Path, file: str, content: str | None, kind: str) -> None:
    path = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5) / file
    write_run(tmp_path, "dstl_cub200", "l2", 1, 0.5)
    path.unlink() if content is None else path.write_text(content)
    assert kinds(tmp_path) == [(kind, RUN)]
    assert [row.seed for row in read_runs(tmp_path, "mini")[0]] == [1]


def edit(folder: Path, file: str, keys: str, value: Any) -> None:
    content = yaml.safe_load((folder / file).read_text())  # JSON is YAML too
    *path, last = keys.split(".")
    place = content
    for key in path:
        place = place[key]
    place[last] = value
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "keys", "value", "kind", "reason"),
    [
        ("config.yaml", "seed", 7, "mismatch", "seed"),
        ("config.yaml", "scale.name", "pocket", "mismatch", "scale"),
        ("config.yaml", "study", "learning_rate/lr=1", "mismatch", "study"),
        ("config.yaml", "experiment", "dstl_food101", "mismatch", "experiment"),
        ("config.yaml", "reg.alpha", 0.5, "mismatch", "alpha"),
        ("config.yaml", "chosen", "yes", "corrupt", "chosen"),
        ("config.yaml", "row.better", "more", "corrupt", "better"),
        ("config.yaml", "optim.lr", True, "corrupt", "number"),
        ("config.yaml", "evaluate.split", "val", "corrupt", "val"),
        ("done.json", "value", 0.6, "corrupt", "results"),
        ("done.json", "steps", 3.5, "corrupt", "whole"),
        ("done.json", "results", {}, "corrupt", "test"),
    ],
)
def test_contradictions_are_listed(tmp_path: Path, file: str, keys: str, value: Any, kind: str, reason: str) -> None:
    edit(write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5), file, keys, value)
    rows, problems = read_runs(tmp_path, "mini")
    assert not rows and [p.kind for p in problems] == [kind] and reason in problems[0].reason
    assert str(problems[0]).startswith(f"{kind}: {RUN}: ")


def test_yaml_numbers_without_a_point_are_read(tmp_path: Path) -> None:
    edit(write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5), "config.yaml", "reg.alpha", "1e-3")
    assert read_runs(tmp_path, "mini")[0][0].alpha == 1e-3


def test_the_reason_of_a_failed_run_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    (folder / "done.json").unlink()
    for content, reason in (
        ('{"error": "loss is nan"}', "it failed: loss is nan"),
        ("{", "failed.json cannot"),
    ):
        (folder / "failed.json").write_text(content)
        (problem,) = read_runs(tmp_path, "mini")[1]
        assert problem.kind == "unfinished" and reason in problem.reason


def test_directory_names_hold_six_digits(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, alpha=1 / 3, beta=2 / 3)
    assert [row.alpha for row in read_runs(tmp_path, "mini")[0]] == [1 / 3]


def test_validation_and_test_do_not_mix(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, split="val")
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, study="selection/lr=1")
    rows, problems = read_runs(tmp_path, "mini")
    assert not rows and [p.kind for p in problems] == ["mismatch"] * 2


def test_renamed_and_doubled_directories_are_listed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    setting = folder.parent
    shutil.copytree(folder, setting / "seed=00")
    shutil.copytree(folder, setting / "seed=3")
    shutil.copytree(folder, setting / "old")
    shutil.copytree(folder, setting.parent / "l2-alpha=nan-beta=x" / "seed=0")
    assert sorted(kind for kind, _ in kinds(tmp_path)) == [
        "duplicate",
        "mismatch",
        "unexpected",
        "unexpected",
    ]
    assert len(read_runs(tmp_path, "mini")[0]) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_run_stays_a_row_and_is_listed(tmp_path: Path, value: float) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, value)
    rows, problems = read_runs(tmp_path, "mini")
    assert len(rows) == 1 and [p.kind for p in problems] == ["diverged"]
    assert not math.isfinite(parse_rows(format_rows(rows))[0].value)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
        lambda name: name not in (".", "..") and len(name.encode()) < 200
    ),
    st.integers(1, 3),
    st.binary(max_size=40),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    rows, problems = read_runs(root, "mini")
    assert [row.value for row in rows] == [0.5]
    hidden = name.startswith(".")
    assert hidden or problems or (depth == 3 and name == "seed=0")
