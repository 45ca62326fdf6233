"""The official names of clips, and which of them train and which test, apart from the readers."""

from __future__ import annotations

__all__ = ["DAVIS_TRAIN", "DAVIS_VAL", "DRIVING_TEST", "DRIVING_TRAIN", "MONKAA_TEST", "MONKAA_TRAIN"]

DAVIS_TRAIN = (
    "bear", "bmx-bumps", "boat", "breakdance-flare", "bus", "car-turn", "dance-jump", "dog-agility", "drift-turn",
    "elephant", "flamingo", "hike", "hockey", "horsejump-low", "kite-walk", "lucia", "mallard-fly", "mallard-water",
    "motocross-bumps", "motorbike", "paragliding", "rhino", "rollerblade", "scooter-gray", "soccerball", "stroller",
    "surf", "swing", "tennis", "train",
)  # fmt: skip
"""The 30 sequences of DAVIS-2016's training part (protocol 2.8): 2,079 frames."""

DAVIS_VAL = (
    "blackswan", "bmx-trees", "breakdance", "camel", "car-roundabout", "car-shadow", "cows", "dance-twirl", "dog",
    "drift-chicane", "drift-straight", "goat", "horsejump-high", "kite-surf", "libby", "motocross-jump",
    "paragliding-launch", "parkour", "scooter-black", "soapbox",
)  # fmt: skip
"""The 20 sequences of its validation part, on which it is tested: 1,376 frames."""

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
