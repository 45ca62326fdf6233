"""Which of PASCAL-Context's 59 classes the scenes show, and their values in label maps."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CLASSES", "FAMILY_CLASS", "LABELS", "UNLABELLED"]

UNLABELLED = 0
LABELS: Mapping[str, int] = {
    "aeroplane": 1, "bird": 7, "bottle": 10, "building": 11, "car": 14, "floor": 26, "flower": 27, "grass": 29,
    "mountain": 35, "plate": 38, "road": 41, "sky": 47, "table": 50, "tree": 53, "wall": 56, "water": 57, "window": 58,
}  # fmt: skip
"""Value of each class in a label map: its number among the 59, which are counted from 1 by name."""
CLASSES = tuple(LABELS)
"""The names of the classes, in the order of their values."""

FAMILY_CLASS: Mapping[str, str] = {
    "bird": "bird", "flower": "flower", "car": "car", "plane": "aeroplane", "dish": "plate", "vase": "bottle"
}  # fmt: skip
"""The class of a family's individuals; those of the other families stay unlabelled."""
