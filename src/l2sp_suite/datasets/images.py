"""Image files to tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image
from torch import Tensor

from l2sp_suite.utils.errors import UserError

__all__ = ["IGNORED", "Decode", "Files", "Pair", "image_size", "load_image", "load_indices", "resize_map"]

IGNORED = 255
"""Value of a pixel that has no label: it counts neither in a loss nor in a metric."""

Files = tuple[Path, ...]
"""The files of one example: an image; an image and its label map; two frames and their truth."""

Pair = tuple[Tensor, Tensor]
"""An image (3, H, W) and its label map (H, W), or frames (2, 3, H, W) and their truth (..., H, W)."""

Decode = Callable[[Path], Tensor]
"""Reads a file of truth: labels or a mask uint8 (H, W), or a flow float32 (3, H, W)."""


def load_image(path: Path) -> Tensor:
    """Decode an image file to RGB: uint8 (3, H, W), in the stored orientation.

    Raises UserError, naming the file, if it is missing, truncated or not an image.
    """
    with _opened(path) as image:
        decoded: Tensor = F.pil_to_tensor(image.convert("RGB"))
    return decoded


def load_indices(path: Path) -> Tensor:
    """Decode an 8-bit grey or palette image to its stored values: uint8 (H, W).

    A palette's colours play no role.
    Raises UserError, naming the file, if it is missing, truncated or of another mode or depth.
    """
    with _opened(path) as image:
        # Grey of 2 or 4 bits, which PIL stretches to 8.
        packed = any("L;" in str(tile.args) for tile in getattr(image, "tile", ()))
        if packed or image.mode not in ("L", "P"):
            depth = "packed grey" if packed else image.mode
            raise UserError(f"{path}: is no map of 8-bit labels (found mode {depth}); unpack the data set again")
        return torch.from_numpy(np.array(image))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels, from the head of the file.

    Raises UserError, naming the file, if it is missing or not an image.
    """
    with _opened(path) as image:
        return image.height, image.width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise UserError(f"{path}: no such image; unpack the data set again") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be decoded ({reason}); unpack it again") from None


def resize_map(labels: Tensor, height: int, width: int) -> Tensor:
    """Resize a map uint8 (H, W) by nearest neighbour, to the bit as PIL does."""
    resized = Image.fromarray(labels.numpy()).resize((width, height), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(resized))
