"""Animals: birds and fish from the side, beetles and butterflies from above.

Each function paints one individual with ``p`` from its traits ``t``. Posture entries move parts
within a class.
"""

from __future__ import annotations

import math

from miniworld.drawing.geometry import Array
from miniworld.drawing.paint import Painter, hsv
from miniworld.drawing.shapes import capsule, ellipse, polygon
from miniworld.objects.traits import Traits

__all__ = ["BEETLE", "BIRD", "BUTTERFLY", "FISH", "beetle", "bird", "butterfly", "fish"]

BIRD = (
    "fat",
    "tail",
    "tail_width",
    "head",
    "neck",
    "beak",
    "beak_depth",
    "wing",
    "legs",
    "cap",
    "belly",
    "band",
    "lean",
)
FISH = ("depth", "snout", "tail", "fork", "dorsal", "dorsal_at", "eye", "belly", "band", "fin")
BEETLE = ("length", "width", "thorax", "head", "leg", "feeler", "seam", "taper", "mark")
BUTTERFLY = ("fore", "fore_tilt", "fore_width", "hind", "hind_tilt", "border", "eyespot", "eyespot_at", "body")

_DARK = hsv(0.08, 0.3, 0.12)


def bird(p: Painter, t: Traits) -> None:
    """A bird facing left: tail, legs, body, belly, wing, neck, head with cap, eye and beak."""
    u, v = p.u, p.v
    lean = t.span("lean", -0.1, 0.6) + 0.12 * t.posture[0]
    fat = t.span("fat", 0.24, 0.40)
    back, belly, accent = t.colour("main"), t.colour("second", (0.05, 0.8), (0.5, 1.0)), t.colour("accent")
    _bird_tail_and_legs(p, t, lean, fat)
    body = ellipse(u, v, 0.0, 0.05, 0.52, fat, lean)
    p.fill(body, back, second=accent, texture=t.texture(0.7, minor=True))
    low = ellipse(u, v, -0.1, 0.05 + fat * t.span("belly", 0.35, 0.9), 0.45, fat * 0.85, lean)
    p.fill(low.within(body), belly, second=back, texture=t.texture(1.2, minor=True), relief=0.6)
    if t.pick("band", 3) == 0:
        band = ellipse(u, v, -0.42, -0.02 - 0.2 * lean, 0.09, fat * 0.9, lean - 0.3)
        p.fill(band.within(body), accent, relief=0.5)
    wing = ellipse(
        u, v, 0.14, 0.0 + 0.08 * lean, t.span("wing", 0.30, 0.46), fat * 0.58, lean + 0.15 + 0.12 * t.posture[1]
    )
    p.fill(wing, back, second=accent, texture=t.texture(), relief=0.55)
    _bird_head(p, t, lean)


def _bird_tail_and_legs(p: Painter, t: Traits, lean: float, fat: float) -> None:
    length, half = t.span("tail", 0.35, 0.85), t.span("tail_width", 0.05, 0.16)
    tilt = lean + 0.1 * t.posture[2]
    c, s = math.cos(tilt), math.sin(tilt)

    def at(a: float, b: float) -> tuple[float, float]:
        return c * a - s * b, 0.05 + s * a + c * b

    reach = 0.4 + length
    points = [at(0.3, -0.08), at(reach, -half), at(reach, half), at(0.3, 0.1)]
    p.fill(polygon(p.u, p.v, points), t.colour("main"), second=t.colour("accent"), texture=t.texture(0.5), relief=0.4)
    legs = t.span("legs", 0.12, 0.42)
    for x, swing in ((-0.02, 0.1), (0.1, -0.06)):
        foot = (x + swing * t.posture[3], 0.05 + fat + legs)
        q = p.near(x, 0.9 * fat + legs / 2, 0.15 + (fat + legs) / 2)
        q.fill(capsule(q.u, q.v, (x, fat * 0.7), foot, 0.03, 0.025), hsv(0.08, 0.5, 0.35), relief=0.3)


