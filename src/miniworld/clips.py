"""The world's part of clips: moving pictures with masks or exact flow, in three layouts (protocol 2.8, 2.9).

DAVIS/{JPEGImages,Annotations}/480p/<sequence>/NNNNN.{jpg,png}, ImageSets/480p/{train,val}.txt
monkaa, driving: frames_{clean,final}pass/<scene>/left/NNNN.png,
    optical_flow/<scene>/into_{future,past}/left/OpticalFlowInto{Future,Past}_NNNN_L.pfm
FlyingChairs_release/data/NNNNN_{img1,img2}.ppm, NNNNN_flow.flo, FlyingChairs_train_val.txt
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from l2sp_suite.datasets.video_names import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN
from l2sp_suite.utils.errors import UserError
from miniworld import sequences as films
from miniworld.geometry import Array
from miniworld.motion import Film
from miniworld.paint import stream
from miniworld.recipe import GENERATOR, stable_hash
from miniworld.render import random_camera
from miniworld.scenes import SCENES

__all__ = [
    "CLIPS",
    "ClipRecipe",
    "ReleaseDavisRecipe",
    "ReleaseSceneFlowRecipe",
    "Take",
    "annotate",
    "film_of",
    "plan",
    "render",
]

CLIPS = 2
"""Version of the clips' generator: raise it with every change that alters a byte of any."""

_LEAST = 32  # pixels of a side
_CHAIRS = "FlyingChairs_release"
_SCENES = ("monkaa", "driving")


