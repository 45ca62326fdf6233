"""Tables of settings with several metrics, rows of our own with names, and pictures of predictions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from report_trees import PAPER, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.collect import read_runs
from l2sp_suite.report.figures import predictions
from l2sp_suite.report.paper import read_paper
from l2sp_suite.report.rows import COLUMNS, Row, format_rows, parse_rows
from l2sp_suite.report.samples import sample_sheets
from l2sp_suite.report.select import title_of
from l2sp_suite.report.settings import settings_table
from l2sp_suite.report.tables import table3

ENC = "encnet50_pcontext"


def write_segmentation(results: Path, experiment: str, reg: str, seed: int, miou: float, **given: object) -> Path:
    """A run directory of a task with two metrics, with a name of its own for Table 3."""
    folder = write_run(results, experiment, reg, seed, miou, **given)
    done = json.loads((folder / "done.json").read_text())
    measured = {"mIoU": miou, "pixAcc": miou + 0.3, "mIoU_single": miou - 0.01, "n": 40}
    done |= {"metric": "mIoU", "train_metric": "mIoU_single"}
    done["results"] = {"test": measured, "train": {"mIoU_single": 0.875, "n": 80}}
    (folder / "done.json").write_text(json.dumps(done))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["row"] |= {"approach": "EncNet", "target": "CamVid", "task": "image seg.", "metric": "mIoU"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for seed in range(2):
        write_segmentation(tmp_path, ENC, "l2", seed, 0.40 + seed / 100, alpha=1e-4, beta=1e-4)
        write_segmentation(tmp_path, ENC, "l2_sp", seed, 0.42 + seed / 100, alpha=1e-4, beta=1e-3)
        write_segmentation(tmp_path, "encnet_camvid", "l2", seed, 0.50 + seed / 100)
        write_segmentation(tmp_path, "encnet_camvid", "l2_sp", seed, 0.55 + seed / 100)
    return tmp_path


def test_table4_has_the_papers_six_lines_and_ours_beside_them(scenes: Path) -> None:
    paper = read_paper(PAPER)
    table = settings_table("table4", read_runs(scenes, "mini")[0], paper, "mini")
    lines = [dict(zip(table.header, cells, strict=True)) for cells in table.lines]
    assert [(line["approach"], line["paper mIoU"]) for line in lines] == [
        ("EncNet-50", "50.84"),
        ("EncNet-50", "50.31"),
        ("EncNet-50", "51.12"),
        ("EncNet-50", "51.17"),
        ("EncNet-101", "54.10"),
        ("EncNet-101", "54.12"),
    ]
    assert lines[0]["mini mIoU"] == "40.50 ± 0.71 (2)" and lines[0]["mini pixAcc"] == "70.50 ± 0.71 (2)"
    assert lines[1]["mini mIoU"] == "42.50 ± 0.71 (2)" and lines[1]["mIoU difference to L2"] == "+2.00"
    assert {line["mini mIoU"] for line in lines[2:]} == {"—"} == {line["mini pixAcc"] for line in lines[2:]}


def test_without_runs_no_number_of_the_paper_stands_in_our_columns() -> None:
    table = settings_table("table4", [], read_paper(PAPER), "mini")
    for cells in table.lines:
        line = dict(zip(table.header, cells, strict=True))
        assert {line[name] for name in table.header if name.startswith("mini")} == {"—"}


def test_an_experiment_of_our_own_has_its_names_in_table3(scenes: Path) -> None:
    table = table3(read_runs(scenes, "mini")[0], read_paper(PAPER), "mini")
    last = dict(zip(table.header, table.lines[-1], strict=True))
    assert (last["approach"], last["target"], last["metric"]) == ("EncNet", "CamVid", "mIoU")
    assert last["paper L2"] == last["#"] == "—" and last["difference"] == "+5.00"


def test_rows_carry_every_metric_and_older_files_do_without(scenes: Path) -> None:
    rows = read_runs(scenes, "mini")[0]
    again = parse_rows(format_rows(rows))
    assert format_rows(again) == format_rows(rows)
    assert again[0].measured("pixAcc") == pytest.approx(again[0].value + 0.3)
    assert again[0].measured("mIoU") == again[0].value and again[0].measured("none") is None
    assert again[0].train_value == 0.875
    kept = [i for i, name in enumerate(COLUMNS) if name not in ("metrics", "approach", "target", "task")]
    older = [",".join(line.split(",")[i] for i in kept) for line in format_rows(rows).splitlines()]
    assert [row.value for row in parse_rows("\n".join(older))] == [row.value for row in again]
    assert {row.metrics for row in parse_rows("\n".join(older))} == {""}


def write_samples(folder: Path, prediction: int, names: list[str]) -> None:
    (folder / "samples").mkdir()
    for number in (3, 11):
        Image.new("RGB", (8, 6), "white").save(folder / "samples" / f"{number}-image.png")
        for kind, entry in (("truth", 1), ("prediction", prediction)):
            picture = Image.new("P", (8, 6), entry)
            picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
            picture.save(folder / "samples" / f"{number}-{kind}.png")
    env = json.loads((folder / "env.json").read_text())
    (folder / "env.json").write_text(json.dumps({**env, "class_names": names}))


def runs_with_samples(results: Path) -> None:
    for reg, prediction in (("l2", 0), ("l2_sp", 2)):
        folder = write_segmentation(results, ENC, reg, 0, 0.4)
        write_samples(folder, prediction, ["sky", "tree", "road"])


def test_titles_are_the_papers_or_the_runs_own(scenes: Path) -> None:
    rows, paper = read_runs(scenes, "mini")[0], read_paper(PAPER)
    assert title_of(ENC, rows, paper) == "EncNet-50, PASCAL-Context"
    assert title_of("encnet_camvid", rows, paper) == "EncNet, CamVid"
    assert title_of("mine", rows, paper) == "mine"


def test_the_note_marks_the_setting_of_table_3(tmp_path: Path) -> None:
    write_segmentation(tmp_path, ENC, "l2", 0, 0.4)
    write_segmentation(tmp_path, ENC, "l2_sp", 0, 0.4, alpha=0.5, beta=0.5)
    table = settings_table("table4", read_runs(tmp_path, "mini")[0], read_paper(PAPER), "mini")
    notes = [line[-1] for line in table.lines if line[6] != "—"]
    assert notes == ["ours with α=0.001, β=0.001; chosen", "not in the paper"]


def test_samples_of_both_arms_become_one_picture(tmp_path: Path) -> None:
    runs_with_samples(tmp_path)
    build_report(tmp_path, "mini", PAPER)
    path = tmp_path / "mini" / "figures" / f"predictions_{ENC}.png"
    first = path.read_bytes()
    with Image.open(io.BytesIO(first)) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert {(255, 0, 0), (0, 255, 0)} <= colours  # truth and the second arm
    build_report(tmp_path, "mini", PAPER)
    assert path.read_bytes() == first


def test_a_picture_stays_where_its_run_directories_are_gone(tmp_path: Path) -> None:
    runs_with_samples(tmp_path)
    build_report(tmp_path, "mini", PAPER)
    clone = tmp_path / "clone" / "mini"
    (clone / "figures").mkdir(parents=True)
    (clone / "rows.csv").write_bytes((tmp_path / "mini" / "rows.csv").read_bytes())
    (clone / "figures" / f"predictions_{ENC}.png").write_bytes(b"kept")
    build_report(clone.parent, "mini", PAPER)
    assert (clone / "figures" / f"predictions_{ENC}.png").read_bytes() == b"kept"


def test_sheets_need_both_arms_and_whole_lines(tmp_path: Path) -> None:
    paper = read_paper(PAPER)
    runs_with_samples(tmp_path)
    rows: list[Row] = read_runs(tmp_path, "mini")[0]
    (sheet,) = sample_sheets(tmp_path, rows, paper)
    assert sheet.experiment == ENC and len(sheet.lines) == 2 and list(sheet.classes) == ["sky", "tree", "road"]
    assert sheet.title == "EncNet-50, PASCAL-Context"
    assert predictions(sheet, "mini").startswith(b"\x89PNG")
    next((tmp_path / "mini").rglob("l2_sp-*/seed=0/samples/11-prediction.png")).unlink()
    assert len(sample_sheets(tmp_path, rows, paper)[0].lines) == 1
    assert sample_sheets(tmp_path, [row for row in rows if row.reg == "l2"], paper) == []


def test_a_diverged_seed_beside_healthy_ones_is_said_in_every_metric(scenes: Path) -> None:
    folder = write_segmentation(scenes, ENC, "l2_sp", 1, float("nan"), alpha=1e-3, beta=1e-4)
    write_segmentation(scenes, ENC, "l2_sp", 0, 0.41, alpha=1e-3, beta=1e-4)
    done = json.loads((folder / "done.json").read_text())
    done["results"] = {"test": {"mIoU": float("nan"), "n": 0}}  # as the trainer leaves it
    (folder / "done.json").write_text(json.dumps(done))
    table = settings_table("table4", read_runs(scenes, "mini")[0], read_paper(PAPER), "mini")
    line = dict(zip(table.header, table.lines[2], strict=True))
    assert line["mini mIoU"] == line["mini pixAcc"] == "diverged (1 of 2)" and line["verdict"] == "diverged"
