"""What the clips of each set show: which objects move how, and before what."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from miniworld.clips.motion import Background, Clip, MovingObject, drift, zoom_about
from miniworld.drawing.blur import box_blur
from miniworld.drawing.camera import random_light
from miniworld.drawing.compose import Placed, backdrop, compose
from miniworld.drawing.geometry import Array, Light, Pose
from miniworld.drawing.paint import hsv, lattice_noise
from miniworld.objects.families import FAMILIES, Individual
from miniworld.scenes.canvas import Canvas
from miniworld.scenes.scene_types import SCENE_TYPES

__all__ = ["chairs_clip", "davis_clip", "driving_clip", "final_pass", "monkaa_clip"]

_VARIATION = 0.06  # of an individual about its class, as in the other parts


def chairs_clip(rng: np.random.Generator, height: int, width: int) -> Clip:
    """Two frames in which background and objects move at random: FlyingChairs' counterpart."""
    light = random_light(rng)
    background = (
        _random_texture(rng, height, width) if rng.random() < 0.5 else _drawn_scene(rng, height, width, light, decor=0)
    )
    pan = _step(rng, 0.02 * height)
    base = drift(_still(background, height, width), 2, *pan, rng.normal(0, 0.02), math.exp(rng.normal(0, 0.02)))
    objects = [MovingObject(background, base, light)]
    for _ in range(int(rng.integers(2, 6))):
        start = _somewhere(rng, height, width, (0.14, 0.36))
        step = _plus(pan, _step(rng, 0.03 * height))
        turn, zoom = rng.normal(0, 0.08), math.exp(rng.normal(0, 0.04))
        objects.append(MovingObject(_anyone(rng), drift(start, 2, *step, turn, zoom), light))
    return Clip(height, width, tuple(objects))


def monkaa_clip(rng: np.random.Generator, height: int, width: int, frames: int) -> Clip:
    """Many objects tumbling before a panning camera: Monkaa's counterpart."""
    light = random_light(rng)
    background = _drawn_scene(rng, height, width, light, decor=2)
    pan = _step(rng, 0.022 * height)
    still = _still(background, height, width)
    objects = [MovingObject(background, drift(_centred(still, frames, *pan), frames, *pan), light)]
    for _ in range(int(rng.integers(4, 8))):
        start = _somewhere(rng, height, width, (0.1, 0.3))
        step = _plus(pan, _step(rng, 0.03 * height))
        poses = drift(_centred(start, frames, *step), frames, *step, rng.normal(0, 0.07), math.exp(rng.normal(0, 0.02)))
        objects.append(MovingObject(_anyone(rng), poses, light))
    return Clip(height, width, tuple(objects))


def driving_clip(rng: np.random.Generator, height: int, width: int, frames: int, rate: float) -> Clip:
    """A road scene that the camera nears by a share of `rate` a frame (leaves, if negative): Driving's counterpart."""
    light = random_light(rng)
    background = _drawn_scene(rng, height, width, light, decor=4, scene_type="street")
    x, y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.35, 0.5)
    zoom = 1 + rate
    # Half of the way lies before the scene as it is drawn, half behind it.
    poses = zoom_about(_shrunk(_still(background, height, width), x, y, zoom ** (-frames / 2)), frames, x, y, zoom)
    objects = [MovingObject(background, poses, light)]
    for _ in range(int(rng.integers(3, 6))):
        start = _somewhere(rng, height, width, (0.1, 0.25))
        nearer = 1 + rate * rng.uniform(1.0, 1.6)
        ways = zoom_about(_shrunk(start, x, y, nearer ** (-frames / 2)), frames, x, y, nearer)
        aside = rng.normal(0, 0.012) * height
        ways = tuple(dataclasses.replace(pose, x=pose.x + k * aside) for k, pose in enumerate(ways))
        objects.append(MovingObject(_anyone(rng, ("car", "plane", "bird", "flower")), ways, light))
    return Clip(height, width, tuple(objects))


