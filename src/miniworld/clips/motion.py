"""Clips with their exact optical flow: objects, each with a pose a frame, before a moving background."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniworld.drawing.compose import Drawable
from miniworld.drawing.geometry import Array, Light, Pose, Reach, whole
from miniworld.drawing.paint import Layer

__all__ = ["Background", "Clip", "Frame", "MovingObject", "drift", "zoom_about"]


@dataclass(frozen=True, eq=False)
class Background:
    """A picture (3, h, w) in [0, 1] as an endless plane: its rim goes on. The unit is half its height."""

    image: Array
    reach: Reach = (-1e3, -1e3, 1e3, 1e3)

    def paint(self, u: Array, v: Array, pixel: float, light: Light) -> Layer:
        """The picture at canonical points, bilinearly; opaque."""
        _, height, width = self.image.shape
        unit = np.float32(height / 2)
        x = np.clip(u * unit + np.float32((width - 1) / 2), 0, width - 1)
        y = np.clip(v * unit + np.float32((height - 1) / 2), 0, height - 1)
        left = np.minimum(x.astype(np.intp), width - 2)
        top = np.minimum(y.astype(np.intp), height - 2)
        fx, fy = (x - left).astype(np.float32), (y - top).astype(np.float32)
        flat, at = self.image.reshape(3, -1), top * width + left
        upper = flat[:, at] * (1 - fx) + flat[:, at + 1] * fx
        lower = flat[:, at + width] * (1 - fx) + flat[:, at + width + 1] * fx
        return Layer(upper * (1 - fy) + lower * fy, np.ones_like(fx))


@dataclass(frozen=True)
class MovingObject:
    """An object and its pose in every frame. `light` is in the object's own axes: its shading moves with it."""

    item: Drawable
    poses: tuple[Pose, ...]
    light: Light


@dataclass(frozen=True)
class Frame:
    """`image` (3, H, W) in [0, 1]; `owner` (H, W): number of the object that a pixel belongs to."""

    image: Array
    owner: NDArray[np.intp]


@dataclass(frozen=True)
class Clip:
    """Moving objects from back to front, all with as many poses; the first is a background that fills every frame."""

    height: int
    width: int
    objects: tuple[MovingObject, ...]

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.objects[0].poses)

    def frame(self, time: int) -> Frame:
        """One picture; a pixel belongs to the foremost object that covers more than half of it."""
        image: Array = np.zeros((3, self.height, self.width), dtype=np.float32)
        owner = np.zeros((self.height, self.width), dtype=np.intp)
        for number, moving in enumerate(self.objects):
            pose = moving.poses[time]
            window = pose.bounds(moving.item.reach, self.height, self.width)
            if window.empty:
                continue
            u, v = pose.to_canonical(window)
            layer = moving.item.paint(u, v, pose.pixel(), moving.light)
            rows, columns = window.slices
            image[:, rows, columns] = image[:, rows, columns] * (1 - layer.alpha) + layer.rgb
            owner[rows, columns][layer.alpha > 0.5] = number
        return Frame(image, owner)

    def flow(self, time: int, other: int, frame: Frame | None = None) -> Array:
        """Where each pixel of frame ``time`` is in frame ``other``, less where it was: (2, H, W), right and down.

        Exact, also where the other frame does not show the point: hidden there, or outside. ``frame``: that of
        ``time``, where it is at hand.
        """
        owner, out = (frame or self.frame(time)).owner, np.zeros((2, self.height, self.width), dtype=np.float32)
        window = whole(self.height, self.width)
        x, y = window.centres()
        for number in np.unique(owner):
            moving, mine = self.objects[number], owner == number
            there = moving.poses[other].to_image(*moving.poses[time].to_canonical(window))
            for axis, (to, here) in enumerate(zip(there, (x, y), strict=True)):
                out[axis][mine] = (to - here)[mine]
        return out


def drift(pose: Pose, frames: int, dx: float, dy: float, turn: float = 0.0, zoom: float = 1.0) -> tuple[Pose, ...]:
    """Poses of a steady motion: pixels, radians and factor a frame."""
    return tuple(
        dataclasses.replace(
            pose, x=pose.x + k * dx, y=pose.y + k * dy, angle=pose.angle + k * turn, scale=pose.scale * zoom**k
        )
        for k in range(frames)
    )


def zoom_about(pose: Pose, frames: int, x: float, y: float, zoom: float) -> tuple[Pose, ...]:
    """Poses as the camera nears (factor above 1) or leaves the point (x, y) of the picture."""
    return tuple(
        dataclasses.replace(
            pose, x=x + (pose.x - x) * zoom**k, y=y + (pose.y - y) * zoom**k, scale=pose.scale * zoom**k
        )
        for k in range(frames)
    )
