"""What a contact sheet shows of the clips, read as training reads them: frames with masks, or above their flow."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:  # it brings torch, which importing the miniature must not
    from l2sp_suite.datasets import Video

__all__ = ["Block", "clip_blocks"]

Block = tuple[str, list[list[Image.Image]]]
"""A label and rows of pictures, all of one size; those of a column belong together."""

_OUTLINE = (255, 235, 60)  # of masks


def clip_blocks(root: Path, room: int, gap: int) -> list[Block]:
    """DAVIS, Monkaa, Driving and the chairs: of each the clips that fit into ``room`` pixels, ``gap`` with each."""
    from l2sp_suite import datasets

    read = partial(datasets.read, datasets.Video)

    davis = read("davis2016", root / "DAVIS")
    ends = [_masked(davis, _shown(davis, room, gap, place)) for place in (0, -1)]
    blocks = [("davis: first\nand last frames,\nwith masks outlined", ends)]
    for half in ("monkaa", "driving"):
        clean, final = (read(f"{half}_{finish}", root / half) for finish in ("clean", "final"))
        shown = _shown(clean, room, gap)
        rows = [_frames(shown), _frames(_shown(final, room, gap)), _wheels(clean, shown)]
        blocks.append((f"{half}: clean,\nfinal, and the flow\nto the next frame", rows))
    chairs = read("flying_chairs", root / "FlyingChairs_release")
    shown = _shown(chairs, room, gap)
    return [*blocks, ("chairs: first\nframes, and the flow\nto the second", [_frames(shown), _wheels(chairs, shown)])]


def _shown(data: Video, room: int, gap: int, place: int = 0) -> list[tuple[Path, Path]]:
    """Frame and truth of the pair at ``place`` of each clip, first those to train on; at least one clip."""
    with Image.open(data.train.first[0]) as image:
        count = max(1, room // (image.width + gap))
    clips: dict[str, list[tuple[Path, Path]]] = {}
    for pairs in (data.train, data.test):
        for first, truth, clip in zip(pairs.first, pairs.truth, pairs.sequences, strict=True):
            clips.setdefault(clip, []).append((first, truth))
    return [rows[place] for rows in list(clips.values())[:count]]


def _frames(shown: list[tuple[Path, Path]]) -> list[Image.Image]:
    return [Image.open(first).convert("RGB") for first, _ in shown]


def _masked(data: Video, shown: list[tuple[Path, Path]]) -> list[Image.Image]:
    """The frames with their masks outlined: the line is outside, the mask left as it is."""
    pictures = []
    for frame, (_, truth) in zip(_frames(shown), shown, strict=True):
        mask = Image.fromarray(np.asarray(data.decode(truth)) * np.uint8(255))
        rim = np.asarray(mask.filter(ImageFilter.MaxFilter(3))) > np.asarray(mask)
        frame.paste(_OUTLINE, mask=Image.fromarray(rim))
        pictures.append(frame)
    return pictures


def _wheels(data: Video, shown: list[tuple[Path, Path]]) -> list[Image.Image]:
    """The flows: hue by direction, saturation by length, in units of the longest of each picture."""
    from torchvision.utils import flow_to_image

    fields = (flow_to_image(data.decode(truth)[:2]) for _, truth in shown)
    return [Image.fromarray(np.ascontiguousarray(field.permute(1, 2, 0).numpy())) for field in fields]
