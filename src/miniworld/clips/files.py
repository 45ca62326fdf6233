"""The part of clips: moving pictures with masks or exact optical flow, in four layouts.

DAVIS/{JPEGImages,Annotations}/480p/<sequence>/NNNNN.{jpg,png}, ImageSets/480p/{train,val}.txt
monkaa, driving: frames_{clean,final}pass/<scene>/left/NNNN.png,
    optical_flow/<scene>/into_{future,past}/left/OpticalFlowInto{Future,Past}_NNNN_L.pfm
FlyingChairs_release/data/NNNNN_{img1,img2}.ppm, NNNNN_flow.flo, FlyingChairs_train_val.txt
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from miniworld.clips import sequences
from miniworld.clips.motion import Clip
from miniworld.clips.scene_names import SCENE_NAMES
from miniworld.drawing.camera import random_camera, to_bytes
from miniworld.drawing.paint import stream
from miniworld.formats.flow import flo, pfm
from miniworld.formats.pictures import jpeg, lines, png, ppm
from miniworld.recipes import ClipRecipe

__all__ = ["FOLDERS", "SequenceId", "annotate", "clip_of", "plan", "render"]

FOLDERS = {"davis": "DAVIS", "monkaa": "monkaa", "driving": "driving", "chairs": "FlyingChairs_release"}
"""Top folder of each data set."""


@dataclass(frozen=True)
class SequenceId:
    """A sequence of DAVIS, a scene of Monkaa or Driving, or a pair of FlyingChairs: data set, name and split."""

    dataset: str
    name: str
    split: str


def clip_of(recipe: ClipRecipe, sequence: SequenceId, shot: int = 0) -> Clip:
    """Return a clip of a sequence: a function of their ids and of the recipe, but for its numbers of sequences.

    Only the scenes of Monkaa and Driving have more than one shot.
    """
    shots = [shot] if sequence.dataset in ("monkaa", "driving") else []
    rng = stream(recipe.seed, "clip", sequence.dataset, sequence.name, *shots)
    size = recipe.height, recipe.width
    if sequence.dataset == "davis":
        return sequences.davis_clip(rng, *size, recipe.davis_frames)
    if sequence.dataset == "monkaa":
        return sequences.monkaa_clip(rng, *size, recipe.monkaa_frames)
    if sequence.dataset == "driving":
        return sequences.driving_clip(rng, *size, *_pace(recipe, sequence.name))
    return sequences.chairs_clip(rng, recipe.chairs_height, recipe.chairs_width)


def _pace(recipe: ClipRecipe, scene: str) -> tuple[int, float]:
    """Number of frames and rate of one of Driving's scenes."""
    focal, direction, speed = scene.split("/")
    frames, rate = (recipe.fast_frames, recipe.fast) if speed == "fast" else (recipe.slow_frames, recipe.slow)
    rate *= 1.2 if focal.startswith("35") else 0.8
    return frames, rate if direction.endswith("forwards") else -rate


def plan(recipe: ClipRecipe) -> dict[SequenceId, str]:
    """Return what the names of a sequence's files are made from: its data set's folder."""
    counts = (("train", recipe.davis_train), ("val", recipe.davis_val))
    ids = [SequenceId("davis", f"{split}-{k:03d}", split) for split, count in counts for k in range(count)]
    ids += [SequenceId(dataset, name, split) for (dataset, split), names in SCENE_NAMES.items() for name in names]
    pairs = recipe.chairs + recipe.chairs_val
    ids += [SequenceId("chairs", f"{k + 1:05d}", "train" if k < recipe.chairs else "val") for k in range(pairs)]
    return {sequence: FOLDERS[sequence.dataset] for sequence in ids if sequence.dataset in recipe.sets}


def render(recipe: ClipRecipe, sequence: SequenceId, path: str) -> tuple[dict[str, bytes], None]:
    """Return the files of one sequence, by path."""
    draw = {"davis": _davis, "chairs": _chairs}.get(sequence.dataset, _scene_flow)
    return {f"{path}/{name}": content for name, content in draw(recipe, sequence).items()}, None


def _davis(recipe: ClipRecipe, sequence: SequenceId) -> dict[str, bytes]:
    clip = clip_of(recipe, sequence)
    rng = stream(recipe.seed, "camera", sequence.name)
    camera, files = random_camera(rng, recipe.nuisance), {}
    for time in range(clip.length):
        frame = clip.frame(time)
        name = f"480p/{sequence.name}/{time:05d}"
        files[f"JPEGImages/{name}.jpg"] = jpeg(camera.shoot(frame.image, rng), recipe.quality)
        foreground = np.where(frame.owner == len(clip.objects) - 1, np.uint8(255), np.uint8(0))
        files[f"Annotations/{name}.png"] = png(foreground)
    return files


def _scene_flow(recipe: ClipRecipe, sequence: SequenceId) -> dict[str, bytes]:
    """All shots of a scene, numbered through; there is flow within a shot, and none across a cut."""
    files: dict[str, bytes] = {}
    first = 1
    for shot in range(recipe.shots):
        clip = clip_of(recipe, sequence, shot)
        files |= _shot(clip, sequence.name, first, stream(recipe.seed, "final", sequence.dataset, sequence.name, shot))
        first += clip.length
    return files


def _shot(clip: Clip, scene: str, first: int, rng: np.random.Generator) -> dict[str, bytes]:
    """Both passes of a clip whose frames have the numbers from ``first``, and its flow in both directions."""
    frames = [clip.frame(time) for time in range(clip.length)]
    clean = [frame.image for frame in frames]
    files = {
        f"frames_{name}pass/{scene}/left/{first + time:04d}.png": png(to_bytes(image))
        for name, images in (("clean", clean), ("final", sequences.final_pass(rng, clean)))
        for time, image in enumerate(images)
    }
    for direction, step in (("Future", 1), ("Past", -1)):
        for time in range(clip.length):
            if 0 <= time + step < clip.length:
                name = f"into_{direction.lower()}/left/OpticalFlowInto{direction}_{first + time:04d}_L.pfm"
                files[f"optical_flow/{scene}/{name}"] = pfm(clip.flow(time, time + step, frames[time]))
    return files


def _chairs(recipe: ClipRecipe, sequence: SequenceId) -> dict[str, bytes]:
    clip, path = clip_of(recipe, sequence), f"data/{sequence.name}"
    frames = [clip.frame(time) for time in range(2)]
    images = {f"{path}_img{k + 1}.ppm": ppm(to_bytes(frame.image)) for k, frame in enumerate(frames)}
    return {**images, f"{path}_flow.flo": flo(clip.flow(0, 1, frames[0]))}


def annotate(recipe: ClipRecipe, paths: Mapping[SequenceId, str], notes: Mapping[SequenceId, None]) -> dict[str, bytes]:
    """Return the lists of DAVIS's frames and of FlyingChairs' splits, by path."""
    lists = {
        f"{FOLDERS['davis']}/ImageSets/480p/{split}.txt": [
            f"/JPEGImages/480p/{sequence.name}/{time:05d}.jpg /Annotations/480p/{sequence.name}/{time:05d}.png"
            for sequence in paths
            if (sequence.dataset, sequence.split) == ("davis", split)
            for time in range(recipe.davis_frames)
        ]
        for split in ("train", "val")
    }
    lists[f"{FOLDERS['chairs']}/FlyingChairs_train_val.txt"] = [
        {"train": "1", "val": "2"}[sequence.split] for sequence in paths if sequence.dataset == "chairs"
    ]
    return {name: lines(rows) for name, rows in lists.items() if rows}
