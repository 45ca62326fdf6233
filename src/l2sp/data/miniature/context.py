"""Names, numbers and colours of PASCAL-Context's 59 classes, as far as the miniature's scenes use them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

__all__ = ["CLASSES", "CONTEXT", "FAMILY_CLASS", "LABELS", "UNLABELLED", "palette"]

_NAMES = """
aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus cabinet car cat ceiling chair cloth
computer cow cup curtain dog door fence floor flower food grass ground horse keyboard light motorbike mountain mouse
person plate platform pottedplant road rock sheep shelves sidewalk sign sky snow sofa table track train tree truck
tvmonitor wall water window wood
"""
CONTEXT: tuple[str, ...] = tuple(_NAMES.split())
"""The 59 names in the order of the data set (protocol 1.6)."""

UNLABELLED = 0
LABELS: Mapping[str, int] = {name: k + 1 for k, name in enumerate(CONTEXT)}
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
CLASSES: tuple[str, ...] = tuple(name for name in CONTEXT if name in {*_STUFF, *FAMILY_CLASS.values()})
"""The names that occur in scenes, in the order of the 59."""


@cache
def palette() -> tuple[int, ...]:
    """256 RGB triples in one row: PASCAL VOC's colours, which spread the bits of a value over the channels."""
    return tuple(
        sum(((value >> (3 * place + channel)) & 1) << (7 - place) for place in range(8))
        for value in range(256)
        for channel in range(3)
    )
