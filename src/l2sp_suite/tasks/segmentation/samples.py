"""Samples for people: an image, its label map and the prediction, as PNG files with one colour a class."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from torch import Tensor

from l2sp_suite.datasets import palette

__all__ = ["sample_pictures"]


# Class k has VOC's colour k + 1, as its colour 0, black, is for what has no label.
_COLOURS = [*palette()[3:], 0, 0, 0]


def sample_pictures(number: int, image: Tensor, truth: Tensor, prediction: Tensor) -> dict[str, bytes]:
    """Files of one sample by name.

    Args:
        number: of the sample, for the names.
        image: uint8 (3, H, W).
        truth: uint8 (H, W), classes and 255 for unlabelled pixels.
        prediction: classes (H, W).
    """
    return {
        f"{number}-image.png": _png(Image.fromarray(image.permute(1, 2, 0).numpy())),
        f"{number}-truth.png": _png(_index(truth)),
        f"{number}-prediction.png": _png(_index(prediction)),
    }


def _index(classes: Tensor) -> Image.Image:
    picture = Image.fromarray(classes.to("cpu").numpy().astype(np.uint8), mode="P")
    picture.putpalette(_COLOURS)
    return picture


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
