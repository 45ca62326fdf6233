"""An image of one individual: pose, light, clutter and camera, which do not depend on its class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.camera import random_camera, random_light
from miniworld.drawing.compose import Box, Placed, backdrop, box_of, compose
from miniworld.drawing.geometry import Array, Light, Pose, Reach
from miniworld.drawing.paint import PATTERNS, Colour, Layer, Painter, Texture, hsv
from miniworld.drawing.shapes import box, capsule, ellipse
from miniworld.objects.families import Individual

__all__ = ["Clutter", "ObjectImage", "random_clutter", "render_object"]


@dataclass(frozen=True)
class Clutter:
    """A shape that belongs to no class: a blob, a slab or a stick with any texture."""

    kind: int
    aspect: float
    colours: tuple[Colour, Colour]
    texture: Texture
    reach: Reach = (-1.1, -1.05, 1.1, 1.05)

    def paint(self, u: Array, v: Array, pixel: float, light: Light) -> Layer:
        """Paint it at canonical points."""
        painter = Painter(u, v, pixel, light)
        if self.kind == 0:
            patch = ellipse(u, v, 0, 0, 1.0, self.aspect)
        elif self.kind == 1:
            patch = box(u, v, 0, 0, 0.85, 0.6 * self.aspect, corner=0.1)
        else:
            patch = capsule(u, v, (-0.9, 0.0), (0.9, 0.0), 0.18 * self.aspect, 0.1 * self.aspect)
        painter.fill(patch, self.colours[0], second=self.colours[1], texture=self.texture, relief=0.7)
        return painter.layer()


@dataclass(frozen=True)
class ObjectImage:
    """``image`` (H, W, 3) bytes; ``mask`` (H, W) the object's coverage as if nothing hid it; its ``box``."""

    image: NDArray[np.uint8]
    mask: Array
    box: Box


def render_object(subject: Individual, rng: np.random.Generator, size: int, nuisance: float = 1.0) -> ObjectImage:
    """Show ``subject`` under a random pose, light and clutter; ``nuisance`` >= 0 scales all of them.

    ``size`` is the side of the square image in pixels.
    """
    light = random_light(rng)
    background = backdrop(rng, size, size, 0.3 + 0.7 * nuisance)
    behind = [_clutter(rng, size, front=False) for _ in range(rng.poisson(1.5 * nuisance))]
    hidden = rng.random() < 0.4 * nuisance
    before = [_clutter(rng, size, front=True)] if hidden else []
    main = Placed(subject, _pose(subject, rng, size, nuisance), float(rng.uniform(0.1, 0.5)))
    picture = compose(background, [*behind, main, *before], light)
    mask = picture.full[len(behind)]
    return ObjectImage(random_camera(rng, nuisance).shoot(picture.image, rng), mask, box_of(mask))


def _pose(subject: Individual, rng: np.random.Generator, size: int, nuisance: float) -> Pose:
    family = subject.family
    scale = size * 0.41 * math.exp(rng.uniform(-0.4, 0.25) * nuisance)
    shift = 0.11 * size * nuisance
    turn = family.turn if family.turn >= math.pi else family.turn * nuisance
    return Pose(
        x=size / 2 + rng.uniform(-shift, shift),
        y=size / 2 + rng.uniform(-shift, shift),
        scale=scale,
        angle=rng.uniform(-turn, turn),
        squeeze=1 - (1 - rng.uniform(family.oblique, 1.0)) * nuisance,
        mirror=bool(rng.random() < 0.5),
        keystone=(rng.uniform(-0.15, 0.15) * nuisance, rng.uniform(-0.15, 0.15) * nuisance),
    )


def random_clutter(rng: np.random.Generator) -> Clutter:
    """A shape of no class, of any colour and texture."""
    hue = rng.random()
    colours = tuple(hsv(hue + d, rng.uniform(0.05, 0.7), rng.uniform(0.15, 0.9)) for d in (0.0, rng.uniform(-0.3, 0.3)))
    texture = Texture(
        PATTERNS[int(rng.integers(len(PATTERNS)))], rng.uniform(1.5, 5), rng.uniform(0, math.pi), rng.random()
    )
    return Clutter(int(rng.integers(3)), rng.uniform(0.4, 1.0), (colours[0], colours[1]), texture)


def _clutter(rng: np.random.Generator, size: int, *, front: bool) -> Placed:
    item = random_clutter(rng)
    # In front only small things near the rim, so that an object is never hidden altogether.
    around = rng.uniform(0, 2 * math.pi)
    far = rng.uniform(0.34, 0.5) if front else rng.uniform(0.15, 0.6)
    x, y = size * (0.5 + far * math.cos(around)), size * (0.5 + far * math.sin(around))
    scale = size * (rng.uniform(0.08, 0.2) if front else rng.uniform(0.08, 0.3))
    return Placed(item, Pose(x, y, scale, rng.uniform(0, math.pi)), float(rng.uniform(0, 0.35)))
