"""Readers of label maps: what they return, and every fault that they and their decoders must name."""

from __future__ import annotations

import io
import pickle
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tiny_maps
import tiny_sets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from l2sp_suite.datasets.images import MapCache, load_image, load_indices
from l2sp_suite.datasets.records import check_counts, digest
from l2sp_suite.datasets.segmentation import (
    CAMVID_CLASSES,
    IGNORED,
    PASCAL_CLASSES,
    PASCAL_IDS,
    SEGMENTATION_READERS,
    Maps,
    Segmentation,
    hold_out,
    read,
)
from l2sp_suite.utils.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
LAYOUTS = list(tiny_maps.READER)
OFFICIAL = {
    "pascal_context": {"classes": 59, "train": 4998, "test": 5105},
    "camvid": {"classes": 11, "train": 367, "val": 101, "test": 233},
}


def load(layout: str, root: Path) -> Segmentation:
    return read(tiny_maps.READER[layout], root, "get it again")


def fails(layout: str, root: Path) -> str:
    """Reads, expects UserError, returns its message, which must be one line and end in the remedy."""
    with pytest.raises(UserError) as caught:
        load(layout, root)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000 and message.endswith("; get it again")
    return message


def decoding_fails(data: Segmentation, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        data.decode(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and ";" in message and "\n" not in message
    return message


# What they return


def test_the_59_classes() -> None:
    assert len(PASCAL_CLASSES) == len(set(PASCAL_CLASSES)) == len(PASCAL_IDS) == 59
    assert list(PASCAL_IDS) == sorted(set(PASCAL_IDS)) and PASCAL_IDS[0] == 2 and PASCAL_IDS[-1] == 458
    assert list(PASCAL_CLASSES) == sorted(PASCAL_CLASSES)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiny_set_is_read(layout: str, tmp_path: Path) -> None:
    root = tiny_maps.write(layout, tmp_path)
    data = load(layout, root)
    assert data.name == tiny_maps.READER[layout]
    camvid = layout == "camvid"
    assert data.classes == (CAMVID_CLASSES if camvid else PASCAL_CLASSES)
    assert (data.val is None) == (not camvid)
    assert data.counts == {"classes": len(data.classes), "train": 4, **({"val": 2} if camvid else {}), "test": 2}
    for maps in data.parts.values():
        for image, labels in zip(maps.images, maps.maps, strict=True):
            assert image.stem == labels.stem
            found = data.decode(labels)
            assert found.dtype == torch.uint8 and found.shape == load_image(image).shape[1:]


def test_values_of_png_maps(tmp_path: Path) -> None:
    context = load("pascal_png", tiny_maps.write("pascal_png", tmp_path / "a"))
    stored = tiny_maps.values(1, 0, 60).astype(int)
    found = context.decode(context.train.maps[1]).numpy()
    assert np.array_equal(found, np.where(stored == 0, IGNORED, stored - 1))
    camvid = load("camvid", tiny_maps.write("camvid", tmp_path / "b"))
    stored = tiny_maps.values(6, 0, 12)
    found = camvid.decode(camvid.test.maps[0]).numpy()
    assert np.array_equal(found, np.where(stored == 11, IGNORED, stored))


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_values_of_mat_maps(dtype: type, tmp_path: Path) -> None:
    data = load("pascal_mat", tiny_maps.write("pascal_mat", tmp_path))
    every = np.arange(460).reshape(20, 23)
    tiny_maps.mat(data.train.maps[0], every.astype(dtype))
    found = data.decode(data.train.maps[0])
    assert found.shape == (20, 23)
    expected = [PASCAL_IDS.index(n) if n in PASCAL_IDS else IGNORED for n in range(460)]
    assert found.flatten().tolist() == expected
    assert found[2, 13] == PASCAL_CLASSES.index("car")  # 59


def test_a_map_of_one_row_keeps_its_shape(tmp_path: Path) -> None:
    data = load("pascal_mat", tiny_maps.write("pascal_mat", tmp_path))
    tiny_maps.mat(data.train.maps[0], np.full((1, 7), 59))
    assert data.decode(data.train.maps[0]).tolist() == [[13] * 7]


def test_palette_does_not_matter(tmp_path: Path) -> None:
    data = load("pascal_png", tiny_maps.write("pascal_png", tmp_path))
    expected = data.decode(data.train.maps[0])
    image = Image.fromarray(tiny_maps.values(0, 0, 60))
    image.putpalette([255 - k // 3 for k in range(768)])  # turns the mode into P
    image.save(data.train.maps[0])
    assert Image.open(data.train.maps[0]).mode == "P"
    assert torch.equal(data.decode(data.train.maps[0]), expected)


@pytest.mark.parametrize("layout", ["pascal_png", "pascal_mat"])
def test_voc_folder_may_be_two_levels_down(layout: str, tmp_path: Path) -> None:
    tiny_maps.write(layout, tmp_path / "VOCdevkit/VOC2010")
    data = load(layout, tmp_path)
    assert data.train == load(layout, tmp_path / "VOCdevkit/VOC2010").train
    if layout == "pascal_mat":  # the authors' archive unpacks beside VOCdevkit
        shutil.move(tmp_path / "VOCdevkit/VOC2010/trainval", tmp_path / "trainval")
        assert load(layout, tmp_path).test.maps[0].parent == tmp_path / "trainval"


def test_camvid_names_may_be_relative(tmp_path: Path) -> None:
    root = tiny_maps.write("camvid", tmp_path)
    before = load("camvid", root)
    for part in ("train.txt", "val.txt"):
        (root / part).write_text((root / part).read_text().replace("/SegNet/CamVid/", ""))
    assert load("camvid", root).parts == before.parts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_decoder_survives_pickling(layout: str, tmp_path: Path) -> None:  # as loader workers that are spawned need
    data = load(layout, tiny_maps.write(layout, tmp_path))
    again = pickle.loads(pickle.dumps(data))
    assert again.train == data.train
    assert torch.equal(again.decode(data.train.maps[0]), data.decode(data.train.maps[0]))


# Subsets of the classes


@pytest.mark.parametrize("layout", ["pascal_png", "pascal_mat"])
def test_classes_of_a_subset_become_dense(layout: str, tmp_path: Path) -> None:
    root = tiny_maps.write(layout, tmp_path)
    tiny_sets.text(root / "classes.txt", ["wood", "bag", "cat"])  # in the order of the 59 whatever the file's
    data = load(layout, root)
    assert data.classes == ("bag", "cat", "wood")
    png = layout == "pascal_png"
    save = tiny_maps.png if png else tiny_maps.mat
    stored = [0, 2, 15, 59] if png else [0, 9, 65, 458]
    save(data.train.maps[0], np.array([stored], dtype=np.uint8 if png else np.uint16))
    assert data.decode(data.train.maps[0]).tolist() == [[IGNORED, 0, 1, 2]]
    save(data.train.maps[0], np.array([[*stored, 1 if png else 2]], dtype=np.uint8 if png else np.uint16))
    message = decoding_fails(data, data.train.maps[0])
    assert "'aeroplane'" in message and "classes.txt" in message and message.endswith("; get it again")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["cat", "zebra"], "'zebra' is none of the 59"),
        (["cat", "cat"], "listed twice"),
        ([], "is empty"),
    ],
)
def test_bad_list_of_classes(lines: list[str], expected: str, tmp_path: Path) -> None:
    root = tiny_maps.write("pascal_png", tmp_path)
    tiny_sets.text(root / "classes.txt", lines)
    message = fails("pascal_png", root)
    assert expected in message and str(root / "classes.txt") in message


# What is done with them


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_are_compared_with_the_official_ones(layout: str, tmp_path: Path) -> None:
    data = load(layout, tiny_maps.write(layout, tmp_path))
    difference = check_counts(data, OFFICIAL[data.name])
    assert difference and "4 train (official" in difference and "classes (" not in difference
    assert check_counts(data, data.counts) is None


def test_counts_of_a_part_that_a_release_has_not(tmp_path: Path) -> None:
    data = load("pascal_png", tiny_maps.write("pascal_png", tmp_path))
    with pytest.raises(UserError, match=r"data\.at_least: pascal_context counts classes, train, test, not val"):
        check_counts(data, OFFICIAL["camvid"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_digest_is_of_the_content_and_not_of_the_place(layout: str, tmp_path: Path) -> None:
    one, two = (tiny_maps.write(layout, tmp_path / name) for name in "ab")
    assert digest(load(layout, one), one) == digest(load(layout, two), two)
    for changed in (load(layout, two).train.images[0], load(layout, two).test.maps[0]):
        content = changed.read_bytes()
        changed.write_bytes(content + b" ")
        assert digest(load(layout, one), one) != digest(load(layout, two), two)
        changed.write_bytes(content)


def test_digest_knows_classes_and_which_map_belongs_to_which_image(tmp_path: Path) -> None:
    root = tiny_maps.write("pascal_png", tmp_path)
    data = load("pascal_png", root)
    train = Maps(data.train.images, data.train.maps[::-1])
    swapped = Segmentation(data.name, data.classes, train, None, data.test, data.decode)
    assert digest(swapped, root) != digest(data, root)
    tiny_sets.text(root / "classes.txt", PASCAL_CLASSES[:58])
    assert digest(load("pascal_png", root), root) != digest(data, root)


@given(st.integers(1, 80), st.floats(0.01, 0.99), st.integers(0, 10**6))
def test_hold_out(size: int, fraction: float, seed: int) -> None:
    maps = Maps(*(tuple(Path(f"{kind}{i}") for i in range(size)) for kind in "im"))
    kept, held = hold_out(maps, fraction, seed)
    assert hold_out(maps, fraction, seed) == (kept, held)
    assert len(held) == min(max(round(fraction * size), 1), size - 1)
    assert sorted(kept.images + held.images) == sorted(maps.images)
    for part in (kept, held):
        numbers = [int(path.name[1:]) for path in part.images]
        assert numbers == sorted(numbers) == [int(path.name[1:]) for path in part.maps]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_hold_out_of_nothing_or_all(fraction: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        hold_out(Maps((), ()), fraction, 0)


def test_maps_pair_up() -> None:
    with pytest.raises(ValueError, match="1 images but 0 maps"):
        Maps((Path("a"),), ())


# Faults of the lists


def test_unknown_reader(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pascal_context, camvid"):
        read("cityscapes", tmp_path)


@pytest.mark.parametrize("name", SEGMENTATION_READERS)
def test_empty_and_absent_folders(name: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError) as caught:
            read(name, root, "get it again")
        assert str(root) in str(caught.value) and str(caught.value).endswith("get it again")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["images", "maps"])
def test_absent_file(layout: str, kind: str, tmp_path: Path) -> None:
    root = tiny_maps.write(layout, tmp_path)
    victim = getattr(load(layout, root).test, kind)[1]
    victim.unlink()
    message = fails(layout, root)
    assert victim.name in message and "not on disk" in message and ", line 2:" in message


@pytest.mark.parametrize("layout", LAYOUTS)
def test_id_listed_twice(layout: str, tmp_path: Path) -> None:
    root = tiny_maps.write(layout, tmp_path)
    first, last = root / tiny_maps.TEXTS[layout][0], root / tiny_maps.TEXTS[layout][-1]
    content = last.read_text()
    line = first.read_text().splitlines()[0]
    last.write_text(content + line)
    assert "is listed 2 times" in fails(layout, root)
    last.write_text(content + content.splitlines()[0])
    assert "listed" in fails(layout, root)


def test_one_map_for_two_images(tmp_path: Path) -> None:
    root = tiny_maps.write("camvid", tmp_path)
    lines = (root / "train.txt").read_text().splitlines()
    lines[1] = f"{lines[1].split()[0]} {lines[0].split()[1]}"
    tiny_sets.text(root / "train.txt", lines)
    assert "trainannot/0.png: is listed 2 times" in fails("camvid", root)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "/SegNet/CamVid//etc/passwd", "a/../../b", "\0", "x" * 5000]
)
def test_names_stay_in_the_folder(layout: str, name: str, tmp_path: Path) -> None:
    root = tiny_maps.write(layout, tmp_path)
    file = tiny_maps.TEXTS[layout][0]
    tiny_sets.text(root / file, [f"{name} {name}" if layout == "camvid" else name])
    message = fails(layout, root)
    assert str(root / file) in message and ("not a path inside" in message or "not on disk" in message)


def test_camvid_line_without_a_map(tmp_path: Path) -> None:
    root = tiny_maps.write("camvid", tmp_path)
    tiny_sets.text(root / "val.txt", ["/SegNet/CamVid/val/4.png"])
    assert f"{root / 'val.txt'}, line 1: expected" in fails("camvid", root)


def test_voc_without_labels(tmp_path: Path) -> None:
    root = tiny_maps.write("pascal_png", tmp_path)
    shutil.rmtree(root / "SegmentationClassContext")
    message = fails("pascal_png", root)
    assert "SegmentationClassContext or trainval" in message


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {layout: tiny_maps.write(layout, tmp_path_factory.mktemp(layout)) for layout in LAYOUTS}


LISTS = [(layout, file) for layout, files in tiny_maps.TEXTS.items() for file in files]
words = st.sampled_from(
    ["2008_000000", "/SegNet/CamVid/train/0.png", "trainannot/1.png", " ", "\n", "\r", "\0", "/", "..", "{}", "\x85"]
)


@settings(max_examples=200, deadline=None)
@given(
    case=st.sampled_from(LISTS),
    content=st.one_of(st.binary(), st.text().map(str.encode), st.lists(words).map(lambda w: "".join(w).encode())),
)
def test_garbage_lists_raise_user_errors_only(roots: dict[str, Path], case: tuple[str, str], content: bytes) -> None:
    layout, file = case
    path = roots[layout] / file
    original = path.read_bytes()
    try:
        path.write_bytes(content)
        data = load(layout, roots[layout])
        assert all(path.resolve().is_relative_to(roots[layout].resolve()) for path in data.train.images)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(roots[layout]) in str(error)
    finally:
        path.write_bytes(original)


# Faults of the maps


@pytest.mark.parametrize(
    ("layout", "value"), [("pascal_png", 60), ("pascal_png", 255), ("camvid", 12), ("camvid", 255)]
)
def test_unknown_value(layout: str, value: int, tmp_path: Path) -> None:
    data = load(layout, tiny_maps.write(layout, tmp_path))
    labels = tiny_maps.values(0, 0, 12)
    labels[3, 4] = value
    tiny_maps.png(data.train.maps[0], labels)
    assert f"holds the value {value}," in decoding_fails(data, data.train.maps[0])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([[1, 460]]), "the value 460"),
        (np.array([[1, 2**40]]), "whole numbers"),
        (np.array([[1, -1]]), "whole numbers"),
        (np.array([[1.0, 2.5]]), "whole numbers"),
        (np.array([[1.0, np.nan]]), "whole numbers"),
        (np.array([[1.0, np.inf]]), "whole numbers"),
        (np.zeros((0, 0)), "no matrix"),
        (np.zeros((2, 2, 2)), "no matrix"),
        (np.array([["a", "b"]]), "no matrix"),
        (np.array([[1, "b"]], dtype=object), "no matrix"),
    ],
)
def test_bad_label_map(labels: np.ndarray, expected: str, tmp_path: Path) -> None:
    data = load("pascal_mat", tiny_maps.write("pascal_mat", tmp_path))
    tiny_maps.mat(data.train.maps[0], labels)
    message = decoding_fails(data, data.train.maps[0])
    assert expected in message and message.endswith("; get it again")


