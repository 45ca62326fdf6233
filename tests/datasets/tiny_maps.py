"""The smallest copies of the layouts of label maps: 4 training images, 2 for validation where there are, 2 for test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
import tiny_sets
from PIL import Image

HEIGHT, WIDTH = 10, 12  # of tiny_sets.image
READER = {"pascal_png": "pascal_context", "pascal_mat": "pascal_context", "camvid": "camvid"}
TEXTS = {
    "pascal_png": ("ImageSets/SegmentationContext/train.txt", "ImageSets/SegmentationContext/val.txt"),
    "pascal_mat": ("ImageSets/Main/train.txt", "ImageSets/Main/val.txt"),
    "camvid": ("train.txt", "val.txt", "test.txt"),
}


def values(shade: int, low: int, high: int) -> np.ndarray:
    """A map as stored: uint8 (10, 12) of low .. high - 1."""
    return np.random.default_rng(shade).integers(low, high, (HEIGHT, WIDTH), dtype=np.uint8)


def write(name: str, root: Path) -> Path:
    """Write layout `name` (a key of `READER`) into `root`, for PASCAL-Context VOC2010 itself; returns it."""
    root.mkdir(parents=True, exist_ok=True)
    if name == "camvid":
        _camvid(root)
    else:
        _pascal(root, name == "pascal_png")
    return root


def png(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def mat(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"LabelMap": labels}, do_compression=True)


def _pascal(root: Path, as_png: bool) -> None:
    save: Callable[[Path, np.ndarray], None] = png if as_png else mat
    folder, suffix, lists = (
        ("SegmentationClassContext", "png", "SegmentationContext") if as_png else ("trainval", "mat", "Main")
    )
    for part, shades in (("train", range(4)), ("val", range(4, 6))):
        names = [f"2008_{shade:06d}" for shade in shades]
        for name, shade in zip(names, shades, strict=True):
            tiny_sets.image(root / f"JPEGImages/{name}.jpg", shade)
            save(root / f"{folder}/{name}.{suffix}", values(shade, 0, 60) if as_png else _numbers(shade))
        tiny_sets.text(root / f"ImageSets/{lists}/{part}.txt", names)


def _numbers(shade: int) -> np.ndarray:
    return np.random.default_rng(shade).integers(0, 460, (HEIGHT, WIDTH), dtype=np.uint16)


def _camvid(root: Path) -> None:
    for part, shades in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        for shade in shades:
            tiny_sets.image(root / f"{part}/{shade}.png", shade)
            png(root / f"{part}annot/{shade}.png", values(shade, 0, 12))
        prefix = f"/SegNet/CamVid/{part}"
        tiny_sets.text(root / f"{part}.txt", (f"{prefix}/{k}.png {prefix}annot/{k}.png" for k in shades))
