"""What the films of the miniature show: who moves how in front of what, after the sets that they stand for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from miniworld.canvas import Canvas
from miniworld.categories import FAMILIES, Individual
from miniworld.geometry import Array, Pose
from miniworld.motion import Film, Ground, Mover, drift, zoom_about
from miniworld.paint import hsv, lattice_noise
from miniworld.render import random_light
from miniworld.scene import Placed, backdrop, compose
from miniworld.scenery import LAYOUTS
from miniworld.traits import individual

__all__ = ["cartoon", "chairs", "drive", "final_pass", "scene_with_hero"]

Light = tuple[float, float, float]
_VARIATION = 0.06  # of an individual about its kind, as everywhere in the miniature


def chairs(rng: np.random.Generator, height: int, width: int) -> Film:
    """Two frames in which ground and things move at random: FlyingChairs' counterpart."""
    light = random_light(rng)
    ground = _texture(rng, height, width) if rng.random() < 0.5 else _scenery(rng, height, width, light, decor=0)
    pan = _step(rng, 0.02 * height)
    base = drift(_still(ground, height, width), 2, *pan, rng.normal(0, 0.02), math.exp(rng.normal(0, 0.02)))
    movers = [Mover(ground, base, light)]
    for _ in range(int(rng.integers(2, 6))):
        start = _somewhere(rng, height, width, (0.14, 0.36))
        step = _plus(pan, _step(rng, 0.03 * height))
        turn, zoom = rng.normal(0, 0.08), math.exp(rng.normal(0, 0.04))
        movers.append(Mover(_anyone(rng), drift(start, 2, *step, turn, zoom), light))
    return Film(height, width, tuple(movers))


def cartoon(rng: np.random.Generator, height: int, width: int, frames: int) -> Film:
    """Many things tumbling before a panning camera: Monkaa's counterpart."""
    light = random_light(rng)
    ground = _scenery(rng, height, width, light, decor=2)
    pan = _step(rng, 0.022 * height)
    still = _still(ground, height, width)
    movers = [Mover(ground, drift(_centred(still, frames, *pan), frames, *pan), light)]
    for _ in range(int(rng.integers(4, 8))):
        start = _somewhere(rng, height, width, (0.1, 0.3))
        step = _plus(pan, _step(rng, 0.03 * height))
        poses = drift(_centred(start, frames, *step), frames, *step, rng.normal(0, 0.07), math.exp(rng.normal(0, 0.02)))
        movers.append(Mover(_anyone(rng), poses, light))
    return Film(height, width, tuple(movers))


def drive(rng: np.random.Generator, height: int, width: int, frames: int, rate: float) -> Film:
    """A road scene that the camera nears by a share of `rate` a frame (leaves, if negative): Driving's counterpart."""
    light = random_light(rng)
    ground = _scenery(rng, height, width, light, decor=4, layout="street")
    x, y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.35, 0.5)
    zoom = 1 + rate
    # Half of the way lies before the scene as it is drawn, half behind it.
    poses = zoom_about(_shrunk(_still(ground, height, width), x, y, zoom ** (-frames / 2)), frames, x, y, zoom)
    movers = [Mover(ground, poses, light)]
    for _ in range(int(rng.integers(3, 6))):
        start = _somewhere(rng, height, width, (0.1, 0.25))
        nearer = 1 + rate * rng.uniform(1.0, 1.6)
        ways = zoom_about(_shrunk(start, x, y, nearer ** (-frames / 2)), frames, x, y, nearer)
        aside = rng.normal(0, 0.012) * height
        ways = tuple(dataclasses.replace(pose, x=pose.x + k * aside) for k, pose in enumerate(ways))
        movers.append(Mover(_anyone(rng, ("car", "plane", "bird", "flower")), ways, light))
    return Film(height, width, tuple(movers))


def scene_with_hero(rng: np.random.Generator, height: int, width: int, frames: int) -> Film:
    """One thing, the last mover, that moves before a scene in which others lie still: DAVIS's counterpart."""
    light = random_light(rng)
    ground = _scenery(rng, height, width, light, decor=3)
    pan = _step(rng, 0.015 * height)
    poses = drift(_centred(_still(ground, height, width), frames, *pan), frames, *pan)
    start = Pose(
        width * rng.uniform(0.3, 0.7), height * rng.uniform(0.35, 0.65), height * rng.uniform(0.28, 0.45),
        rng.uniform(-0.3, 0.3), mirror=bool(rng.random() < 0.5),
    )  # fmt: skip
    around, speed = rng.uniform(0, 2 * math.pi), height * rng.uniform(0.02, 0.045)
    step = _plus(pan, (speed * math.cos(around), 0.5 * speed * math.sin(around)))
    way = drift(_centred(start, frames, *step), frames, *step, rng.normal(0, 0.04), math.exp(rng.normal(0, 0.015)))
    return Film(height, width, (Mover(ground, poses, light), Mover(_anyone(rng), way, light)))


