"""Transforms for videos: two frames and their truth, a mask or a flow, moved as one.

Frames are (2, 3, H, W), RGB of two times. A mask is uint8 (H, W) of 0, 1 and `IGNORED`. A flow is float32 (3, H, W):
u (pixels to the right) and v (pixels down) from frame 0 to frame 1, and valid (1 or 0); where that is 0, u and v mean
nothing.
A point of an image is (x, y) in pixels, x to the right and y down; pixel (row i, column j) has its centre at
(j + 0.5, i + 0.5). The time at these sizes goes into calls: hence few of torch's.
"""

from __future__ import annotations

import math

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from l2sp_suite.datasets.images import IGNORED, Pair, resize_map
from l2sp_suite.utils.errors import UserError

__all__ = ["RandomAffine", "resize_fields", "resize_flow", "resize_frames", "warp"]

Linear = tuple[tuple[float, float], tuple[float, float]]

_UNCHANGED = (((1.0, 0.0), (0.0, 1.0)), (0.0, 0.0))


class RandomAffine:
    """Resizes frames and truth, then moves them by one random affine map.

    `size`: (height, width).
    The map, about the image's centre c, takes p to q = c + L (p - c) + t: a horizontal flip with probability `flip`,
    a rotation (degrees, clockwise) uniform in +-`rotation` and a zoom by a factor uniform in [1-scale, 1+scale] make
    up L; t is uniform in +-`shift` of the width and of the height.
    Frames are sampled bilinearly, truths at the nearest pixel. A field of motion f becomes L f, as the motion of what
    the frames show. What lies outside the source is black, over whose edge the frames fade within half a pixel,
    and `IGNORED` or invalid (0, 0, 0).
    Draws from torch's CPU generator, the same number of values for every pair (see `transforms.seeded`).
    Raises UserError for a setting out of range.
    """

    def __init__(self, size: tuple[int, int], *, scale: float, shift: float, rotation: float, flip: float) -> None:
        _check(size, scale, shift, rotation, flip)
        self.size = (size[0], size[1])
        self.scale, self.shift, self.rotation, self.flip = scale, shift, rotation, flip

    def __call__(self, pair: Pair) -> Pair:
        """Transform frames uint8 to float32 (2, 3, h, w) in [0, 1], and their truth, same type, to (..., h, w).

        A truth that nothing changes is returned itself, not a copy.
        """
        linear, shift = self.draw()
        frames, truth = resize_frames(pair[0], self.size), _resize_truth(pair[1], self.size)
        if (linear, shift) == _UNCHANGED:
            return frames, truth
        grid = _grid(linear, shift, self.size)
        # The two frames as six channels: one call, which computes the weights once.
        moved = grid_sample(frames.reshape(1, 6, *self.size), grid, mode="bilinear", align_corners=False)
        sampled = _sample_mask(truth, grid) if truth.ndim == 2 else _sample_flow(truth, grid, linear)
        return moved.view(2, 3, *self.size), sampled

    def draw(self) -> tuple[Linear, tuple[float, float]]:
        """Draw L and t / (width, height); exactly 1 and 0 where all ranges are 0."""
        zoom, angle, x, y, flip = torch.rand(5, dtype=torch.float64).tolist()
        factor = 1 + (2 * zoom - 1) * self.scale
        radians = math.radians((2 * angle - 1) * self.rotation)
        mirror = -1 if flip < self.flip else 1
        cos, sin = factor * math.cos(radians), factor * math.sin(radians)
        linear = ((mirror * cos, -sin), (mirror * sin, cos))
        return linear, ((2 * x - 1) * self.shift, (2 * y - 1) * self.shift)


