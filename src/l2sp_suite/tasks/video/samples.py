"""Samples for people: frames, masks laid over them, flow in the usual colour wheel, as PNG files."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import flow_to_image

from l2sp_suite.datasets import IGNORED

__all__ = ["flow_pictures", "mask_pictures"]

_TINT = (255, 64, 0)


def mask_pictures(name: str, frame: Tensor, truth: Tensor, prediction: Tensor) -> dict[str, bytes]:
    """Files of one frame by name: the frame, and the two masks over it.

    Args:
        name: begins the files' names.
        frame: uint8 (3, H, W).
        truth: (H, W) of 0, 1 and 255 for unlabelled pixels.
        prediction: (H, W) of 0 and 1.
    """
    pictures = {"image": frame, "truth": _over(frame, truth), "prediction": _over(frame, prediction)}
    return {f"{name}-{kind}.png": _png(picture) for kind, picture in pictures.items()}


def flow_pictures(name: str, frame: Tensor, truth: Tensor, prediction: Tensor) -> dict[str, bytes]:
    """Files of one pair by name: the first frame, true and predicted flow in the truth's own colours.

    Args:
        name: begins the files' names.
        frame: uint8 (3, H, W).
        truth: (3, H, W): u, v in pixels, valid; what is not valid is black.
        prediction: (2, H, W) in pixels.
    """
    longest = float(torch.linalg.vector_norm(truth[:2] * truth[2:], dim=0).max().clamp_min(1e-3))
    known = (truth[2:] > 0.5).to(torch.uint8)
    pictures = {"image": frame, "truth": _wheel(truth[:2], longest) * known, "prediction": _wheel(prediction, longest)}
    return {f"{name}-{kind}.png": _png(picture) for kind, picture in pictures.items()}


def _wheel(flow: Tensor, longest: float) -> Tensor:
    """Colours uint8 (3, H, W): hue by direction, saturation by length up to `longest`."""
    lengths = torch.linalg.vector_norm(flow, dim=0, keepdim=True).clamp_min(1e-6)
    shortened = flow * (longest / lengths).clamp_max(1)
    # The wheel is scaled by the longest vector of what it is given: one such vector is added, and cut off again.
    marked = torch.cat([shortened, flow.new_zeros(2, 1, flow.shape[-1])], dim=1)
    marked[0, -1, 0] = longest
    colours: Tensor = flow_to_image(marked)
    return colours[:, :-1]


def _over(frame: Tensor, mask: Tensor) -> Tensor:
    """The frame, bright where the mask is 1 and dim elsewhere; unlabelled pixels are black."""
    tint = torch.tensor(_TINT, dtype=torch.float32)[:, None, None]
    values = frame.float()
    shown = torch.where(mask == 1, 0.5 * values + 0.5 * tint, 0.6 * values)
    return (shown * (mask != IGNORED)).round().to(torch.uint8)


def _png(picture: Tensor) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(out, "PNG", optimize=True)
    return out.getvalue()
