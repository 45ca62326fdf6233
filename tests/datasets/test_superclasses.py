"""Superclasses and names of source classes."""

from __future__ import annotations

from collections import Counter

import pytest
from timm.data import ImageNetInfo

from l2sp_suite.datasets import label_of, superclass_of


def test_imagenets_superclasses_have_their_known_sizes() -> None:
    sizes = Counter(map(superclass_of, ImageNetInfo().label_names()))
    # 118 breeds (151 to 268), 59 birds (7 to 24, 80 to 100, 127 to 146), fish 0 to 6 and 389 to 397
    assert (sizes["dogs"], sizes["birds"], sizes["fish"]) == (118, 59, 16)
    assert sum(sizes.values()) == 1000


@pytest.mark.parametrize(
    ("name", "superclass", "label"),
    [
        ("n01558993", "birds", "robin"),
        ("imagenet/n02110341", "dogs", "dalmatian"),
        ("n03417042", "things", "garbage truck"),
        ("inat2017/Aves/Larus canus", "Aves", "Larus canus"),
        ("010.bird", "bird", "010.bird"),
        ("waffles", "waffles", "waffles"),
    ],
)
def test_superclasses_and_names_for_people(name: str, superclass: str, label: str) -> None:
    assert (superclass_of(name), label_of(name)) == (superclass, label)
