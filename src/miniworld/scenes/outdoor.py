"""What outdoor scenes are made of: sky, mountains, buildings, trees, grass, water, road. Lengths are in heights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from miniworld.drawing.geometry import Array
from miniworld.drawing.paint import Colour, Painter, Texture, dimmed, hsv
from miniworld.drawing.shapes import Patch, box, capsule, ellipse, polygon
from miniworld.scenes.canvas import Canvas, blend, nearness, noise

__all__ = ["Mood", "buildings", "forest", "grass", "mountains", "random_mood", "road", "sand", "sky", "tree", "water"]


@dataclass(frozen=True)
class Mood:
    """Weather and season, which the parts of a scene share: colours of the sky, hue of green, colour of asphalt."""

    zenith: Colour
    haze: Colour
    green: float
    dry: float
    grey: Colour


def random_mood(rng: np.random.Generator) -> Mood:
    """Blue, overcast or evening; spring, summer or autumn."""
    kind = rng.random()
    if kind < 0.55:
        hue = rng.uniform(0.54, 0.63)
        zenith, haze = hsv(hue, rng.uniform(0.35, 0.75), rng.uniform(0.55, 0.95)), hsv(hue, 0.15, rng.uniform(0.8, 1))
    elif kind < 0.8:
        value = rng.uniform(0.5, 0.85)
        zenith, haze = hsv(0.58, rng.uniform(0, 0.12), value), hsv(0.12, 0.05, value + rng.uniform(-0.05, 0.12))
    else:
        zenith = hsv(rng.uniform(0.55, 0.75), rng.uniform(0.25, 0.5), rng.uniform(0.45, 0.75))
        haze = hsv(rng.uniform(0.02, 0.12), rng.uniform(0.3, 0.6), rng.uniform(0.8, 0.98))
    grey = hsv(rng.uniform(0.05, 0.65), rng.uniform(0, 0.15), rng.uniform(0.28, 0.6))
    return Mood(zenith, haze, rng.uniform(0.17, 0.36), rng.uniform(0, 1), grey)


def _foliage(rng: np.random.Generator, mood: Mood, value: float) -> tuple[Colour, Colour]:
    """Dark and light green (or brown, in a dry season) of one plant."""
    hue = mood.green - 0.09 * mood.dry + 0.03 * rng.standard_normal()
    saturation = rng.uniform(0.35, 0.75)
    return hsv(hue + 0.03, saturation, value * 0.5), hsv(hue - 0.02, saturation * 0.85, value * 1.15)


def sky(canvas: Canvas, rng: np.random.Generator, mood: Mood, horizon: float) -> None:
    """The whole canvas: a gradient to the horizon, and clouds that flatten towards it."""
    rgb = blend(mood.zenith, mood.haze, (canvas.y / np.float32(horizon + 0.05)) ** np.float32(1.3))
    clouds = noise(rng, canvas, 5, 3.5, 4) + np.float32(rng.uniform(-1.2, 0.7))
    white = hsv(rng.uniform(0.05, 0.6), rng.uniform(0, 0.1), rng.uniform(0.75, 1.0))
    rgb = blend(rgb, white, clouds * np.float32(rng.uniform(0.5, 1.3)))
    canvas.cover("sky", canvas.y - 9, rgb)


def mountains(canvas: Canvas, rng: np.random.Generator, mood: Mood, horizon: float) -> None:
    """One or two ranges with lit and shaded flanks, paler with distance, perhaps with snow."""
    count = int(rng.integers(1, 3))
    for k in range(count):
        peak = rng.uniform(0.14, 0.36) * (1.0 if k == 0 else 0.6)
        line = np.abs(noise(rng, canvas, 2, 4, 4)[:1]) ** np.float32(0.8)
        ridge = np.float32(horizon) - np.float32(peak) * (np.float32(1.05) - np.minimum(line, 1))
        facets = noise(rng, canvas, 9, 7, 3)
        light = facets - np.roll(facets, 2, axis=1) + np.float32(0.3) * noise(rng, canvas, 30, 40)
        hue = rng.uniform(0.55, 0.68) if rng.random() < 0.4 else rng.uniform(0.05, 0.3)
        value = rng.uniform(0.3, 0.6)
        rgb = blend(hsv(hue, 0.3, value * 0.6), hsv(hue, 0.25, value * 1.3), np.float32(1.3) * light + np.float32(0.5))
        if rng.random() < 0.4:
            white = (canvas.y - ridge) / np.float32(peak) + np.float32(0.35) * facets < np.float32(0.28)
            rgb = blend(rgb, (0.93, 0.94, 0.97), white * (np.float32(0.75) + np.float32(0.5) * light))
        rgb = blend(rgb, mood.haze, np.full_like(canvas.y, 0.45 - 0.2 * k) + np.float32(0.3) * (canvas.y - ridge))
        canvas.cover("mountain", ridge - canvas.y, rgb)


def forest(canvas: Canvas, rng: np.random.Generator, mood: Mood, horizon: float, tall: float) -> None:
    """A row of far trees that fill the picture's width."""
    crowns = np.abs(noise(rng, canvas, 2, 14, 3)[:1])
    top = np.float32(horizon) - np.float32(tall) * (np.float32(0.35) + np.minimum(crowns, 1))
    _leaves(canvas, rng, mood, top - canvas.y, (canvas.y - top) / np.float32(1.3 * tall))


