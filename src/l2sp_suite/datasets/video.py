"""Readers of data sets of videos, whose labels are masks or optical flow, in the layouts of their releases.

A reader finds every file that it names; what they hold is checked one by one as `Video.decode` reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from l2sp_suite.datasets.flow_files import load_flow
from l2sp_suite.datasets.images import image_size, load_image, load_indices
from l2sp_suite.datasets.layout import Entry, Release, quoted, whole_number
from l2sp_suite.datasets.records import check_listed, divide
from l2sp_suite.datasets.video_names import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN
from l2sp_suite.utils.errors import UserError

__all__ = ["VIDEO_READERS", "Pairs", "Video", "hold_out", "load_mask", "read"]

_DAVIS_LISTS = "ImageSets/480p"
_DAVIS_FRAME = re.compile(r"/?JPEGImages/480p/([^/\s.][^/\s]*)/([0-9]{5})\.jpg")

_SCENE_FRAME = re.compile(r"([0-9]{4})\.(?:png|webp)")
_DIRECTIONS = {
    "into_future": (re.compile(r"OpticalFlowIntoFuture_([0-9]{4})_L\.pfm"), 1),
    "into_past": (re.compile(r"OpticalFlowIntoPast_([0-9]{4})_L\.pfm"), -1),
}

_CHAIRS_FLOW = re.compile(r"([0-9]{5})_flow\.flo")
_CHAIRS_LIST = "FlyingChairs_train_val.txt"

_Row = tuple[Path, Path, Path, str]


@dataclass(frozen=True)
class Pairs:
    """Pairs of frames of videos: pair i is of clip `sequences[i]`.

    `first[i]`: frame at time t; `second[i]`: the frame that the motion goes to, at t + 1 or t - 1;
    `truth[i]`: the mask of the first, or the flow from the first to the second.
    As the readers return them, the pairs of a clip are neighbours, in order of time.
    """

    first: tuple[Path, ...]
    second: tuple[Path, ...]
    truth: tuple[Path, ...]
    sequences: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = [len(self.first), len(self.second), len(self.truth), len(self.sequences)]
        if len(set(lengths)) > 1:
            raise ValueError("{} first frames, {} second ones, {} truths and {} sequences".format(*lengths))

    def __len__(self) -> int:
        return len(self.first)

    @property
    def clips(self) -> tuple[str, ...]:
        """The names of the clips, each once, in order."""
        return tuple(dict.fromkeys(self.sequences))

    @property
    def keys(self) -> tuple[tuple[Path, Path, Path], ...]:
        """The three files of each pair: its key in a `MomentCache`."""
        return tuple(zip(self.first, self.second, self.truth, strict=True))

    def select(self, indices: Iterable[int]) -> Pairs:
        """Return the pairs at `indices`, in their order."""
        return _pairs((self.first[i], self.second[i], self.truth[i], self.sequences[i]) for i in indices)


@dataclass(frozen=True)
class Video:
    """A data set of videos: `decode` reads a file of `truth`.

    Kind "mask": as uint8 (H, W), 1 on the object and 0 elsewhere. Kind "flow": as float32 (3, H, W): motion to the
    right and down in pixels, and 1 where it is known, else 0. `decode` raises UserError for a file that is damaged
    or of another kind, and can be pickled.
    """

    name: str
    kind: Literal["mask", "flow"]
    train: Pairs
    test: Pairs
    decode: Callable[[Path], Tensor]

    @property
    def parts(self) -> Mapping[str, Pairs]:
        """The parts by name."""
        return {"train": self.train, "test": self.test}

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of pairs and of sequences by part; height and width of the first frame, in pixels."""
        sequences = {f"{name}_sequences": len(pairs.clips) for name, pairs in self.parts.items()}
        height, width = image_size(self.train.first[0])
        pairs = {name: len(pairs) for name, pairs in self.parts.items()}
        return {**pairs, **sequences, "height": height, "width": width}

    def facts(self, root: Path) -> Iterable[str]:
        """Part, sequence, paths below `root` and sizes in bytes of the two frames and the truth of every pair."""
        for part, pairs in self.parts.items():
            for *paths, sequence in zip(pairs.first, pairs.second, pairs.truth, pairs.sequences, strict=True):
                files = (f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in paths)
                yield " ".join((part, sequence, *files))