def davis_clip(rng: np.random.Generator, height: int, width: int, frames: int) -> Clip:
    """One object, the last, that moves before a scene in which others lie still: DAVIS's counterpart."""
    light = random_light(rng)
    background = _drawn_scene(rng, height, width, light, decor=3)
    pan = _step(rng, 0.015 * height)
    poses = drift(_centred(_still(background, height, width), frames, *pan), frames, *pan)
    start = Pose(
        width * rng.uniform(0.3, 0.7), height * rng.uniform(0.35, 0.65), height * rng.uniform(0.28, 0.45),
        rng.uniform(-0.3, 0.3), mirror=bool(rng.random() < 0.5),
    )  # fmt: skip
    around, speed = rng.uniform(0, 2 * math.pi), height * rng.uniform(0.02, 0.045)
    step = _plus(pan, (speed * math.cos(around), 0.5 * speed * math.sin(around)))
    way = drift(_centred(start, frames, *step), frames, *step, rng.normal(0, 0.04), math.exp(rng.normal(0, 0.015)))
    return Clip(height, width, (MovingObject(background, poses, light), MovingObject(_anyone(rng), way, light)))


def final_pass(rng: np.random.Generator, images: list[Array]) -> list[Array]:
    """Return the frames (3, H, W) of a clip with blur and haze, alike in all of them: Scene Flow's second rendering."""
    haze = np.asarray(hsv(rng.random(), rng.uniform(0, 0.3), rng.uniform(0.55, 0.9)), dtype=np.float32)[:, None, None]
    thick = np.linspace(rng.uniform(0.2, 0.45), rng.uniform(0.0, 0.2), images[0].shape[1], dtype=np.float32)[:, None]
    size = int(rng.integers(2, 5))
    return [box_blur(image, size) * (1 - thick) + haze * thick for image in images]


def _step(rng: np.random.Generator, spread: float) -> tuple[float, float]:
    """A random shift in pixels a frame, each axis with that standard deviation."""
    dx, dy = rng.normal(0, spread, 2)
    return float(dx), float(dy)


def _plus(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return first[0] + second[0], first[1] + second[1]


def _random_texture(rng: np.random.Generator, height: int, width: int) -> Background:
    return _with_grain(rng, backdrop(rng, 2 * height, 2 * width, rng.uniform(0.6, 1.5)))


def _drawn_scene(
    rng: np.random.Generator, height: int, width: int, light: Light, decor: int, scene_type: str | None = None
) -> Background:
    """A drawn scene twice as large as the frame, with up to `decor` objects painted on it."""
    names = list(SCENE_TYPES)
    name = names[int(rng.integers(len(names)))] if scene_type is None else scene_type
    canvas = Canvas(2 * height, 2 * width, light)
    SCENE_TYPES[name](canvas, rng)
    count = int(rng.integers(decor + 1))
    objects = [Placed(_anyone(rng), _somewhere(rng, 2 * height, 2 * width, (0.1, 0.18))) for _ in range(count)]
    return _with_grain(rng, compose(canvas.image, objects, light).image)


def _with_grain(rng: np.random.Generator, image: Array) -> Background:
    """A picture (3, h, w) as a background with a grain of its own: what shows nothing shows no motion either."""
    _, height, width = image.shape
    cells = rng.random((height // 3, width // 3), dtype=np.float32) - np.float32(0.5)
    grain = lattice_noise(cells, height, width) * np.float32(rng.uniform(0.15, 0.6))
    # Sampling between pixels would alias what is as fine as they are, and change it from frame to frame.
    return Background(box_blur(np.clip(image * (1 + grain), 0, 1), 2))


def _still(background: Background, height: int, width: int) -> Pose:
    """The pose that shows the middle of a background pixel by pixel."""
    return Pose(width / 2, height / 2, background.image.shape[1] / 2)


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
    """An individual of any class of one of the families."""
    return FAMILIES[families[int(rng.integers(len(families)))]].any_individual(rng, _VARIATION)