@pytest.mark.parametrize("mode", ["RGB", "1", "I;16", "LA"])
def test_image_that_is_no_map(mode: str, tmp_path: Path) -> None:
    data = load("camvid", tiny_maps.write("camvid", tmp_path))
    Image.new(mode, (12, 10)).save(data.train.maps[0])
    assert "no map of 8-bit labels" in decoding_fails(data, data.train.maps[0])


def test_packed_grey_is_refused(tmp_path: Path) -> None:
    """A grey PNG of 4 bits holds 3 and 5, but PIL shows 51 and 85."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0\x35")), chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[51, 85]]
    with pytest.raises(UserError, match=r"a\.png: is no map of 8-bit labels \(found mode packed grey\)"):
        load_indices(tmp_path / "a.png")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_map_of_another_size(layout: str, tmp_path: Path) -> None:
    data = load(layout, tiny_maps.write(layout, tmp_path))
    victim = data.train.maps[2]
    (tiny_maps.mat if layout == "pascal_mat" else tiny_maps.png)(victim, np.zeros((12, 10), np.uint8))
    with pytest.raises(UserError) as caught:
        MapCache(data.decode).load((data.train.images[2], victim))
    message = str(caught.value)
    assert message.startswith(f"{victim}: has 10x12 pixels, but its image {data.train.images[2].name} 12x10;")


@settings(max_examples=200, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    cut=st.floats(0, 1, exclude_max=True),
    foreign=st.none() | st.binary(max_size=100),
)
def test_damaged_maps_raise_user_errors_only(
    roots: dict[str, Path], layout: str, cut: float, foreign: bytes | None
) -> None:
    data = load(layout, roots[layout])
    path = data.train.maps[0]
    original = path.read_bytes()
    try:
        path.write_bytes(original[: int(cut * len(original))] if foreign is None else foreign)
        found = data.decode(path)
        assert found.shape == (10, 12)  # a PNG may lack its last chunk, which holds no pixels
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(error).startswith(str(path))
    finally:
        path.write_bytes(original)


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255), kind=st.sampled_from(["L", "P"]))
def test_flipped_byte_in_a_png_raises_user_errors_only(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int, kind: str
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(tiny_maps.values(0, 0, 12)).convert(kind).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "flipped.png"
    path.write_bytes(content)
    try:
        assert load_indices(path).dtype == torch.uint8
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(error).startswith(str(path))


def test_absent_map_is_named(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        data = load(layout, tiny_maps.write(layout, tmp_path / layout))
        data.train.maps[0].unlink()
        assert "no such" in decoding_fails(data, data.train.maps[0])


# Real data


def test_real_camvid_subset() -> None:
    root = SHARED / "CamVid"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    data = read("camvid", root)
    assert data.counts == {"classes": 11, "train": 184, "val": 51, "test": 117}
    assert check_counts(data, OFFICIAL["camvid"])
    cache, seen = MapCache(data.decode), torch.zeros(256, dtype=torch.int64)
    for maps in data.parts.values():
        for pair in zip(maps.images, maps.maps, strict=True):
            image, labels = cache.load(pair)
            assert image.shape == (3, 180, 240) and labels.shape == (180, 240)
            seen += torch.bincount(labels.flatten(), minlength=256)
    assert seen.nonzero().flatten().tolist() == [*range(11), IGNORED]
    assert seen[CAMVID_CLASSES.index("road")] > seen[CAMVID_CLASSES.index("bicyclist")]