def _bird_head(p: Painter, t: Traits, lean: float) -> None:
    u, v = p.u, p.v
    size, neck = t.span("head", 0.17, 0.27), t.span("neck", 0.0, 0.22)
    x = -0.44 - 0.5 * neck + 0.03 * t.posture[4]
    y = -0.10 - 0.42 * lean - neck + 0.03 * t.posture[5]
    nod = 0.25 * t.posture[6]
    p.fill(capsule(u, v, (-0.3, 0.0 - 0.25 * lean), (x, y), 0.2, size * 0.8), t.colour("main"), relief=0.6)
    long, deep = t.span("beak", 0.12, 0.48), t.span("beak_depth", 0.04, 0.12)
    tip = (x - size * 0.8 - long * math.cos(nod), y + 0.04 + long * math.sin(nod + 0.15))
    beak = polygon(u, v, [(x - size * 0.6, y - deep), tip, (x - size * 0.6, y + deep + 0.03)])
    p.fill(beak, hsv(0.5 * t.kinds[t.names.index("accent_hue")] * 0.2 + 0.1, 0.75, t.span("accent_val", 0.25, 0.95)))
    p = p.near(x, y, size)
    u, v = p.u, p.v
    head = ellipse(u, v, x, y, size, size * 0.94)
    p.fill(head, t.colour("main"))
    cap = t.span("cap", -1.0, 1.0)
    if cap > -0.3:
        lid = ellipse(u, v, x + 0.02, y - size * (0.9 - 0.5 * cap), size * 1.1, size * 0.75, nod)
        p.fill(lid.within(head), t.colour("accent"), relief=0.6)
    else:
        mask = ellipse(u, v, x - size * 0.35, y + 0.03, size * 0.9, size * 0.32, nod)
        p.fill(mask.within(head), t.colour("accent"), relief=0.4)
    eye = (x - size * 0.35, y - size * 0.15)
    p.fill(ellipse(u, v, *eye, 0.058, 0.058), hsv(0.12, t.span("accent_sat", 0.0, 0.7), 0.9), relief=0.0)
    p.fill(ellipse(u, v, *eye, 0.038, 0.038), (0.03, 0.03, 0.04), relief=0.0)


def fish(p: Painter, t: Traits) -> None:
    """A fish facing left."""
    u, v = p.u, p.v
    depth, main, accent = t.span("depth", 0.22, 0.46), t.colour("main"), t.colour("accent")
    sway = 0.12 * t.posture[0]
    v = v + sway * u * u
    tail, fork = t.span("tail", 0.22, 0.45), t.span("fork", -0.05, 0.22)
    for side in (-1.0, 1.0):
        points = [(0.5, -0.03 * side), (0.7 + 0.3 * tail + fork, side * tail), (0.72, 0.02 * side)]
        p.fill(polygon(u, v, points, 0.02), accent, second=main, texture=t.texture(0.8, minor=True), relief=0.4)
    at, high = t.span("dorsal_at", -0.25, 0.2), t.span("dorsal", 0.08, 0.34)
    fin = polygon(u, v, [(at - 0.28, -depth * 0.8), (at + 0.2, -depth - high), (at + 0.42, -depth * 0.5)], 0.02)
    p.fill(fin, accent, second=main, texture=t.texture(0.8, minor=True), relief=0.3)
    body = ellipse(u, v, -0.05, 0.0, 0.68, depth).joined(
        ellipse(u, v, -0.45, 0.02, t.span("snout", 0.26, 0.46), depth * 0.55)
    )
    p.fill(body, main, second=t.colour("second"), texture=t.texture(), gloss=0.15)
    under = ellipse(u, v, -0.1, depth * t.span("belly", 0.75, 1.3), 0.65, depth * 0.7)
    p.fill(under.within(body), t.colour("second", (0.0, 0.5), (0.6, 1.0)), relief=0.5, opacity=0.85)
    if t.pick("band", 3) > 0:
        for k in range(t.pick("band", 3)):
            bar = ellipse(u, v, -0.36 + 0.42 * k, 0.0, 0.06, depth * 1.2)
            p.fill(bar.within(body), accent, relief=0.3)
    _fish_front(p, t, v, depth)


def _fish_front(p: Painter, t: Traits, v: Array, depth: float) -> None:
    u = p.u
    side = ellipse(u, v, -0.08, depth * 0.3, t.span("fin", 0.12, 0.26), 0.08, 0.5 + 0.3 * t.posture[1])
    p.fill(side, t.colour("accent"), relief=0.4)
    size = t.span("eye", 0.05, 0.11)
    p.fill(ellipse(u, v, -0.56, -depth * 0.2, size, size), (0.95, 0.92, 0.8), relief=0.2)
    p.fill(ellipse(u, v, -0.57, -depth * 0.2, size * 0.6, size * 0.6), (0.03, 0.03, 0.05), relief=0.0)


