"""Plausible class names: made up, unique, and shaped like those of the official sets."""

from __future__ import annotations

from itertools import product

__all__ = ["aircraft_names", "bird_names", "car_names", "dish_names"]

_COLOURS = ("Ashen", "Amber", "Dusky", "Crimson", "Golden", "Slate", "Olive", "Ivory", "Cobalt", "Russet")
_MARKS = ("crowned", "winged", "breasted", "throated", "tailed", "naped", "billed", "browed")
_BIRDS = ("Warbler", "Finch", "Tern", "Sparrow", "Vireo", "Wren", "Jay", "Plover", "Thrush", "Gull", "Swift")
_MAKERS = ("Aldern", "Brixton", "Corvane", "Dunmore", "Estrel", "Fennick", "Galdor", "Harrow")
_MODELS = ("Comet", "Drift", "Lynx 2.0", "Mistral", "Rover X", "Strada")
_BODIES = ("Sedan", "Coupe", "SUV", "Wagon", "Hatchback", "Van")
_PLANES = ("Airline", "Borea", "Cirron", "DHX", "Eagle Jet", "Fulmar")
_DISHES = ("pie", "stew", "curry", "salad", "tart", "risotto", "soup", "roast", "dumplings", "noodles")
_FLAVOURS = ("apple", "barley", "chili", "dill", "egg", "fennel", "garlic", "herb", "lentil", "mushroom", "onion")


def _mixed(total: int, rows: list[str]) -> list[str]:
    """``total`` distinct names: a fixed stride mixes ``rows``, numerals continue past their end."""
    stride = next(s for s in (37, 41, 43, 47) if len(rows) % s)
    order = [rows[(k * stride) % len(rows)] for k in range(len(rows))]
    return [order[k % len(rows)] + (f" {k // len(rows) + 1}" if k >= len(rows) else "") for k in range(total)]


def bird_names(total: int) -> list[str]:
    """Names like "Dusky-throated Vireo"."""
    return _mixed(total, [f"{c}-{m} {b}" for c, m, b in product(_COLOURS, _MARKS, _BIRDS)])


def car_names(total: int) -> list[str]:
    """Names like "Aldern Comet Sedan 2009": maker, model, body, year."""
    rows = [f"{a} {m} {b}" for a, m, b in product(_MAKERS, _MODELS, _BODIES)]
    return sorted(f"{name} {2000 + (k * 5) % 13}" for k, name in enumerate(_mixed(total, rows)))


def aircraft_names(total: int) -> list[str]:
    """Names like "Eagle Jet 320-200", with spaces and dashes as in the official lists."""
    return sorted(_mixed(total, [f"{p} {n}-{100 * v}" for p, n, v in product(_PLANES, range(310, 400, 13), (1, 2, 3))]))


def dish_names(total: int) -> list[str]:
    """Folder names like "lentil_soup", sorted as Food-101 sorts its classes."""
    return sorted(
        name.replace(" ", "_") for name in _mixed(total, [f"{f} {d}" for f, d in product(_FLAVOURS, _DISHES)])
    )
