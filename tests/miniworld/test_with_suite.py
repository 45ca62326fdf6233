"""miniworld and the suite: its readers find what the recipes say, names agree, errors become the suite's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from l2sp_suite.config import CONFIGS, DataConfig, recipe_of, spec_of
from l2sp_suite.datasets import Classification, Video, load_image, palette, read
from l2sp_suite.datasets.segmentation import PASCAL_CLASSES
from l2sp_suite.datasets.synthetic import synthetic_root
from l2sp_suite.datasets.video import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN, VIDEO_READERS
from l2sp_suite.utils.errors import UserError
from miniworld import PARTS, ObjectRecipe, named_recipe
from miniworld.clips.files import SequenceId, clip_of
from miniworld.clips.scene_names import SCENE_NAMES
from miniworld.formats.pictures import pascal_palette
from miniworld.objects.layouts import LAYOUTS
from miniworld.scenes.labels import CLASSES, LABELS

VIDEO = {
    "davis2016": ("DAVIS", (3, 2, 3)),  # sequences to train and test, pairs of each: a frame pairs with itself at last
    "monkaa_clean": ("monkaa", (21, 3, 2)),
    "monkaa_final": ("monkaa", (21, 3, 2)),
    "driving_clean": ("driving", (7, 1, 2)),
    "driving_final": ("driving", (7, 1, 2)),
    "flying_chairs": ("FlyingChairs_release", (4, 2, 1)),
}


def test_official_names_numbers_and_colours_are_the_suite_s() -> None:
    assert all(PASCAL_CLASSES[value - 1] == name for name, value in LABELS.items())
    expected = {"monkaa": (MONKAA_TRAIN, MONKAA_TEST), "driving": (DRIVING_TRAIN, DRIVING_TEST)}
    assert {name: (SCENE_NAMES[name, "train"], SCENE_NAMES[name, "val"]) for name in expected} == expected
    assert pascal_palette() == palette()


@pytest.mark.parametrize("name", sorted(ObjectRecipe.tiny().targets))
def test_target_sets_are_read(worlds: Mapping[str, Path], name: str) -> None:
    entry = ObjectRecipe.tiny().targets[name]
    data = read(Classification, name, worlds["objects"] / LAYOUTS[name].folder)
    assert len(data.classes) == entry.classes
    assert set(Counter(data.train.labels).values()) == {entry.train + entry.val}
    assert set(Counter(data.test.labels).values()) == {entry.test}
    assert load_image(data.test.paths[0]).shape == (3, 48, 48)


@pytest.mark.parametrize("part,folder,classes", [("objects", "source", 10), ("views", "views", 12)])
def test_source_sets_are_read_as_image_folders(
    worlds: Mapping[str, Path], part: str, folder: str, classes: int
) -> None:
    data = read(Classification, "image_folder", worlds[part] / folder)
    assert len(data.classes) >= classes and (part == "objects" or set(data.classes) <= set(CLASSES))
    for split, subset in (("train", data.train), ("val", data.test)):
        stored = sorted((worlds[part] / folder / split).rglob("*.jpg"))
        assert sorted(subset.paths) == stored
        assert [data.classes[label] for label in subset.labels] == [path.parent.name for path in subset.paths]


@pytest.mark.parametrize("name", VIDEO)
def test_clips_are_read(worlds: Mapping[str, Path], small, name: str) -> None:
    folder, (train, test, each) = VIDEO[name]
    data = read(Video, name, worlds["clips"] / folder)
    counts = {"train": train * each, "test": test * each, "train_sequences": train, "test_sequences": test}
    assert data.counts.items() >= counts.items() and set(VIDEO) == set(VIDEO_READERS) - {"flying_chairs_whole"}
    if name.endswith("final"):  # the very same flow
        clean = read(Video, name.replace("final", "clean"), worlds["clips"] / folder)
        assert all(data.parts[part].truth == pairs.truth for part, pairs in clean.parts.items())
        return
    for split, pairs in (("train", data.train), ("val", data.test)):
        rows = list(zip(pairs.first, pairs.second, pairs.truth, pairs.sequences, strict=True))
        for first, second, truth, sequence in rows[:: 1 + len(rows) // 12]:
            dataset = {"davis2016": "davis", "flying_chairs": "chairs"}.get(name, name.split("_")[0])
            clip = clip_of(small["clips"], SequenceId(dataset, sequence, split))
            start = 0 if dataset == "davis" else 1
            times = [int(path.stem.rpartition("img")[2]) - start for path in (first, second)]
            decoded = data.decode(truth).numpy()
            if dataset == "davis":
                assert np.array_equal(decoded, clip.frame(times[0]).owner == len(clip.objects) - 1)
            else:
                assert np.array_equal(decoded[:2], clip.flow(*times)) and (decoded[2] == 1).all()


def test_the_configuration_knows_the_parts() -> None:
    check = next(item.metadata["check"] for item in fields(DataConfig) if item.name == "part")
    assert all(map(check.holds, PARTS)) and not check.holds("films") and check.words == f"one of {', '.join(PARTS)}"
    parts = [yaml.safe_load(path.read_text()).get("part") for path in (CONFIGS / "data").glob("*.yaml")]
    assert set(parts) == {None, *PARTS}
    assert {"default", "tiny"} <= set.intersection(*(set(part.recipes) for part in PARTS.values()))


def test_a_data_set_without_a_counterpart_says_where_it_can_be_used() -> None:
    with pytest.raises(UserError, match=r"no synthetic counterpart: take scale=small, and give paths\.data"):
        spec_of(["experiment=encnet_camvid"])


@pytest.mark.parametrize("world,part,words", [("huge", "scenes", "no recipe 'huge'"), ("tiny", "films", "no part")])
def test_unknown_names_are_the_suite_s_errors(tmp_path: Path, world: str, part: str, words: str) -> None:
    message = f"^scale.world={world}, data.part={part}: {words}.*use one of"
    with pytest.raises(UserError, match=message):
        synthetic_root(tmp_path, world, part)
    with pytest.raises(UserError, match=message):
        recipe_of(world, part)


def test_data_are_drawn_with_a_bar_and_damage_is_the_suite_s_error(tmp_path: Path) -> None:
    root = synthetic_root(tmp_path, "tiny", "scenes")
    assert root.name == recipe_of("tiny", "scenes").digest() == named_recipe("tiny", "scenes").digest()
    (root / "checksums.txt").unlink()
    with pytest.raises(UserError, match=r"checksums\.txt is missing or changed"):
        synthetic_root(tmp_path, "tiny", "scenes")