def read(name: str, root: Path, remedy: str = "fetch the official release again") -> Video:
    """Read data set `name` (a key of `VIDEO_READERS`) from its own folder.

    Raises UserError, which ends in `remedy`, for whatever is missing, malformed or inconsistent on disk, and
    for an unknown name. Frames and truth are opened later; those errors name the file and say what to do.
    """
    if name not in VIDEO_READERS:
        raise UserError(f"unknown video data set {name!r}; known: {', '.join(VIDEO_READERS)}")
    return VIDEO_READERS[name](Release(Path(root), remedy))


def hold_out(pairs: Pairs, fraction: float, seed: int) -> tuple[Pairs, Pairs]:
    """Divide a training part by whole clips into (kept, held out); both keep the order of `pairs`.

    Frames of one clip are nearly the same: one apart from the others would leak. See `labelled.divide`.
    Raises UserError unless 0 < fraction < 1, and for fewer than two clips.
    """
    clips = pairs.clips
    if len(clips) < 2:
        raise UserError(
            f"cannot hold out a clip of {len(clips)}: at least 2 are needed; add clips to the training part"
        )
    _, held = divide({0: range(len(clips))}, fraction, seed)
    names = {clips[index] for index in held}
    inside = [sequence in names for sequence in pairs.sequences]
    kept, given = ([i for i, found in enumerate(inside) if found == wanted] for wanted in (False, True))
    return pairs.select(kept), pairs.select(given)


def load_mask(path: Path) -> Tensor:
    """Read a mask as uint8 (H, W): 1 where the annotation is above 0 in some channel (palette: in its index), else 0.

    Raises UserError, naming the file, if it is missing, truncated or not an image.
    """
    try:
        stored = load_indices(path)
    except UserError:  # most are grey or of a palette; the few others pass here, and damaged ones fail again
        stored = load_image(path).amax(dim=0)
    return (stored > 0).to(torch.uint8)


def read_davis(release: Release) -> Video:
    """Read DAVIS-2016 at 480p: 30 sequences of 2,079 frames to train, 20 of 1,376 (its val part) to test.

    ImageSets/480p/{train,val}.txt name a frame JPEGImages/480p/<sequence>/NNNNN.jpg and its mask
    Annotations/480p/<sequence>/NNNNN.png a line, with a slash before each. The second frame of a pair is the next
    one in the list, of the last frame of a sequence itself. A subset may leave frames or sequences out.
    """
    train, test = (_davis_part(release, f"{_DAVIS_LISTS}/{part}.txt") for part in ("train", "val"))
    common = set(train.clips) & set(test.clips)
    if common:
        raise release.error(f"{_DAVIS_LISTS}/val.txt", f"holds sequence {quoted(min(common))}, as does train.txt")
    return _assemble("davis2016", "mask", release, train, test)


def _davis_part(release: Release, file: str) -> Pairs:
    entries = release.pairs(file)
    clips = _davis_clips(release, file, entries)
    frames = [release.image(name.removeprefix("/"), file, entry.line) for name, entry in entries.items()]
    masks = [release.image(entry.value.removeprefix("/"), file, entry.line) for entry in entries.values()]
    following = [*zip(clips[1:], frames[1:], strict=True), ("", frames[-1])]
    seconds = [
        after if after_clip == clip else frame
        for clip, frame, (after_clip, after) in zip(clips, frames, following, strict=True)
    ]
    return Pairs(tuple(frames), tuple(seconds), tuple(masks), tuple(clips))


def _davis_clips(release: Release, file: str, entries: Mapping[str, Entry]) -> list[str]:
    """Return the sequence of each line; raise UserError unless all lines are well formed and in order."""
    last: dict[str, str] = {}  # the number of the last frame of each sequence so far
    clips: list[str] = []
    for frame, entry in entries.items():
        clip, number = _davis_frame(release, file, entry.line, frame, entry.value)
        if clip in last and clips[-1] != clip:
            raise release.error(file, f"comes back to sequence {quoted(clip)} after another one", entry.line)
        if clip in last and number <= last[clip]:
            raise release.error(file, f"has frame {number} of {quoted(clip)} after frame {last[clip]}", entry.line)
        clips.append(clip)
        last[clip] = number
    return clips


