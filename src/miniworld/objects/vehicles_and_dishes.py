"""Made things: cars and aircraft from the side, dishes from above, vases."""

from __future__ import annotations

import math

import numpy as np

from miniworld.drawing.paint import Colour, Painter, hsv
from miniworld.drawing.shapes import Patch, box, capsule, ellipse, petals, polygon, profile
from miniworld.objects.traits import Traits

__all__ = ["CAR", "DISH", "PLANE", "VASE", "car", "dish", "plane", "vase"]

CAR = (
    "length", "height", "bonnet", "boot", "cabin", "front_slope", "rear_slope", "wheel", "hub", "stripe",
    "clearance", "lamp", "pillar",
)  # fmt: skip
PLANE = (
    "girth", "nose", "fin", "fin_sweep", "wing", "wing_at", "sweep", "engines", "engine", "tailplane",
    "stripe", "windows", "chord",
)  # fmt: skip
DISH = ("plate", "rim", "rim_mark", "mound", "aspect", "pieces", "piece", "piece_kind", "sauce", "ring", "square")
VASE = ("belly", "belly_at", "neck", "lip", "foot", "height", "handles", "bands", "band_at", "flare")

_GLASS = hsv(0.57, 0.35, 0.3)
_TYRE = (0.06, 0.06, 0.07)


def car(p: Painter, t: Traits) -> None:
    """A car from the side, facing left."""
    u, v = p.u, p.v
    half, high = t.span("length", 0.78, 0.98), t.span("height", 0.15, 0.25)
    sill = 0.34 - t.span("clearance", 0.0, 0.08)
    belt = sill - 2 * high
    roof = belt - t.span("cabin", 0.20, 0.38)
    front, rear = -half + t.span("bonnet", 0.12, 0.68), half - t.span("boot", 0.03, 0.5)
    a, b = t.span("front_slope", 0.08, 0.34), t.span("rear_slope", 0.02, 0.34)
    corners = [(front, belt + 0.05), (front + a, roof), (rear - b, roof), (rear, belt + 0.05)]
    paint = t.colour("main", (0.0, 0.95), (0.15, 0.95))
    top = t.colour("second") if t.pick("texture2", 3) == 0 else paint
    p.fill(polygon(u, v, corners, 0.03), top, relief=0.35, gloss=0.1)
    cabin = polygon(u, v, [(x, y + 0.045 if y < belt else y) for x, y in corners], -0.02)
    post = front + a + (rear - b - front - a) * t.span("pillar", 0.3, 0.7)
    window = Patch(np.maximum(cabin.d, np.float32(0.022) - np.abs(u - np.float32(post))), cabin.x, cabin.y)
    p.fill(window, _GLASS, second=(0.75, 0.85, 0.92), texture=None, relief=0.5, gloss=0.3)
    body = box(u, v, 0.0, (sill + belt) / 2, half, high, corner=high * 0.7)
    p.fill(body, paint, relief=0.45, gloss=0.2)
    _car_marks(p, t, body, sill, belt, half)
    _car_wheels(p, t, half, sill)


def _car_marks(p: Painter, t: Traits, body: Patch, sill: float, belt: float, half: float) -> None:
    u, v = p.u, p.v
    middle = (sill + belt) / 2
    kind = t.pick("stripe", 4)
    accent = t.colour("accent")
    if kind == 1:
        p.fill(box(u, v, 0.0, middle, half, 0.035).within(body), accent, relief=0.2)
    elif kind == 2:
        p.fill(box(u, v, 0.0, sill - 0.04, half, 0.06).within(body), accent, relief=0.2)
    elif kind == 3:
        side = box(u, v, 0.05, middle, half * 0.6, (sill - belt) * 0.36)
        p.fill(side.within(body), t.colour("main"), second=accent, texture=t.texture(0.8), relief=0.2)
    for x in (-0.08, 0.34):
        p.fill(box(u, v, x, middle, 0.006, (sill - belt) * 0.45), (0.05, 0.05, 0.05), relief=0.0, opacity=0.6)
    lamp = t.span("lamp", 0.035, 0.085)
    p.fill(ellipse(u, v, -half + 0.07, middle - 0.04, lamp, lamp * 0.8), (0.98, 0.95, 0.75), relief=0.2)
    p.fill(box(u, v, half - 0.05, middle - 0.03, 0.04, lamp * 0.8).within(body), (0.75, 0.08, 0.06), relief=0.2)


def _car_wheels(p: Painter, t: Traits, half: float, sill: float) -> None:
    size = t.span("wheel", 0.145, 0.215)
    spokes, hub = 3 + t.pick("hub", 6), t.span("accent_val", 0.45, 0.9)
    for x in (-half * 0.62, half * 0.62):
        q = p.near(x, sill, size * 1.2)
        u, v = q.u, q.v
        q.fill(ellipse(u, v, x, sill, size * 1.18, size * 1.18), (0.05, 0.05, 0.05), relief=0.0, opacity=0.8)
        q.fill(ellipse(u, v, x, sill, size, size), _TYRE, relief=0.3)
        q.fill(ellipse(u, v, x, sill, size * 0.64, size * 0.64), (hub * 0.35, hub * 0.35, hub * 0.36), relief=0.3)
        star = petals(u - x, v - sill, spokes, 0.0, size * 0.62, size * 0.16, 0.0, math.pi * t.posture[3])
        q.fill(star, (hub, hub, hub * 1.02), relief=0.2)


