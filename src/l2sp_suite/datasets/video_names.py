"""Which scenes of Scene Flow train and which test, apart from the readers."""

from __future__ import annotations

__all__ = ["DRIVING_TEST", "DRIVING_TRAIN", "MONKAA_TEST", "MONKAA_TRAIN"]

# Scene Flow has no official division. Whole scenes are held out, never frames: neighbouring frames show nearly the
# same, so that dividing them would leak (protocol 2.9 and 8, row 15).

MONKAA_TRAIN = (
    "a_rain_of_stones_x2", "eating_camera2_x2", "eating_naked_camera2_x2", "family_x2", "flower_storm_augmented0_x2",
    "flower_storm_augmented1_x2", "funnyworld_augmented0_x2", "funnyworld_augmented1_x2",
    "funnyworld_camera2_augmented0_x2", "funnyworld_camera2_augmented1_x2", "funnyworld_camera2_x2", "funnyworld_x2",
    "lonetree_augmented0_x2", "lonetree_augmented1_x2", "lonetree_difftex2_x2", "lonetree_difftex_x2",
    "lonetree_winter_x2", "top_view_x2", "treeflight_augmented0_x2", "treeflight_augmented1_x2", "treeflight_x2",
)  # fmt: skip
"""The 21 scenes of Monkaa on which flow is trained."""

MONKAA_TEST = ("eating_x2", "flower_storm_x2", "lonetree_x2")
"""The 3 scenes of Monkaa on which it is tested."""

DRIVING_TRAIN = (
    "15mm_focallength/scene_backwards/fast", "15mm_focallength/scene_backwards/slow",
    "15mm_focallength/scene_forwards/fast", "15mm_focallength/scene_forwards/slow",
    "35mm_focallength/scene_backwards/fast", "35mm_focallength/scene_backwards/slow",
    "35mm_focallength/scene_forwards/fast",
)  # fmt: skip
"""The 7 scenes of Driving, as their folders, on which flow is trained."""

DRIVING_TEST = ("35mm_focallength/scene_forwards/slow",)
"""The scene of Driving on which it is tested."""
