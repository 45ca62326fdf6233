"""Image and map files to tensors, decoded once where memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image
from torch import Tensor

from l2sp_suite.utils.errors import UserError

__all__ = [
    "Cache",
    "Decode",
    "ImageCache",
    "MapCache",
    "MomentCache",
    "Pair",
    "image_size",
    "load_image",
    "load_indices",
    "resize_map",
]

K = TypeVar("K")
V = TypeVar("V", bound="Tensor | tuple[Tensor, ...]")

Pair = tuple[Tensor, Tensor]
"""An image (3, H, W) and its map of labels (H, W)."""

Decode = Callable[[Path], Tensor]
"""Reads a file of truth: a map of labels uint8 (H, W), or a flow float32 (3, H, W)."""


def load_image(path: Path) -> Tensor:
    """Decode an image file to RGB: uint8 (3, H, W), values 0 .. 255, in the orientation that is stored.

    Raises UserError, naming the file, if it is missing, truncated or not an image.
    """
    with _opened(path) as image:
        decoded: Tensor = F.pil_to_tensor(image.convert("RGB"))
    return decoded


def load_indices(path: Path) -> Tensor:
    """Decode an 8-bit grey or palette image to its stored values: uint8 (H, W); a palette's colours play no role.

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
    """Resize a map uint8 (H, W) to (height, width) by nearest neighbour, to the bit as PIL does."""
    resized = Image.fromarray(labels.numpy()).resize((width, height), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(resized))


class Cache(Generic[K, V]):
    """What `read` returns by key, kept until `limit_bytes` are used; later ones are read at each call.

    With loader workers each process fills a cache of its own: prefer workers=0 where all items fit.
    """

    def __init__(self, read: Callable[[K], V], limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._read = read
        self._items: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._items)

    def load(self, key: K) -> V:
        """Return what `read` does, raising what it raises. Tensors are shared: do not write into them."""
        if key in self._items:
            return self._items[key]
        item = self._read(key)
        size = item.nbytes if isinstance(item, Tensor) else sum(part.nbytes for part in item)
        if self.used_bytes + size <= self.limit_bytes:
            self._items[key] = item
            self.used_bytes += size
        return item


class ImageCache(Cache[Path, Tensor]):
    """Decoded images by path: what `load_image` returns, reduced if asked. See `Cache`.

    `short_side` (pixels): images with a longer short side are reduced to it, once, aspect kept, antialiased.
    That saves memory and time, but the protocol crops the full image. None sets no limit.
    """

    def __init__(self, short_side: int | None = None, limit_bytes: int = 1 << 30) -> None:
        _check_side(short_side)
        self.short_side = short_side
        super().__init__(self._decoded, limit_bytes)

    def _decoded(self, path: Path) -> Tensor:
        return _reduced(load_image(path), self.short_side).contiguous()


class MapCache(Cache[tuple[Path, Path], Pair]):
    """Decoded pairs by (path of the image, path of its map): uint8 (3, H, W) and uint8 (H, W). See `Cache`.

    `decode` reads a map. `load` raises UserError for a file that cannot be decoded, and for a map of another size
    than its image.
    """

    def __init__(self, decode: Decode, limit_bytes: int = 1 << 30) -> None:
        self.decode = decode
        super().__init__(self._decoded, limit_bytes)

    def _decoded(self, key: tuple[Path, Path]) -> Pair:
        image, labels = load_image(key[0]), self.decode(key[1])
        if image.shape[1:] != labels.shape:
            _refuse_size(key[1], labels, key[0], image)
        return image.contiguous(), labels


class MomentCache(Cache[tuple[Path, Path, Path], Pair]):
    """Decoded pairs of frames by (first, second, truth): uint8 (2, 3, H, W), and a truth (..., H, W). See `Cache`.

    `decode` reads a truth. `load` raises UserError for a file that cannot be decoded, and for one of another size than
    the first frame.
    """

    def __init__(self, decode: Decode, limit_bytes: int = 1 << 30) -> None:
        self.decode = decode
        super().__init__(self._decoded, limit_bytes)

    def _decoded(self, key: tuple[Path, Path, Path]) -> Pair:
        first, truth = load_image(key[0]), self.decode(key[2])
        second = first if key[1] == key[0] else load_image(key[1])
        for path, other in ((key[1], second), (key[2], truth)):
            if other.shape[-2:] != first.shape[-2:]:
                _refuse_size(path, other, key[0], first)
        return torch.stack([first, second]), truth


def _refuse_size(path: Path, found: Tensor, image: Path, wanted: Tensor) -> NoReturn:
    (height, width), (wanted_height, wanted_width) = found.shape[-2:], wanted.shape[-2:]
    raise UserError(
        f"{path}: has {width}x{height} pixels, but its image {image.name} {wanted_width}x{wanted_height}; "
        "unpack the data set again"
    )


def _reduced(image: Tensor, short_side: int | None) -> Tensor:
    if short_side is None or min(image.shape[-2:]) <= short_side:
        return image
    reduced: Tensor = F.resize(image, [short_side], antialias=True)
    return reduced


def _check_side(short_side: int | None) -> None:
    if short_side is not None and short_side < 1:
        raise UserError(f"the cache's short side must be at least 1 pixel, found {short_side}")