def _leaves(canvas: Canvas, rng: np.random.Generator, mood: Mood, d: Array, depth: Array) -> None:
    """Foliage within ``d``: lit clumps over deep shade, darker with ``depth`` (0 at the top to 1)."""
    dark, pale = _foliage(rng, mood, rng.uniform(0.35, 0.75))
    clumps = noise(rng, canvas, 12, 16, 3)
    lit = np.float32(0.62) + np.float32(0.75) * clumps - np.float32(0.45) * depth
    canvas.cover("tree", d + np.float32(0.012) * clumps, blend(dark, pale, lit))


def tree(canvas: Canvas, rng: np.random.Generator, mood: Mood, x: float, foot: float, tall: float) -> None:
    """A tree that stands at (x, foot): a trunk, and a crown of a few balls with a ragged edge, or a cone."""
    pen = canvas.painter()
    bark = hsv(rng.uniform(0.04, 0.1), rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.45))
    thick = 0.045 * tall + 0.004
    trunk = capsule(canvas.x, canvas.y, (x, foot - 0.6 * tall), (x, foot), thick * 0.7, thick)
    pen.fill(trunk, bark, second=(0.1, 0.08, 0.07), texture=Texture("mottle", 5.0, 0.0, rng.random()))
    canvas.add("tree", pen.layer())
    top, wide = foot - tall, tall * rng.uniform(0.3, 0.42)
    if rng.random() < 0.3:
        edge = [(x, top), (x + wide * 0.8, foot - 0.14 * tall), (x - wide * 0.8, foot - 0.14 * tall)]
        crown = polygon(canvas.x, canvas.y, edge)
    else:
        crown = ellipse(canvas.x, canvas.y, x, top + 0.36 * tall, wide * 0.8, 0.33 * tall)
        for _ in range(5):
            dx, dy = rng.uniform(-0.65, 0.65) * wide, rng.uniform(0.2, 0.6) * tall
            size = rng.uniform(0.14, 0.24) * tall
            crown = crown.joined(ellipse(canvas.x, canvas.y, x + dx, top + dy, size, size * 0.85))
    _leaves(canvas, rng, mood, crown.d, (canvas.y - np.float32(top)) / np.float32(tall))


def buildings(
    canvas: Canvas, rng: np.random.Generator, foot: float, span: tuple[float, float], tall: tuple[float, float]
) -> None:
    """A row of houses side by side between two places, the heights within ``tall``."""
    x = span[0]
    while x < span[1]:
        wide = rng.uniform(0.22, 0.5)
        _house(canvas, rng, (x, min(x + wide, span[1] + 0.05)), foot, rng.uniform(*tall))
        x += wide + (rng.uniform(0.02, 0.1) if rng.random() < 0.2 else 0)


