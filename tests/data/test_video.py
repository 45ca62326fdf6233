"""Readers of videos: what they return, and every fault that they and their decoders must name."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_sets
import tiny_videos
import torch
from davis_names import DAVIS_TRAIN, DAVIS_VAL
from l2sp_suite.datasets.video_names import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN
from PIL import Image
from torchvision.datasets import FlyingChairs

from l2sp_suite.datasets.images import load_image
from l2sp_suite.datasets.records import check_counts, digest
from l2sp_suite.datasets.video import VIDEO_READERS, Pairs, Video, hold_out, load_mask, read
from l2sp_suite.utils.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
COUNTS = {
    "davis2016": {"train": 5, "test": 5, "train_sequences": 2, "test_sequences": 2},
    "monkaa": {"train": 6, "test": 4, "train_sequences": 2, "test_sequences": 1},
    "driving": {"train": 6, "test": 4, "train_sequences": 2, "test_sequences": 1},
    "flying": {"train": 3, "test": 2, "train_sequences": 3, "test_sequences": 2},
}
OFFICIAL = {
    "davis2016": {"train": 2079, "test": 1376, "train_sequences": 30, "test_sequences": 20},
    "flying": {"train": 22232, "test": 640},
}


def load(name: str, root: Path) -> Video:
    return read(name, root, "get it again")


def fails(name: str, root: Path) -> str:
    """Reads, expects UserError, returns its message, which must be one line and end in the remedy."""
    with pytest.raises(UserError) as caught:
        load(name, root)
    message = str(caught.value)
    assert message.startswith(str(root)) and "\n" not in message and len(message) < 1000
    assert message.endswith("; get it again")
    return message


def decoding_fails(data: Video, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        data.decode(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def rows(pairs: Pairs, root: Path) -> list[tuple[str, str, str, str]]:
    return [
        (*(path.relative_to(root).as_posix() for path in paths), clip)
        for *paths, clip in zip(pairs.first, pairs.second, pairs.truth, pairs.sequences, strict=True)
    ]


# Names


def test_official_names() -> None:
    for train, test, counts in (
        (DAVIS_TRAIN, DAVIS_VAL, (30, 20)),
        (MONKAA_TRAIN, MONKAA_TEST, (21, 3)),
        (DRIVING_TRAIN, DRIVING_TEST, (7, 1)),
    ):
        assert (len(train), len(test)) == counts
        assert len({*train, *test}) == sum(counts)
        assert list(train) == sorted(train) and list(test) == sorted(test)
    lengths, ways, speeds = ("15mm", "35mm"), ("forwards", "backwards"), ("fast", "slow")
    every = {f"{a}_focallength/scene_{b}/{c}" for a in lengths for b in ways for c in speeds}
    assert {*DRIVING_TRAIN, *DRIVING_TEST} == every


# What the readers return


def test_readers_are_those_of_the_tiny_sets() -> None:
    assert set(VIDEO_READERS) - {"flying_chairs_whole"} == set(tiny_videos.READERS)


@pytest.mark.parametrize("name", tiny_videos.READERS)
def test_tiny_set_is_read(name: str, tmp_path: Path) -> None:
    data = load(name, tiny_videos.write(name, tmp_path))
    assert data.name == name and data.kind == ("mask" if name == "davis2016" else "flow")
    assert data.counts == {**COUNTS[name.split("_")[0]], "height": 10, "width": 12}
    for pairs in data.parts.values():
        for first, second, truth in zip(pairs.first, pairs.second, pairs.truth, strict=True):
            assert load_image(first).shape == load_image(second).shape == (3, 10, 12)
            found = data.decode(truth)
            if data.kind == "mask":
                assert found.dtype == torch.uint8 and found.shape == (10, 12) and set(found.unique().tolist()) == {0, 1}
            else:
                assert found.dtype == torch.float32 and found.shape == (3, 10, 12) and (found[2] == 1).all()


def test_pairs_of_davis(tmp_path: Path) -> None:
    data = load("davis2016", tiny_videos.write("davis2016", tmp_path))

    def row(clip: str, first: int, second: int) -> tuple[str, str, str, str]:
        frames = [f"JPEGImages/480p/{clip}/{number:05d}.jpg" for number in (first, second)]
        return frames[0], frames[1], f"Annotations/480p/{clip}/{first:05d}.png", clip

    # The last frame of a clip goes to itself.
    pairs = [("bear", 0, 1), ("bear", 1, 2), ("bear", 2, 2), ("boat", 0, 1), ("boat", 1, 1)]
    assert rows(data.train, tmp_path) == [row(*pair) for pair in pairs]
    pairs = [("camel", 0, 1), ("camel", 1, 1), ("dog", 0, 1), ("dog", 1, 2), ("dog", 2, 2)]
    assert rows(data.test, tmp_path) == [row(*pair) for pair in pairs]


def test_davis_list_may_leave_frames_out_and_name_them_without_slashes(tmp_path: Path) -> None:
    root = tiny_videos.write("davis2016", tmp_path)
    lines = [tiny_videos.davis_line("bear", number) for number in (0, 2)]
    tiny_sets.text(root / tiny_videos.DAVIS_LISTS[0], [line.replace("/JPEG", "JPEG") for line in lines])
    train = load("davis2016", root).train
    assert [path.stem for path in train.first] == ["00000", "00002"]
    assert [path.stem for path in train.second] == ["00002", "00002"]
    tiny_sets.text(root / tiny_videos.DAVIS_LISTS[0], [lines[0]])
    train = load("davis2016", root).train
    assert train.first == train.second and len(train) == 1


@pytest.mark.parametrize("name", tiny_videos.SCENE_FLOW)
def test_pairs_of_scene_flow(name: str, tmp_path: Path) -> None:
    half, finish = name.split("_")
    data = load(name, tiny_videos.write(name, tmp_path))

    def row(scene: str, first: int, second: int) -> tuple[str, str, str, str]:
        frames = [f"frames_{finish}pass/{scene}/left/{number:04d}.png" for number in (first, second)]
        direction = "Future" if second > first else "Past"
        return frames[0], frames[1], tiny_videos.scene_flow_file(scene, direction, first), scene

    two, three = [(1, 2), (2, 1)], [(1, 2), (2, 3), (2, 1), (3, 2)]
    expected = [
        [row(scene, *pair) for pair in (two if frames == 2 else three)]
        for scene, frames in tiny_videos.SCENES[half].items()
    ]
    assert rows(data.train, tmp_path) == expected[0] + expected[1]
    assert rows(data.test, tmp_path) == expected[2]
    assert data.train.clips == tuple(tiny_videos.SCENES[half])[:2]


def test_scene_flow_frames_may_be_webp(tmp_path: Path) -> None:
    for scene, frames in tiny_videos.SCENES["monkaa"].items():
        tiny_videos.write_scene(tmp_path, "final", scene, frames, "webp")
    data = load("monkaa_final", tmp_path)
    assert data.counts.items() >= COUNTS["monkaa"].items() and {path.suffix for path in data.test.second} == {".webp"}
    tiny_sets.image(tmp_path / "frames_finalpass/eating_x2/left/0002.png")  # of two the one without loss
    assert [path.name for path in load("monkaa_final", tmp_path).test.first][:2] == ["0001.webp", "0002.png"]


def test_scene_flow_takes_what_is_there(tmp_path: Path) -> None:
    root = tiny_videos.write("driving_clean", tmp_path)
    scene = "35mm_focallength/scene_forwards/slow"
    for direction, number in (("Future", 1), ("Past", 3)):
        (root / tiny_videos.scene_flow_file(scene, direction, number)).unlink()
    (root / "frames_cleanpass" / scene / "left/notes.txt").touch()
    (root / "frames_cleanpass/README").touch()
    (root / tiny_videos.scene_flow_file(scene, "Future", 2)).with_suffix(".txt").touch()
    data = load("driving_clean", root)
    assert [(a.stem, b.stem) for a, b in zip(data.test.first, data.test.second, strict=True)] == [
        ("0002", "0003"),
        ("0002", "0001"),
    ]
    assert len(data.train) == 6


def test_flow_is_that_of_the_file(tmp_path: Path) -> None:
    monkaa = load("monkaa_clean", tiny_videos.write("monkaa_clean", tmp_path / "a"))
    past = monkaa.test.truth[2]
    assert past.name == "OpticalFlowIntoPast_0002_L.pfm"
    assert torch.equal(monkaa.decode(past), tiny_videos.field(21))
    chairs = load("flying_chairs", tiny_videos.write("flying_chairs", tmp_path / "b"))
    assert torch.equal(chairs.decode(chairs.test.truth[1]), tiny_videos.field(5))


def test_pairs_of_flying_chairs(tmp_path: Path) -> None:
    data = load("flying_chairs", tiny_videos.write("flying_chairs", tmp_path))
    for pairs, names in ((data.train, ("00001", "00003", "00004")), (data.test, ("00002", "00005"))):
        assert pairs.sequences == names
        kinds = ("img1.ppm", "img2.ppm", "flow.flo")
        assert rows(pairs, tmp_path) == [(*(f"data/{name}_{kind}" for kind in kinds), name) for name in names]


@pytest.mark.parametrize("place", ["FlyingChairs_release", "."])
def test_flying_chairs_may_be_one_level_down(place: str, tmp_path: Path) -> None:
    base = tiny_videos.write("flying_chairs", tmp_path / "FlyingChairs_release")
    expected = load("flying_chairs", base)
    shutil.move(base / tiny_videos.CHAIRS_LIST, tmp_path / place / tiny_videos.CHAIRS_LIST)
    found = load("flying_chairs", tmp_path)
    assert found.parts == expected.parts


def same_as_torchvision(data: Video, parent: Path) -> None:
    for split, pairs in (("train", data.train), ("val", data.test)):
        oracle = FlyingChairs(parent, split=split)
        assert [str(path) for path in pairs.truth] == oracle._flow_list
        frames = zip(pairs.first, pairs.second, strict=True)
        assert [[str(first), str(second)] for first, second in frames] == oracle._image_list
        for index in range(min(len(oracle), 3)):
            first, second, flow = oracle[index]
            assert np.array_equal(load_image(pairs.first[index]).permute(1, 2, 0).numpy(), np.array(first))
            assert np.array_equal(load_image(pairs.second[index]).permute(1, 2, 0).numpy(), np.array(second))
            assert np.array_equal(data.decode(pairs.truth[index])[:2].numpy(), flow)


def test_flying_chairs_are_those_of_torchvision(tmp_path: Path) -> None:
    root = tiny_videos.write("flying_chairs", tmp_path / "FlyingChairs")
    same_as_torchvision(load("flying_chairs", root), tmp_path)


# Masks


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_modes_of_masks(mode: str, tmp_path: Path) -> None:
    stored = np.array([[0, 1, 255], [7, 0, 0]], np.uint8)
    image = Image.fromarray(stored).convert("L" if mode == "P" else mode)
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)  # the colours play no role
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.mode == mode
    found = load_mask(tmp_path / "a.png")
    assert found.dtype == torch.uint8 and found.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_masks_of_1_and_16_bits_and_of_one_colour(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1").save(tmp_path / "bit.png")
    assert load_mask(tmp_path / "bit.png").tolist() == [[0, 1, 0]]
    Image.fromarray(np.array([[0, 1, 256, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert load_mask(tmp_path / "deep.png").tolist() == [[0, 1, 1, 1]]
    colours = np.array([[[0, 0, 0], [9, 0, 0], [0, 1, 0], [0, 0, 200]]], np.uint8)
    tiny_videos.mask(tmp_path / "colour.png", colours, "RGB")
    assert load_mask(tmp_path / "colour.png").tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize("name", ["davis2016", "monkaa_clean", "flying_chairs"])
def test_damaged_truth_is_named(name: str, tmp_path: Path) -> None:
    data = load(name, tiny_videos.write(name, tmp_path))
    victim = data.test.truth[1]
    victim.write_bytes(victim.read_bytes()[:50])
    decoding_fails(data, victim)
    victim.write_bytes(b"no such thing")
    decoding_fails(data, victim)
    victim.unlink()
    decoding_fails(data, victim)


@pytest.mark.parametrize("name", ["davis2016", "monkaa_clean", "flying_chairs"])
def test_data_survive_pickling(name: str, tmp_path: Path) -> None:  # as loader workers that are spawned need
    data = load(name, tiny_videos.write(name, tmp_path))
    again = pickle.loads(pickle.dumps(data))
    assert again == data
    assert torch.equal(again.decode(data.train.truth[0]), data.decode(data.train.truth[0]))


# What is done with them


@pytest.mark.parametrize("name", tiny_videos.READERS)
def test_digest_is_of_the_content_and_not_of_the_place(name: str, tmp_path: Path) -> None:
    one, two = (tiny_videos.write(name, tmp_path / place) for place in "ab")
    assert digest(load(name, one), one) == digest(load(name, two), two)
    data = load(name, two)
    for changed in (data.train.first[0], data.test.second[-1], data.train.truth[1]):
        content = changed.read_bytes()
        changed.write_bytes(content + b" ")
        assert digest(load(name, one), one) != digest(load(name, two), two)
        changed.write_bytes(content)
    assert digest(load(name, one), one) == digest(load(name, two), two)


def test_digest_knows_parts_and_sequences_and_which_file_is_which(tmp_path: Path) -> None:
    root = tiny_videos.write("davis2016", tmp_path)
    data = load("davis2016", root)
    train = data.train
    others = [
        replace(data, train=replace(train, second=train.first)),
        replace(data, train=replace(train, truth=train.truth[::-1])),
        replace(data, train=replace(train, sequences=train.sequences[::-1])),
        replace(data, train=data.test, test=train),
    ]
    assert len({digest(other, root) for other in (data, *others)}) == 5


def test_counts_are_compared_with_the_official_ones(tmp_path: Path) -> None:
    data = load("davis2016", tiny_videos.write("davis2016", tmp_path))
    difference = check_counts(data, OFFICIAL["davis2016"])
    assert difference and "5 train (official 2,079)" in difference and "2 train_sequences (official 30)" in difference
    assert check_counts(data, data.counts) is None
    line = check_counts(data, {}, {"train": data.counts["train"] + 1, "test": 1})
    assert line and line.endswith(f"{data.counts['train']} train (official {data.counts['train'] + 1} or more)")


def test_pairs_have_equal_lengths() -> None:
    path = (Path("a"),)
    with pytest.raises(ValueError, match="1 first frames, 1 second ones, 0 truths and 1 sequences"):
        Pairs(path, path, (), ("a",))


def test_select() -> None:
    paths = tuple(Path(str(number)) for number in range(4))
    pairs = Pairs(paths, paths[::-1], paths, ("b", "b", "a", "a"))
    assert pairs.clips == ("b", "a")
    assert pairs.select([3, 0]) == Pairs((paths[3], paths[0]), (paths[0], paths[3]), (paths[3], paths[0]), ("a", "b"))
    assert pairs.select(range(4)) == pairs
    assert len(pairs.select([])) == 0 and pairs.select([]).clips == ()


def test_hold_out_of_a_data_set(tmp_path: Path) -> None:
    train = load("driving_final", tiny_videos.write("driving_final", tmp_path)).train
    parts = hold_out(train, 0.5, 0)
    assert {part.clips for part in parts} == {(clip,) for clip in train.clips}
    assert sum(len(part) for part in parts) == len(train)


def test_hold_out_of_one_clip() -> None:
    path = (Path("a"),)
    for pairs in (Pairs(path, path, path, ("a",)), Pairs((), (), (), ())):
        with pytest.raises(UserError, match="at least 2"):
            hold_out(pairs, 0.5, 0)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_hold_out_of_nothing_or_all(fraction: float) -> None:
    paths = (Path("a"), Path("b"))
    with pytest.raises(UserError, match="between 0 and 1"):
        hold_out(Pairs(paths, paths, paths, ("a", "b")), fraction, 0)


# Faults


def test_unknown_reader(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="davis2016, monkaa_clean"):
        read("sintel", tmp_path)


@pytest.mark.parametrize("name", tiny_videos.READERS)
def test_empty_and_absent_folders(name: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        fails(name, root)


@pytest.mark.parametrize(("name", "folder"), [("monkaa_clean", "frames_cleanpass"), ("flying_chairs", "data")])
def test_folder_that_cannot_be_read(name: str, folder: str, tmp_path: Path) -> None:
    root = tiny_videos.write(name, tmp_path)
    shutil.rmtree(root / folder)
    (root / folder).symlink_to(folder)  # round in a circle
    assert f"{root / folder}: Too many levels" in fails(name, root)


@pytest.mark.parametrize("kind", ["first", "truth"])
def test_absent_file_of_davis(kind: str, tmp_path: Path) -> None:
    root = tiny_videos.write("davis2016", tmp_path)
    victim = getattr(load("davis2016", root).test, kind)[1]
    victim.unlink()
    message = fails("davis2016", root)
    assert f"val.txt, line 2: names '{victim.relative_to(root)}', which is not on disk" in message


LINE = tiny_videos.davis_line


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "train.txt: is empty"),
        ([LINE("bear", 0).split()[0]], "line 1: expected"),
        ([LINE("bear", 0), LINE("bear", 0)], "line 2: '/JPEGImages/480p/bear/00000.jpg' is listed twice"),
        ([LINE("bear", 0), LINE("bear", 0)[1:]], "line 2: has frame 00000 of 'bear' after frame 00000"),
        ([LINE("bear", 1), LINE("bear", 0)], "line 2: has frame 00000 of 'bear' after frame 00001"),
        ([LINE("bear", 0), LINE("boat", 0), LINE("bear", 1)], "line 3: comes back to sequence 'bear'"),
        ([LINE("bear", 0).replace("bear/00000.png", "bear/00001.png")], "line 1: names mask '/Annotations"),
        ([LINE("bear", 0).replace("bear/00000.png", "boat/00000.png")], "line 1: names mask '/Annotations"),
        ([LINE("bear", 0).replace("JPEGImages", "Annotations")], "line 1: '/Annotations/480p/bear/00000.jpg' is not"),
        ([LINE("bear", 0).replace("480p", "1080p")], "line 1: '/JPEGImages/1080p/bear/00000.jpg' is not"),
        ([LINE("..", 0)], "line 1: '/JPEGImages/480p/../00000.jpg' is not"),
        ([LINE("bear/x", 0)], "line 1: '/JPEGImages/480p/bear/x/00000.jpg' is not"),
        (["/" + LINE("bear", 0)], "line 1: '//JPEGImages/480p/bear/00000.jpg' is not"),
        ([LINE("\0", 0)], "line 1: names 'JPEGImages/480p/\\x00/00000.jpg', which is not on disk"),
        ([LINE("x" * 5000, 0)], "which is not on disk"),
        ([LINE("dog", 0)], "val.txt: holds sequence 'dog', as does train.txt"),
    ],
)
def test_bad_list_of_davis(lines: list[str], expected: str, tmp_path: Path) -> None:
    root = tiny_videos.write("davis2016", tmp_path)
    tiny_sets.text(root / tiny_videos.DAVIS_LISTS[0], lines)
    assert expected in fails("davis2016", root)


@pytest.mark.parametrize("name", ["monkaa_clean", "driving_final"])
def test_scene_that_no_list_has(name: str, tmp_path: Path) -> None:
    root = tiny_videos.write(name, tmp_path)
    frames = f"frames_{name.split('_')[1]}pass"
    strange = (
        ["new_x2"] if name == "monkaa_clean" else ["20mm", "15mm_focallength/x", "15mm_focallength/scene_forwards/x"]
    )
    for parent in (frames, "optical_flow"):
        for scene in strange:
            folder = root / parent / scene
            folder.mkdir(parents=True)
            assert f"{root / parent}: folder '{scene}' is none of the scenes" in fails(name, root)
            folder.rmdir()
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()
    load(name, root)


@pytest.mark.parametrize("name", tiny_videos.SCENE_FLOW)
def test_scene_without_pairs(name: str, tmp_path: Path) -> None:
    root = tiny_videos.write(name, tmp_path)
    scene = list(tiny_videos.SCENES[name.split("_")[0]])[1]
    shutil.rmtree(root / "optical_flow" / scene)
    assert f"{root / 'optical_flow' / scene}/into_future: has no flow between two frames" in fails(name, root)


def test_scene_without_one_of_the_directions(tmp_path: Path) -> None:
    root = tiny_videos.write("monkaa_clean", tmp_path)
    shutil.rmtree(root / "optical_flow/eating_x2/into_past")
    assert f"{root / 'optical_flow/eating_x2'}/into_past: has no flow between two frames" in fails("monkaa_clean", root)


def test_all_flying_chairs_are_in_both_parts_on_demand(tmp_path: Path) -> None:
    root = tiny_videos.write("flying_chairs", tmp_path)
    parted, whole = load("flying_chairs", root), load("flying_chairs_whole", root)
    assert whole.train == whole.test and len(whole.test) == len(parted.train) + len(parted.test)
    assert set(whole.test.keys) == {*parted.train.keys, *parted.test.keys}


def test_flow_without_its_frame(tmp_path: Path) -> None:
    root = tiny_videos.write("monkaa_final", tmp_path)
    (root / "frames_finalpass/eating_x2/left/0002.png").unlink()
    expected = "Future_0002_L.pfm: is the flow of frame 0002, which frames_finalpass/eating_x2/left lacks"
    assert expected in fails("monkaa_final", root)
    shutil.rmtree(root / "frames_finalpass/eating_x2")
    assert "Future_0001_L.pfm: is the flow of frame 0001" in fails("monkaa_final", root)


def test_frames_of_the_other_pass(tmp_path: Path) -> None:
    root = tiny_videos.write("monkaa_final", tmp_path)
    assert "which frames_cleanpass/family_x2/left lacks" in fails("monkaa_clean", root)


def test_flow_file_of_another_name(tmp_path: Path) -> None:
    root = tiny_videos.write("monkaa_final", tmp_path)
    good = root / tiny_videos.scene_flow_file("eating_x2", "Past", 2)
    shutil.copy(good, good.with_name("OpticalFlowIntoPast_2_L.pfm"))
    message = fails("monkaa_final", root)
    assert f"{good.parent}: 'OpticalFlowIntoPast_2_L.pfm' is named as no file of the release" in message


@pytest.mark.parametrize(("name", "part"), [("monkaa_clean", "train"), ("driving_clean", "test")])
def test_part_without_scenes(name: str, part: str, tmp_path: Path) -> None:
    root = tiny_videos.write(name, tmp_path)
    scenes = list(tiny_videos.SCENES[name.split("_")[0]])
    for scene in scenes[:2] if part == "train" else scenes[2:]:
        for parent in ("frames_cleanpass", "optical_flow"):
            shutil.rmtree(root / parent / scene)
    assert f"frames_cleanpass and optical_flow hold no scene of the {part} part (" in fails(name, root)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "FlyingChairs_train_val.txt: is empty"),
        ("1\n2\n1\n1\n", "FlyingChairs_train_val.txt: has 4 lines, but data 5 flow files"),
        ("1\n2\n1\n1\n2\n1\n", "FlyingChairs_train_val.txt: has 6 lines, but data 5 flow files"),
        ("1\n2\n\n3\n1\n2\n", "FlyingChairs_train_val.txt, line 4: holds '3', neither 1 (train) nor 2 (validation)"),
        ("1\n2\n1 1\n2\n", "FlyingChairs_train_val.txt, line 3: holds '1 1'"),
        ("1\n1\n1\n1\n1\n", "has no test image"),
        ("2\n2\n2\n2\n2\n", "has no train image"),
    ],
)
def test_bad_list_of_flying_chairs(content: str, expected: str, tmp_path: Path) -> None:
    root = tiny_videos.write("flying_chairs", tmp_path)
    (root / tiny_videos.CHAIRS_LIST).write_text(content)
    assert expected in fails("flying_chairs", root)


def test_faulty_files_of_flying_chairs(tmp_path: Path) -> None:
    root = tiny_videos.write("flying_chairs", tmp_path)
    (root / tiny_videos.CHAIRS_LIST).unlink()
    assert f"{tiny_videos.CHAIRS_LIST}: No such file" in fails("flying_chairs", root)
    (root / "data/00003_img2.ppm").unlink()
    message = fails("flying_chairs", root)
    assert f"{root}/data/00003_img2.ppm: is not on disk, but its flow 00003_flow.flo is" in message
    (root / "data/2_flow.flo").touch()
    tiny_sets.image(root / "data/00003_img2.ppm")
    assert f"{root}/data: '2_flow.flo' is named as no file of the release" in fails("flying_chairs", root)
    shutil.rmtree(root / "data")
    assert f"{root}/data: has no flow file" in fails("flying_chairs", root)


@pytest.mark.parametrize("name", ["monkaa_clean", "driving_clean", "flying_chairs"])
def test_names_of_no_encoding_are_printable(name: str, tmp_path: Path) -> None:
    root = tiny_videos.write(name, tmp_path)
    if name == "flying_chairs":
        Path(f"{root}/data/\udcff\n.flo").touch()
    else:
        Path(f"{root}/optical_flow/\udcff\n").mkdir()
    assert "'\\udcff\\n" in fails(name, root).encode().decode()


# Real data


def test_real_davis() -> None:
    root = SHARED / "DAVIS"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    data = read("davis2016", root)
    assert check_counts(data, OFFICIAL["davis2016"]) is None
    assert (data.train.clips, data.test.clips) == (DAVIS_TRAIN, DAVIS_VAL)
    for pairs in data.parts.values():
        still = [i for i, (a, b) in enumerate(zip(pairs.first, pairs.second, strict=True)) if a == b]
        assert [pairs.sequences[i] for i in still] == list(pairs.clips)
        for index in range(0, len(pairs), 25):
            assert load_image(pairs.first[index]).shape[1:] == data.decode(pairs.truth[index]).shape == (160, 284)


def test_real_flying_chairs(tmp_path: Path) -> None:
    root = SHARED / "FlyingChairs_release"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    link = tmp_path / "FlyingChairs"
    link.symlink_to(root, target_is_directory=True)
    data = read("flying_chairs", link)
    sequences = {"train_sequences": 9, "test_sequences": 3}
    assert data.counts == {"train": 9, "test": 3, **sequences, "height": 384, "width": 512}
    assert check_counts(data, OFFICIAL["flying"])
    same_as_torchvision(data, tmp_path)
