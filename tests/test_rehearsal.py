"""The rehearsal of paper scale: data in official layout and size, real runs, a table that is whole."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from l2sp_suite.config.compose import PRINTED, compose, override
from l2sp_suite.datasets.flow_files import load_flow
from l2sp_suite.download import load
from l2sp_suite.preflight import dry_run as rehearsal
from l2sp_suite.preflight.describe import describe
from l2sp_suite.preflight.dry_run import closed_form, rehearse, rehearse_all
from l2sp_suite.report.records import parse_records
from l2sp_suite.report.rehearsal import Rehearsed, write_rehearsal
from l2sp_suite.sweeps.plan import table3
from l2sp_suite.utils.errors import UserError
from miniworld import build_world, named_recipe
from miniworld.clips import ReleaseSceneFlowRecipe
from miniworld.generators import PARTS
from miniworld.recipe import Recipe

PAPER = {name: compose([f"experiment={name}", "scale=paper"]) for name in ("dstl_cub200", "segflow_davis")}


def size_of(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


@pytest.mark.parametrize(
    ("name", "part", "size"),
    [
        ("release", "objects", (500, 500)),
        ("release", "scenes", (500, 375)),
        ("release_davis", "clips", (854, 480)),
        ("release_scene_flow", "clips", (960, 540)),
    ],
)
def test_files_have_the_official_resolution(tmp_path: Path, name: str, part: str, size: tuple[int, int]) -> None:
    recipe = named_recipe(name, part)
    job, path = next(iter(PARTS[part].plan(recipe).items()))
    files, _ = PARTS[part].render(recipe, job, path)
    assert {size_of(content) for path, content in files.items() if not path.endswith(".pfm")} == {size}
    flows = [content for path, content in files.items() if path.endswith(".pfm")]
    assert bool(flows) == ("flow" in name)
    for content in flows:
        (tmp_path / "flow.pfm").write_bytes(content)
        assert load_flow(tmp_path / "flow.pfm").shape[-2:] == (size[1], size[0])


def test_objects_have_the_official_classes_in_every_part() -> None:
    plan = PARTS["objects"].plan(Recipe.release())
    labels = Counter((sample.group, sample.split) for sample in plan)
    for group in ("cub200", "flowers102", "stanford_cars", "aircraft", "food101", "nabirds"):
        official = compose([f"experiment=dstl_{group}", "scale=paper"]).data.official
        assert official is not None
        assert labels[group, "train"] == labels[group, "test"] == official["classes"]


def test_scenes_of_a_release_are_of_all_classes(tmp_path: Path) -> None:
    build_world(tmp_path / "w", named_recipe("release", "scenes"), workers=1)
    assert not list((tmp_path / "w").rglob("classes.txt"))


@pytest.mark.parametrize("name", ["monkaa_clean", "monkaa_final", "driving_clean", "driving_final"])
def test_a_drawn_scene_flow_cannot_pass_for_the_official_one(name: str) -> None:
    recipe = named_recipe("release_scene_flow", "clips")
    assert isinstance(recipe, ReleaseSceneFlowRecipe)
    frames = max(recipe.monkaa_frames, recipe.fast_frames, recipe.slow_frames)
    data = load(name)
    assert data.official and data.at_least  # as many scenes as the release has, of the same size, but shorter ones
    assert 2 * frames * data.official["train_sequences"] < data.at_least["train"]


def smoke(tmp_path: Path, *more: str) -> list[str]:
    build_world(tmp_path / "data", Recipe.tiny(), workers=1)
    paths = [override(f"paths.{key}", str(tmp_path / key)) for key in ("data", "results")]
    return ["experiment=dstl_cub200", "scale=smoke", "scale.world=null", *paths, *more]


def test_a_run_is_rehearsed_as_published(tmp_path: Path) -> None:
    cfg = compose(smoke(tmp_path, "reg=l2_sp", "optim.schedule.kind=staircase"))
    before = deepcopy(cfg)
    found = rehearse(cfg, PAPER["dstl_cub200"], time.monotonic())
    assert (found.steps, found.row, found.arm) == (2790, 7, "l2_sp")
    assert found.parameters == found.shared + found.new + found.exempt and found.shared > found.new
    assert (found.rate_middle, found.rate_last) == (pytest.approx(1e-3), pytest.approx(1e-4))
    assert found.rate_first == cfg.optim.lr and found.rate_error == pytest.approx(cfg.optim.lr / 0.01 - 1)
    assert found.step_seconds + found.evaluate_seconds < found.run_seconds < 600 and found.disk_mb >= 1
    assert len(list((tmp_path / "data" / "weights").glob("stand_in_*.safetensors"))) == 1
    assert not list((tmp_path / "results").rglob("checkpoint*")) and cfg == before  # nothing large is left behind


def test_what_is_not_resumed_as_saved_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose(smoke(tmp_path, "reg=l2"))
    monkeypatch.setattr("l2sp_suite.preflight.dry_run.checkpoint.restore", lambda *_: 0)
    with pytest.raises(UserError, match="not what was saved"):
        rehearse(cfg, PAPER["dstl_cub200"], time.monotonic())


def test_rates_by_the_papers_numbers() -> None:
    assert closed_form(PAPER["segflow_davis"], 99_999) == pytest.approx(4.0992e-4)
    assert closed_form(PAPER["segflow_davis"], 100_000) == pytest.approx(2.0496e-4)
    star = compose(["experiment=segflow_star_davis", "scale=paper"])
    assert closed_form(star, 50_000) == pytest.approx(2.0496e-4)
    assert closed_form(PAPER["dstl_cub200"], 929) == 0.01 and closed_form(PAPER["dstl_cub200"], 930) == 0.001
    encnet = compose(["experiment=encnet50_pcontext", "scale=paper"])
    assert closed_form(encnet, 24_959) == pytest.approx(0.001 * 24_960**-0.9)


def test_an_unknown_row_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row of Table 3"):
        rehearse_all(tmp_path / "a", ["dstl_cub"])
    assert not (tmp_path / "a").exists()


def test_a_rehearsal_differs_from_its_run_in_named_settings_alone(tmp_path: Path) -> None:
    changed = {"batch_size", "require_official", "device", "workers", "data", "results", "target", "partner"}
    changed |= {"phases"}  # which are made of both
    for item in table3("paper"):
        own = compose(rehearsal._overrides(item, tmp_path, tmp_path))
        keys = differing(dataclasses.asdict(to_object(item.cfg)), dataclasses.asdict(to_object(own)))
        assert keys <= changed, item.label  # the precision, for one, is the run's own


def to_object(cfg: object) -> Any:
    return OmegaConf.to_object(cfg)  # type: ignore[arg-type]


def differing(a: Any, b: Any, key: str = "") -> set[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return {found for name in {*a, *b} for found in differing(a.get(name), b.get(name), name)}
    return set() if a == b else {key}


def test_a_failed_row_gives_no_table_and_what_was_found_is_kept_for_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def work(overrides: tuple[str, ...], published: tuple[str, ...], file: Path) -> None:
        done.append(file.stem)
        if not file.stem.endswith("l2_sp"):
            code = {"commit": "c0ffee", "dirty": False, "torch": "2"}
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({**dataclasses.asdict(committed()[0]), "code": code}))

    monkeypatch.setattr(rehearsal, "_data", lambda *_: tmp_path)
    monkeypatch.setattr(rehearsal, "_in_process", work)
    code = {"commit": "c0ffee", "dirty": False, "torch": "2"}
    monkeypatch.setattr(rehearsal, "_code", lambda: code)
    said: list[str] = []
    found, failed = rehearse_all(tmp_path, ["dstl_cub200"], said.append)
    assert len(found) == 1 and failed == ["dstl_cub200-l2_sp"] and "FAILED dstl_cub200-l2_sp" in said
    rehearse_all(tmp_path, ["dstl_cub200"], said.append)
    assert done == ["dstl_cub200-l2", "dstl_cub200-l2_sp", "dstl_cub200-l2_sp"]  # the first is this code's
    for other in ({"commit": "beef"}, {"dirty": True}):
        monkeypatch.setattr(rehearsal, "_code", lambda own={**code, **other}: own)
        done.clear()
        rehearse_all(tmp_path, ["dstl_cub200"], said.append)
        assert len(done) == 2


def committed() -> list[Rehearsed]:
    path = PRINTED / "rehearsal.csv"
    return parse_records(Rehearsed, path.read_text(), path)


def test_the_committed_table_is_whole_and_within_bounds(tmp_path: Path) -> None:
    found = committed()
    arms = Counter((item.row, item.arm) for item in found)
    assert set(arms) == {(row, arm) for row in range(1, 13) for arm in ("l2", "l2_sp")} and set(arms.values()) == {1}
    assert all(item.rate_error < 1e-9 and item.peak_memory_mb * 2**20 < 20e9 for item in found)
    assert sum(item.run_seconds for item in found) < 40 * 60 and max(item.disk_mb for item in found) * 2**20 < 20e9
    write_rehearsal(tmp_path, found)
    for name in ("rehearsal.csv", "rehearsal.md"):
        assert (tmp_path / "paper" / name).read_bytes() == (PRINTED / name).read_bytes()


@pytest.mark.parametrize("name", ["dstl_nabirds", "segflow_monkaa_final", "encnet101_pcontext"])
def test_the_committed_counts_are_those_of_today(name: str) -> None:
    today = describe(compose([f"experiment={name}", "scale=paper", "reg=l2_sp"]), step=False)
    (item,) = (item for item in committed() if (item.experiment, item.arm) == (name, "l2_sp"))
    counts = {key: today["penalised"][key] for key in ("shared", "new", "exempt")}
    assert counts == {key: getattr(item, key) for key in counts}
    assert item.parameters == today["parameters"]["all"]
