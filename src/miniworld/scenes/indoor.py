"""What indoor scenes are made of: walls, floors, tables, windows, and unlabelled decoration. Lengths are in heights."""

from __future__ import annotations

import numpy as np

from miniworld.drawing.geometry import Array
from miniworld.drawing.paint import PATTERNS, Colour, Texture, dimmed, hsv
from miniworld.drawing.shapes import Patch, box, polygon
from miniworld.scenes.canvas import Canvas, blend, noise

__all__ = ["floor", "painting", "rug", "skirting", "table", "wall", "window"]

Frame = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def _wood(rng: np.random.Generator) -> Colour:
    return hsv(rng.uniform(0.05, 0.12), rng.uniform(0.1, 0.65), rng.uniform(0.3, 0.85))


def wall(canvas: Canvas, rng: np.random.Generator) -> None:
    """The whole canvas: plaster, paper with a faint pattern, or panels; lit from one side."""
    hue = rng.uniform(0.5, 0.66) if rng.random() < 0.45 else rng.uniform(0.0, 0.4)
    paint = hsv(hue, rng.uniform(0.0, 0.4), rng.uniform(0.5, 0.95))
    kind = ("plain", "stripes", "spots", "checks", "scales", "plain")[int(rng.integers(6))]
    angle = 0.0 if kind == "stripes" else rng.uniform(-0.2, 0.8)
    pattern = Texture(kind, rng.uniform(8, 20), angle, rng.random(), 0.4, rng.uniform(0.25, 0.8))
    share = pattern.mask(canvas.x, canvas.y) + np.float32(0.12) * noise(rng, canvas, 50, 60)
    rgb = blend(paint, dimmed(paint, rng.uniform(0.75, 1.15)), share)
    slope = rng.uniform(-0.25, 0.25) * (canvas.x / canvas.wide - 0.5) + rng.uniform(-0.2, 0.1) * (canvas.y - 0.4)
    canvas.cover("wall", canvas.y - 9, rgb * (1 + slope + np.float32(0.05) * noise(rng, canvas, 4, 4)))


def floor(canvas: Canvas, rng: np.random.Generator, top: float) -> None:
    """Planks, tiles or carpet from ``top`` down, drawn in perspective."""
    colour = _wood(rng) if rng.random() < 0.6 else hsv(rng.uniform(0, 1), rng.uniform(0, 0.25), rng.uniform(0.3, 0.85))
    gx, gy = _plane(canvas, rng, top)
    kind = int(rng.integers(3))
    if kind == 0:
        seams = Texture("stripes", rng.uniform(5, 9), 0.0, rng.random(), 0.12, 1.0).mask(gx, gy)
        share = seams + np.float32(0.3) * noise(rng, canvas, 12, 30, 2)
    elif kind == 1:
        share = Texture("checks", rng.uniform(3, 6), rng.uniform(0, 0.8), rng.random(), 0.5, 0.9).mask(gx, gy)
    else:
        share = np.float32(0.5) + np.float32(0.6) * noise(rng, canvas, 72, 96) + 0.3 * noise(rng, canvas, 5, 5)
    rgb = blend(colour, dimmed(colour, rng.uniform(0.45, 0.75)), share)
    dim = np.float32(0.75) + np.float32(0.35) * (canvas.y - np.float32(top)) / np.float32(1 - top)
    canvas.cover("floor", np.float32(top) - canvas.y, rgb * dim)


def _plane(canvas: Canvas, rng: np.random.Generator, top: float) -> tuple[Array, Array]:
    """Coordinates on a level plane whose far end is at ``top``: across, and away from the viewer."""
    away = 1 / (canvas.y - np.float32(top - rng.uniform(0.2, 0.35))).clip(0.05)
    return (canvas.x - np.float32(rng.uniform(0.3, 0.7) * canvas.wide)) * away, away


def skirting(canvas: Canvas, rng: np.random.Generator, top: float) -> None:
    """A board along the foot of the wall; unlabelled."""
    pen = canvas.painter()
    board = box(canvas.x, canvas.y, canvas.wide / 2, top - 0.02, canvas.wide, rng.uniform(0.014, 0.026))
    pen.fill(board, hsv(0.1, rng.uniform(0, 0.3), rng.uniform(0.35, 0.95)), relief=0.2)
    canvas.add(None, pen.layer())


def rug(canvas: Canvas, rng: np.random.Generator, top: float) -> None:
    """A patterned rug on the floor below ``top``; unlabelled."""
    pen = canvas.painter()
    x, far, low = rng.uniform(0.3, 0.7) * canvas.wide, rng.uniform(top + 0.07, 0.85), rng.uniform(0.92, 1.1)
    edge = [(x - 0.3, far), (x + 0.3, far), (x + 0.42, low), (x - 0.42, low)]
    kind = PATTERNS[int(rng.integers(1, len(PATTERNS)))]
    colours = [hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.25, 0.8)) for _ in range(2)]
    texture = Texture(kind, rng.uniform(3, 6), rng.uniform(0, 1.5), rng.random())
    pen.fill(polygon(canvas.x, canvas.y, edge), colours[0], second=colours[1], texture=texture, relief=0.0)
    canvas.add(None, pen.layer())


