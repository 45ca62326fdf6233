"""Types of scenes: which surroundings lie where, and the spots at which objects may be. Lengths are in heights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from miniworld.scenes import indoor, outdoor
from miniworld.scenes.canvas import Canvas

__all__ = ["SCENE_TYPES", "Spot"]


@dataclass(frozen=True)
class Spot:
    """A position for an individual of ``family``.

    ``scale``: heights per canonical unit (objects are about two units wide). ``stands``: (x, y) is where its foot
    is, on a surface that it shades, instead of where its middle is. ``squeeze``: None for the family's usual view.
    """

    family: str
    x: float
    y: float
    scale: float
    stands: bool = False
    squeeze: float | None = None


Range = tuple[float, float]
View = tuple[outdoor.Mood, float]
SceneType = Callable[[Canvas, np.random.Generator], list[Spot]]

_SIZES = {"car": 0.25, "plane": 0.3, "bird": 0.17, "flower": 0.16, "beetle": 0.13, "leaf": 0.15, "butterfly": 0.11}
"""Scale of an individual that stands half a height below the horizon."""


def _across(canvas: Canvas, rng: np.random.Generator) -> float:
    return float(rng.uniform(0.1, canvas.wide - 0.1))


def _on_ground(
    canvas: Canvas, rng: np.random.Generator, family: str, horizon: float, between: tuple[float, float]
) -> Spot:
    """A spot on the ground; the farther up the picture, the smaller."""
    y = rng.uniform(*between)
    scale = _SIZES[family] * (0.4 + 1.2 * (y - horizon)) * rng.uniform(0.8, 1.25)
    return Spot(family, _across(canvas, rng), float(y), float(scale), stands=True)


def _in_air(canvas: Canvas, rng: np.random.Generator, family: str, horizon: float, size: float) -> Spot:
    y = rng.uniform(0.08, max(horizon - 0.05, 0.1))
    return Spot(family, _across(canvas, rng), float(y), float(size * rng.uniform(0.75, 1.3)))


def _open_country(canvas: Canvas, rng: np.random.Generator, horizons: Range, chances: Range, tall: Range) -> View:
    """Sky over a random horizon, with chances of mountains and of a forest; returns the mood and the horizon."""
    mood, horizon = outdoor.random_mood(rng), rng.uniform(*horizons)
    outdoor.sky(canvas, rng, mood, horizon)
    if rng.random() < chances[0]:
        outdoor.mountains(canvas, rng, mood, horizon + 0.02)
    if rng.random() < chances[1]:
        outdoor.forest(canvas, rng, mood, horizon + 0.02, rng.uniform(*tall))
    return mood, horizon


def meadow(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """Grass with flowers and trees before mountains or a wood."""
    mood, horizon = _open_country(canvas, rng, (0.3, 0.55), (0.5, 0.45), (0.06, 0.16))
    outdoor.grass(canvas, rng, mood, horizon)
    if rng.random() < 0.35:
        top = rng.uniform(horizon + 0.05, 0.65)
        outdoor.sand(canvas, rng, top - 0.03, top + 0.2)
        outdoor.water(canvas, rng, mood, top, top + 0.16)
    for _ in range(int(rng.integers(0, 3))):
        outdoor.tree(canvas, rng, mood, _across(canvas, rng), horizon + rng.uniform(0.04, 0.3), rng.uniform(0.4, 0.75))
    low = (max(horizon + 0.2, 0.7), 0.98)
    spots = [_on_ground(canvas, rng, "flower", horizon, low) for _ in range(3)]
    spots += [_on_ground(canvas, rng, family, horizon, low) for family in ("bird", "beetle", "leaf")]
    return [*spots, _in_air(canvas, rng, "bird", horizon, 0.13), _in_air(canvas, rng, "butterfly", 0.8, 0.13)]


def street(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """A road with cars between buildings."""
    mood, horizon = outdoor.random_mood(rng), rng.uniform(0.42, 0.58)
    outdoor.sky(canvas, rng, mood, horizon)
    across = bool(rng.random() < 0.5)
    if across:
        outdoor.buildings(canvas, rng, horizon + 0.03, (-0.1, canvas.wide), (0.2, horizon))
    else:
        gap = rng.uniform(0.35, 0.6) * canvas.wide
        outdoor.buildings(canvas, rng, horizon + 0.03, (-0.2, gap - 0.15), (0.25, horizon))
        outdoor.buildings(canvas, rng, horizon + 0.03, (gap + 0.15, canvas.wide + 0.1), (0.25, horizon))
    outdoor.grass(canvas, rng, mood, horizon + 0.02)
    top, bottom = outdoor.road(canvas, rng, mood, horizon, across=across)
    for _ in range(int(rng.integers(0, 3))):
        foot = top - 0.02 if across else horizon + rng.uniform(0.05, 0.2)
        outdoor.tree(canvas, rng, mood, _across(canvas, rng), foot, rng.uniform(0.3, 0.55))
    lanes = (top + 0.08, min(bottom, 0.97))
    spots = [_on_ground(canvas, rng, "car", horizon, lanes) for _ in range(3)]
    spots += [_on_ground(canvas, rng, family, horizon, (0.85, 0.97)) for family in ("bird", "leaf")]
    return [*spots, _in_air(canvas, rng, "plane", 0.3, 0.14), _in_air(canvas, rng, "bird", 0.35, 0.09)]


def lake(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """Water under mountains, with a shore of sand or grass."""
    mood, horizon = _open_country(canvas, rng, (0.3, 0.5), (0.7, 0.5), (0.05, 0.14))
    shore = rng.uniform(0.68, 0.9)
    beach = 1.1
    if rng.random() < 0.65:
        outdoor.grass(canvas, rng, mood, shore - 0.05)
        beach = shore + rng.uniform(0.08, 0.16)
    outdoor.sand(canvas, rng, shore - 0.06, beach)
    outdoor.water(canvas, rng, mood, horizon, shore)
    if rng.random() < 0.5:
        outdoor.tree(canvas, rng, mood, _across(canvas, rng), shore + 0.08, rng.uniform(0.5, 0.8))
    bank = (min(shore + 0.08, 0.93), 0.98)
    spots = [_on_ground(canvas, rng, family, horizon, bank) for family in ("bird", "flower", "leaf")]
    spots += [_in_air(canvas, rng, "bird", horizon + 0.2, 0.14) for _ in range(2)]
    fish = Spot("fish", _across(canvas, rng), float(rng.uniform(horizon + 0.1, shore - 0.05)), 0.13)
    return [*spots, fish, _in_air(canvas, rng, "plane", horizon, 0.18)]


def airfield(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """A runway under a wide sky, aeroplanes on it and above."""
    mood, horizon = _open_country(canvas, rng, (0.45, 0.62), (0.35, 0.5), (0.04, 0.1))
    if rng.random() < 0.5:
        start = _across(canvas, rng) - 0.3
        outdoor.buildings(canvas, rng, horizon + 0.04, (start, start + 0.5), (0.1, 0.22))
    outdoor.grass(canvas, rng, mood, horizon)
    top, bottom = outdoor.road(canvas, rng, mood, horizon, across=bool(rng.random() < 0.7))
    ground = (top + 0.08, min(bottom, 0.95))
    spots = [_on_ground(canvas, rng, family, horizon, ground) for family in ("plane", "plane", "car")]
    spots += [_in_air(canvas, rng, "plane", horizon, 0.27), _in_air(canvas, rng, "bird", horizon, 0.1)]
    return [*spots, _on_ground(canvas, rng, "bird", horizon, (0.88, 0.98))]


def village(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """Houses among trees on grass, perhaps at a river or a lane."""
    mood, horizon = outdoor.random_mood(rng), rng.uniform(0.4, 0.55)
    outdoor.sky(canvas, rng, mood, horizon)
    if rng.random() < 0.5:
        outdoor.mountains(canvas, rng, mood, horizon + 0.02)
    else:
        outdoor.forest(canvas, rng, mood, horizon + 0.02, rng.uniform(0.08, 0.2))
    outdoor.grass(canvas, rng, mood, horizon)
    start = rng.uniform(0, 0.5)
    outdoor.buildings(canvas, rng, horizon + 0.08, (start, start + rng.uniform(0.4, 0.9)), (0.2, 0.4))
    way = rng.random()
    if way < 0.4:
        outdoor.road(canvas, rng, mood, horizon + 0.06, across=True)
    elif way < 0.7:
        outdoor.water(canvas, rng, mood, horizon + 0.13, rng.uniform(0.74, 0.84))
    for _ in range(int(rng.integers(1, 4))):
        outdoor.tree(canvas, rng, mood, _across(canvas, rng), horizon + rng.uniform(0.08, 0.12), rng.uniform(0.3, 0.6))
    families = ("car", "car", "flower", "bird", "leaf")
    spots = [_on_ground(canvas, rng, family, horizon, (0.87, 0.98)) for family in families]
    return [*spots, _in_air(canvas, rng, "bird", horizon, 0.1), _in_air(canvas, rng, "butterfly", 0.8, 0.1)]


def _decorate(canvas: Canvas, rng: np.random.Generator, low: float) -> None:
    """Perhaps a window on one half of the wall above ``low``, perhaps a picture on the other."""
    side = int(rng.integers(2))
    if rng.random() < 0.65:
        indoor.window(canvas, rng, _frame(canvas, rng, low, side, (0.25, 0.48)))
    if rng.random() < 0.45:
        indoor.painting(canvas, rng, _frame(canvas, rng, low, 1 - side, (0.15, 0.32)))


def _frame(canvas: Canvas, rng: np.random.Generator, low: float, side: int, size: tuple[float, float]) -> indoor.Frame:
    """A random rectangle above ``low`` on the left (0) or right (1) half of the wall."""
    wide, tall = rng.uniform(*size), min(rng.uniform(*size), low)
    middle = canvas.wide / 2
    left = side * middle + rng.uniform(0.05, max(middle - wide - 0.05, 0.06))
    top = rng.uniform(0.0, low - tall)
    return float(left), float(top), float(left + wide), float(top + tall)


def _on_table(rng: np.random.Generator, frame: indoor.Frame, near: float) -> list[Spot]:
    """Plates, bottles and cut flowers on a table top that fills ``frame``; ``near`` scales them."""
    left, top, right, bottom = frame
    spots = []
    for family, size in (("dish", 0.15), ("dish", 0.17), ("vase", 0.15), ("vase", 0.13), ("flower", 0.12)):
        x, y = rng.uniform(left + 0.15, right - 0.15), rng.uniform(top + 0.02, min(bottom, 1.05) - 0.02)
        squeeze = float(rng.uniform(0.4, 0.65)) if family == "dish" else None
        scale = size * near * rng.uniform(0.8, 1.25)
        spots.append(Spot(family, float(x), float(y), float(scale), stands=family != "dish", squeeze=squeeze))
    return spots


def room(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """A table in a room, before a wall with a window or a picture."""
    low = rng.uniform(0.58, 0.74)
    indoor.wall(canvas, rng)
    _decorate(canvas, rng, low - 0.15)
    indoor.floor(canvas, rng, low)
    if rng.random() < 0.6:
        indoor.skirting(canvas, rng, low)
    if rng.random() < 0.4:
        indoor.rug(canvas, rng, low)
    left, wide, top = rng.uniform(0.02, 0.45), rng.uniform(0.65, 0.9), rng.uniform(0.48, 0.6)
    frame = (float(left), float(top), float(left + wide), float(top + rng.uniform(0.12, 0.2)))
    indoor.table(canvas, rng, frame, rng.uniform(0.2, 0.32))
    extra = Spot("vase", _across(canvas, rng), float(rng.uniform(0.9, 0.99)), float(rng.uniform(0.12, 0.18)), True)
    return [*_on_table(rng, frame, 0.85), extra, Spot("leaf", _across(canvas, rng), 0.92, 0.1, squeeze=0.5)]


def dining(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """A laid table close by, the wall behind it."""
    indoor.wall(canvas, rng)
    top = rng.uniform(0.36, 0.55)
    _decorate(canvas, rng, top - 0.12)
    indoor.floor(canvas, rng, top + rng.uniform(-0.08, 0.2))
    left = rng.uniform(-0.4, 0.15)
    frame = (float(left), float(top), float(left + rng.uniform(1.3, 2.0)), float(rng.uniform(0.88, 1.25)))
    indoor.table(canvas, rng, frame, 0.4)
    inner = (max(frame[0], -0.1), frame[1] + 0.05, min(frame[2], canvas.wide + 0.1), min(frame[3], 0.98))
    return [*_on_table(rng, inner, 1.3), Spot("fish", _across(canvas, rng), float(rng.uniform(0.65, 0.85)), 0.16)]


def parlour(canvas: Canvas, rng: np.random.Generator) -> list[Spot]:
    """Windows over a wide floor, things standing on it."""
    low = rng.uniform(0.5, 0.66)
    indoor.wall(canvas, rng)
    wide, left = rng.uniform(0.28, 0.5), rng.uniform(0.05, 0.25)
    top, bottom = rng.uniform(-0.1, 0.12), low - rng.uniform(0.08, 0.2)
    for k in range(int(rng.integers(1, 3))):
        x = left + k * (wide + rng.uniform(0.1, 0.2))
        indoor.window(canvas, rng, (float(x), float(top), float(x + wide), float(bottom)))
    indoor.floor(canvas, rng, low)
    if rng.random() < 0.6:
        indoor.skirting(canvas, rng, low)
    if rng.random() < 0.5:
        indoor.rug(canvas, rng, low)
    spots = [Spot("beetle", _across(canvas, rng), 0.9, 0.1, squeeze=0.6)]
    for family, size in (("vase", 0.22), ("vase", 0.17), ("flower", 0.17), ("dish", 0.14)):
        y, squeeze = rng.uniform(low + 0.12, 0.97), 0.45 if family == "dish" else None
        spots.append(Spot(family, _across(canvas, rng), float(y), size, stands=family != "dish", squeeze=squeeze))
    return spots


SCENE_TYPES: Mapping[str, SceneType] = {
    "meadow": meadow,
    "room": room,
    "street": street,
    "lake": lake,
    "dining": dining,
    "airfield": airfield,
    "village": village,
    "parlour": parlour,
}
"""The types by name; scenes take them in turn, so that each split of a small recipe has all."""
