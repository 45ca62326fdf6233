"""What the readers return, with torchvision as oracle, and what their files decode to."""

from __future__ import annotations

import logging
import pickle
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tiny
import tiny_maps
import tiny_sets
import tiny_videos
import torch
from davis_names import DAVIS_TRAIN, DAVIS_VAL
from PIL import Image
from tiny import LAYOUTS, decoding_fails, line, lines, load, write
from torchvision import datasets

from l2sp_suite.datasets import (
    IGNORED,
    READERS,
    Classification,
    ClassificationSplit,
    Segmentation,
    SegmentationSplit,
    Video,
    VideoSplit,
    check_counts,
    digest,
    load_image,
    map_cache,
    read,
)
from l2sp_suite.datasets.images import load_indices
from l2sp_suite.datasets.segmentation import CAMVID_CLASSES, PASCAL_CLASSES, PASCAL_IDS
from l2sp_suite.datasets.video import load_mask
from l2sp_suite.utils.errors import UserError

CLASSIFICATION = [name for name, (kind, _) in LAYOUTS.items() if kind is Classification]
MAPS = list(tiny_maps.READER)
COUNTS = {
    **{name: {"classes": 3, "train": 6, "test": 3} for name in CLASSIFICATION},
    "imagenet_inat": {"classes": 6, "train": 12, "test": 6},
    **{name: {"classes": 59, "train": 4, "test": 2} for name in MAPS},
    "camvid": {"classes": 11, "train": 4, "val": 2, "test": 2},
    "davis2016": {"train": 5, "test": 5, "train_sequences": 2, "test_sequences": 2, "height": 10, "width": 12},
    **{
        name: {"train": 6, "test": 4, "train_sequences": 2, "test_sequences": 1, "height": 10, "width": 12}
        for name in tiny_videos.SCENE_FLOW
    },
    "flying_chairs": {"train": 3, "test": 2, "train_sequences": 3, "test_sequences": 2, "height": 10, "width": 12},
}
ONE_OF_EACH = ["cub200", "pascal_png", "pascal_mat", "camvid", "davis2016", "monkaa_clean", "flying_chairs"]


