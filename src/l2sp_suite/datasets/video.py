"""Readers of data sets of videos, whose labels are masks or optical flow, in the layouts of their releases.

A reader finds every file that it names; what they hold is checked one by one as `Video.decode` reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from l2sp_suite.datasets.flow_files import load_flow
from l2sp_suite.datasets.images import load_image, load_indices
from l2sp_suite.datasets.layout import DatasetLayout, Entry, quoted, whole_number
from l2sp_suite.datasets.records import Video, VideoSplit, check_listed
from l2sp_suite.utils.errors import UserError

__all__ = ["DRIVING_TEST", "DRIVING_TRAIN", "MONKAA_TEST", "MONKAA_TRAIN", "VIDEO_READERS", "load_mask"]

# Scene Flow has no official division. Whole scenes are held out, never frames: neighbouring frames show nearly the
# same, so that dividing them would leak (protocol 2.9 and 8, row 15).

MONKAA_TRAIN = (
    "a_rain_of_stones_x2", "eating_camera2_x2", "eating_naked_camera2_x2", "family_x2", "flower_storm_augmented0_x2",
    "flower_storm_augmented1_x2", "funnyworld_augmented0_x2", "funnyworld_augmented1_x2",
    "funnyworld_camera2_augmented0_x2", "funnyworld_camera2_augmented1_x2", "funnyworld_camera2_x2", "funnyworld_x2",
    "lonetree_augmented0_x2", "lonetree_augmented1_x2", "lonetree_difftex2_x2", "lonetree_difftex_x2",
    "lonetree_winter_x2", "top_view_x2", "treeflight_augmented0_x2", "treeflight_augmented1_x2", "treeflight_x2",
)  # fmt: skip
"""The 21 scenes of Monkaa on which flow is trained."""

MONKAA_TEST = ("eating_x2", "flower_storm_x2", "lonetree_x2")
"""The 3 scenes of Monkaa on which it is tested."""

DRIVING_TRAIN = (
    "15mm_focallength/scene_backwards/fast", "15mm_focallength/scene_backwards/slow",
    "15mm_focallength/scene_forwards/fast", "15mm_focallength/scene_forwards/slow",
    "35mm_focallength/scene_backwards/fast", "35mm_focallength/scene_backwards/slow",
    "35mm_focallength/scene_forwards/fast",
)  # fmt: skip
"""The 7 scenes of Driving, as their folders, on which flow is trained."""

DRIVING_TEST = ("35mm_focallength/scene_forwards/slow",)
"""The scene of Driving on which it is tested."""

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


def load_mask(path: Path) -> Tensor:
    """Read a mask as uint8 (H, W): 1 on the object, else 0.

    On it, the annotation is above 0 in some channel (of a palette: in its index).
    Raises UserError, naming the file, if it is missing, truncated or not an image.
    """
    try:
        stored = load_indices(path)
    except UserError:  # most are grey or of a palette; the few others pass here, and damaged ones fail again
        stored = load_image(path).amax(dim=0)
    return (stored > 0).to(torch.uint8)


def read_davis(layout: DatasetLayout) -> Video:
    """Read DAVIS-2016 at 480p.

    30 sequences of 2,079 frames to train, 20 of 1,376 (its val part) to test.
    ImageSets/480p/{train,val}.txt name a frame JPEGImages/480p/<sequence>/NNNNN.jpg and its mask
    Annotations/480p/<sequence>/NNNNN.png a line, with a slash before each. The second frame of a pair is the next
    one in the list, of the last frame of a sequence itself. A subset may leave frames or sequences out.
    """
    train, test = (_davis_part(layout, f"{_DAVIS_LISTS}/{part}.txt") for part in ("train", "val"))
    common = set(train.clips) & set(test.clips)
    if common:
        raise layout.error(f"{_DAVIS_LISTS}/val.txt", f"holds sequence {quoted(min(common))}, as does train.txt")
    return _checked(layout, Video("davis2016", (), train, test, kind="mask", decode=load_mask))


def _davis_part(layout: DatasetLayout, file: str) -> VideoSplit:
    entries = layout.pairs(file)
    clips = _davis_clips(layout, file, entries)
    frames = [layout.image(name.removeprefix("/"), file, entry.line) for name, entry in entries.items()]
    masks = [layout.image(entry.value.removeprefix("/"), file, entry.line) for entry in entries.values()]
    following = [*zip(clips[1:], frames[1:], strict=True), ("", frames[-1])]
    seconds = [
        after if after_clip == clip else frame
        for clip, frame, (after_clip, after) in zip(clips, frames, following, strict=True)
    ]
    return VideoSplit(tuple(frames), tuple(seconds), tuple(masks), tuple(clips))


def _davis_clips(layout: DatasetLayout, file: str, entries: Mapping[str, Entry]) -> list[str]:
    """Return the sequence of each line; raise UserError unless all lines are well formed and in order."""
    last: dict[str, str] = {}  # the number of the last frame of each sequence so far
    clips: list[str] = []
    for frame, entry in entries.items():
        clip, number = _davis_frame(layout, file, entry.line, frame, entry.value)
        if clip in last and clips[-1] != clip:
            raise layout.error(file, f"comes back to sequence {quoted(clip)} after another one", entry.line)
        if clip in last and number <= last[clip]:
            raise layout.error(file, f"has frame {number} of {quoted(clip)} after frame {last[clip]}", entry.line)
        clips.append(clip)
        last[clip] = number
    return clips


def _davis_frame(layout: DatasetLayout, file: str, line: int, frame: str, mask: str) -> tuple[str, str]:
    """Return (sequence, number) of a frame, whose mask must be its own."""
    match = _DAVIS_FRAME.fullmatch(frame)
    if match is None:
        raise layout.error(file, f"{quoted(frame)} is not /JPEGImages/480p/<sequence>/NNNNN.jpg", line)
    clip, number = match.groups()
    its_mask = f"/Annotations/480p/{clip}/{number}.png"
    if mask not in (its_mask, its_mask[1:]):
        raise layout.error(file, f"names mask {quoted(mask)} for the frame of {quoted(its_mask)}", line)
    return clip, number


def read_scene_flow(name: str, finish: str, train: Sequence[str], test: Sequence[str], layout: DatasetLayout) -> Video:
    """Read one half of Scene Flow, Monkaa or Driving, in its left view.

    Any of its scenes may be missing.
    `finish`: "clean" or "final"; `train`, `test`: the scenes of the parts, as folders below those of the kinds.
    Frames: frames_<finish>pass/<scene>/left/NNNN.png or .webp. Flow: optical_flow/<scene>/into_{future,past}/left/
    OpticalFlowInto{Future,Past}_NNNN_L.pfm, from frame N to N + 1 or N - 1. Both directions make pairs, first those
    into the future; flow out of the clip, of its last or first frame, does not.
    """
    frames, flow = f"frames_{finish}pass", "optical_flow"
    present = {scene for folder in (frames, flow) for scene in _scenes(layout, folder, (*train, *test))}
    parts = []
    for part, scenes in (("train", train), ("test", test)):
        available = [scene for scene in scenes if scene in present]
        if not available:
            some = ", ".join(scenes[:3]) + (", .." if len(scenes) > 3 else "")
            raise layout.error("", f"{frames} and {flow} hold no scene of the {part} part ({some})")
        parts.append(_pairs(chain.from_iterable(_scene_rows(layout, frames, flow, scene) for scene in available)))
    return _checked(layout, Video(name, (), *parts, kind="flow", decode=load_flow))


def _scenes(layout: DatasetLayout, folder: str, known: Sequence[str]) -> list[str]:
    """Return those of the `known` scenes that `folder` holds; raise UserError for any other folder at their levels."""
    levels = known[0].count("/") + 1
    paths = [""]
    for level in range(1, levels + 1):
        allowed = {"/".join(scene.split("/")[:level]) for scene in known}
        paths = [f"{parent}{name}/" for parent in paths for name in _listing(layout, f"{folder}/{parent}", True)]
        for path in paths:
            if path[:-1] not in allowed:
                raise layout.error(folder, f"folder {quoted(path[:-1])} is none of the scenes that the release has")
    return [path[:-1] for path in paths]


def _scene_rows(layout: DatasetLayout, frames: str, flow: str, scene: str) -> list[_Row]:
    """Return the pairs of a scene, of which there must be one in each direction: a lacking one is a broken unpack."""
    images = _numbered(layout, f"{frames}/{scene}/left", _SCENE_FRAME)
    rows: list[_Row] = []
    for direction, (pattern, step) in _DIRECTIONS.items():
        before = len(rows)
        for number, truth in _numbered(layout, f"{flow}/{scene}/{direction}/left", pattern, ".pfm").items():
            if number not in images:
                raise layout.error(truth, f"is the flow of frame {number:04d}, which {frames}/{scene}/left lacks")
            if number + step in images:
                rows.append((images[number], images[number + step], truth, scene))
        if len(rows) == before:
            raise layout.error(
                f"{flow}/{scene}/{direction}", f"has no flow between two frames of {frames}/{scene}/left"
            )
    return rows


def _numbered(
    layout: DatasetLayout, folder: str, pattern: re.Pattern[str], suffix: str | None = None
) -> dict[int, Path]:
    """Return the files of `folder` that match, in order of their number; none where there is no such folder.

    Of two files with one number the alphabetically first counts (PNG before WebP).
    Raises UserError for one that ends in `suffix` and does not match.
    """
    files: dict[int, Path] = {}
    for name in _listing(layout, folder):
        match = pattern.fullmatch(name)
        if match is not None:
            files.setdefault(int(match[1]), layout.root / folder / name)
        elif suffix is not None and name.endswith(suffix):
            raise layout.error(folder, f"{quoted(name)} is named as no file of the release")
    return files


def _listing(layout: DatasetLayout, folder: str, folders: bool = False) -> list[str]:
    """Return the names of the files in a folder, or of the folders in it, sorted; none where there is no folder."""
    try:
        with os.scandir(layout.root / folder) as entries:
            return sorted(entry.name for entry in entries if (entry.is_dir() if folders else entry.is_file()))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise layout.error(folder, error.strerror or "cannot be read") from None


def read_flying_chairs(layout: DatasetLayout) -> Video:
    """Read FlyingChairs: 22,232 pairs to train, 640 to test.

    From the folder that holds `data`, or FlyingChairs_release/data.
    data/NNNNN_{img1,img2}.ppm and NNNNN_flow.flo. FlyingChairs_train_val.txt, beside `data` or in the folder itself,
    has a number for each flow file in the order of their names: 1 for the train part, 2 for the one to test.
    Every pair is a clip.
    """
    base = "FlyingChairs_release/" if (layout.root / "FlyingChairs_release/data").is_dir() else ""
    file = f"{base}{_CHAIRS_LIST}" if (layout.root / base / _CHAIRS_LIST).exists() else _CHAIRS_LIST
    rows = list(_chairs_rows(layout, f"{base}data"))
    if not rows:
        raise layout.error(f"{base}data", "has no flow file (NNNNN_flow.flo)")
    marks = [_chairs_mark(layout, file, entry.line, entry.value) for entry in layout.lines(file)]
    if len(marks) != len(rows):
        raise layout.error(file, f"has {len(marks)} lines, but {base}data {len(rows)} flow files")
    train, test = (_pairs(row for row, mark in zip(rows, marks, strict=True) if mark == part) for part in (1, 2))
    return _checked(layout, Video("flying_chairs", (), train, test, kind="flow", decode=load_flow))


def read_whole_flying_chairs(layout: DatasetLayout) -> Video:
    """As `read_flying_chairs`, with all pairs in both parts.

    For a network that is never trained on any of them.
    """
    data = read_flying_chairs(layout)
    splits = (data.train, data.test)
    every = _pairs(chain.from_iterable(zip(s.first, s.second, s.truth, s.sequences, strict=True) for s in splits))
    return replace(data, name="flying_chairs_whole", train=every, test=every)


def _chairs_rows(layout: DatasetLayout, folder: str) -> Iterator[_Row]:
    names = _listing(layout, folder)
    present, root = set(names), layout.root / folder
    for name in names:
        if not name.endswith(".flo"):
            continue
        match = _CHAIRS_FLOW.fullmatch(name)
        if match is None:
            raise layout.error(folder, f"{quoted(name)} is named as no file of the release (NNNNN_flow.flo)")
        frames = [f"{match[1]}_img{number}.ppm" for number in (1, 2)]
        for frame in frames:
            if frame not in present:
                raise layout.error(f"{folder}/{frame}", f"is not on disk, but its flow {name} is")
        yield root / frames[0], root / frames[1], root / name, match[1]


def _chairs_mark(layout: DatasetLayout, file: str, line: int, text: str) -> int:
    number = whole_number(text)
    if number not in (1, 2):
        raise layout.error(file, f"holds {quoted(text)}, neither 1 (train) nor 2 (validation)", line)
    return number


def _pairs(rows: Iterable[_Row]) -> VideoSplit:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return VideoSplit(*columns)


def _checked(layout: DatasetLayout, data: Video) -> Video:
    """The data set; raise UserError if a part is empty or a truth is listed twice; frames may be, in two pairs."""
    check_listed(layout, {part: split.truth for part, split in data.parts.items()})
    return data


VIDEO_READERS: Mapping[str, Callable[[DatasetLayout], Video]] = MappingProxyType(
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
