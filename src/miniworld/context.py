"""Which of PASCAL-Context's 59 classes the miniature's scenes show, and their values in label maps."""

from __future__ import annotations

from collections.abc import Mapping

from l2sp_suite.datasets.class_names import PASCAL_CLASSES

__all__ = ["CLASSES", "FAMILY_CLASS", "LABELS", "UNLABELLED"]

UNLABELLED = 0
LABELS: Mapping[str, int] = {name: k + 1 for k, name in enumerate(PASCAL_CLASSES)}
"""Value of each class in a label map: its place among the 59, counted from 1."""

FAMILY_CLASS: Mapping[str, str] = {
    "bird": "bird",
    "flower": "flower",
    "car": "car",
    "plane": "aeroplane",
    "dish": "plate",
    "vase": "bottle",
}
"""The class of a family's individuals; those of the other families stay unlabelled."""

_STUFF = ("sky", "mountain", "building", "tree", "grass", "road", "water", "wall", "floor", "table", "window")
CLASSES: tuple[str, ...] = tuple(name for name in PASCAL_CLASSES if name in {*_STUFF, *FAMILY_CLASS.values()})
"""The names that occur in scenes, in the order of the 59."""