@dataclass(frozen=True)
class ClipRecipe:
    """The clips of a world.

    ``width, height``: of all frames but the chairs', in pixels. ``davis_train, davis_val``: numbers of sequences of
    ``davis_frames``. ``shots``: films, one after the other, that a scene of Monkaa or Driving consists of; the scenes'
    names and number are the release's. ``monkaa_frames, fast_frames, slow_frames``: of a shot. ``fast, slow``: share by
    which Driving's camera nears what it sees, a frame. ``chairs, chairs_val``: numbers of pairs, of ``chairs_width`` x
    ``chairs_height``. ``nuisance``: strength of DAVIS's camera errors.
    """

    part: ClassVar[str] = "clips"
    groups: ClassVar[tuple[str, ...]] = ("davis", "monkaa", "driving", "chairs")
    """The sets that are written."""

    width: int = 160
    height: int = 96
    seed: int = 0
    davis_train: int = 30
    davis_val: int = 20
    davis_frames: int = 5
    shots: int = 4
    monkaa_frames: int = 3
    fast_frames: int = 3
    slow_frames: int = 4
    fast: float = 0.07
    slow: float = 0.03
    chairs: int = 1000
    chairs_val: int = 60
    chairs_width: int = 128
    chairs_height: int = 96
    nuisance: float = 0.4
    quality: int = 92

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.chairs_width, self.chairs_height) < _LEAST:
            raise UserError(f"miniature clips: a side is too small, use {_LEAST} pixels or more")
        if min(self.davis_train, self.davis_val, self.shots, self.chairs, self.chairs_val) < 1:
            raise UserError("miniature clips: needs davis_train, davis_val, shots, chairs and chairs_val > 0")
        if self.davis_frames < 3 or min(self.monkaa_frames, self.fast_frames, self.slow_frames) < 2:
            raise UserError("miniature clips: needs 3 frames or more of DAVIS's sequences, 2 of all others")
        if not (0 < self.slow < 0.5 and 0 < self.fast < 0.5 and self.nuisance >= 0):
            raise UserError("miniature clips: fast and slow lie between 0 and 0.5, nuisance is 0 or more")

    @staticmethod
    def tiny(seed: int = 0) -> ClipRecipe:
        """Clips for smoke tests."""
        return ClipRecipe(
            width=80, height=48, seed=seed, davis_train=3, davis_val=2, davis_frames=3, shots=2, monkaa_frames=2,
            fast_frames=2, slow_frames=2, chairs=8, chairs_val=4, chairs_width=64, chairs_height=48,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Identity of the clips: a stable hash (16 hex digits) of the recipe and of what draws them."""
        return stable_hash({"part": self.part, "generators": [CLIPS, SCENES, GENERATOR], **self.as_dict()})


@dataclass(frozen=True)
class ReleaseDavisRecipe(ClipRecipe):
    """Two short sequences of DAVIS at the official resolution, 480p."""

    groups: ClassVar[tuple[str, ...]] = ("davis",)

    width: int = 854
    height: int = 480
    davis_train: int = 1
    davis_val: int = 1
    davis_frames: int = 3


@dataclass(frozen=True)
class ReleaseSceneFlowRecipe(ClipRecipe):
    """Two frames of each scene of Monkaa and Driving at the official resolution."""

    groups: ClassVar[tuple[str, ...]] = _SCENES

    width: int = 960
    height: int = 540
    shots: int = 1
    monkaa_frames: int = 2
    fast_frames: int = 2
    slow_frames: int = 2


@dataclass(frozen=True)
class Take:
    """A film of one of the sets: `davis`, `monkaa`, `driving` or `chairs`; `name` of its sequence, scene or pair."""

    group: str
    name: str
    split: str


def film_of(recipe: ClipRecipe, take: Take, shot: int = 0) -> Film:
    """A film of a take: a function of their own ids and of the recipe, but for the recipe's numbers of takes."""
    rng = stream(recipe.seed, "clip", take.group, take.name, *([shot] if take.group in _SCENES else []))
    size = recipe.height, recipe.width
    if take.group == "davis":
        return films.scene_with_hero(rng, *size, recipe.davis_frames)
    if take.group == "monkaa":
        return films.cartoon(rng, *size, recipe.monkaa_frames)
    if take.group == "driving":
        return films.drive(rng, *size, *_pace(recipe, take.name))
    return films.chairs(rng, recipe.chairs_height, recipe.chairs_width)


def _pace(recipe: ClipRecipe, scene: str) -> tuple[int, float]:
    """Number of frames and rate of one of Driving's scenes, `<focal length>/scene_<direction>/<speed>`."""
    focal, direction, speed = scene.split("/")
    frames, rate = (recipe.fast_frames, recipe.fast) if speed == "fast" else (recipe.slow_frames, recipe.slow)
    rate *= 1.2 if focal.startswith("35") else 0.8
    return frames, rate if direction.endswith("forwards") else -rate


def plan(recipe: ClipRecipe) -> dict[Take, str]:
    """What the names of a film's files are made from: its set's folder and its own name."""
    sequences = [("train", k) for k in range(recipe.davis_train)] + [("val", k) for k in range(recipe.davis_val)]
    takes = {Take("davis", f"{split}-{k:03d}", split): "DAVIS" for split, k in sequences}
    for group, train, test in (("monkaa", MONKAA_TRAIN, MONKAA_TEST), ("driving", DRIVING_TRAIN, DRIVING_TEST)):
        takes |= {Take(group, name, "train"): group for name in train} | {Take(group, n, "val"): group for n in test}
    pairs = recipe.chairs + recipe.chairs_val
    takes |= {
        Take("chairs", f"{k + 1:05d}", "train" if k < recipe.chairs else "val"): f"{_CHAIRS}/data" for k in range(pairs)
    }
    return {take: path for take, path in takes.items() if take.group in recipe.groups}


def render(recipe: ClipRecipe, take: Take, path: str) -> tuple[dict[str, bytes], None]:
    """The files of one film."""
    draw = {"davis": _davis, "chairs": _chairs}.get(take.group, _scene_flow)
    return {f"{path}/{name}": content for name, content in draw(recipe, take).items()}, None


def _davis(recipe: ClipRecipe, take: Take) -> dict[str, bytes]:
    film = film_of(recipe, take)
    rng = stream(recipe.seed, "camera", take.name)
    camera, files = random_camera(rng, recipe.nuisance), {}
    for time in range(film.length):
        frame = film.frame(time)
        name = f"480p/{take.name}/{time:05d}"
        photo = camera.shoot(frame.image, rng)
        files[f"JPEGImages/{name}.jpg"] = _encoded(photo, "JPEG", quality=recipe.quality, subsampling=0)
        hero = np.where(frame.owner == len(film.movers) - 1, np.uint8(255), np.uint8(0))
        files[f"Annotations/{name}.png"] = _encoded(hero, "PNG")
    return files


def _scene_flow(recipe: ClipRecipe, take: Take) -> dict[str, bytes]:
    """All shots of a scene, numbered through; there is flow within a shot, and none across a cut."""
    files: dict[str, bytes] = {}
    first = 1
    for shot in range(recipe.shots):
        film = film_of(recipe, take, shot)
        files |= _shot(film, take.name, first, stream(recipe.seed, "final", take.group, take.name, shot))
        first += film.length
    return files


def _shot(film: Film, scene: str, first: int, rng: np.random.Generator) -> dict[str, bytes]:
    """Both passes of a film whose frames have the numbers from `first`, and its flow in both directions."""
    from l2sp_suite.datasets.flow_files import encode_pfm  # brings torch, which naming a run must not

    clean = [film.frame(time).image for time in range(film.length)]
    files = {
        f"frames_{name}pass/{scene}/left/{first + time:04d}.png": _encoded(_bytes(image), "PNG")
        for name, images in (("clean", clean), ("final", films.final_pass(rng, clean)))
        for time, image in enumerate(images)
    }
    for direction, step in (("Future", 1), ("Past", -1)):
        for time in range(film.length):
            if 0 <= time + step < film.length:
                name = f"into_{direction.lower()}/left/OpticalFlowInto{direction}_{first + time:04d}_L.pfm"
                files[f"optical_flow/{scene}/{name}"] = _flow(encode_pfm, film.flow(time, time + step))
    return files


def _chairs(recipe: ClipRecipe, take: Take) -> dict[str, bytes]:
    from l2sp_suite.datasets.flow_files import encode_flo

    film = film_of(recipe, take)
    frames = {f"{take.name}_img{k + 1}.ppm": _encoded(_bytes(film.frame(k).image), "PPM") for k in range(2)}
    return {**frames, f"{take.name}_flow.flo": _flow(encode_flo, film.flow(0, 1))}


def _flow(encode: Callable[[Any], bytes], vectors: Array) -> bytes:
    import torch

    return encode(torch.from_numpy(np.concatenate([vectors, np.ones_like(vectors[:1])])))


def _bytes(image: Array) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = (np.clip(image, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
    return levels.transpose(1, 2, 0)


def _encoded(pixels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, kind, **options)
    return out.getvalue()


def annotate(recipe: ClipRecipe, root: Path, paths: Mapping[Take, str], notes: Mapping[Take, None]) -> list[str]:
    """Write the lists of DAVIS's frames and of the chairs' parts; returns their paths relative to ``root``."""
    lists = {
        f"DAVIS/ImageSets/480p/{split}.txt": [
            f"/JPEGImages/480p/{take.name}/{time:05d}.jpg /Annotations/480p/{take.name}/{time:05d}.png"
            for take in paths
            if (take.group, take.split) == ("davis", split)
            for time in range(recipe.davis_frames)
        ]
        for split in ("train", "val")
    }
    chairs = [{"train": "1", "val": "2"}[take.split] for take in paths if take.group == "chairs"]
    lists[f"{_CHAIRS}/FlyingChairs_train_val.txt"] = chairs
    lists = {name: lines for name, lines in lists.items() if lines}
    for name, lines in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return list(lists)
