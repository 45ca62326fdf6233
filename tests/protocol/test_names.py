"""Names of classes and scenes, read from the fact sheet."""

from __future__ import annotations

import re

from davis_names import DAVIS_TRAIN, DAVIS_VAL
from fact_sheet import section

from l2sp_suite.datasets.segmentation import PASCAL_CLASSES, PASCAL_IDS
from l2sp_suite.datasets.video import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN


def listed(anchor: str, before: str, after: str) -> list[str]:
    """What the fact sheet lists between two pieces of text."""
    match = re.search(f"{re.escape(before)}(.*?){re.escape(after)}", section(anchor), flags=re.S)
    assert match is not None
    return [word.strip() for word in match[1].split(",")]


def test_numbers_and_classes_of_pascal_context_pair_up() -> None:
    numbers = listed("encnet.md#data", "index 0 = background): ", ". Target")
    names = listed("encnet.md#data", "name set): ", ".\n")
    assert numbers[0] == "0" and len(numbers) == 60 and [int(n) for n in numbers] == sorted(map(int, numbers))
    published = dict(zip(map(int, numbers[1:]), names, strict=True))
    assert dict(zip(PASCAL_IDS, PASCAL_CLASSES, strict=True)) == published


def test_scenes_of_scene_flow() -> None:
    scenes = set(listed("segflow.md#scene-flow", "Monkaa 24 scenes: ", " (count checked"))
    assert len(scenes) == 24 and {*MONKAA_TRAIN, *MONKAA_TEST} == scenes and len(MONKAA_TRAIN) == 21
    assert set(MONKAA_TEST) == set(listed("segflow.md#scene-flow", "the scenes ", " (21 others"))
    assert len({*DRIVING_TRAIN, *DRIVING_TEST}) == 8 and DRIVING_TEST == ("35mm_focallength/scene_forwards/slow",)
    assert "35mm/forwards/slow (7 others train" in section("segflow.md#scene-flow")


def test_sequences_of_davis() -> None:
    assert listed("segflow.md#davis", "* train: ", " (DVW)") == list(DAVIS_TRAIN)
    assert listed("segflow.md#davis", "* val: ", " (DVW)") == list(DAVIS_VAL)
