"""Decoded examples, kept where memory allows: one cache, and what it holds for each kind of data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from l2sp_suite.datasets.images import Decode, Files, Pair, load_image
from l2sp_suite.utils.errors import UserError

__all__ = ["Cache", "frame_cache", "image_cache", "map_cache"]

V = TypeVar("V", bound="Tensor | Pair")

_LIMIT = 1 << 30  # bytes


class Cache(Generic[V]):
    """Decoded examples by their files, kept until `limit_bytes` are used.

    Later ones are decoded at each call.
    With loader workers each process fills a cache of its own: prefer workers=0 where all examples fit.
    """

    def __init__(self, decode: Callable[[Files], V], limit_bytes: int = _LIMIT) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._decode = decode
        self._examples: dict[Files, V] = {}

    def __len__(self) -> int:
        return len(self._examples)

    def load(self, files: Files) -> V:
        """The decoded example; raises what `decode` raises.

        Tensors are shared: do not write into them.
        """
        if files in self._examples:
            return self._examples[files]
        example = self._decode(files)
        size = example.nbytes if isinstance(example, Tensor) else sum(part.nbytes for part in example)
        if self.used_bytes + size <= self.limit_bytes:
            self._examples[files] = example
            self.used_bytes += size
        return example


def image_cache(short_side: int | None = None, limit_bytes: int = _LIMIT) -> Cache[Tensor]:
    """Images uint8 (3, H, W) by (path,).

    `short_side` (pixels): images with a longer short side are reduced to it, once, aspect kept, antialiased.
    That saves memory and time, but the protocol crops the full image. None sets no limit.
    """
    if short_side is not None and short_side < 1:
        raise UserError(f"the cache's short side must be at least 1 pixel, found {short_side}")
    return Cache(partial(_image, short_side), limit_bytes)


def map_cache(decode: Decode, limit_bytes: int = _LIMIT) -> Cache[Pair]:
    """Images uint8 (3, H, W) with label maps uint8 (H, W) by (image, map).

    `decode` reads a map.
    `load` raises UserError for a file that cannot be decoded, and for a map of another size than its image.
    """
    return Cache(partial(_image_and_map, decode), limit_bytes)


def frame_cache(decode: Decode, limit_bytes: int = _LIMIT) -> Cache[Pair]:
    """Frames uint8 (2, 3, H, W) with truth (..., H, W) by (first, second, truth).

    `decode` reads a truth.
    `load` raises UserError for a file that cannot be decoded, and for one of another size than the first frame.
    """
    return Cache(partial(_frames_and_truth, decode), limit_bytes)


def _image(short_side: int | None, files: Files) -> Tensor:
    image = load_image(files[0])
    if short_side is not None and min(image.shape[-2:]) > short_side:
        image = F.resize(image, [short_side], antialias=True)
    return image.contiguous()


def _image_and_map(decode: Decode, files: Files) -> Pair:
    image, labels = load_image(files[0]), decode(files[1])
    _check_size(files, 1, labels, image)
    return image.contiguous(), labels


def _frames_and_truth(decode: Decode, files: Files) -> Pair:
    first, truth = load_image(files[0]), decode(files[2])
    second = first if files[1] == files[0] else load_image(files[1])
    _check_size(files, 1, second, first)
    _check_size(files, 2, truth, first)
    return torch.stack([first, second]), truth


def _check_size(files: Files, number: int, decoded: Tensor, image: Tensor) -> None:
    """Raise UserError unless file `number` of an example has the height and width of its first one."""
    (height, width), (image_height, image_width) = decoded.shape[-2:], image.shape[-2:]
    if (height, width) != (image_height, image_width):
        raise UserError(
            f"{files[number]}: has {width}x{height} pixels, but its image {files[0].name} {image_width}x{image_height};"
            " unpack the data set again"
        )