def _house(canvas: Canvas, rng: np.random.Generator, side: tuple[float, float], foot: float, tall: float) -> None:
    pen, x, y = canvas.painter(), canvas.x, canvas.y
    hue = rng.uniform(0.0, 0.14) if rng.random() < 0.75 else rng.uniform(0.5, 0.65)
    paint = hsv(hue, rng.uniform(0.0, 0.5), rng.uniform(0.35, 0.9))
    middle, half = (side[0] + side[1]) / 2, (side[1] - side[0]) / 2
    if tall < 0.4 and rng.random() < 0.6:
        roof = hsv(rng.uniform(-0.02, 0.07), rng.uniform(0.15, 0.6), rng.uniform(0.25, 0.55))
        edge = [(side[0] - 0.02, foot - tall), (middle - half * 0.5, foot - tall - 0.11)]
        edge += [(middle + half * 0.5, foot - tall - 0.11), (side[1] + 0.02, foot - tall)]
        tiles = Texture("stripes", 9.0, np.pi / 2, rng.random(), 0.4, 0.6)
        pen.fill(polygon(x, y, edge), roof, second=dimmed(roof, 0.75), texture=tiles, relief=0.0)
    bricks = Texture(("plain", "mottle", "stripes")[int(rng.integers(3))], tall * 40, np.pi / 2, rng.random(), 0.3, 0.6)
    wall = box(x, y, middle, foot - tall / 2, half, tall / 2)
    pen.fill(wall, paint, second=dimmed(paint, 0.85), texture=bricks, relief=0.15)
    _panes(pen, canvas, rng, wall, (side[0], foot - tall), paint)
    canvas.add("building", pen.layer())


def _panes(
    pen: Painter, canvas: Canvas, rng: np.random.Generator, wall: Patch, corner: tuple[float, float], paint: Colour
) -> None:
    """Rows of windows, some of them lit."""
    across, down = rng.uniform(0.075, 0.12), rng.uniform(0.09, 0.14)
    u, v = (canvas.x - np.float32(corner[0])) / across, (canvas.y - np.float32(corner[1])) / down
    du, dv = (np.abs(w - np.floor(w) - np.float32(0.5)) for w in (u, v))
    share = rng.uniform(0.2, 0.33)
    pane = Patch(np.maximum((du - share) * across, (dv - share) * down), du, dv).within(wall.grown(-0.012))
    glass = hsv(rng.uniform(0.5, 0.65), rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.45))
    lit = noise(rng, canvas, 10, 12) > np.float32(0.55)
    pen.fill(pane, dimmed(paint, 1.15), relief=0.0)
    pen.fill(pane.grown(-0.008), glass, relief=0.0)
    pen.fill(Patch(np.where(lit, pane.d, 1), du, dv).grown(-0.008), (0.8, 0.78, 0.65), relief=0.0)


def grass(canvas: Canvas, rng: np.random.Generator, mood: Mood, horizon: float) -> None:
    """Everything below the horizon: patches of green, blades that grow longer towards the viewer."""
    dark, pale = _foliage(rng, mood, rng.uniform(0.5, 0.85))
    close, height, width = nearness(canvas, horizon), *canvas.y.shape
    blades = close * noise(rng, canvas, height / 5, width) + (1 - close) * noise(rng, canvas, height, width / 4)
    share = np.float32(0.6) + np.float32(0.35) * noise(rng, canvas, 6, 4, 2) + np.float32(0.42) * blades
    canvas.cover("grass", np.float32(horizon) - canvas.y, blend(dark, pale, share))