def _davis_frame(release: Release, file: str, line: int, frame: str, mask: str) -> tuple[str, str]:
    """Return (sequence, number) of a frame, whose mask must be its own."""
    match = _DAVIS_FRAME.fullmatch(frame)
    if match is None:
        raise release.error(file, f"{quoted(frame)} is not /JPEGImages/480p/<sequence>/NNNNN.jpg", line)
    clip, number = match.groups()
    wanted = f"/Annotations/480p/{clip}/{number}.png"
    if mask not in (wanted, wanted[1:]):
        raise release.error(file, f"names mask {quoted(mask)} for the frame of {quoted(wanted)}", line)
    return clip, number


def read_scene_flow(name: str, finish: str, train: Sequence[str], test: Sequence[str], release: Release) -> Video:
    """Read one half of Scene Flow, Monkaa or Driving, in its left view; any of its scenes may be missing.

    `finish`: "clean" or "final"; `train`, `test`: the scenes of the parts, as folders below those of the kinds.
    Frames: frames_<finish>pass/<scene>/left/NNNN.png or .webp. Flow: optical_flow/<scene>/into_{future,past}/left/
    OpticalFlowInto{Future,Past}_NNNN_L.pfm, from frame N to N + 1 or N - 1. Both directions make pairs, first those
    into the future; flow out of the clip, of its last or first frame, does not.
    """
    frames, flow = f"frames_{finish}pass", "optical_flow"
    present = {scene for folder in (frames, flow) for scene in _scenes(release, folder, (*train, *test))}
    parts = []
    for part, scenes in (("train", train), ("test", test)):
        found = [scene for scene in scenes if scene in present]
        if not found:
            some = ", ".join(scenes[:3]) + (", .." if len(scenes) > 3 else "")
            raise release.error("", f"{frames} and {flow} hold no scene of the {part} part ({some})")
        parts.append(_pairs(chain.from_iterable(_scene_rows(release, frames, flow, scene) for scene in found)))
    return _assemble(name, "flow", release, *parts)


def _scenes(release: Release, folder: str, known: Sequence[str]) -> list[str]:
    """Return those of the `known` scenes that `folder` holds; raise UserError for any other folder at their levels."""
    levels = known[0].count("/") + 1
    found = [""]
    for level in range(1, levels + 1):
        allowed = {"/".join(scene.split("/")[:level]) for scene in known}
        found = [f"{parent}{name}/" for parent in found for name in _listing(release, f"{folder}/{parent}", True)]
        for path in found:
            if path[:-1] not in allowed:
                raise release.error(folder, f"folder {quoted(path[:-1])} is none of the scenes that the release has")
    return [path[:-1] for path in found]


def _scene_rows(release: Release, frames: str, flow: str, scene: str) -> list[_Row]:
    """Return the pairs of a scene, of which there must be one in each direction: a lacking one is a broken unpack."""
    pictures = _numbered(release, f"{frames}/{scene}/left", _SCENE_FRAME)
    rows: list[_Row] = []
    for direction, (pattern, step) in _DIRECTIONS.items():
        before = len(rows)
        for number, truth in _numbered(release, f"{flow}/{scene}/{direction}/left", pattern, ".pfm").items():
            if number not in pictures:
                raise release.error(truth, f"is the flow of frame {number:04d}, which {frames}/{scene}/left lacks")
            if number + step in pictures:
                rows.append((pictures[number], pictures[number + step], truth, scene))
        if len(rows) == before:
            raise release.error(
                f"{flow}/{scene}/{direction}", f"has no flow between two frames of {frames}/{scene}/left"
            )
    return rows


def _numbered(release: Release, folder: str, pattern: re.Pattern[str], suffix: str | None = None) -> dict[int, Path]:
    """Return the files of `folder` that match, in order of their number; none where there is no such folder.

    Of two files with one number the alphabetically first counts (PNG before WebP).
    Raises UserError for one that ends in `suffix` and does not match.
    """
    found: dict[int, Path] = {}
    for name in _listing(release, folder):
        match = pattern.fullmatch(name)
        if match is not None:
            found.setdefault(int(match[1]), release.root / folder / name)
        elif suffix is not None and name.endswith(suffix):
            raise release.error(folder, f"{quoted(name)} is named as no file of the release")
    return found