def resize_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize frames uint8 (..., 3, H, W) to float32 in [0, 1].

    `size`: (height, width); bilinear, antialiased.
    Frames of that size are only divided by 255.
    """
    resized: Tensor = F.resize(frames, list(size), antialias=True)
    return resized / 255


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a field of motion (..., 2, h, w), in pixels of the new size.

    `size`: (height, width); bilinear.
    Lets gradients through; for fields that are valid everywhere, such as predictions.
    """
    fields = interpolate(flow.reshape(-1, *flow.shape[-3:]), size=size, mode="bilinear", align_corners=False)
    return (fields * _ratio(flow, size)).view(*flow.shape[:-2], *size)


def resize_fields(fields: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize true fields (N, 3, H, W) of u, v and valid, in pixels of the new size.

    `size`: (height, width).
    Nearest, because what is not valid must not leak into its neighbours. Fields of that size are returned themselves.
    """
    if fields.shape[-2:] == size:
        return fields
    resized = interpolate(fields, size=size, mode="nearest-exact")
    resized[:, :2] *= _ratio(fields, size)
    return resized


def warp(frame: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Sample a frame float (3, H, W) bilinearly at p + flow(p), for pixel centres p.

    `flow`: (2, H, W), pixels.
    With the flow from frame 0 to frame 1, the second frame becomes the first, but for what is hidden or left.
    Returns (warped (3, H, W), inside bool (H, W)): outside the image, `warped` repeats the edge's pixels.
    """
    height, width = frame.shape[-2:]
    x = flow[0] + torch.arange(width, device=flow.device) + 0.5
    y = flow[1] + torch.arange(height, device=flow.device)[:, None] + 0.5
    grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
    warped = grid_sample(frame[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    return warped, (x >= 0) & (x <= width) & (y >= 0) & (y <= height)


def _grid(linear: Linear, shift: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """Return where each pixel of the result lies in the source: (1, h, w, 2), in [-1, 1] from edge to edge."""
    (a, b), (c, d) = linear
    det = a * d - b * c
    aspect = size[1] / size[0]  # the inverse of L in pixels, then in halves of the width and of the height
    xx, xy, yx, yy = d / det, -b / det / aspect, -c / det * aspect, a / det
    x, y = 2 * shift[0], 2 * shift[1]
    theta = torch.tensor([[[xx, xy, -xx * x - xy * y], [yx, yy, -yx * x - yy * y]]])
    return affine_grid(theta, [1, 1, *size], align_corners=False)


def _sample_mask(mask: Tensor, grid: Tensor) -> Tensor:
    below = mask.float() - IGNORED  # outside, torch samples 0: so let 0 stand for ignored
    sampled = grid_sample(below[None, None], grid, mode="nearest", align_corners=False)[0, 0]
    return sampled.add_(IGNORED).to(torch.uint8)


def _sample_flow(flow: Tensor, grid: Tensor, linear: Linear) -> Tensor:
    sampled = grid_sample(flow[None], grid, mode="nearest", align_corners=False)[0]
    sampled[:2] = (torch.tensor(linear) @ sampled[:2].flatten(1)).view_as(sampled[:2])
    return sampled


def _resize_truth(truth: Tensor, size: tuple[int, int]) -> Tensor:
    if truth.shape[-2:] == size:
        return truth
    if truth.ndim == 2:
        return resize_map(truth, *size)
    return resize_fields(truth[None], size)[0]


def _ratio(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (2, 1, 1): by what u and v grow when `flow` is resized to `size`."""
    return flow.new_tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]]).view(2, 1, 1)


def _check(size: tuple[int, int], scale: float, shift: float, rotation: float, flip: float) -> None:
    if len(size) != 2 or min(size) < 2:  # see transforms: torch cannot resize to 1
        raise UserError(f"the size must be (height, width), each at least 2 pixels, found {size}")
    if not 0 <= scale < 1:
        raise UserError(f"the range of the zoom must lie in [0, 1), found {scale}")
    for name, value, most in (("shift", shift, 1), ("rotation", rotation, 180), ("probability of a flip", flip, 1)):
        if not 0 <= value <= most:
            raise UserError(f"the {name} must lie in [0, {most}], found {value}")
