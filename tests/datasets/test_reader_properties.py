"""Properties of the readers: any valid set survives, no text or cut file raises anything but UserError."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import tiny
import tiny_maps
import tiny_sets
import tiny_videos
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import LAYOUTS, LISTS, MATS, load, write

from l2sp_suite.datasets import (
    Classification,
    ClassificationSplit,
    SegmentationSplit,
    Split,
    Video,
    VideoSplit,
    hold_out,
    read,
)
from l2sp_suite.datasets.images import load_indices
from l2sp_suite.datasets.layout import whole_number
from l2sp_suite.utils.errors import UserError


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


# Any valid set survives

names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
images = st.dictionaries(names, st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12).filter(
    lambda drawn: len({train for _, train in drawn.values()}) == 2
)
"""By image its class, and whether it is for training."""


@given(images, st.lists(st.integers(0, 10**9 - 1), min_size=5, max_size=5, unique=True))
def test_any_valid_caltech_release_survives(drawn: dict[str, tuple[int, bool]], ids: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for key in drawn:
            touch(root / f"images/c/{key} x.jpg")
        tiny_sets.text(root / "images.txt", (f"{key} c/{key} x.jpg" for key in drawn))
        tiny_sets.text(root / "image_class_labels.txt", (f"{k} {ids[c]}" for k, (c, _) in drawn.items()))
        tiny_sets.text(root / "train_test_split.txt", (f"{k}  {int(t)}" for k, (_, t) in drawn.items()))
        tiny_sets.text(root / "classes.txt", (f"{number} name {number}" for number in ids))
        data = load("cub200", root)
    for split, part in ((data.train, True), (data.test, False)):
        expected = [(f"{k} x.jpg", f"name {ids[c]}") for k, (c, train) in drawn.items() if train == part]
        pairs = zip(split.paths, split.labels, strict=True)
        assert [(path.name, data.classes[label]) for path, label in pairs] == expected


@given(images, st.lists(names, min_size=5, max_size=5, unique=True), st.booleans())
def test_any_valid_list_survives(drawn: dict[str, tuple[int, bool]], classes: list[str], air: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tiny_sets.text(root / ("data/variants.txt" if air else "meta/classes.txt"), classes)
        for key, (c, _) in drawn.items():
            touch(root / (f"data/images/{key}.jpg" if air else f"images/{classes[c]}/{key}.jpg"))
        for file, part in (("trainval" if air else "train", True), ("test", False)):
            listed = [(k, classes[c]) for k, (c, train) in drawn.items() if train == part]
            target = root / (f"data/images_variant_{file}.txt" if air else f"meta/{file}.txt")
            tiny_sets.text(target, (f"{k} {c}" if air else f"{c}/{k}" for k, c in listed))
        data = load("aircraft" if air else "food101", root)
    for split, part in ((data.train, True), (data.test, False)):
        pairs = zip(split.paths, split.labels, strict=True)
        expected = [(k, classes[c]) for k, (c, train) in drawn.items() if train == part]
        assert [(path.stem, data.classes[label]) for path, label in pairs] == expected


clip_names = st.text("abcxyz0189-_", min_size=1, max_size=6)
clips = st.dictionaries(clip_names, st.sets(st.integers(0, 99_999), min_size=1, max_size=5), min_size=2, max_size=6)
"""By clip the numbers of its frames."""


@given(clips, st.data())
def test_any_valid_davis_survives(drawn: dict[str, set[int]], data: st.DataObject) -> None:
    divided, ordered = data.draw(st.integers(1, len(drawn) - 1)), list(drawn)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for clip, numbers in drawn.items():
            for number in numbers:
                for path in tiny_videos.davis_line(clip, number).split():
                    touch(root / path[1:])
        for file, part in zip(tiny_videos.DAVIS_LISTS, (ordered[:divided], ordered[divided:]), strict=True):
            tiny_sets.text(root / file, (tiny_videos.davis_line(c, n) for c in part for n in sorted(drawn[c])))
        video = load("davis2016", root)
    assert video.train.clips + video.test.clips == tuple(ordered)
    for pairs in video.parts.values():
        for clip in pairs.clips:
            inside = [i for i, sequence in enumerate(pairs.sequences) if sequence == clip]
            assert inside == list(range(inside[0], inside[-1] + 1))
            frames = sorted(drawn[clip])
            stems = [[int(path.stem) for path in pairs.files[i]] for i in inside]
            assert stems == [[a, b, a] for a, b in zip(frames, [*frames[1:], frames[-1]], strict=True)]


numbers = st.sets(st.integers(0, 6) | st.just(9999), max_size=6)


@given(frames=numbers, future=numbers, past=numbers, monkaa=st.booleans())
def test_any_scene(frames: set[int], future: set[int], past: set[int], monkaa: bool) -> None:
    name, scene = (
        ("monkaa_clean", "lonetree_x2") if monkaa else ("driving_clean", "35mm_focallength/scene_forwards/slow")
    )
    train = next(iter(tiny_videos.SCENES[name.split("_")[0]]))
    forward = [(t, t + 1) for t in sorted(future) if t + 1 in frames]
    backward = [(t, t - 1) for t in sorted(past) if t - 1 in frames]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, direction in ((1, "Future"), (2, "Past")):
            touch(root / f"frames_cleanpass/{train}/left/{number:04d}.png")
            touch(root / tiny_videos.scene_flow_file(train, direction, number))
        (root / "frames_cleanpass" / scene / "left").mkdir(parents=True)
        for t in frames:
            touch(root / f"frames_cleanpass/{scene}/left/{t:04d}.png")
        for direction, flows in (("Future", future), ("Past", past)):
            for t in flows:
                touch(root / tiny_videos.scene_flow_file(scene, direction, t))
        if not (future | past) <= frames or not (forward and backward):
            with pytest.raises(UserError, match=r"is the flow of frame|has no flow between"):
                load(name, root)
            return
        video = load(name, root)
    assert video.test.clips == (scene,) and video.train.clips == (train,)
    found = [(int(a.stem), int(b.stem), flow.name) for a, b, flow in video.test.files]
    expected = [*((*pair, "Future") for pair in forward), *((*pair, "Past") for pair in backward)]
    assert found == [(a, b, f"OpticalFlowInto{direction}_{a:04d}_L.pfm") for a, b, direction in expected]


@given(st.dictionaries(st.integers(0, 99_999), st.booleans(), min_size=2, max_size=12))
def test_any_valid_flying_chairs_survive(drawn: dict[int, bool]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in drawn:
            for kind in ("img1.ppm", "img2.ppm", "flow.flo"):
                touch(root / f"data/{number:05d}_{kind}")
        tiny_sets.text(root / tiny_videos.CHAIRS_LIST, ("1" if drawn[number] else "2" for number in sorted(drawn)))
        if len(set(drawn.values())) == 1:
            with pytest.raises(UserError, match=r"has no (train|test)"):
                load("flying_chairs", root)
            return
        video = load("flying_chairs", root)
    for pairs, part in ((video.train, True), (video.test, False)):
        assert list(pairs.sequences) == [f"{number:05d}" for number in sorted(drawn) if drawn[number] == part]


# No file raises anything but UserError

SOME_TRUTH = ["pascal_png", "pascal_mat", "camvid", "davis2016", "monkaa_final", "flying_chairs"]
PIECES = (
    "1", "2", " ", "\n", "\r", "\0", "x.jpg", "00000.jpg", "/", "..", "{}", "\x85", "²", "٣", "0001.Bird_0/1.jpg",
    "2008_000000", "/SegNet/CamVid/train/0.png", "trainannot/1.png", "/JPEGImages/480p/", "/Annotations/480p/",
    *tiny_videos.davis_line("bear", 0).split(), tiny_videos.davis_line("boat", 1),
)  # fmt: skip
garbage = st.lists(st.sampled_from(PIECES)).map("".join)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {layout: write(layout, tmp_path_factory.mktemp(layout)) for layout in LAYOUTS}


def only_user_errors(layout: str, root: Path, file: str, content: bytes) -> None:
    """Reads with another content of a file; a set that is read has only files inside its folder, each once."""
    original = (root / file).read_bytes()
    try:
        (root / file).write_bytes(content)
        data = load(layout, root)
        files = [path for split in data.parts.values() for paths in split.files for path in paths]
        assert files and all(path.is_file() and path.resolve().is_relative_to(root.resolve()) for path in files)
        once = [paths[-1] for split in data.parts.values() for paths in split.files]
        assert len(once) == len(set(once))
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(root) in str(error)
    finally:
        (root / file).write_bytes(original)


@given(case=st.sampled_from(LISTS), content=st.binary() | (st.text() | garbage).map(str.encode))
def test_garbage_text(roots: dict[str, Path], case: tuple[str, str], content: bytes) -> None:
    only_user_errors(case[0], roots[case[0]], case[1], content)


@given(case=st.sampled_from(LISTS), number=st.integers(0, 8), text=st.text(max_size=20) | garbage)
def test_one_garbage_line(roots: dict[str, Path], case: tuple[str, str], number: int, text: str) -> None:
    layout, file = case
    lines = (roots[layout] / file).read_text().splitlines()
    lines[number % len(lines)] = text
    only_user_errors(layout, roots[layout], file, "\n".join(lines).encode())


# Cut and foreign files only: on some single flipped bytes scipy's reader itself dies of a segmentation fault.
@given(case=st.sampled_from(MATS), cut=st.floats(0, 1), foreign=st.none() | st.binary(max_size=100))
def test_damaged_mat(roots: dict[str, Path], case: tuple[str, str], cut: float, foreign: bytes | None) -> None:
    layout, file = case
    content = (roots[layout] / file).read_bytes()
    only_user_errors(layout, roots[layout], file, content[: int(cut * len(content))] if foreign is None else foreign)


@given(
    layout=st.sampled_from(SOME_TRUTH),
    cut=st.floats(0, 1, exclude_max=True),
    foreign=st.none() | st.binary(max_size=100),
)
def test_damaged_truth(roots: dict[str, Path], layout: str, cut: float, foreign: bytes | None) -> None:
    data = load(layout, roots[layout])
    path = data.train.files[0][-1]
    original = path.read_bytes()
    try:
        path.write_bytes(original[: int(cut * len(original))] if foreign is None else foreign)
        truth = data.decode(path)
        assert truth.shape == (10, 12) and path.suffix != ".flo"  # a PNG may lack its last chunk, which has no pixels
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(error).startswith(str(path))
    finally:
        path.write_bytes(original)


@given(position=st.integers(0, 10**6), byte=st.integers(0, 255), mode=st.sampled_from(["L", "P"]))
def test_flipped_byte_in_a_png(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int, mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(tiny_maps.values(0, 0, 12)).convert(mode).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "flipped.png"
    path.write_bytes(content)
    try:
        assert load_indices(path).ndim == 2
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(error).startswith(str(path))


@given(st.text() | st.integers(0, 10**9 - 1).map(str))
def test_whole_numbers_are_plain_decimals(text: str) -> None:
    plain = text.isascii() and text.isdigit() and len(text) <= 9
    assert whole_number(text) == (int(text) if plain else None)


# Parts that are held out


def numbered(kind: str, groups: list[int]) -> Split:
    paths = tuple(Path(str(index)) for index in range(len(groups)))
    if kind == "classification":
        return ClassificationSplit(paths, tuple(groups))
    if kind == "segmentation":
        return SegmentationSplit(paths, paths)
    return VideoSplit(paths, paths, paths, tuple(map(str, groups)))


@given(
    kind=st.sampled_from(["classification", "segmentation", "video"]),
    groups=st.lists(st.integers(0, 7), min_size=1, max_size=80),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 10**6),
)
def test_hold_out(kind: str, groups: list[int], fraction: float, seed: int) -> None:
    split = numbered(kind, groups)
    if kind == "video" and len(set(groups)) < 2:
        with pytest.raises(UserError, match="at least 2"):
            hold_out(split, fraction, seed)
        return
    kept, held = hold_out(split, fraction, seed)
    assert hold_out(split, fraction, seed) == (kept, held)
    indices = [[int(files[0].name) for files in part.files] for part in (kept, held)]
    assert sorted(indices[0] + indices[1]) == list(range(len(groups)))
    for part, chosen in zip((kept, held), indices, strict=True):
        assert chosen == sorted(chosen) and part == split.select(chosen)
    labels = {"classification": groups, "segmentation": [0] * len(groups), "video": groups}[kind]
    given_away = [labels[index] for index in indices[1]]
    if kind == "video":  # whole clips
        assert set(given_away).isdisjoint(labels[index] for index in indices[0])
        total, away = Counter([0] * len(set(groups))), Counter([0] * len(set(given_away)))
    else:  # stratified
        total, away = Counter(labels), Counter(given_away)
    for label, count in total.items():
        assert away[label] == min(max(round(fraction * count), 1), count - 1) < count


@pytest.mark.parametrize("kind", ["classification", "segmentation", "video"])
def test_hold_out_depends_on_the_seed_and_never_is_all_or_nothing(kind: str) -> None:
    split = numbered(kind, [number // 2 for number in range(200)])
    assert hold_out(split, 0.1, 0) != hold_out(split, 0.1, 1)
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(UserError, match="between 0 and 1"):
            hold_out(split, fraction, 0)


def test_hold_out_of_a_read_set(tmp_path: Path) -> None:
    train = read(Video, "driving_final", write("driving_final", tmp_path)).train
    parts = hold_out(train, 0.5, 0)
    assert {part.clips for part in parts} == {(clip,) for clip in train.clips}
    birds = read(Classification, "cub200", tiny.write("cub200", tmp_path)).train
    kept, held = hold_out(birds, 0.5, 0)
    assert sorted(kept.labels) == sorted(held.labels) == [0, 1, 2]