def final_pass(rng: np.random.Generator, images: list[Array]) -> list[Array]:
    """The frames (3, H, W) of a film with blur and haze, alike in all of them: Scene Flow's second rendering."""
    haze = np.asarray(hsv(rng.random(), rng.uniform(0, 0.3), rng.uniform(0.55, 0.9)), dtype=np.float32)[:, None, None]
    thick = np.linspace(rng.uniform(0.2, 0.45), rng.uniform(0.0, 0.2), images[0].shape[1], dtype=np.float32)[:, None]
    size = int(rng.integers(2, 5))
    return [_blurred(image, size) * (1 - thick) + haze * thick for image in images]


def _blurred(image: Array, size: int) -> Array:
    rows = uniform_filter1d(image, size, axis=-1, mode="nearest")
    out: Array = uniform_filter1d(rows, size, axis=-2, mode="nearest")
    return out


def _step(rng: np.random.Generator, spread: float) -> tuple[float, float]:
    """A random shift in pixels a frame, each axis with that standard deviation."""
    dx, dy = rng.normal(0, spread, 2)
    return float(dx), float(dy)


def _plus(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return first[0] + second[0], first[1] + second[1]


def _texture(rng: np.random.Generator, height: int, width: int) -> Ground:
    return _ground(rng, backdrop(rng, 2 * height, 2 * width, rng.uniform(0.6, 1.5)))


def _scenery(
    rng: np.random.Generator, height: int, width: int, light: Light, decor: int, layout: str | None = None
) -> Ground:
    """A drawn scene twice as large as the frame, with up to `decor` things painted on it."""
    names = list(LAYOUTS)
    name = names[int(rng.integers(len(names)))] if layout is None else layout
    canvas = Canvas(2 * height, 2 * width, light)
    LAYOUTS[name](canvas, rng)
    count = int(rng.integers(decor + 1))
    things = [Placed(_anyone(rng), _somewhere(rng, 2 * height, 2 * width, (0.1, 0.18))) for _ in range(count)]
    return _ground(rng, compose(canvas.image, things, light).image)


def _ground(rng: np.random.Generator, image: Array) -> Ground:
    """A picture (3, h, w) as a ground with a grain of its own: what shows nothing shows no motion either."""
    _, height, width = image.shape
    cells = rng.random((height // 3, width // 3), dtype=np.float32) - np.float32(0.5)
    grain = lattice_noise(cells, height, width) * np.float32(rng.uniform(0.15, 0.6))
    # Sampling between pixels would alias what is as fine as they are, and change it from frame to frame.
    return Ground(_blurred(np.clip(image * (1 + grain), 0, 1), 2))


def _still(ground: Ground, height: int, width: int) -> Pose:
    """The pose that shows the middle of a ground pixel by pixel."""
    return Pose(width / 2, height / 2, ground.image.shape[1] / 2)


def _shrunk(pose: Pose, x: float, y: float, by: float) -> Pose:
    return dataclasses.replace(pose, x=x + (pose.x - x) * by, y=y + (pose.y - y) * by, scale=pose.scale * by)


def _centred(pose: Pose, frames: int, dx: float, dy: float) -> Pose:
    """The pose from which a steady motion passes through the given one half way."""
    return dataclasses.replace(pose, x=pose.x - dx * (frames - 1) / 2, y=pose.y - dy * (frames - 1) / 2)


def _somewhere(rng: np.random.Generator, height: int, width: int, sizes: tuple[float, float]) -> Pose:
    return Pose(
        width * rng.uniform(0.05, 0.95),
        height * rng.uniform(0.08, 0.92),
        height * rng.uniform(*sizes),
        rng.uniform(-math.pi, math.pi),
        mirror=bool(rng.random() < 0.5),
    )


def _anyone(rng: np.random.Generator, families: tuple[str, ...] = tuple(FAMILIES)) -> Individual:
    """An individual of any kind that one of the families has."""
    family = FAMILIES[families[int(rng.integers(len(families)))]]
    kind: NDArray[np.float64] = rng.uniform(-1, 1, len(family.names))
    return Individual(family, individual(family.names, kind, rng, _VARIATION))
