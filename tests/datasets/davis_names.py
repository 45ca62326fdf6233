"""The official sequences of DAVIS-2016 (protocol 2.8)."""

from __future__ import annotations

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
