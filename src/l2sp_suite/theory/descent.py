"""Figure 1 computed: where L2 and L2-SP end on a quadratic risk of two weights (protocol 6).

The regulariser is drawn as the disc that it admits. Descent is on risk + m/2 ||w - c||^2, where m is the multiplier for
which the penalised minimum lies on the disc's edge: the constrained minimum, reached on a smooth path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PANELS", "SCENE", "Panel", "Scene", "Trajectory", "descend"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A risk 1/2 (w - star)' curvature (w - star) over two weights, its minimum, and the pre-trained weights w0."""

    curvature: Vector
    star: Vector
    w0: Vector

    def risk(self, w: Vector) -> Vector:
        """The risk at points (..., 2): shape (...)."""
        away = w - self.star
        return np.asarray(0.5 * np.einsum("...i,ij,...j->...", away, self.curvature, away))


@dataclass(frozen=True)
class Panel:
    """What is regularised: a disc around `centre`, and where descent begins."""

    title: str
    centre: Vector
    start: Vector
    radius: float


@dataclass(frozen=True)
class Trajectory:
    """A descent: its points (steps + 1, 2), the multiplier of the penalty, and the risk at its end."""

    points: Vector
    multiplier: float
    risk: float

    @property
    def end(self) -> Vector:
        """Where it ends (2,)."""
        return np.asarray(self.points[-1])


def _scene() -> Scene:
    angle = math.radians(-35)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return Scene(turn @ np.diag([1.0, 4.0]) @ turn.T, np.array([2.4, 1.5]), np.array([1.65, 2.05]))


SCENE = _scene()
_ORIGIN = np.zeros(2)
PANELS = (
    Panel("L2, from scratch", _ORIGIN, _ORIGIN, 1.5),
    Panel("L2, fine-tuning", _ORIGIN, SCENE.w0, 1.5),
    Panel("L2-SP, fine-tuning", SCENE.w0, SCENE.w0, 0.55),
)


def descend(scene: Scene, panel: Panel, rate: float = 0.02, steps: int = 3000) -> Trajectory:
    """Gradient descent on the penalised risk from the panel's start, which it need not share with the disc.

    Raises `ValueError` if the unregularised minimum lies inside the disc: then nothing is regularised.
    """
    multiplier = _multiplier(scene, panel)
    points = [panel.start]
    for _ in range(steps):
        w = points[-1]
        points.append(w - rate * (scene.curvature @ (w - scene.star) + multiplier * (w - panel.centre)))
    return Trajectory(np.array(points), multiplier, float(scene.risk(points[-1])))


def _multiplier(scene: Scene, panel: Panel) -> float:
    """By bisection: the stronger the penalty, the nearer its minimum to the centre."""
    if np.linalg.norm(scene.star - panel.centre) <= panel.radius:
        raise ValueError(f"{panel.title}: the minimum of the risk lies inside the disc of radius {panel.radius}")

    def distance(m: float) -> float:
        minimum = np.linalg.solve(scene.curvature + m * np.eye(2), scene.curvature @ scene.star + m * panel.centre)
        return float(np.linalg.norm(minimum - panel.centre))

    low, high = 0.0, 1.0
    while distance(high) > panel.radius:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if distance(middle) > panel.radius else (low, middle)
    return (low + high) / 2
