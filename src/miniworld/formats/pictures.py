"""JPEG, PNG and PPM pictures, and lists of lines, as bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["jpeg", "label_map", "lines", "pascal_palette", "png", "ppm"]

Pixels = NDArray[np.uint8]


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels))


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode (H, W, 3) without chroma subsampling."""
    return _encoded(_image(pixels), "JPEG", quality=quality, subsampling=0)


def png(pixels: Pixels) -> bytes:
    """Encode (H, W) as grey levels or (H, W, 3) as RGB."""
    return _encoded(_image(pixels), "PNG")


def ppm(pixels: Pixels) -> bytes:
    """Encode (H, W, 3)."""
    return _encoded(_image(pixels), "PPM")


def label_map(labels: Pixels) -> bytes:
    """Encode labels (H, W) as a PNG of indices into PASCAL VOC's colours."""
    indexed = _image(labels)
    indexed.putpalette(pascal_palette())
    return _encoded(indexed, "PNG")


@cache
def pascal_palette() -> tuple[int, ...]:
    """Return PASCAL VOC's 256 RGB triples in one row: the bits of a value are spread over the channels."""
    return tuple(
        sum(((value >> (3 * place + channel)) & 1) << (7 - place) for place in range(8))
        for value in range(256)
        for channel in range(3)
    )


def lines(rows: Iterable[str]) -> bytes:
    """Encode a text file of one row a line."""
    return "".join(f"{row}\n" for row in rows).encode()
