"""Properties of the readers of videos: what any valid set becomes, and that garbage raises UserError alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import tiny_sets
import tiny_videos
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sp_suite.datasets.video import Pairs, Video, hold_out, read
from l2sp_suite.utils.errors import UserError

names = st.text("abcxyz0189-_", min_size=1, max_size=6)
clips = st.dictionaries(names, st.sets(st.integers(0, 99_999), min_size=1, max_size=5), min_size=2, max_size=6)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@settings(max_examples=50, deadline=None)
@given(clips, st.data())
def test_any_valid_davis_survives(found: dict[str, set[int]], data: st.DataObject) -> None:
    divided = data.draw(st.integers(1, len(found) - 1))
    ordered = list(found)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for clip, numbers in found.items():
            for number in numbers:
                for path in tiny_videos.davis_line(clip, number).split():
                    touch(root / path[1:])
        for file, part in zip(tiny_videos.DAVIS_LISTS, (ordered[:divided], ordered[divided:]), strict=True):
            tiny_sets.text(root / file, (tiny_videos.davis_line(c, n) for c in part for n in sorted(found[c])))
        video = read("davis2016", root)
    assert video.train.clips + video.test.clips == tuple(ordered)
    for pairs in video.parts.values():
        for clip in pairs.clips:
            inside = [i for i, sequence in enumerate(pairs.sequences) if sequence == clip]
            assert inside == list(range(inside[0], inside[-1] + 1))
            numbers = sorted(found[clip])
            assert [int(pairs.first[i].stem) for i in inside] == numbers
            assert [int(pairs.truth[i].stem) for i in inside] == numbers
            assert [int(pairs.second[i].stem) for i in inside] == [*numbers[1:], numbers[-1]]


numbers = st.sets(st.integers(0, 6) | st.just(9999), max_size=6)


@settings(max_examples=100, deadline=None)
@given(frames=numbers, future=numbers, past=numbers, monkaa=st.booleans())
def test_any_scene(frames: set[int], future: set[int], past: set[int], monkaa: bool) -> None:
    name, scene = (
        ("monkaa_clean", "lonetree_x2") if monkaa else ("driving_clean", "35mm_focallength/scene_forwards/slow")
    )
    train = next(iter(tiny_videos.SCENES[name.split("_")[0]]))
    forward = [(t, t + 1) for t in sorted(future) if t + 1 in frames]
    backward = [(t, t - 1) for t in sorted(past) if t - 1 in frames]
    expected = forward + backward
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in (f"frames_cleanpass/{train}/left/0001.png", f"frames_cleanpass/{train}/left/0002.png"):
            touch(root / path)
        touch(root / tiny_videos.scene_flow_file(train, "Future", 1))
        touch(root / tiny_videos.scene_flow_file(train, "Past", 2))
        (root / "frames_cleanpass" / scene / "left").mkdir(parents=True)
        for t in frames:
            touch(root / f"frames_cleanpass/{scene}/left/{t:04d}.png")
        for direction, flows in (("Future", future), ("Past", past)):
            for t in flows:
                touch(root / tiny_videos.scene_flow_file(scene, direction, t))
        if not (future | past) <= frames or not (forward and backward):
            with pytest.raises(UserError, match=r"is the flow of frame|has no flow between"):
                read(name, root)
            return
        video = read(name, root)
    assert video.test.clips == (scene,) and video.train.clips == (train,)
    found = zip(video.test.first, video.test.second, strict=True)
    assert [(int(a.stem), int(b.stem)) for a, b in found] == expected
    assert [int(path.stem.split("_")[1]) for path in video.test.truth] == [a for a, _ in expected]
    assert ["Future" in path.name for path in video.test.truth] == [b > a for a, b in expected]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(0, 99_999), st.booleans(), min_size=2, max_size=12))
def test_any_valid_flying_chairs_survive(found: dict[int, bool]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in found:
            for kind in ("img1.ppm", "img2.ppm", "flow.flo"):
                touch(root / f"data/{number:05d}_{kind}")
        tiny_sets.text(root / tiny_videos.CHAIRS_LIST, ("1" if found[number] else "2" for number in sorted(found)))
        if len(set(found.values())) == 1:
            with pytest.raises(UserError, match=r"has no (train|test)"):
                read("flying_chairs", root)
            return
        video = read("flying_chairs", root)
    for pairs, wanted in ((video.train, True), (video.test, False)):
        assert list(pairs.sequences) == [f"{number:05d}" for number in sorted(found) if found[number] == wanted]


# Garbage

TEXT_FILES = [(name, file) for name, files in tiny_videos.TEXTS.items() for file in files]
PATHS = ("/JPEGImages/480p/", "/Annotations/480p/", *tiny_videos.davis_line("bear", 0).split())
LETTERS = ("1", "2", "00000.jpg", " ", "\n", "\r", "\0", "/", "..", "{}", "\x85", "²", "٣")
words = st.sampled_from([*PATHS, *LETTERS, tiny_videos.davis_line("boat", 1)])


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tiny_videos.write(name, tmp_path_factory.mktemp(name)) for name in tiny_videos.READERS}


def only_user_errors(name: str, root: Path, file: str, content: bytes) -> None:
    original = (root / file).read_bytes()
    try:
        (root / file).write_bytes(content)
        check(read(name, root), root)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(root) in str(error)
    finally:
        (root / file).write_bytes(original)


def check(video: Video, root: Path) -> None:
    for pairs in video.parts.values():
        assert len(pairs)
        for path in (*pairs.first, *pairs.second, *pairs.truth):
            assert path.is_file() and path.resolve().is_relative_to(root.resolve())
    assert len(set(video.train.truth + video.test.truth)) == len(video.train) + len(video.test)


@settings(max_examples=300, deadline=None)
@given(
    case=st.sampled_from(TEXT_FILES),
    content=st.one_of(st.binary(), st.text().map(str.encode), st.lists(words).map(lambda w: "".join(w).encode())),
)
def test_garbage_text_raises_user_errors_only(roots: dict[str, Path], case: tuple[str, str], content: bytes) -> None:
    name, file = case
    only_user_errors(name, roots[name], file, content)


@settings(max_examples=150, deadline=None)
@given(
    case=st.sampled_from(TEXT_FILES),
    line=st.integers(0, 4),
    text=st.text(max_size=20) | st.lists(words, max_size=4).map("".join),
)
def test_one_garbage_line_raises_user_errors_only(
    roots: dict[str, Path], case: tuple[str, str], line: int, text: str
) -> None:
    name, file = case
    lines = (roots[name] / file).read_text().splitlines()
    lines[line % len(lines)] = text
    only_user_errors(name, roots[name], file, "\n".join(lines).encode())


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["davis2016", "monkaa_final", "flying_chairs"]),
    cut=st.floats(0, 1, exclude_max=True),
    foreign=st.none() | st.binary(max_size=100),
)
def test_damaged_truth_raises_user_errors_only(
    roots: dict[str, Path], kind: str, cut: float, foreign: bytes | None
) -> None:
    data = read(kind, roots[kind])
    path = data.train.truth[0]
    original = path.read_bytes()
    try:
        path.write_bytes(original[: int(cut * len(original))] if foreign is None else foreign)
        found = data.decode(path)
        assert data.kind == "mask" and found.shape == (10, 12)  # a PNG may lack its last chunk, which holds no pixels
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(path) in str(error)
    finally:
        path.write_bytes(original)


# hold_out


def made(sequences: list[str]) -> Pairs:
    columns = (tuple(Path(f"{kind}{i}") for i in range(len(sequences))) for kind in "fst")
    return Pairs(*columns, tuple(sequences))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 10**6))
def test_hold_out_never_splits_a_clip(sequences: list[str], fraction: float, seed: int) -> None:
    pairs = made(sequences)
    if len(pairs.clips) < 2:
        with pytest.raises(UserError, match="at least 2"):
            hold_out(pairs, fraction, seed)
        return
    kept, held = hold_out(pairs, fraction, seed)
    assert hold_out(pairs, fraction, seed) == (kept, held)
    assert not set(kept.clips) & set(held.clips) and {*kept.clips, *held.clips} == set(pairs.clips)
    assert len(held.clips) == min(max(round(fraction * len(pairs.clips)), 1), len(pairs.clips) - 1)
    assert len(kept) + len(held) == len(pairs)
    for part in (kept, held):
        indices = [int(path.name[1:]) for path in part.first]
        assert indices == sorted(indices)
        assert part == pairs.select(indices)


def test_hold_out_depends_on_the_seed() -> None:
    pairs = made([f"{number // 2}" for number in range(200)])
    assert hold_out(pairs, 0.1, 0) != hold_out(pairs, 0.1, 1)