def painting(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A framed picture on the wall; unlabelled."""
    pen, patch = canvas.painter(), _rectangle(canvas, frame)
    pen.fill(patch, _wood(rng), relief=0.3)
    colours = [hsv(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.95)) for _ in range(2)]
    texture = Texture(PATTERNS[int(rng.integers(len(PATTERNS)))], rng.uniform(1, 4), rng.uniform(0, 3), rng.random())
    pen.fill(patch.grown(-0.025), colours[0], second=colours[1], texture=texture, relief=0.0)
    canvas.add(None, pen.layer())


def _rectangle(canvas: Canvas, frame: Frame) -> Patch:
    left, top, right, bottom = frame
    return box(canvas.x, canvas.y, (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)


def window(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A window: a frame with cross bars, and behind it the sky over a blurred skyline, or the night."""
    left, top, right, bottom = frame
    pen, patch = canvas.painter(), _rectangle(canvas, frame)
    timber = hsv(rng.uniform(0.05, 0.15), rng.uniform(0, 0.5), rng.uniform(0.5, 0.98))
    pen.fill(patch.grown(0.02), timber, relief=0.2)
    sill = box(canvas.x, canvas.y, (left + right) / 2, bottom + 0.025, (right - left) / 2 + 0.035, 0.014)
    pen.fill(sill, dimmed(timber, 0.8), relief=0.2)
    canvas.add("window", pen.layer())
    dusk = rng.random() < 0.25
    high = hsv(rng.uniform(0.52, 0.64), rng.uniform(0.05, 0.6), rng.uniform(0.12, 0.3) if dusk else rng.uniform(0.7, 1))
    view = blend(high, dimmed(high, 1.3), (canvas.y - np.float32(top)) / np.float32(bottom - top))
    skyline = np.float32(top + rng.uniform(0.4, 1.0) * (bottom - top)) + np.float32(0.06) * noise(rng, canvas, 2, 7, 2)
    leaves = hsv(rng.uniform(0.15, 0.4), rng.uniform(0.2, 0.6), 0.12 if dusk else rng.uniform(0.35, 0.65))
    view = blend(view, leaves, (canvas.y - skyline) * np.float32(25))
    bars = _bars(canvas, frame, int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    canvas.cover("window", np.maximum(patch.d + np.float32(0.008), -bars), view)


def _bars(canvas: Canvas, frame: Frame, across: int, down: int) -> Array:
    """Signed distance to the bars that part the panes."""
    left, top, right, bottom = frame
    u, v = (canvas.x - left) / (right - left) * across, (canvas.y - top) / (bottom - top) * down
    du = np.abs(u - np.round(u)) * np.float32((right - left) / across)
    dv = np.abs(v - np.round(v)) * np.float32((bottom - top) / down)
    out: Array = np.minimum(du, dv) - np.float32(0.011)
    return out


def table(canvas: Canvas, rng: np.random.Generator, frame: Frame, legs: float) -> None:
    """A table whose top fills ``frame``, seen from above and before it, with legs of that length (0: out of view)."""
    left, top, right, bottom = frame
    pen = canvas.painter()
    colour = _wood(rng)
    for x in (left + 0.05, left + 0.16, right - 0.16, right - 0.05) if legs else ():
        far = 0.65 if left + 0.1 < x < right - 0.1 else 1.0
        leg = box(canvas.x, canvas.y, x, bottom + legs * far / 2, 0.018, legs * far / 2)
        pen.fill(leg, dimmed(colour, 0.7 * (0.6 + 0.4 * far)), relief=0.3)
    apron = box(canvas.x, canvas.y, (left + right) / 2, bottom + 0.02, (right - left) / 2, 0.028)
    pen.fill(apron, dimmed(colour, 0.6), relief=0.1)
    canvas.add("table", pen.layer())
    inset = rng.uniform(0.06, 0.16) * (bottom - top) / 0.2
    surface = polygon(canvas.x, canvas.y, [(left + inset, top), (right - inset, top), (right, bottom), (left, bottom)])
    canvas.cover("table", surface.d, _tabletop(canvas, rng, colour, top))


def _tabletop(canvas: Canvas, rng: np.random.Generator, colour: Colour, top: float) -> Array:
    """Wood with a grain along it, or a cloth."""
    if rng.random() < 0.7:
        grain = np.float32(0.6) * noise(rng, canvas, 60, 6, 2) + np.float32(0.3) * noise(rng, canvas, 14, 3)
        return blend(dimmed(colour, 1.15), dimmed(colour, 0.65), np.float32(0.4) + np.float32(0.6) * grain)
    cloth = hsv(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.55, 0.95))
    gx, gy = _plane(canvas, rng, top)
    kind = ("checks", "stripes", "plain")[int(rng.integers(3))]
    weave = Texture(kind, rng.uniform(5, 10), 0.0, rng.random(), 0.5, 0.7).mask(gx, gy)
    return blend(cloth, dimmed(cloth, 0.7), weave + np.float32(0.12) * noise(rng, canvas, 72, 96))