def plane(p: Painter, t: Traits) -> None:
    """An aircraft from the side and a little above, nose left."""
    u, v = p.u, p.v
    girth, main, accent = (t.span("girth", 0.10, 0.17), t.colour("main", (0.0, 0.5), (0.6, 1.0)), t.colour("accent"))
    metal = hsv(0.6, 0.08, t.span("second_val", 0.45, 0.85))
    _plane_wing(p, t, girth, metal, near=False)
    high, sweep = t.span("fin", 0.26, 0.48), t.span("fin_sweep", 0.0, 0.3)
    fin = [(0.52, 0.0), (0.72 + sweep * 0.5, -girth - high), (0.86 + sweep * 0.5, -girth - high), (0.92, 0.0)]
    p.fill(polygon(u, v, fin, 0.01), accent, second=t.colour("second"), texture=t.texture(0.7), relief=0.3)
    tube = capsule(u, v, (-0.72, 0.0), (0.5, 0.0), girth, girth)
    cone = polygon(u, v, [(0.4, -girth), (0.98, -girth * 0.55), (0.98, -girth * 0.2), (0.4, girth)])
    nose = ellipse(u, v, -0.74, 0.01, t.span("nose", 0.14, 0.28), girth * 0.97)
    hull = tube.joined(cone).joined(nose)
    p.fill(Patch(hull.d, u * 0.2, v / girth), main, relief=0.75, gloss=0.15)
    _plane_marks(p, t, hull, girth)
    tip = -girth * 0.3 if t.pick("tailplane", 3) else -girth - high
    span = 0.3
    p.fill(
        polygon(u, v, [(0.66, tip), (0.82, tip), (0.98, tip + span * 0.55), (0.9, tip + span * 0.6)], 0.01),
        metal,
        relief=0.3,
    )
    _plane_wing(p, t, girth, metal, near=True)


def _plane_marks(p: Painter, t: Traits, hull: Patch, girth: float) -> None:
    u, v = p.u, p.v
    accent, kind = t.colour("accent"), t.pick("stripe", 4)
    if kind == 1:
        p.fill(box(u, v, 0.0, girth * 0.25, 1.2, girth * 0.2).within(hull), accent, relief=0.0)
    elif kind == 2:
        p.fill(box(u, v, 0.0, girth * 0.8, 1.2, girth * 0.5).within(hull), accent, relief=0.0)
    elif kind == 3:
        p.fill(box(u, v, 0.62, 0.0, 0.3, girth, 0.5).within(hull), accent, relief=0.0)
    pitch = t.span("windows", 0.055, 0.11)
    cell = np.abs(u / pitch - np.round(u / pitch)) * pitch
    row = Patch(np.maximum(cell - 0.022, np.abs(v + girth * 0.25) - 0.028), u, v)
    p.fill(row.within(box(u, v, -0.05, 0.0, 0.58, girth)), (0.1, 0.14, 0.2), relief=0.0)
    p.fill(ellipse(u, v, -0.8, -girth * 0.4, 0.09, 0.045).within(hull), (0.1, 0.14, 0.2), relief=0.0)


def _plane_wing(p: Painter, t: Traits, girth: float, metal: Colour, *, near: bool) -> None:
    u, v = p.u, p.v
    side = 1.0 if near else -1.0
    reach = t.span("wing", 0.42, 0.72) * (1.0 if near else 0.6)
    at, sweep, chord = t.span("wing_at", -0.28, 0.02), t.span("sweep", 0.0, 0.5), t.span("chord", 0.2, 0.36)
    root = girth * 0.3 * side
    tip = (at + 0.1 + sweep, root + side * reach)
    wing = polygon(u, v, [(at, root), (at + chord, root), (tip[0] + chord * 0.45, tip[1]), tip], 0.012)
    p.fill(wing, metal, second=t.colour("accent"), texture=t.texture(0.5, minor=True), relief=0.25)
    for k in range(t.pick("engines", 3)):
        f = 0.35 + 0.32 * k
        x, y = at + f * (0.1 + sweep) - 0.02, root + side * reach * f
        long = t.span("engine", 0.09, 0.17)
        p.fill(capsule(u, v, (x - long * 0.6, y), (x + long, y), 0.06, 0.045), t.colour("second"), relief=0.7)


