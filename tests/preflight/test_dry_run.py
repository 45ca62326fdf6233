"""The dry run of paper scale: data in official layout and size, real runs, a table that is whole."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from l2sp_suite.config import PRINTED, TrainConfig, compose, override
from l2sp_suite.datasets.flow_files import load_flow
from l2sp_suite.download import load
from l2sp_suite.preflight import DryRun, describe, dry_run_row, dry_run_rows, read_records, write_table
from l2sp_suite.sweeps import load_plan, table3
from l2sp_suite.utils.errors import UserError
from miniworld import PARTS, build_world, named_recipe
from miniworld.recipes import ReleaseSceneFlowRecipe

SIZES = {
    "release/objects": (500, 500),
    "release/scenes": (500, 375),
    "release_davis/clips": (854, 480),
    "release_scene_flow/clips": (960, 540),
}
MODULE = "l2sp_suite.preflight.dry_run"


@pytest.fixture(scope="module")
def rows() -> dict[str, TrainConfig]:
    """The rows of Table 3 at paper scale."""
    return {cfg.experiment: cfg for cfg in table3("paper")}


def test_every_row_says_how_it_is_run_dry(rows: dict[str, TrainConfig]) -> None:
    assert {world for cfg in rows.values() for world in cfg.task.dry_run.worlds} == set(SIZES)


# The published rates by the papers' own numbers, as functions of the step (docs/protocols: encnet.md#optimisation,
# segflow.md#segmentation-phase, dstl.md#fine-tuning). A joint SegFlow run has a flow step for each segmentation step.
RATES = {
    "encnet50_pcontext": lambda t: 0.001 * (1 - t / 24_960) ** 0.9,
    "segflow_star_davis": lambda t: 1e-9 * 480 * 854 * 0.5 ** (t // 50_000),
    "segflow_davis": lambda t: 1e-9 * 480 * 854 * 0.5 ** (t // 100_000),
    "dstl_cub200": lambda t: 0.01 * 0.1 ** (t // (10 * (5994 // 64))),
    "dstl_nabirds": lambda t: 0.01 * 0.1 ** (t // (10 * (23_929 // 64))),
}
STEPS = {"encnet50_pcontext": 24_960, "segflow_star_davis": 200_000, "segflow_davis": 400_000, "dstl_cub200": 2790}


@pytest.mark.parametrize("name", RATES)
def test_the_published_rates_are_the_closed_form(rows: dict[str, TrainConfig], name: str) -> None:
    steps = STEPS.get(name, 30 * (23_929 // 64))
    expected = [RATES[name](step) for step in (0, steps // 2, steps - 1)]
    assert rows[name].task.dry_run.rates == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("world", SIZES)
def test_files_have_the_official_resolution(tmp_path: Path, world: str) -> None:
    recipe, part = named_recipe(*world.split("/")), PARTS[world.split("/")[1]]
    job, path = next(iter(part.plan(recipe).items()))
    files, _ = part.render(recipe, job, path)
    flows = {name: content for name, content in files.items() if name.endswith(".pfm")}
    pictures = [content for name, content in files.items() if name not in flows]
    assert {Image.open(io.BytesIO(content)).size for content in pictures} == {SIZES[world]}
    assert bool(flows) == ("flow" in world)
    for content in flows.values():
        (tmp_path / "flow.pfm").write_bytes(content)
        assert load_flow(tmp_path / "flow.pfm").shape[-2:] == SIZES[world][::-1]


def test_objects_have_the_official_classes_in_every_part() -> None:
    labels = Counter(
        (sample.group, sample.split) for sample in PARTS["objects"].plan(named_recipe("release", "objects"))
    )
    for group in ("cub200", "flowers102", "stanford_cars", "aircraft", "food101", "nabirds"):
        official = load(group).official
        assert official is not None
        assert labels[group, "train"] == labels[group, "test"] == official["classes"]


@pytest.mark.slow
def test_scenes_of_a_release_are_of_all_classes(tmp_path: Path) -> None:
    build_world(tmp_path / "w", named_recipe("release", "scenes"), workers=1)
    assert not list((tmp_path / "w").rglob("classes.txt"))


@pytest.mark.parametrize("name", ["monkaa_clean", "monkaa_final", "driving_clean", "driving_final"])
def test_a_synthetic_scene_flow_cannot_pass_for_the_official_one(name: str) -> None:
    recipe = named_recipe("release_scene_flow", "clips")
    assert isinstance(recipe, ReleaseSceneFlowRecipe)
    frames = max(recipe.monkaa_frames, recipe.fast_frames, recipe.slow_frames)
    data = load(name)
    assert data.official and data.at_least  # as many scenes as the release has, of the same size, but shorter ones
    assert 2 * frames * data.official["train_sequences"] < data.at_least["train"]


@pytest.fixture
def smoke_run(tmp_path: Path) -> Any:
    """Composes a run on real files that are few."""
    build_world(tmp_path / "data", named_recipe("tiny", "objects"), workers=1)
    paths = [override(f"paths.{key}", str(tmp_path / key)) for key in ("data", "results")]
    return lambda *more: compose(["experiment=dstl_cub200", "scale=smoke", "scale.world=null", *paths, *more])


@pytest.mark.slow
def test_a_run_is_made_as_published(rows: dict[str, TrainConfig], smoke_run: Any, tmp_path: Path) -> None:
    cfg = smoke_run("reg=l2_sp", "optim.schedule.kind=step")
    result = dry_run_row(cfg, rows["dstl_cub200"], time.monotonic())
    assert (result.steps, result.row, result.arm) == (2790, 7, "l2")  # as of the published run
    assert result.parameters == result.shared + result.new + result.exempt and result.shared > result.new
    assert (result.rate_middle, result.rate_last) == (pytest.approx(1e-3), pytest.approx(1e-4))
    assert result.rate_first == cfg.optim.lr and result.rate_error == pytest.approx(cfg.optim.lr / 0.01 - 1)
    assert result.step_seconds + result.evaluate_seconds < result.run_seconds < 600 and result.disk_mb >= 1
    assert len(list((tmp_path / "data" / "weights").glob("stand_in_*.safetensors"))) == 1
    assert not list((tmp_path / "results").rglob("checkpoint*"))  # nothing large is left behind


@pytest.mark.slow
def test_what_is_not_resumed_as_saved_is_an_error(
    rows: dict[str, TrainConfig], smoke_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.restore", lambda *_: 0)
    with pytest.raises(UserError, match="not what was saved"):
        dry_run_row(smoke_run("reg=l2"), rows["dstl_cub200"], time.monotonic())


def test_unknown_rows_are_refused_before_anything_is_drawn(run_script: Any, tmp_path: Path) -> None:
    status, _, err = run_script("experiments/dry_run.py", "row=[dstl_cub]", f"artifacts={tmp_path / 'a'}")
    assert status == 2 and "no row of Table 3" in err and not (tmp_path / "a").exists()


def test_a_task_that_says_nothing_of_dry_runs_is_refused(
    rows: dict[str, TrainConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cfg = rows["dstl_cub200"]
    monkeypatch.setattr(f"{MODULE}.table3", lambda *_: [replace(cfg, task=replace(cfg.task, dry_run=None))])
    with pytest.raises(UserError, match=r"task\.dry_run is null; say in configs/task/classification/paper\.yaml"):
        dry_run_rows(tmp_path / "a", [])
    assert not (tmp_path / "a").exists()


def test_a_dry_run_differs_from_its_run_in_named_settings_alone(rows: dict[str, TrainConfig], tmp_path: Path) -> None:
    from l2sp_suite.preflight.dry_run import _changes

    changed = {"batch_size", "require_official", "device", "workers", "data", "results", "target", "auxiliary"}
    changed |= {"phases"}  # which are made of both
    for name in ("encnet50_pcontext", "segflow_davis", "dstl_cub200"):
        run = ["scale=paper", "reg=l2", f"experiment={name}"]
        dry = compose([*run, *_changes(rows[name], tmp_path, tmp_path)])
        assert differing(asdict(rows[name]), asdict(dry)) <= changed, name  # the precision, for one, is the run's own


def differing(a: Any, b: Any, key: str = "") -> set[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return {item for name in {*a, *b} for item in differing(a.get(name), b.get(name), name)}
    return set() if a == b else {key}


def committed() -> list[DryRun]:
    return read_records(PRINTED / "dry_run.csv")


def test_a_failed_run_is_said_and_what_this_code_did_is_not_repeated(
    run_script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    code = {"commit": "c0ffee", "dirty": False, "torch": "2"}

    def work(overrides: tuple[str, ...], published: tuple[str, ...], file: Path) -> None:
        done.append(file.stem)
        assert overrides[:3] == published and published[2] == f"reg={file.stem.partition('-')[2]}"
        if not file.stem.endswith("l2_sp"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({**asdict(committed()[0]), "code": code}))

    monkeypatch.setattr(f"{MODULE}._draw", lambda *_: tmp_path)
    monkeypatch.setattr(f"{MODULE}._in_process", work)
    monkeypatch.setattr(f"{MODULE}._code", lambda: code)
    arguments = ("experiments/dry_run.py", "row=[dstl_cub200]", f"artifacts={tmp_path}", f"results={tmp_path / 'r'}")
    for _ in range(2):
        status, out, _ = run_script(*arguments)
        assert status == 1 and "FAILED dstl_cub200-l2_sp" in out and not (tmp_path / "r").exists()
    assert done == ["dstl_cub200-l2", "dstl_cub200-l2_sp", "dstl_cub200-l2_sp"]  # the first is this code's
    for other in ({"commit": "beef"}, {"dirty": True}):
        monkeypatch.setattr(f"{MODULE}._code", lambda other=other: {**code, **other})
        done.clear()
        run_script(*arguments)
        assert len(done) == 2


def test_the_committed_table_is_whole_and_within_bounds(tmp_path: Path) -> None:
    records = committed()
    runs = Counter((record.row, record.arm) for record in records)
    assert set(runs) == {(row, arm) for row in range(1, 13) for arm in load_plan("table3").arms}
    assert set(runs.values()) == {1}
    assert all(record.rate_error < 1e-9 and record.peak_memory_mb * 2**20 < 20e9 for record in records)
    assert sum(record.run_seconds for record in records) < 40 * 60
    assert max(record.disk_mb for record in records) * 2**20 < 20e9
    write_table(tmp_path, records)
    for name in ("dry_run.csv", "dry_run.md"):
        assert (tmp_path / "paper" / name).read_bytes() == (PRINTED / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dstl_nabirds", "segflow_monkaa_final", "encnet101_pcontext"])
def test_the_committed_counts_are_those_of_today(name: str) -> None:
    today = describe(compose([f"experiment={name}", "scale=paper", "reg=l2_sp"]), step=False)
    (record,) = (record for record in committed() if (record.experiment, record.arm) == (name, "l2_sp"))
    assert {key: today["penalised"][key] for key in ("shared", "new", "exempt")} == {
        key: getattr(record, key) for key in ("shared", "new", "exempt")
    }
    assert record.parameters == today["parameters"]["all"]