def test_every_reader_has_a_tiny_set() -> None:
    readers = {name for readers in READERS.values() for name in readers}
    assert {reader for _, reader in LAYOUTS.values()} == readers - {"flying_chairs_whole"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiny_set_is_read(layout: str, tmp_path: Path) -> None:
    kind, reader = LAYOUTS[layout]
    data = load(layout, write(layout, tmp_path))
    assert type(data) is kind and data.name == reader and data.counts == COUNTS[layout]
    for split in data.parts.values():
        for files in split.files:
            assert load_image(files[0]).shape == (3, 10, 12)
            if kind is Segmentation:
                labels = data.decode(files[1])
                assert labels.dtype == torch.uint8 and labels.shape == (10, 12) and files[0].stem == files[1].stem
            if kind is Video and data.kind == "mask":
                assert load_image(files[1]).shape == (3, 10, 12) and data.decode(files[2]).unique().tolist() == [0, 1]
            if kind is Video and data.kind == "flow":
                flow = data.decode(files[2])
                assert flow.dtype == torch.float32 and flow.shape == (3, 10, 12) and (flow[2] == 1).all()
        if kind is Classification:
            assert len(set(Counter(split.labels).values())) == 1 and set(split.labels) == set(range(len(data.classes)))


# What a run sees of a set: its digest and counts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_digest_is_of_the_content_and_not_of_the_folder(layout: str, tmp_path: Path) -> None:
    one, two = write(layout, tmp_path / "a"), write(layout, tmp_path / "b")
    original = digest(load(layout, one), one)
    assert digest(load(layout, two), two) == original
    data = load(layout, two)
    for changed in {*data.train.files[0], *data.test.files[-1]}:
        content = changed.read_bytes()
        changed.write_bytes(content + b" ")
        assert digest(load(layout, two), two) != original
        changed.write_bytes(content)


def test_digest_knows_labels_clips_parts_and_which_file_is_which(tmp_path: Path) -> None:
    def different(data: object, *others: object, root: Path) -> None:
        assert len({digest(other, root) for other in (data, *others)}) == 1 + len(others)  # type: ignore[arg-type]

    root = write("cub200", tmp_path / "a")
    data = load("cub200", root)
    relabelled = replace(data, train=replace(data.train, labels=data.train.labels[::-1]))
    different(data, relabelled, replace(data, train=data.test, test=data.train), root=root)
    order = replace(data, train=data.train.select(range(len(data.train))[::-1]))
    assert digest(order, root) == digest(data, root)
    root = write("pascal_png", tmp_path / "b")
    data = load("pascal_png", root)
    swapped = replace(data, train=SegmentationSplit(data.train.images, data.train.maps[::-1]))
    different(data, swapped, replace(data, classes=data.classes[:58]), root=root)
    root = write("davis2016", tmp_path / "c")
    data = load("davis2016", root)
    train = data.train
    others = (replace(train, second=train.first), replace(train, truth=train.truth[::-1]))
    others = (*others, replace(train, sequences=train.sequences[::-1]), data.test)
    different(data, *(replace(data, train=other) for other in others), root=root)


def test_counts_are_compared_with_the_official_ones(tmp_path: Path) -> None:
    for layout, official, expected in (
        (
            "cub200",
            {"classes": 3, "train": 5994, "test": 3},
            "cub200 is not the official release: 6 train (official 5,994)",
        ),
        ("camvid", {"classes": 11, "train": 367}, "camvid is not the official release: 4 train (official 367)"),
        (
            "davis2016",
            {"train_sequences": 30},
            "davis2016 is not the official release: 2 train_sequences (official 30)",
        ),
    ):
        data = load(layout, write(layout, tmp_path / layout))
        assert check_counts(data, official) == expected
        assert check_counts(data, data.counts, data.counts) is None
        assert check_counts(data, {}, {"train": 7, "test": 1}).endswith("train (official 7 or more)")  # type: ignore[union-attr]
    data = load("pascal_png", write("pascal_png", tmp_path / "pascal"))
    with pytest.raises(UserError, match=r"data\.at_least: pascal_context counts classes, train, test, not val"):
        check_counts(data, {"classes": 59, "val": 101})


@pytest.mark.parametrize("layout", ONE_OF_EACH)
def test_data_survive_pickling(layout: str, tmp_path: Path) -> None:  # as loader workers that are spawned need
    data = load(layout, write(layout, tmp_path))
    again = pickle.loads(pickle.dumps(data))
    assert (again.train, again.test, again.classes) == (data.train, data.test, data.classes)
    if not isinstance(data, Classification):
        truth = data.train.files[0][-1]
        assert torch.equal(again.decode(truth), data.decode(truth))


def test_splits_are_columns_of_one_length() -> None:
    paths = tuple(Path(str(number)) for number in range(4))
    with pytest.raises(ValueError, match="'paths': 4, 'labels': 1"):
        ClassificationSplit(paths, (0,))
    pairs = VideoSplit(paths, paths[::-1], paths, ("b", "b", "a", "a"))
    assert pairs.clips == ("b", "a") and len(pairs) == 4
    chosen = VideoSplit((paths[3], paths[0]), (paths[0], paths[3]), (paths[3], paths[0]), ("a", "b"))
    assert pairs.select([3, 0]) == chosen and pairs.select(range(4)) == pairs
    assert len(pairs.select([])) == 0 and pairs.select([]).clips == ()


# Classification


def test_two_sources_are_one_with_all_classes_of_both(tmp_path: Path) -> None:
    data = load("imagenet_inat", write("imagenet_inat", tmp_path))
    assert data.classes[:3] == ("imagenet/class_0", "imagenet/class_1", "imagenet/class_2")
    for split in (data.train, data.test):
        for path, label in zip(split.paths, split.labels, strict=True):
            source, *_, name = data.classes[label].split("/")
            assert name == path.parent.name and source in path.parts


@pytest.mark.parametrize("layout", ["cub200", "nabirds", "image_folder", "food101"])
def test_label_and_image_belong_together(layout: str, tmp_path: Path) -> None:
    data = load(layout, write(layout, tmp_path))
    for split in (data.train, data.test):
        for path, label in zip(split.paths, split.labels, strict=True):
            assert path.parent.name.split(".")[-1] == data.classes[label].replace(" ", "_")


def test_nabirds_ids_are_remapped_in_ascending_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = load("nabirds", write("nabirds", tmp_path))
    assert data.classes == ("Bird 1", "Bird 0", "Bird 2")  # 295, 817, 1010
    assert "nabirds: 3 of 5 labels present, remapped to 0..2" in caplog.text


def test_flowers_train_on_train_and_val(tmp_path: Path) -> None:
    data = load("flowers102", write("flowers102", tmp_path))
    assert [path.stem[-1] for path in data.train.paths] == ["1", "4", "7", "2", "5", "8"]
    assert data.classes == tuple(datasets.Flowers102.classes[:3])


def test_class_without_training_image_is_kept_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write("cub200", tmp_path)
    line("train_test_split.txt", 1, "1 0")(root)
    line("train_test_split.txt", 2, "2 0")(root)
    data = load("cub200", root)
    assert len(data.classes) == 3 and set(data.train.labels) == {1, 2}
    assert "no training image of 1 classes, among them Bird 0" in caplog.text


def test_cars_list_of_tests_may_lie_in_the_devkit_and_have_one_row(tmp_path: Path) -> None:
    root = write("stanford_cars", tmp_path)
    at_root = load("stanford_cars", root)
    shutil.move(root / "cars_test_annos_withlabels.mat", root / "devkit")
    assert load("stanford_cars", root) == at_root
    tiny_sets.cars_annotations(root / "devkit/cars_test_annos_withlabels.mat", [(2, "00006.jpg")])
    assert load("stanford_cars", root).test == ClassificationSplit((root / "cars_test/00006.jpg",), (1,))


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    root = write("cub200", tmp_path)
    before = load("cub200", root)
    for file in tiny_sets.TEXTS["cub200"]:
        content = (root / file).read_bytes().replace(b"\n", b"\r\n")
        (root / file).write_bytes(b"\xef\xbb\xbf" + content + b"\r\n")
    assert load("cub200", root) == before


def pairs_of(oracle: object) -> list[tuple[str, int]]:
    samples = getattr(oracle, "_samples", None) or zip(oracle._image_files, oracle._labels, strict=True)  # type: ignore[attr-defined]
    return [(str(path), int(label)) for path, label in samples]


def ours(split: ClassificationSplit) -> list[tuple[str, int]]:
    return [(str(path), label) for path, label in zip(split.paths, split.labels, strict=True)]


@pytest.mark.parametrize(
    ("layout", "oracle", "train"),
    [
        ("food101", datasets.Food101, "train"),
        ("aircraft", datasets.FGVCAircraft, "trainval"),
        ("stanford_cars", datasets.StanfordCars, "train"),
    ],
)
def test_same_as_torchvision(layout: str, oracle: Callable[..., object], train: str, tmp_path: Path) -> None:
    data = load(layout, write(layout, tmp_path))
    for split, part in ((data.train, train), (data.test, "test")):
        theirs = oracle(tmp_path, part)
        assert ours(split) == pairs_of(theirs) and list(data.classes) == theirs.classes  # type: ignore[attr-defined]


def test_same_as_torchvision_flowers_once_its_md5_check_is_off(tmp_path: Path) -> None:
    data = load("flowers102", write("flowers102", tmp_path))
    with pytest.raises(RuntimeError):  # the reason why the reader is ours
        datasets.Flowers102(tmp_path, "test")
    with mock.patch.object(datasets.Flowers102, "_check_integrity", lambda _: True):
        parts = {part: pairs_of(datasets.Flowers102(tmp_path, part)) for part in ("train", "val", "test")}
    first = min(label for _, label in parts["test"])  # 0 or 1, by the release of torchvision
    parts = {part: [(path, label - first) for path, label in pairs] for part, pairs in parts.items()}
    assert ours(data.train) == parts["train"] + parts["val"] and ours(data.test) == parts["test"]


# Label maps


def test_values_of_png_maps(tmp_path: Path) -> None:
    context = load("pascal_png", write("pascal_png", tmp_path / "a"))
    stored = tiny_maps.values(1, 0, 60).astype(int)
    expected = np.where(stored == 0, IGNORED, stored - 1)
    assert np.array_equal(context.decode(context.train.maps[1]), expected)
    image = Image.fromarray(stored.astype(np.uint8))
    image.putpalette([255 - k // 3 for k in range(768)])  # turns the mode into P; its colours play no role
    image.save(context.train.maps[1])
    assert np.array_equal(context.decode(context.train.maps[1]), expected)
    camvid = load("camvid", write("camvid", tmp_path / "b"))
    stored = tiny_maps.values(6, 0, 12)
    assert np.array_equal(camvid.decode(camvid.test.maps[0]), np.where(stored == 11, IGNORED, stored))


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_values_of_mat_maps(dtype: type, tmp_path: Path) -> None:
    data = load("pascal_mat", write("pascal_mat", tmp_path))
    tiny_maps.mat(data.train.maps[0], np.arange(460).reshape(20, 23).astype(dtype))
    labels = data.decode(data.train.maps[0])
    assert labels.shape == (20, 23)
    assert labels.flatten().tolist() == [PASCAL_IDS.index(n) if n in PASCAL_IDS else IGNORED for n in range(460)]
    tiny_maps.mat(data.train.maps[0], np.full((1, 7), 59))  # one row keeps its shape
    assert data.decode(data.train.maps[0]).tolist() == [[PASCAL_CLASSES.index("car")] * 7]


@pytest.mark.parametrize("layout", ["pascal_png", "pascal_mat"])
def test_voc_folder_may_be_two_levels_down(layout: str, tmp_path: Path) -> None:
    write(layout, tmp_path / "VOCdevkit/VOC2010")
    data = load(layout, tmp_path)
    assert data.train == load(layout, tmp_path / "VOCdevkit/VOC2010").train
    if layout == "pascal_mat":  # the authors' archive unpacks beside VOCdevkit
        shutil.move(tmp_path / "VOCdevkit/VOC2010/trainval", tmp_path / "trainval")
        assert load(layout, tmp_path).test.maps[0].parent == tmp_path / "trainval"


def test_camvid_names_may_be_relative(tmp_path: Path) -> None:
    root = write("camvid", tmp_path)
    before = load("camvid", root)
    for part in ("train.txt", "val.txt"):
        (root / part).write_text((root / part).read_text().replace("/SegNet/CamVid/", ""))
    assert load("camvid", root).parts == before.parts


@pytest.mark.parametrize("layout", ["pascal_png", "pascal_mat"])
def test_classes_of_a_subset_become_dense(layout: str, tmp_path: Path) -> None:
    root = write(layout, tmp_path)
    lines("classes.txt", "wood", "bag", "cat")(root)  # in the order of the 59 whatever the file's
    data = load(layout, root)
    assert data.classes == ("bag", "cat", "wood")
    png = layout == "pascal_png"
    save, stored = (tiny_maps.png, [0, 2, 15, 59]) if png else (tiny_maps.mat, [0, 9, 65, 458])
    save(data.train.maps[0], np.array([stored], dtype=np.uint8 if png else np.uint16))
    assert data.decode(data.train.maps[0]).tolist() == [[IGNORED, 0, 1, 2]]
    save(data.train.maps[0], np.array([[*stored, 1 if png else 2]], dtype=np.uint8 if png else np.uint16))
    message = decoding_fails(data, data.train.maps[0])
    assert "shows class 'aeroplane', which classes.txt does not list" in message and message.endswith(tiny.REMEDY)


def test_packed_grey_is_refused(tmp_path: Path) -> None:
    """A grey PNG of 4 bits holds 3 and 5, but PIL shows 51 and 85."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0\x35")), chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(UserError, match=r"a\.png: is no map of 8-bit labels \(found mode packed grey\)"):
        load_indices(tmp_path / "a.png")


WHOLE = "holds something else than whole numbers"


@pytest.mark.parametrize(
    ("layout", "labels", "expected"),
    [
        ("pascal_png", np.array([[60, 70]], np.uint8), "holds the value 60, which is no label"),
        ("pascal_png", np.array([[1, 255]], np.uint8), "holds the value 255, which is no label"),
        ("camvid", np.array([[1, 12]], np.uint8), "holds the value 12, which is no label"),
        ("camvid", np.array([[1, 255]], np.uint8), "holds the value 255, which is no label"),
        ("camvid", np.zeros((2, 2, 3), np.uint8), "no map of 8-bit labels (found mode RGB)"),
        ("camvid", np.zeros((2, 2), bool), "no map of 8-bit labels (found mode 1)"),
        ("camvid", np.zeros((2, 2), np.uint16), "no map of 8-bit labels (found mode I;16)"),
        ("camvid", np.zeros((2, 2, 2), np.uint8), "no map of 8-bit labels (found mode LA)"),
        ("pascal_mat", np.array([[1, 460]]), "holds the value 460, which is no label"),
        ("pascal_mat", np.array([[1, 2**40]]), WHOLE),
        ("pascal_mat", np.array([[1, -1]]), WHOLE),
        ("pascal_mat", np.array([[1.0, 2.5]]), WHOLE),
        ("pascal_mat", np.array([[1.0, np.nan]]), WHOLE),
        ("pascal_mat", np.array([[1.0, np.inf]]), WHOLE),
        ("pascal_mat", np.zeros((0, 0)), "is no matrix of numbers"),
        ("pascal_mat", np.zeros((2, 2, 2)), "is no matrix of numbers"),
        ("pascal_mat", np.array([["a", "b"]]), "is no matrix of numbers"),
        ("pascal_mat", np.array([[1, "b"]], dtype=object), "is no matrix of numbers"),
    ],
)
def test_bad_map_is_named(layout: str, labels: np.ndarray, expected: str, tmp_path: Path) -> None:
    data = load(layout, write(layout, tmp_path))
    (tiny_maps.mat if layout == "pascal_mat" else tiny_maps.png)(data.train.maps[0], labels)
    assert expected in decoding_fails(data, data.train.maps[0])


@pytest.mark.parametrize("layout", ["pascal_mat", "camvid", "davis2016", "monkaa_clean", "flying_chairs"])
def test_damaged_truth_is_named(layout: str, tmp_path: Path) -> None:
    data = load(layout, write(layout, tmp_path))
    victim = data.test.files[1][-1]
    for content in (victim.read_bytes()[:50], b"no such thing", b""):
        victim.write_bytes(content)
        decoding_fails(data, victim)
    victim.unlink()
    assert "no such" in decoding_fails(data, victim)


# Videos


def rows(split: VideoSplit, root: Path) -> list[tuple[str, ...]]:
    names = [[path.relative_to(root).as_posix() for path in files] for files in split.files]
    return [(*files, clip) for files, clip in zip(names, split.sequences, strict=True)]


def test_pairs_of_davis(tmp_path: Path) -> None:
    data = load("davis2016", write("davis2016", tmp_path))

    def row(clip: str, first: int, second: int) -> tuple[str, ...]:
        frames = [f"JPEGImages/480p/{clip}/{number:05d}.jpg" for number in (first, second)]
        return *frames, f"Annotations/480p/{clip}/{first:05d}.png", clip

    # The last frame of a clip goes to itself.
    pairs = [("bear", 0, 1), ("bear", 1, 2), ("bear", 2, 2), ("boat", 0, 1), ("boat", 1, 1)]
    assert rows(data.train, tmp_path) == [row(*pair) for pair in pairs]
    pairs = [("camel", 0, 1), ("camel", 1, 1), ("dog", 0, 1), ("dog", 1, 2), ("dog", 2, 2)]
    assert rows(data.test, tmp_path) == [row(*pair) for pair in pairs]


def test_davis_list_may_leave_frames_out_and_name_them_without_slashes(tmp_path: Path) -> None:
    root = write("davis2016", tmp_path)
    frames = [tiny_videos.davis_line("bear", number) for number in (0, 2)]
    lines(tiny_videos.DAVIS_LISTS[0], *(text.replace("/JPEG", "JPEG") for text in frames))(root)
    train = load("davis2016", root).train
    assert [path.stem for path in train.first] == ["00000", "00002"]
    assert [path.stem for path in train.second] == ["00002", "00002"]
    lines(tiny_videos.DAVIS_LISTS[0], frames[0])(root)
    train = load("davis2016", root).train
    assert train.first == train.second and len(train) == 1


@pytest.mark.parametrize("name", tiny_videos.SCENE_FLOW)
def test_pairs_of_scene_flow(name: str, tmp_path: Path) -> None:
    half, finish = name.split("_")
    data = load(name, write(name, tmp_path))

    def row(scene: str, first: int, second: int) -> tuple[str, ...]:
        frames = [f"frames_{finish}pass/{scene}/left/{number:04d}.png" for number in (first, second)]
        direction = "Future" if second > first else "Past"
        return *frames, tiny_videos.scene_flow_file(scene, direction, first), scene

    pairs = {2: [(1, 2), (2, 1)], 3: [(1, 2), (2, 3), (2, 1), (3, 2)]}  # by the number of frames
    expected = [[row(scene, *pair) for pair in pairs[frames]] for scene, frames in tiny_videos.SCENES[half].items()]
    assert rows(data.train, tmp_path) == expected[0] + expected[1]
    assert rows(data.test, tmp_path) == expected[2]


def test_scene_flow_frames_may_be_webp(tmp_path: Path) -> None:
    for scene, frames in tiny_videos.SCENES["monkaa"].items():
        tiny_videos.write_scene(tmp_path, "final", scene, frames, "webp")
    data = load("monkaa_final", tmp_path)
    assert data.counts == COUNTS["monkaa_final"] and {path.suffix for path in data.test.second} == {".webp"}
    tiny_sets.image(tmp_path / "frames_finalpass/eating_x2/left/0002.png")  # of two the one without loss
    assert [path.name for path in load("monkaa_final", tmp_path).test.first][:2] == ["0001.webp", "0002.png"]


def test_scene_flow_takes_what_is_there(tmp_path: Path) -> None:
    root = write("driving_clean", tmp_path)
    scene = "35mm_focallength/scene_forwards/slow"
    for direction, number in (("Future", 1), ("Past", 3)):
        (root / tiny_videos.scene_flow_file(scene, direction, number)).unlink()
    (root / "frames_cleanpass" / scene / "left/notes.txt").touch()
    (root / "frames_cleanpass/README").touch()
    (root / tiny_videos.scene_flow_file(scene, "Future", 2)).with_suffix(".txt").touch()
    data = load("driving_clean", root)
    pairs = [(first.stem, second.stem) for first, second, _ in data.test.files]
    assert pairs == [("0002", "0003"), ("0002", "0001")] and len(data.train) == 6


def test_flow_is_that_of_the_file(tmp_path: Path) -> None:
    monkaa = load("monkaa_clean", write("monkaa_clean", tmp_path / "a"))
    past = monkaa.test.truth[2]
    assert past.name == "OpticalFlowIntoPast_0002_L.pfm"
    assert torch.equal(monkaa.decode(past), tiny_videos.field(21))
    chairs = load("flying_chairs", write("flying_chairs", tmp_path / "b"))
    assert torch.equal(chairs.decode(chairs.test.truth[1]), tiny_videos.field(5))


def same_as_torchvision(data: Video, parent: Path) -> None:
    for split, part in ((data.train, "train"), (data.test, "val")):
        oracle = datasets.FlyingChairs(parent, split=part)
        assert [str(path) for path in split.truth] == oracle._flow_list
        assert [[str(first), str(second)] for first, second, _ in split.files] == oracle._image_list
        for index in range(min(len(oracle), 3)):
            first, second, flow = oracle[index]
            for path, image in ((split.first[index], first), (split.second[index], second)):
                assert np.array_equal(load_image(path).permute(1, 2, 0).numpy(), np.array(image))
            assert np.array_equal(data.decode(split.truth[index])[:2].numpy(), flow)


def test_flying_chairs_are_those_of_torchvision(tmp_path: Path) -> None:
    root = write("flying_chairs", tmp_path / "FlyingChairs")
    data = load("flying_chairs", root)
    same_as_torchvision(data, tmp_path)
    assert data.train.sequences == ("00001", "00003", "00004") and data.test.sequences == ("00002", "00005")
    whole = read(Video, "flying_chairs_whole", root)
    assert whole.train == whole.test and whole.test.files == (*data.train.files, *data.test.files)


@pytest.mark.parametrize("place", ["FlyingChairs_release", "."])
def test_flying_chairs_may_be_one_level_down(place: str, tmp_path: Path) -> None:
    base = write("flying_chairs", tmp_path / "FlyingChairs_release")
    expected = load("flying_chairs", base)
    shutil.move(base / tiny_videos.CHAIRS_LIST, tmp_path / place / tiny_videos.CHAIRS_LIST)
    assert load("flying_chairs", tmp_path).parts == expected.parts


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "1", "I;16"])
def test_modes_of_masks(mode: str, tmp_path: Path) -> None:
    stored = np.array([[0, 1, 255], [7, 0, 0]], np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray((stored > 0).astype(np.uint8) * 255 if mode == "1" else stored)
    image = image if mode in ("I;16", "P") else image.convert(mode)
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)  # the colours play no role
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.mode == mode
    mask = load_mask(tmp_path / "a.png")
    assert mask.dtype == torch.uint8 and mask.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_mask_of_one_colour(tmp_path: Path) -> None:
    colours = np.array([[[0, 0, 0], [9, 0, 0], [0, 1, 0], [0, 0, 200]]], np.uint8)
    tiny_videos.mask(tmp_path / "colour.png", colours, "RGB")
    assert load_mask(tmp_path / "colour.png").tolist() == [[0, 1, 1, 1]]


# Images


@pytest.mark.parametrize("keep", [0, 4, 300])
def test_truncated_image(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    tiny_sets.image(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut\.jpg: cannot be decoded") as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_missing_image_and_a_grey_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.jpg: no such image"):
        load_image(tmp_path / "no.jpg")
    Image.new("L", (5, 4), 7).save(tmp_path / "grey.png")
    assert torch.equal(load_image(tmp_path / "grey.png"), torch.full((3, 4, 5), 7, dtype=torch.uint8))


# Real data


@pytest.mark.parametrize(
    ("name", "folder", "counts"),
    [
        ("cub200", "CUB_200_2010", (80, 1117, 1248)),
        ("flowers102", "flowers102", (90, 728 + 706, 713)),
        ("stanford_cars", "stanford_cars", (50, 1193, 590)),
        ("food101", "food-101-10c", (10, 500, 300)),
        ("image_folder", "mini-imagenet-84px", (100, 6000, 1500)),
    ],
)
def test_real_images(name: str, folder: str, counts: tuple[int, ...], real_data: Callable[[str], Path]) -> None:
    data = read(Classification, name, real_data(folder))
    assert tuple(data.counts.values()) == counts
    assert set(data.train.labels) | set(data.test.labels) == set(range(counts[0]))
    for path in (data.train.paths[0], data.test.paths[-1]):
        image = load_image(path)
        assert image.dtype == torch.uint8 and image.shape[0] == 3


@pytest.mark.slow
def test_real_camvid(real_data: Callable[[str], Path]) -> None:
    data = read(Segmentation, "camvid", real_data("CamVid"))
    assert data.counts == {"classes": 11, "train": 184, "val": 51, "test": 117}
    cache, seen = map_cache(data.decode), torch.zeros(256, dtype=torch.int64)
    for split in data.parts.values():
        for files in split.files:
            image, labels = cache.load(files)
            assert image.shape == (3, 180, 240) and labels.shape == (180, 240)
            seen += torch.bincount(labels.flatten(), minlength=256)
    assert seen.nonzero().flatten().tolist() == [*range(11), IGNORED]
    assert seen[CAMVID_CLASSES.index("road")] > seen[CAMVID_CLASSES.index("bicyclist")]


@pytest.mark.slow
def test_real_davis(real_data: Callable[[str], Path]) -> None:
    data = read(Video, "davis2016", real_data("DAVIS"))
    assert check_counts(data, {"train": 2079, "test": 1376, "train_sequences": 30, "test_sequences": 20}) is None
    assert (data.train.clips, data.test.clips) == (DAVIS_TRAIN, DAVIS_VAL)
    for split in data.parts.values():
        assert [clip for (a, b, _), clip in zip(split.files, split.sequences, strict=True) if a == b] == list(
            split.clips
        )
        for index in range(0, len(split), 25):
            assert load_image(split.first[index]).shape[1:] == data.decode(split.truth[index]).shape == (160, 284)


def test_real_flying_chairs(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    link = tmp_path / "FlyingChairs"
    link.symlink_to(real_data("FlyingChairs_release"), target_is_directory=True)
    data = read(Video, "flying_chairs", link)
    sequences = {"train_sequences": 9, "test_sequences": 3}
    assert data.counts == {"train": 9, "test": 3, **sequences, "height": 384, "width": 512}
    same_as_torchvision(data, tmp_path)