def dish(p: Painter, t: Traits) -> None:
    """A dish from above: plate with rim, sauce, a mound of food and pieces on it."""
    u, v = p.u, p.v
    size = t.span("plate", 0.82, 0.97)
    ware = t.colour("second", (0.0, 0.55), (0.55, 1.0))
    if t.pick("square", 4) == 0:
        plate = box(u, v, 0, 0, size * 0.88, size * 0.88, corner=0.2)
    else:
        plate = ellipse(u, v, 0, 0, size, size)
    p.fill(plate, ware, relief=0.3, gloss=0.1)
    rim = t.span("rim", 0.08, 0.26)
    mark = petals(u, v, 12 + 6 * t.pick("rim_mark", 3), size - rim, size - 0.03, 0.05, 0.0)
    if t.span("rim_mark", -1, 1) > -0.2:
        p.fill(mark, t.colour("accent"), relief=0.0, opacity=0.8)
    well = plate.grown(-rim)
    p.fill(well, (ware[0] * 0.93, ware[1] * 0.92, ware[2] * 0.9), relief=0.25)
    wide = t.span("mound", 0.38, 0.62)
    tall = wide * t.span("aspect", 0.6, 1.0)
    turn = math.pi * t.posture[0]
    sauce = wide + t.span("sauce", -0.06, 0.16)
    pool = ellipse(u, v, 0.05 * t.posture[1], 0.05 * t.posture[2], sauce, tall + sauce - wide, turn).within(well)
    p.fill(pool, hsv(t.span("accent_hue", -0.06, 0.3), 0.75, t.span("accent_val", 0.25, 0.8)), relief=0.3, gloss=0.15)
    mound = ellipse(u, v, 0.05 * t.posture[3], 0.05 * t.posture[4], wide, tall, turn)
    food = hsv(t.span("main_hue", -0.06, 0.36), t.span("main_sat", 0.25, 0.9), t.span("main_val", 0.3, 0.95))
    deep = (food[0] * 0.55, food[1] * 0.5, food[2] * 0.45)
    p.fill(mound, food, second=deep, texture=t.texture(1.4), relief=0.85)
    _dish_pieces(p, t, wide, tall)


def _dish_pieces(whole: Painter, t: Traits, wide: float, tall: float) -> None:
    count, size, kind = 2 + t.pick("pieces", 7), t.span("piece", 0.07, 0.15), t.pick("piece_kind", 4)
    colour = hsv(t.span("main_hue", -0.5, 0.5) + t.span("accent_sat", 0.1, 0.9), 0.75, t.span("second_val", 0.35, 0.9))
    light = (min(1.0, colour[0] + 0.3), min(1.0, colour[1] + 0.3), min(1.0, colour[2] + 0.25))
    ring = t.span("ring", 0.35, 0.95)
    for k in range(count):
        a = 2 * math.pi * (k / count + 0.5 * t.posture[5]) + 0.4 * t.posture[(k * 5) % 11]
        far = ring * (0.75 + 0.25 * t.posture[(k * 7 + 3) % 11])
        x, y = wide * far * math.cos(a), tall * far * math.sin(a)
        p = whole.near(x, y, size * 1.7)
        u, v = p.u, p.v
        if kind == 0:
            p.fill(ellipse(u, v, x, y, size, size), colour, relief=0.85, gloss=0.2)
        elif kind == 1:
            p.fill(box(u, v, x, y, size * 1.5, size * 0.45, a * 1.7, 0.02), colour, relief=0.6)
        elif kind == 2:
            p.fill(
                ellipse(u, v, x, y, size * 1.4, size * 0.6, a * 2.3),
                colour,
                second=light,
                texture=t.texture(0.6),
                relief=0.5,
            )
        else:
            piece = ellipse(u, v, x, y, size, size)
            p.fill(piece, colour, relief=0.4)
            p.fill(piece.grown(size * 0.4), light, relief=0.3)


def vase(p: Painter, t: Traits) -> None:
    """A vase or jug: a turned body with bands, perhaps handles."""
    u, v = p.u, p.v
    high = t.span("height", 0.7, 0.95)
    neck, lip, foot = t.span("neck", 0.1, 0.3), t.span("lip", 0.14, 0.4), t.span("foot", 0.14, 0.36)
    at = t.span("belly_at", -0.15, 0.5)
    belly = t.span("belly", 0.3, 0.62) - neck
    w = (v - at) / (t.span("flare", 0.3, 0.6) * high)
    half = neck + belly * np.exp(-w * w)
    top, low = np.maximum(-v / high, 0) ** 4, np.maximum(v / high, 0) ** 4
    half = half + (lip - neck) * top + np.maximum(foot - half, -0.2) * low
    handles = t.pick("handles", 3)
    if handles:
        side = np.abs(u) if handles == 2 else u
        ear = ellipse(side, v, neck + 0.14, -0.32, 0.2, 0.28)
        p.fill(ear.without(ellipse(side, v, neck + 0.14, -0.32, 0.12, 0.2)), t.colour("main"), relief=0.6)
    body = profile(u, v, half, -high, high)
    p.fill(body, t.colour("main"), second=t.colour("second"), texture=t.texture(), relief=0.9, gloss=0.25)
    for k in range(t.pick("bands", 4)):
        ring = box(u, v, 0.0, t.span("band_at", -0.5, 0.2) + 0.3 * k, 1.0, 0.05)
        p.fill(Patch(ring.d, body.x, body.y).within(body), t.colour("accent"), relief=0.85, gloss=0.2)
