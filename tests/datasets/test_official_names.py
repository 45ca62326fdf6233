"""Names and numbers of the official releases, written down once more from the fact sheet (1.6, 2.8, 2.9)."""

from __future__ import annotations

from davis_names import DAVIS_TRAIN, DAVIS_VAL

from l2sp_suite.datasets.segmentation import PASCAL_CLASSES, PASCAL_IDS
from l2sp_suite.datasets.video import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN
from l2sp_suite.download import load

CONTEXT = """
    2 aeroplane  9 bag  18 bed  19 bedclothes  22 bench  23 bicycle  25 bird  31 boat  33 book  34 bottle  44 building
    45 bus  46 cabinet  59 car  65 cat  68 ceiling  72 chair  80 cloth  85 computer  98 cow  104 cup  105 curtain
    113 dog  115 door  144 fence  158 floor  159 flower  162 food  187 grass  189 ground  207 horse  220 keyboard
    232 light  258 motorbike  259 mountain  260 mouse  284 person  295 plate  296 platform  308 pottedplant  324 road
    326 rock  347 sheep  349 shelves  354 sidewalk  355 sign  360 sky  366 snow  368 sofa  397 table  415 track
    416 train  420 tree  424 truck  427 tvmonitor  440 wall  445 water  454 window  458 wood
"""
"""The 59 of the 459 numbers of PASCAL-Context's own list that have a class; 0 is the background, which has no label."""

MONKAA = """
    a_rain_of_stones eating_camera2 eating_naked_camera2 eating family flower_storm_augmented0 flower_storm_augmented1
    flower_storm funnyworld_augmented0 funnyworld_augmented1 funnyworld_camera2_augmented0 funnyworld_camera2_augmented1
    funnyworld_camera2 funnyworld lonetree_augmented0 lonetree_augmented1 lonetree_difftex2 lonetree_difftex
    lonetree_winter lonetree top_view treeflight_augmented0 treeflight_augmented1 treeflight
"""


def test_numbers_and_classes_of_pascal_context_pair_up() -> None:
    words = CONTEXT.split()
    expected = {int(number): name for number, name in zip(words[::2], words[1::2], strict=True)}
    assert dict(zip(PASCAL_IDS, PASCAL_CLASSES, strict=True)) == expected and len(expected) == 59


def test_scenes_of_scene_flow() -> None:
    assert {*MONKAA_TRAIN, *MONKAA_TEST} == {f"{name}_x2" for name in MONKAA.split()}
    assert set(MONKAA_TEST) == {"eating_x2", "flower_storm_x2", "lonetree_x2"} and len(MONKAA_TRAIN) == 21
    lengths, ways, speeds = ("15mm", "35mm"), ("forwards", "backwards"), ("fast", "slow")
    every = {f"{a}_focallength/scene_{b}/{c}" for a in lengths for b in ways for c in speeds}
    assert {*DRIVING_TRAIN, *DRIVING_TEST} == every and len(DRIVING_TRAIN) == 7
    assert DRIVING_TEST == ("35mm_focallength/scene_forwards/slow",)


def test_runs_on_davis_are_held_to_its_lists() -> None:
    official = load("davis").official
    assert official is not None and not set(DAVIS_TRAIN) & set(DAVIS_VAL)
    assert (len(DAVIS_TRAIN), len(DAVIS_VAL)) == (official["train_sequences"], official["test_sequences"]) == (30, 20)
    assert (official["train"], official["test"]) == (2079, 1376)
