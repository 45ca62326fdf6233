"""The smallest copies of the layouts of videos: a few clips of two or three frames of 12 x 10 pixels."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tiny_sets
import torch
from PIL import Image
from torch import Tensor

HEIGHT, WIDTH = 10, 12  # of tiny_sets.image
READERS = ("davis2016", "monkaa_clean", "monkaa_final", "driving_clean", "driving_final", "flying_chairs")
SCENE_FLOW = READERS[1:5]
DAVIS = {"train": {"bear": 3, "boat": 2}, "val": {"camel": 2, "dog": 3}}
SCENES = {
    "monkaa": {"family_x2": 3, "top_view_x2": 2, "eating_x2": 3},
    "driving": {
        "15mm_focallength/scene_backwards/fast": 2,
        "35mm_focallength/scene_forwards/fast": 3,
        "35mm_focallength/scene_forwards/slow": 3,
    },
}
MARKS = (1, 2, 1, 1, 2)
DAVIS_LISTS = ("ImageSets/480p/train.txt", "ImageSets/480p/val.txt")
CHAIRS_LIST = "FlyingChairs_train_val.txt"
TEXTS = {"davis2016": DAVIS_LISTS, "flying_chairs": (CHAIRS_LIST,)}


def write(name: str, root: Path) -> Path:
    """Write the set of reader `name` into `root`; returns it."""
    root.mkdir(parents=True, exist_ok=True)
    if name == "davis2016":
        davis(root)
    elif name == "flying_chairs":
        chairs(root)
    else:
        half, finish = name.split("_")
        for scene, frames in SCENES[half].items():
            write_scene(root, finish, scene, frames)
    return root


def field(shade: int) -> Tensor:
    """A flow as `load_flow` returns it: float32 (3, 10, 12)."""
    motion = np.random.default_rng(shade).normal(0, 3, (2, HEIGHT, WIDTH)).astype(np.float32)
    return torch.cat([torch.from_numpy(motion), torch.ones(1, HEIGHT, WIDTH)])


def flo(field: Tensor) -> bytes:
    """Middlebury's file of a field; unknown vectors are stored as 1e10."""
    height, width = field.shape[1:]
    vectors = torch.where(field[2] == 1, field[:2], 1e10).permute(1, 2, 0)
    return b"PIEH" + struct.pack(f"<ii{vectors.numel()}f", width, height, *vectors.flatten().tolist())


def pfm(field: Tensor, order: str = "<", header: bytes | None = None) -> bytes:
    """Scene Flow's file of a field, the bottom row first; unknown vectors are stored as NaN."""
    height, width = field.shape[1:]
    rows = torch.cat([torch.where(field[2] == 1, field[:2], torch.nan), field[2:] * 7]).permute(1, 2, 0).flip(0)
    header = header or b"PF\n%d %d\n%s\n" % (width, height, b"-1" if order == "<" else b"1")
    return header + struct.pack(f"{order}{rows.numel()}f", *rows.flatten().tolist())


def flow(path: Path, field: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(flo(field) if path.suffix == ".flo" else pfm(field))


def mask(path: Path, values: np.ndarray, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).convert(mode).save(path)


def davis_line(clip: str, number: int) -> str:
    return f"/JPEGImages/480p/{clip}/{number:05d}.jpg /Annotations/480p/{clip}/{number:05d}.png"


def davis(root: Path) -> None:
    for (part, clips), file in zip(DAVIS.items(), DAVIS_LISTS, strict=True):
        for clip, frames in clips.items():
            for number in range(frames):
                tiny_sets.image(root / f"JPEGImages/480p/{clip}/{number:05d}.jpg", number)
                square = np.zeros((HEIGHT, WIDTH), np.uint8)
                square[2:6, number : number + 4] = 255
                mask(root / f"Annotations/480p/{clip}/{number:05d}.png", square)
        # The space at the end of a line is the release's own.
        lines = (f"{davis_line(clip, n)} " for clip, frames in DAVIS[part].items() for n in range(frames))
        tiny_sets.text(root / file, lines)


def scene_flow_file(scene: str, direction: str, number: int, side: str = "left") -> str:
    """Path of a flow file; `direction`: "Future" or "Past"."""
    folder = f"optical_flow/{scene}/into_{direction.lower()}/{side}"
    return f"{folder}/OpticalFlowInto{direction}_{number:04d}_{side[0].upper()}.pfm"


def write_scene(root: Path, finish: str, scene: str, frames: int, suffix: str = "png") -> None:
    """Write both views of a scene, with flow of every frame in both directions, as the release has."""
    for side in ("left", "right"):
        for number in range(1, frames + 1):
            tiny_sets.image(root / f"frames_{finish}pass/{scene}/{side}/{number:04d}.{suffix}", number)
            for k, direction in enumerate(("Future", "Past")):
                flow(root / scene_flow_file(scene, direction, number, side), field(10 * number + k))


def chairs(root: Path) -> None:
    for number in range(1, len(MARKS) + 1):
        for k in (1, 2):
            tiny_sets.image(root / f"data/{number:05d}_img{k}.ppm", 10 * number + k)
        flow(root / f"data/{number:05d}_flow.flo", field(number))
    tiny_sets.text(root / CHAIRS_LIST, map(str, MARKS))
