"""Image files to tensors, decoded once where memory allows."""

from __future__ import annotations

from pathlib import Path

import torchvision.transforms.v2.functional as F
from PIL import Image
from torch import Tensor

from l2sp.errors import UserError

__all__ = ["ImageCache", "load_image"]


def load_image(path: Path) -> Tensor:
    """Decode an image file to RGB: uint8 (3, H, W), values 0 .. 255, in the orientation that is stored.

    Raises UserError, naming the file, if it is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            decoded: Tensor = F.pil_to_tensor(image.convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such image; unpack the data set again") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be decoded ({reason}); unpack it again") from None
    return decoded


class ImageCache:
    """Decoded images by path, kept until `limit_bytes` are used; later ones are decoded at each call.

    `short_side` (pixels): images with a longer short side are reduced to it, once, aspect kept, antialiased.
    That saves memory and time, but the protocol crops the full image. None sets no limit.
    With loader workers each process fills a cache of its own: prefer workers=0 where all images fit.
    """

    def __init__(self, short_side: int | None = None, limit_bytes: int = 1 << 30) -> None:
        if short_side is not None and short_side < 1:
            raise UserError(f"the cache's short side must be at least 1 pixel, found {short_side}")
        self.short_side = short_side
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._images: dict[Path, Tensor] = {}

    def __len__(self) -> int:
        return len(self._images)

    def load(self, path: Path) -> Tensor:
        """Return what `load_image` does, reduced if asked. The tensor is shared: do not write into it."""
        if path in self._images:
            return self._images[path]
        image = self._reduce(load_image(path)).contiguous()
        if self.used_bytes + image.nbytes <= self.limit_bytes:
            self._images[path] = image
            self.used_bytes += image.nbytes
        return image

    def _reduce(self, image: Tensor) -> Tensor:
        if self.short_side is None or min(image.shape[-2:]) <= self.short_side:
            return image
        reduced: Tensor = F.resize(image, [self.short_side], antialias=True)
        return reduced
