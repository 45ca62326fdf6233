"""What runs tell beside their results: read with suspicion, kept where a clone has no runs."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_trees import PAPER, clone_of, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.collect import read_runs
from l2sp_suite.report.logs import FILES, DataSize, Layer, Logs, Point, Provenance, read_logs
from l2sp_suite.report.records import columns, format_records, parse_records
from l2sp_suite.report.store import gather
from l2sp_suite.utils.errors import UserError

NUMBERS = st.floats(-1e300, 1e300) | st.just(math.nan)
NAMES = st.text("abz_09,'\"\n", min_size=1, max_size=8)
COUNTS = st.none() | st.integers(0, 10**9)
RECORDS = {
    Point: st.builds(Point, NAMES, NAMES, NUMBERS, NUMBERS, st.integers(), st.integers(), NUMBERS, NUMBERS, NUMBERS),
    DataSize: st.builds(DataSize, NAMES, NAMES, NAMES | st.just(""), *[COUNTS] * 5),
    Provenance: st.builds(Provenance, NAMES | st.just(""), *[NAMES] * 2, *[NUMBERS] * 2, st.integers(), cpus=COUNTS),
}


def logs_of(results: Path) -> tuple[Logs, list[Any]]:
    return read_logs(results, read_runs(results, "mini")[0])


@pytest.mark.parametrize("kind", RECORDS)
def test_records_round_trip(kind: Any) -> None:
    @given(st.lists(RECORDS[kind], max_size=3))
    @settings(max_examples=40, deadline=None)
    def check(records: list[Any]) -> None:
        text = format_records(kind, records)
        again = parse_records(kind, text, "here.csv")
        assert len(again) == len(records) and format_records(kind, again) == text

    check()


@pytest.mark.parametrize("kind", FILES.values())
def test_damaged_files_name_themselves_and_the_line(kind: Any) -> None:
    with pytest.raises(UserError, match=r"x\.csv: no column"):
        parse_records(kind, "a,b\n", "x.csv")
    head = ",".join(columns(kind))
    with pytest.raises(UserError, match=r"x\.csv, line 2"):
        parse_records(kind, f"{head}\n{',' * head.count(',')}\n", "x.csv")


def test_only_chosen_main_runs_have_curves(tmp_path: Path) -> None:
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, w0=6.0)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, alpha=0.5)
    write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5, study="learning_rate/lr=0.02")
    logs, problems = logs_of(tmp_path)
    assert not problems and len(logs.provenance) == 3
    assert [(p.step, p.loss, p.distance_w0) for p in logs.curves] == [
        (100, 0.02, 2.0),
        (200, 0.01, 4.0),
        (300, 0.00666667, 6.0),
    ]
    assert [(x.depth, x.layer, x.distance_w0, x.length, x.length_w0) for x in logs.layers[:2]] == [
        (0, "conv0.weight", 3.0, 5.0, 5.5),
        (1, "conv1.weight", 2.0, 6.0, 6.5),
    ]
    assert [size.role for size in logs.data] == ["target", "weights"]


def test_layers_are_means_over_seeds(tmp_path: Path) -> None:
    for seed, w0 in enumerate((2.0, 4.0)):
        write_run(tmp_path, "dstl_cub200", "l2", seed, 0.5, w0=w0)
    first = logs_of(tmp_path)[0].layers[0]
    assert first == Layer("dstl_cub200", "l2", 1e-3, 1e-3, 2, 0, "conv0.weight", 1.5, 5.0, 5.5)


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
    logs, problems = logs_of(tmp_path)
    assert len(logs.curves) == kept and len(logs.provenance) == 1 and not logs.layers
    assert [reason in problem.reason and problem.path.endswith("metrics.jsonl") for problem in problems] == [
        True
    ] * bool(reason)


def test_nonsense_in_the_environment_is_no_reason_to_stop(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "dstl_cub200", "l2", 0, 0.5)
    nonsense: tuple[dict[str, Any], ...] = (
        {"images": 3, "start": [], "sources": {"weights": 1}, "cpus": "two", "dirty": 7},
        {"dirty": [1], "torch": "\ud800", "commit": {"a": 1}, "start": {"origin": "\udfff"}},
        {},
    )
    line = {"step": 3, "split": "fit", "loss": 10**400}
    layers = {"split": "layers", "layers": {"": [1, 2, 3], "a": [1, 2], "\ud800": [1, 10**400, "x"]}}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(part) + "\n" for part in (line, layers)))
    for env in nonsense:
        (folder / "env.json").write_text(json.dumps(env))
        logs = gather(tmp_path, "mini").logs  # written and read again
        assert logs.provenance[0].cpus is None and logs.provenance[0].changed == "" and logs.data[0].train is None
        assert math.isnan(logs.curves[0].loss) and [layer.layer for layer in logs.layers] == ["?"]


def test_a_clone_keeps_what_its_runs_do_not_replace(tree: Path, tmp_path: Path) -> None:
    build_report(tree, "mini", PAPER, figures=False)
    clone = clone_of(tree, tmp_path / "clone")
    write_run(clone, "dstl_cub200", "l2", 7, 0.25)
    whole, part = gather(tree, "mini").logs, gather(clone, "mini").logs
    assert [p for p in part.curves if p.experiment != "dstl_cub200"] == [
        p for p in whole.curves if p.experiment != "dstl_cub200"
    ]
    assert {p.seed for p in part.curves if p.experiment == "dstl_cub200"} == {7}
    runs = [p.study for p in part.provenance if p.experiment == "dstl_cub200"]
    assert runs.count("") == 1 and runs.count("from_scratch/default") == 3  # another study, other runs


def test_broken_logs_are_said(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    (next(tree.glob("mini/runs/dstl_food101/l2-*/*")) / "metrics.jsonl").unlink()
    with caplog.at_level(logging.WARNING):
        build_report(tree, "mini", PAPER, figures=False)
    assert [r.message.partition(": cannot")[0] for r in caplog.records] == [
        "corrupt: mini/runs/dstl_food101/l2-alpha=0.001-beta=0.001/seed=0/metrics.jsonl"
    ]
