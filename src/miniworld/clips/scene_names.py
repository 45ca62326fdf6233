"""The scenes of Monkaa and Driving by their official names. The suite's division into train and test is kept."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SCENE_NAMES"]

SCENE_NAMES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("monkaa", "train"): (
        "a_rain_of_stones_x2", "eating_camera2_x2", "eating_naked_camera2_x2", "family_x2",
        "flower_storm_augmented0_x2", "flower_storm_augmented1_x2", "funnyworld_augmented0_x2",
        "funnyworld_augmented1_x2", "funnyworld_camera2_augmented0_x2", "funnyworld_camera2_augmented1_x2",
        "funnyworld_camera2_x2", "funnyworld_x2", "lonetree_augmented0_x2", "lonetree_augmented1_x2",
        "lonetree_difftex2_x2", "lonetree_difftex_x2", "lonetree_winter_x2", "top_view_x2",
        "treeflight_augmented0_x2", "treeflight_augmented1_x2", "treeflight_x2",
    ),
    ("monkaa", "val"): ("eating_x2", "flower_storm_x2", "lonetree_x2"),
    ("driving", "train"): (
        "15mm_focallength/scene_backwards/fast", "15mm_focallength/scene_backwards/slow",
        "15mm_focallength/scene_forwards/fast", "15mm_focallength/scene_forwards/slow",
        "35mm_focallength/scene_backwards/fast", "35mm_focallength/scene_backwards/slow",
        "35mm_focallength/scene_forwards/fast",
    ),
    ("driving", "val"): ("35mm_focallength/scene_forwards/slow",),
}  # fmt: skip
"""Names by data set and split. Driving's are folders: ``<focal length>/scene_<direction>/<speed>``."""
