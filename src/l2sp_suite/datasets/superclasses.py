"""What kind of thing a source class is, and its name for people, for tables and pictures."""

from __future__ import annotations

from functools import cache

__all__ = ["label_of", "superclass_of"]

# Of the 1,000 classes in the order of ILSVRC 2012: the last index of each stretch, and what the stretch shows.
_STRETCHES = (
    (6, "fish"), (24, "birds"), (32, "amphibians"), (68, "reptiles"), (79, "invertebrates"), (100, "birds"),
    (106, "other mammals"), (126, "invertebrates"), (146, "birds"), (150, "other mammals"), (268, "dogs"),
    (299, "other mammals"), (329, "invertebrates"), (388, "other mammals"), (397, "fish"), (922, "things"),
    (969, "food"), (980, "landscapes"), (983, "people"), (998, "plants and fungi"), (999, "things"),
)  # fmt: skip


def superclass_of(name: str) -> str:
    """The superclass of a class by its name.

    Of ImageNet's WordNet ids by their place in ILSVRC 2012; of names with a slash or a numbered dot ("Aves/Larus
    canus", "010.bird") the group that they name; else the class itself.
    """
    wordnet = name.removeprefix("imagenet/")
    index = _indices().get(wordnet)
    if index is not None:
        return next(kind for last, kind in _STRETCHES if index <= last)
    if "/" in name:
        return name.removeprefix("inat2017/").split("/")[0]
    number, dot, rest = name.partition(".")
    return rest if dot and number.isdecimal() else name


def label_of(name: str) -> str:
    """The class's name for people.

    Of ImageNet's WordNet ids their first lemma, else what stands after a slash.
    """
    wordnet = name.removeprefix("imagenet/")
    if wordnet not in _indices():
        return name.rpartition("/")[2]
    return str(_imagenet().label_name_to_description(wordnet, detailed=False)).split(",")[0]


@cache
def _indices() -> dict[str, int]:
    return {name: index for index, name in enumerate(_imagenet().label_names())}


@cache
def _imagenet():  # type: ignore[no-untyped-def]
    from timm.data.imagenet_info import ImageNetInfo  # takes seconds to import

    return ImageNetInfo()
