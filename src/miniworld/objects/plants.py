"""Flowers and leaves."""

from __future__ import annotations

import math

import numpy as np

from miniworld.drawing.paint import Painter, Texture, hsv
from miniworld.drawing.shapes import Patch, capsule, ellipse, petals
from miniworld.objects.traits import Traits

__all__ = ["FLOWER", "LEAF", "flower", "leaf"]

FLOWER = ("count", "length", "width", "point", "heart", "rows", "throat", "vein", "stem")
LEAF = ("lobes", "lobe_depth", "width", "tip", "teeth", "teeth_count", "veins", "vein_angle", "blotch", "margin")


def flower(p: Painter, t: Traits) -> None:
    """A flower head seen from the front: stem, one or two rings of petals, throat, heart."""
    u, v = p.u, p.v
    bow = 0.25 * t.posture[0]
    if t.span("stem", -1, 1) > -0.4:
        p.fill(capsule(u, v, (0.0, 0.1), (bow, 1.25), 0.05, 0.06), hsv(0.28, 0.6, 0.4), relief=0.5)
    count = 4 + t.pick("count", 9)
    length, point = t.span("length", 0.68, 0.95), t.span("point", -0.9, 0.9)
    width = t.span("width", 0.75, 1.35) * math.pi / count * length * 0.62
    turn = math.pi * t.posture[1]
    main, second = t.colour("main", (0.15, 1.0), (0.45, 1.0)), t.colour("second", (0.1, 0.9), (0.35, 1.0))
    texture = t.texture(0.8)
    if t.pick("rows", 3) > 0:
        back = petals(u, v, count, 0.05, length, width, point, turn + math.pi / count)
        shade = (main[0] * 0.72, main[1] * 0.72, main[2] * 0.72)
        p.fill(back, shade, second=second, texture=texture, relief=0.6)
    front_length = length * (0.72 if t.pick("rows", 3) == 2 else 1.0)
    front = petals(u, v, count, 0.05, front_length, width, point, turn)
    p.fill(front, main, second=second, texture=texture, relief=0.7)
    if t.span("vein", -1, 1) > 0.2:
        p.fill(Patch(np.abs(front.x) * width - 0.012, front.x, front.y).within(front), second, relief=0.0)
    _flower_heart(p, t, front)


def _flower_heart(p: Painter, t: Traits, front: Patch) -> None:
    heart = t.span("heart", 0.08, 0.34)
    throat = heart + t.span("throat", -0.1, 0.22)
    if throat > heart:
        ring = ellipse(p.u, p.v, 0.0, 0.0, throat, throat)
        p.fill(ring.within(front), t.colour("accent"), relief=0.2, opacity=0.85)
    disc = ellipse(p.u, p.v, 0.0, 0.0, heart, heart)
    kind = "spots" if t.pick("texture2", 2) else "rings"
    texture = Texture(kind, t.span("frequency2", 3.0, 7.0), t.posture[2], duty=0.5)
    yellow = hsv(t.span("accent_hue", 0.02, 0.22), 0.8, t.span("accent_val", 0.3, 0.95))
    p.fill(disc, yellow, second=hsv(0.08, 0.7, 0.25), texture=texture, relief=0.8)


def leaf(p: Painter, t: Traits) -> None:
    """A leaf, tip upwards: lobed and toothed outline, veins, blotches, pale margin."""
    u, v = p.u + 0.12 * t.posture[0] * p.v * p.v, p.v
    theta, r = np.arctan2(u, -v), np.sqrt(u * u + v * v)
    lobes, depth = 1 + 2 * t.pick("lobes", 4), t.span("lobe_depth", 0.05, 0.38)
    wide, tip = t.span("width", 0.42, 0.85), t.span("tip", 0.6, 1.6)
    half = 0.5 + 0.5 * np.cos(theta)
    outline = 0.86 * (wide + (1 - wide) * np.abs(np.cos(theta)) ** np.float32(tip))
    outline = outline * (1 - depth * (0.5 - 0.5 * np.cos(lobes * theta)) * (0.4 + 0.6 * half))
    teeth = t.span("teeth", -0.04, 0.06)
    if teeth > 0:
        outline = outline * (1 + teeth * np.sin((14 + 12 * t.pick("teeth_count", 3)) * theta))
    blade = Patch((r - outline) * np.float32(0.8), u / 0.6, v / 0.86)
    green = hsv(t.span("main_hue", -0.08, 0.45), t.span("main_sat", 0.3, 0.9), t.span("main_val", 0.25, 0.8))
    other = t.colour("second", (0.2, 0.9), (0.2, 0.9))
    p.fill(capsule(u, v, (0.0, 0.5), (0.05 * t.posture[1], 1.12), 0.035, 0.03), hsv(0.1, 0.5, 0.35), relief=0.4)
    p.fill(blade, other, relief=0.3)
    texture = t.texture(1.1)
    p.fill(blade.grown(-t.span("margin", 0.0, 0.1)), green, second=other, texture=texture, relief=0.4)
    _leaf_veins(p, t, blade)


def _leaf_veins(p: Painter, t: Traits, blade: Patch) -> None:
    u, v = p.u, p.v
    pale = hsv(t.span("accent_hue", 0.05, 0.35), t.span("accent_sat", 0.1, 0.7), t.span("accent_val", 0.5, 0.95))
    slope, count = t.span("vein_angle", 0.4, 1.4), t.span("veins", 4.0, 9.0)
    rise = (v + slope * np.abs(u)) * count
    gap = np.abs(rise - np.round(rise)) / count * math.cos(math.atan(slope))
    p.fill(Patch(gap - 0.012, u, v).within(blade), pale, relief=0.0, opacity=0.75)
    p.fill(Patch(np.abs(u) - 0.025, u, v).within(blade), pale, relief=0.0)