def _listing(release: Release, folder: str, folders: bool = False) -> list[str]:
    """Return the names of the files in a folder, or of the folders in it, sorted; none where there is no folder."""
    try:
        with os.scandir(release.root / folder) as entries:
            return sorted(entry.name for entry in entries if (entry.is_dir() if folders else entry.is_file()))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise release.error(folder, error.strerror or "cannot be read") from None


def read_flying_chairs(release: Release) -> Video:
    """Read FlyingChairs from the folder that holds `data`, or FlyingChairs_release/data: 22,232 / 640 pairs.

    data/NNNNN_{img1,img2}.ppm and NNNNN_flow.flo. FlyingChairs_train_val.txt, beside `data` or in the folder itself,
    has a number for each flow file in the order of their names: 1 for the train part, 2 for the one to test.
    Every pair is a clip.
    """
    base = "FlyingChairs_release/" if (release.root / "FlyingChairs_release/data").is_dir() else ""
    file = f"{base}{_CHAIRS_LIST}" if (release.root / base / _CHAIRS_LIST).exists() else _CHAIRS_LIST
    rows = list(_chairs_rows(release, f"{base}data"))
    if not rows:
        raise release.error(f"{base}data", "has no flow file (NNNNN_flow.flo)")
    marks = [_chairs_mark(release, file, entry.line, entry.value) for entry in release.lines(file)]
    if len(marks) != len(rows):
        raise release.error(file, f"has {len(marks)} lines, but {base}data {len(rows)} flow files")
    train, test = (_pairs(row for row, mark in zip(rows, marks, strict=True) if mark == wanted) for wanted in (1, 2))
    return _assemble("flying_chairs", "flow", release, train, test)


def read_whole_flying_chairs(release: Release) -> Video:
    """As `read_flying_chairs`, with all pairs in both parts: for a network that is never trained on any of them."""
    found = read_flying_chairs(release)
    parts = (found.train, found.test)
    every = _pairs((*key, name) for part in parts for key, name in zip(part.keys, part.sequences, strict=True))
    return replace(found, name="flying_chairs_whole", train=every, test=every)


def _chairs_rows(release: Release, folder: str) -> Iterator[_Row]:
    names = _listing(release, folder)
    present, root = set(names), release.root / folder
    for name in names:
        if not name.endswith(".flo"):
            continue
        match = _CHAIRS_FLOW.fullmatch(name)
        if match is None:
            raise release.error(folder, f"{quoted(name)} is named as no file of the release (NNNNN_flow.flo)")
        frames = [f"{match[1]}_img{number}.ppm" for number in (1, 2)]
        for frame in frames:
            if frame not in present:
                raise release.error(f"{folder}/{frame}", f"is not on disk, but its flow {name} is")
        yield root / frames[0], root / frames[1], root / name, match[1]


def _chairs_mark(release: Release, file: str, line: int, text: str) -> int:
    number = whole_number(text)
    if number not in (1, 2):
        raise release.error(file, f"holds {quoted(text)}, neither 1 (train) nor 2 (validation)", line)
    return number


def _pairs(rows: Iterable[_Row]) -> Pairs:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Pairs(*columns)


def _assemble(name: str, kind: Literal["mask", "flow"], release: Release, train: Pairs, test: Pairs) -> Video:
    """Check that no part is empty and that no truth is listed twice; frames may be, as first and as second ones."""
    data = Video(name, kind, train, test, load_mask if kind == "mask" else load_flow)
    check_listed(release, {part: pairs.truth for part, pairs in data.parts.items()})
    return data


VIDEO_READERS: Mapping[str, Callable[[Release], Video]] = MappingProxyType(
    {
        "davis2016": read_davis,
        "monkaa_clean": partial(read_scene_flow, "monkaa_clean", "clean", MONKAA_TRAIN, MONKAA_TEST),
        "monkaa_final": partial(read_scene_flow, "monkaa_final", "final", MONKAA_TRAIN, MONKAA_TEST),
        "driving_clean": partial(read_scene_flow, "driving_clean", "clean", DRIVING_TRAIN, DRIVING_TEST),
        "driving_final": partial(read_scene_flow, "driving_final", "final", DRIVING_TRAIN, DRIVING_TEST),
        "flying_chairs": read_flying_chairs,
        "flying_chairs_whole": read_whole_flying_chairs,
    }
)