def water(canvas: Canvas, rng: np.random.Generator, mood: Mood, top: float, bottom: float) -> None:
    """A lake or river from ``top`` to ``bottom``: the sky's colours upside down, crossed by ripples."""
    close, height, width = nearness(canvas, top), *canvas.y.shape
    ripples = close * noise(rng, canvas, height / 3, width / 12) + (1 - close) * noise(rng, canvas, height, width / 9)
    deep = hsv(rng.uniform(0.4, 0.62), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.5))
    rgb = blend(
        blend(mood.haze, mood.zenith, close * np.float32(1.4)), deep, np.full_like(close, rng.uniform(0.15, 0.6))
    )
    rgb = blend(rgb, deep, np.float32(0.9) * ripples) + np.float32(0.5) * np.maximum(ripples - np.float32(0.55), 0)
    shore = np.float32(0.012) * noise(rng, canvas, 2, 9, 2)[:1]
    canvas.cover("water", np.maximum(np.float32(top) - canvas.y, canvas.y - np.float32(bottom) + shore), rgb)


def sand(canvas: Canvas, rng: np.random.Generator, top: float, bottom: float) -> None:
    """A strip of shore; the 59 classes have no sand, so it is unlabelled."""
    colour = hsv(rng.uniform(0.08, 0.13), rng.uniform(0.15, 0.4), rng.uniform(0.5, 0.85))
    grains = noise(rng, canvas, 70, 90) * np.float32(0.5) + noise(rng, canvas, 9, 6, 2) * np.float32(0.4)
    edge = np.float32(0.02) * noise(rng, canvas, 2, 6, 2)[:1]
    d = np.maximum(np.float32(top) - canvas.y + edge, canvas.y - np.float32(bottom) - edge)
    canvas.cover(None, d, blend(colour, dimmed(colour, 0.75), grains + np.float32(0.3)))


def road(canvas: Canvas, rng: np.random.Generator, mood: Mood, horizon: float, *, across: bool) -> tuple[float, float]:
    """A road to the horizon, or ``across`` the picture; returns the heights between which cars can stand."""
    grey = mood.grey
    grain = np.float32(0.5) * noise(rng, canvas, 72, 96) + np.float32(0.35) * noise(rng, canvas, 20, 6, 2)
    rgb = blend(dimmed(grey, 0.8), dimmed(grey, 1.2), np.float32(0.5) + np.float32(0.6) * grain)
    mark = hsv(0.13, rng.uniform(0, 0.6), rng.uniform(0.75, 0.95))
    if across:
        top = rng.uniform(horizon + 0.06, 0.72)
        bottom = min(top + rng.uniform(0.2, 0.34), 1.1)
        d = np.maximum(np.float32(top) - canvas.y, canvas.y - np.float32(bottom))
        line = np.abs(canvas.y - np.float32(top * 0.55 + bottom * 0.45)) - np.float32(0.008)
        dash = np.sin(canvas.x * np.float32(rng.uniform(14, 22))) - np.float32(0.1)
        canvas.cover("road", d, blend(rgb, mark, np.where((line < 0) & (dash > 0), 0.85, 0).astype(np.float32)))
        return top, bottom
    middle, slant, half = rng.uniform(0.3, 0.7) * canvas.wide, rng.uniform(-0.5, 0.5), rng.uniform(0.45, 0.85)
    deep = canvas.y - np.float32(horizon)
    off = np.abs(canvas.x - np.float32(middle) - np.float32(slant) * deep)
    d = np.maximum((off - half * deep - np.float32(0.01)) / np.float32(np.hypot(1, half)), -deep)
    dash = np.sin(np.float32(5) / np.maximum(deep, np.float32(0.03))) > np.float32(0.0)
    edge = np.abs(off - np.float32(0.9 * half) * deep) < np.float32(0.02) * deep
    marks = (((off < np.float32(0.03) * deep) & dash) | edge) & (deep > np.float32(0.03))
    canvas.cover("road", d, blend(rgb, mark, np.where(marks, np.float32(0.8), np.float32(0))))
    return horizon + 0.08, 1.0