def beetle(p: Painter, t: Traits) -> None:
    """A beetle from above, head upwards, mirrored about its axis."""
    u, v = abs(p.u), p.v
    long, wide = t.span("length", 0.42, 0.62), t.span("width", 0.30, 0.48)
    dark = hsv(t.span("accent_hue", -0.5, 0.5), 0.4, t.span("accent_val", 0.08, 0.4))
    leg = t.span("leg", 0.30, 0.55)
    for k, slope in enumerate((-0.7, 0.05, 0.7)):
        knee = (wide + leg * 0.55, 0.1 + 0.3 * (k - 1) + slope * leg * 0.6 + 0.06 * t.posture[k])
        p.fill(capsule(u, v, (wide * 0.6, 0.1 + 0.3 * (k - 1)), knee, 0.045, 0.035), dark, relief=0.4)
        p.fill(capsule(u, v, knee, (knee[0] + 0.06, knee[1] + slope * leg), 0.035, 0.02), dark, relief=0.4)
    feeler = t.span("feeler", 0.15, 0.5)
    p.fill(capsule(u, v, (0.06, -0.62), (0.08 + feeler * 0.7, -0.68 - feeler * 0.55), 0.022, 0.03), dark, relief=0.2)
    head = t.span("head", 0.13, 0.22)
    p.fill(ellipse(u, v, 0.0, -0.60, head, head * 0.9), dark)
    thorax = ellipse(u, v, 0.0, -0.36, wide * t.span("thorax", 0.6, 0.95), 0.22)
    p.fill(thorax, t.colour("second"), second=t.colour("accent"), texture=t.texture(0.7, minor=True), gloss=0.25)
    _beetle_wings(p, t, u, long, wide)


def _beetle_wings(p: Painter, t: Traits, u: Array, long: float, wide: float) -> None:
    v = p.v
    narrowing = 1.0 + t.span("taper", -0.25, 0.25) * v
    shell = ellipse(u * narrowing, v, 0.0, 0.22, wide, long)
    whole = ellipse(p.u * narrowing, v, 0.0, 0.22, wide, long)
    # The relief follows the whole shell, the texture the mirrored half.
    p.fill(shell, t.colour("main"), second=t.colour("accent"), texture=t.texture(0.9), relief=0.0)
    if t.pick("mark", 3) > 0:
        spot = ellipse(u, v, wide * 0.5, 0.22 + long * (0.4 if t.pick("mark", 3) == 1 else -0.35), 0.12, 0.1)
        p.fill(spot.within(shell), t.colour("second"), relief=0.0)
    seam = t.span("seam", 0.008, 0.05)
    p.fill(ellipse(u, v, 0.0, 0.22, seam, long).within(shell), _DARK, relief=0.0)
    lx, ly, _ = p.light
    p.fill(whole, _DARK, relief=0.0, opacity=0.12)
    p.fill(
        ellipse(p.u, v, 0.22 * lx, 0.2 + 0.3 * ly, wide * 0.45, long * 0.4).within(whole),
        (1, 1, 1),
        relief=0.0,
        opacity=0.22,
    )


def butterfly(p: Painter, t: Traits) -> None:
    """A butterfly from above, wings spread, mirrored about its axis."""
    fold = 1.0 + 0.12 * t.posture[0]
    u, v = abs(p.u) * fold, p.v
    hind, fore = t.span("hind", 0.26, 0.44), t.span("fore", 0.42, 0.58)
    main, accent = t.colour("main"), t.colour("accent")
    low = ellipse(u, v, 0.34, 0.36, hind, hind * 0.78, t.span("hind_tilt", 0.1, 1.0) + 0.1 * t.posture[1])
    p.fill(low, accent, relief=0.3)
    p.fill(
        low.grown(-t.span("border", 0.01, 0.11)),
        t.colour("second"),
        second=main,
        texture=t.texture(minor=True),
        relief=0.3,
    )
    wide = fore * t.span("fore_width", 0.42, 0.66)
    high = ellipse(u, v, 0.44, -0.26, fore, wide, -t.span("fore_tilt", 0.25, 0.95) + 0.1 * t.posture[2])
    p.fill(high, accent, relief=0.3)
    p.fill(high.grown(-t.span("border", 0.01, 0.11)), main, second=t.colour("second"), texture=t.texture(), relief=0.3)
    spot = t.span("eyespot", -0.06, 0.14)
    if spot > 0.02:
        x, y = (0.55, -0.4) if t.pick("eyespot_at", 2) else (0.42, 0.4)
        p.fill(ellipse(u, v, x, y, spot, spot), accent, relief=0.2)
        p.fill(ellipse(u, v, x, y, spot * 0.55, spot * 0.55), (0.95, 0.93, 0.85), relief=0.2)
    p.fill(capsule(u, v, (0.03, -0.4), (0.22, -0.8), 0.015, 0.025), _DARK, relief=0.0)
    p.fill(ellipse(u, v, 0.0, 0.05, 0.07, t.span("body", 0.4, 0.62)), _DARK)
