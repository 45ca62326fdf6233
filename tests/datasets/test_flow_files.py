"""Files of optical flow: round trips, orientation, independent readers, and every fault named in one line."""

from __future__ import annotations

import importlib
import itertools
import os
import struct
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch import Tensor

from l2sp_suite.datasets.flow_files import LONGEST_SIDE, encode_flo, encode_kitti, encode_pfm, load_flow
from l2sp_suite.utils.errors import UserError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ENCODERS = {".flo": encode_flo, ".pfm": encode_pfm, ".png": encode_kitti}
SUFFIXES = list(ENCODERS)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HUGE = 2**31 - 1


def decode(suffix: str, content: bytes) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"field{suffix}"
        path.write_bytes(content)
        field = load_flow(path)
    assert field.dtype == torch.float32 and field.ndim == 3 and len(field) == 3 and field.numel()
    u_v, valid = field[:2], field[2]
    assert set(valid.unique().tolist()) <= {0.0, 1.0} and u_v.isfinite().all() and not (u_v * (1 - valid)).any()
    return field


def fails(suffix: str, content: bytes, remedy: str = "unpack it again") -> str:
    """Reads, expects UserError, returns what it says is wrong: one line "path: what; remedy"."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"field{suffix}"
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_flow(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 500
    assert message.startswith(f"{path}: ") and message.endswith(f"; {remedy}")
    return message.removeprefix(f"{path}: ")


def oracle(module: str, name: str) -> Callable[[str], Any]:
    """A private reader of torchvision, which another version may not have."""
    try:
        return getattr(importlib.import_module(f"torchvision.datasets.{module}"), name)
    except (ImportError, AttributeError):
        pytest.skip(f"this torchvision has no {name}")


def example(height: int = 5, width: int = 7, step: float = 1 / 64) -> Tensor:
    """A field whose vectors are multiples of `step`, a fifth of them not valid."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    field = torch.randint(-2000, 2000, (3, height, width), generator=generator) * step
    field[2] = (torch.rand(height, width, generator=generator) > 0.2).float()
    field[:2] *= field[2]
    return field


def fields(limit: float) -> st.SearchStrategy[Tensor]:
    def masked(parts: tuple[np.ndarray, np.ndarray]) -> Tensor:
        u_v, valid = (torch.from_numpy(part.copy()) for part in parts)
        return torch.cat([torch.where(valid, u_v, 0), valid[None].float()])

    def of_size(size: tuple[int, int]) -> st.SearchStrategy[Tensor]:
        numbers = st.floats(-limit, limit, width=32)
        return st.tuples(hnp.arrays(np.float32, (2, *size), elements=numbers), hnp.arrays(bool, size)).map(masked)

    return st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(of_size)


# Round trips


@settings(deadline=None)
@given(fields(1e9))
def test_flo_round_trip(field: Tensor) -> None:
    assert torch.equal(decode(".flo", encode_flo(field)), field)


@settings(deadline=None)
@given(fields(float(np.finfo(np.float32).max)))
def test_pfm_round_trip(field: Tensor) -> None:
    assert torch.equal(decode(".pfm", encode_pfm(field)), field)


@settings(deadline=None)
@given(fields(511.984375))
def test_kitti_round_trip_is_as_close_as_the_format_is(field: Tensor) -> None:
    back = decode(".png", encode_kitti(field))
    assert torch.equal(back[2], field[2])
    assert (back - field).abs().max() <= 1 / 128
    assert torch.equal(decode(".png", encode_kitti(back)), back)


def pfm(rows: np.ndarray, header: bytes, order: str) -> bytes:
    """A file of `rows` (H, W, channels), top row first, made without the code under test."""
    return header + b"".join(struct.pack(f"{order}{row.size}f", *row.ravel().tolist()) for row in reversed(rows))


@settings(deadline=None)
@given(fields(1e6), st.sampled_from([("<", "-1"), (">", "1.0"), (">", "+0.5"), ("<", "-2e3")]), st.data())
def test_pfm_of_both_byte_orders_and_any_space(field: Tensor, order: tuple[str, str], data: st.DataObject) -> None:
    rows = np.concatenate([field[:2].numpy(), np.full_like(field[:1].numpy(), 7)]).transpose(1, 2, 0)
    rows[field[2].numpy() == 0] = np.inf
    space = st.text(" \t\r\n", min_size=1, max_size=4).map(str.encode)
    tokens = [b"PF", str(rows.shape[1]).encode(), str(rows.shape[0]).encode(), order[1].encode()]
    header = b"".join(token + data.draw(space) for token in tokens[:3]) + tokens[3] + data.draw(space)[:1]
    assert torch.equal(decode(".pfm", pfm(rows, header, order[0])), field)


# Layouts, spelled out


def test_flo_layout() -> None:
    content = b"PIEH" + struct.pack("<ii", 3, 2) + struct.pack("<12f", *range(12))
    field = decode(".flo", content)
    assert field.tolist() == [[[0, 2, 4], [6, 8, 10]], [[1, 3, 5], [7, 9, 11]], [[1] * 3] * 2]
    assert encode_flo(field) == content
    assert struct.pack("<f", 202021.25) == b"PIEH"


def test_pfm_bottom_row_comes_first() -> None:
    bottom, top = (1, 2, 0, 3, 4, 0), (5, 6, 0, 7, 8, 0)
    content = b"PF\n2 2\n-1\n" + struct.pack("<12f", *bottom, *top)
    field = decode(".pfm", content)
    assert field[:2].tolist() == [[[5, 7], [1, 3]], [[6, 8], [2, 4]]]
    assert encode_pfm(field) == content
    swapped = b"PF\n2 2\n1\n" + struct.pack(">12f", *bottom, *top)
    assert torch.equal(decode(".pfm", swapped), field)


def png(samples: np.ndarray, kinds: list[int], level: int = 9) -> bytes:
    """A 16-bit RGB PNG of `samples` (H, W, 3), row y through filter kinds[y]; slow, by the standard's own words."""
    height, width = samples.shape[:2]
    rows = [bytes(6 * width), *(row.astype(">u2").tobytes() for row in samples)]
    body = b""
    for kind, above, row in zip(kinds, rows, rows[1:], strict=False):
        body += bytes([kind])
        for x, value in enumerate(row):
            a, b, c = (row[x - 6], above[x], above[x - 6]) if x >= 6 else (0, above[x], 0)
            paeth = min((a, b, c), key=lambda near: abs(a + b - c - near))  # the first of those equally near
            body += bytes([(value - (0, a, b, (a + b) // 2, paeth)[kind]) % 256])
    return assembled(width, height, zlib.compress(body, level))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def assembled(
    width: int, height: int, *data: bytes, form: tuple[int, ...] = (16, 2, 0, 0, 0), extra: bytes = b""
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, *form))
    return SIGNATURE + header + extra + b"".join(chunk(b"IDAT", d) for d in data) + chunk(b"IEND", b"")


def plain(height: int = 2, width: int = 3) -> bytes:
    """What the chunks of data of an all-zero image hold, before compression."""
    return bytes(height * (1 + 6 * width))


def test_kitti_layout() -> None:
    samples = np.array([[[2**15 + 64, 2**15 - 32, 1], [0, 65535, 1], [40000, 40000, 0]]])
    expected = [[[1, -512, 0]], [[-0.5, 511.984375, 0]], [[1, 1, 0]]]
    field = decode(".png", png(samples, [0]))
    assert field.tolist() == expected
    # The same again, after what a decoder reads from the written file by hand.
    content = encode_kitti(field)
    start = content.index(b"IDAT")
    raw = zlib.decompress(content[start + 4 : start + 4 + struct.unpack(">I", content[start - 4 : start])[0]])
    assert raw[0] == 0 and struct.unpack(">9H", raw[1:]) == (2**15 + 64, 2**15 - 32, 1, 0, 65535, 1, 0, 0, 0)


samples_and_kinds = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.uint16, (*size, 3), elements=st.integers(0, 65535)),
        st.lists(st.integers(0, 4), min_size=size[0], max_size=size[0]),
    )
)


def expected_of(samples: np.ndarray) -> Tensor:
    numbers = torch.from_numpy(samples.astype(np.float32)).permute(2, 0, 1)
    valid = (numbers[2:] > 0).float()
    return torch.cat([(numbers[:2] - 2**15) / 64 * valid, valid])


@settings(deadline=None)
@given(samples_and_kinds)
def test_all_filters_of_png(case: tuple[np.ndarray, list[int]]) -> None:
    assert torch.equal(decode(".png", png(*case)), expected_of(case[0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (9, 31), (31, 9)])
@pytest.mark.parametrize("kind", range(5))
def test_one_filter_throughout(kind: int, size: tuple[int, int]) -> None:
    samples = np.random.default_rng(kind).integers(0, 65536, (*size, 3))
    assert torch.equal(decode(".png", png(samples, [kind] * size[0])), expected_of(samples))


def test_png_may_hold_more_chunks() -> None:
    data = zlib.compress(plain())
    content = assembled(
        3, 2, data[:4], b"", data[4:], extra=chunk(b"tEXt", b"Author\0nobody") + chunk(b"tRNS", bytes(6))
    )
    assert torch.equal(decode(".png", content), torch.zeros(3, 2, 3))


# Unknown vectors


@pytest.mark.parametrize("value", [1e10, -1e10, 1.001e9, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("place", [0, 1])
def test_unknown_vectors_of_flo(value: float, place: int) -> None:
    numbers = [1.0, 2.0, 3.0, 4.0]
    numbers[place] = value
    field = decode(".flo", b"PIEH" + struct.pack("<ii4f", 2, 1, *numbers))
    assert field.tolist() == [[[0, 3]], [[0, 4]], [[0, 1]]]
    assert struct.unpack("<4f", encode_flo(field)[12:]) == (1e10, 1e10, 3, 4)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("place", [0, 1])
def test_unknown_vectors_of_pfm(value: float, place: int) -> None:
    numbers = [1.0, 2.0, float("nan"), 3.0, 4.0, float("inf")]  # what the third channel holds plays no role
    numbers[place] = value
    field = decode(".pfm", b"PF 2 1 -1\n" + struct.pack("<6f", *numbers))
    assert field.tolist() == [[[0, 3]], [[0, 4]], [[0, 1]]]
    stored = np.frombuffer(encode_pfm(field)[-24:], "<f4")
    assert np.isnan(stored).tolist() == [True, True, False, False, False, False] and stored[2:].tolist() == [0, 3, 4, 0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writers_ignore_what_stands_in_vectors_that_are_not_valid(suffix: str) -> None:
    field = example()
    dirty = field.clone()
    dirty[:2, field[2] == 0] = torch.tensor([[float("nan")], [float("inf")]])
    assert ENCODERS[suffix](dirty) == ENCODERS[suffix](field)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_field_need_not_be_contiguous_nor_the_suffix_small(suffix: str) -> None:
    field = example().transpose(1, 2).requires_grad_()
    content = ENCODERS[suffix](field)
    assert torch.equal(decode(suffix.upper(), content), field)
    decode(suffix, content)[0, 0, 0] = 5  # may be written to


# What the writers refuse


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "field",
    [
        torch.zeros(2, 4, 5),
        torch.zeros(4, 4, 5),
        torch.zeros(1, 3, 4, 5),
        torch.zeros(4, 5),
        torch.zeros(3, 0, 5),
        torch.zeros(3, 4, 5, dtype=torch.float64),
        torch.zeros(3, 4, 5, dtype=torch.uint8),
        torch.zeros(3, 1, LONGEST_SIDE + 1),
    ],
    ids=lambda field: f"{field.dtype}-{tuple(field.shape)}",
)
def test_writers_refuse_what_is_no_field(suffix: str, field: Tensor) -> None:
    with pytest.raises(ValueError, match="expected"):
        ENCODERS[suffix](field)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("valid", [0.5, 2.0, -1.0, float("nan")])
def test_writers_refuse_half_valid_vectors(suffix: str, valid: float) -> None:
    field = example()
    field[2, 1, 1] = valid
    with pytest.raises(ValueError, match="third channel"):
        ENCODERS[suffix](field)


BEYOND = [
    *itertools.product(SUFFIXES, [float("nan"), float("inf"), float("-inf")]),
    *itertools.product([".flo", ".png"], [1.001e9, -1e10]),
    *itertools.product([".png"], [512.0, -512.1]),
]


@pytest.mark.parametrize(("suffix", "value"), BEYOND)
@pytest.mark.parametrize("channel", [0, 1])
def test_writers_refuse_vectors_that_the_format_cannot_hold(suffix: str, value: float, channel: int) -> None:
    field = torch.ones(3, 2, 2)
    field[channel, 1, 0] = value
    with pytest.raises(ValueError, match="not within"):
        ENCODERS[suffix](field)


# Independent readers


def test_flo_as_torchvision_reads_it(tmp_path: Path) -> None:
    field, path = example(9, 13), tmp_path / "a.flo"
    path.write_bytes(encode_flo(field))
    theirs = oracle("_optical_flow", "_read_flo")(str(path))
    assert np.array_equal(np.where(np.abs(theirs) > 1e9, 0, theirs), field[:2].numpy())
    assert np.array_equal((np.abs(theirs) <= 1e9).all(axis=0), field[2].numpy() == 1)


@pytest.mark.parametrize("order", "<>")
def test_pfm_as_torchvision_reads_it(order: str, tmp_path: Path) -> None:
    field, path = example(9, 13), tmp_path / "a.pfm"
    path.write_bytes(encode_pfm(field))
    if order == ">":
        rows = torch.where(field[2] == 1, field, torch.nan).permute(1, 2, 0).numpy()
        path.write_bytes(pfm(rows, b"PF\n13 9\n1.0\n", ">"))
    theirs = oracle("utils", "_read_pfm")(str(path))
    assert np.array_equal(np.nan_to_num(theirs), field[:2].numpy())
    assert np.array_equal(~np.isnan(theirs).any(axis=0), field[2].numpy() == 1)
    assert torch.equal(load_flow(path), field)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kinds", [[0], [1], [2], [3], [4], [4, 0, 3, 2, 1]])
def test_kitti_as_libpng_reads_it(kinds: list[int], tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (9, 13, 3))
    samples[..., 2] %= 2
    path = tmp_path / "a.png"
    for content in (
        png(samples, list(itertools.islice(itertools.cycle(kinds), 9))),
        encode_kitti(expected_of(samples)),
    ):
        path.write_bytes(content)
        flow, valid = oracle("_optical_flow", "_read_16bits_png_with_flow_and_valid_mask")(str(path))
        ours = load_flow(path).numpy()
        assert np.array_equal(flow * valid, ours[:2] * valid) and np.array_equal(valid, ours[2] == 1)


def test_pil_sees_the_upper_bytes_of_the_written_png(tmp_path: Path) -> None:
    field, path = example(9, 13), tmp_path / "a.png"
    path.write_bytes(encode_kitti(field))
    with Image.open(path) as image:
        seen = np.asarray(image.convert("RGB"))
    stored = np.where(field[2] == 1, field[:2] * 64 + 2**15, 0).astype(int)
    assert np.array_equal(seen[..., :2], np.moveaxis(stored >> 8, 0, -1))


# Faults


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cut_anywhere(suffix: str) -> None:
    content = ENCODERS[suffix](example())
    for end in range(len(content)):
        assert fails(suffix, content[:end])
    assert "empty" in fails(suffix, b"")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("more", [1, 4, 12, 10_000])
def test_longer_than_the_header_says(suffix: str, more: int) -> None:
    fails(suffix, ENCODERS[suffix](example()) + bytes(more))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_format_under_the_suffix(suffix: str) -> None:
    for content in [
        *(ENCODERS[other](example()) for other in SUFFIXES if other != suffix),
        b"P6\n7 5\n255\n",
        b"\xff" * 90,
    ]:
        assert f"is no {'PNG' if suffix == '.png' else suffix + ' file'}" in fails(suffix, content)


@pytest.mark.parametrize(
    "size", [(0, 5), (5, 0), (-1, -1), (-3, 5), (HUGE, HUGE), (1, HUGE), (-(2**31), 2), (70_000, 1)]
)
def test_absurd_sizes(size: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        assert "pixels" in fails(".flo", b"PIEH" + struct.pack("<ii", *size) + bytes(64))
        assert "pixels" in fails(".pfm", b"PF\n%d %d\n-1\n" % size + bytes(64))
        unsigned = [side % 2**32 for side in size]
        assert "pixels" in fails(".png", assembled(*unsigned, zlib.compress(bytes(64))))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [(LONGEST_SIDE, LONGEST_SIDE), (1, LONGEST_SIDE), (LONGEST_SIDE, 1)])
def test_largest_sizes_without_the_body(size: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        fails(".flo", b"PIEH" + struct.pack("<ii", *size) + bytes(64))
        fails(".pfm", b"PF\n%d %d\n-1\n" % size + bytes(64))
        fails(".png", assembled(*size, zlib.compress(bytes(64))))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_png_that_yields_more_than_its_header_says() -> None:
    bomb = zlib.compress(bytes(2**26), 9)
    tracemalloc.start()
    try:
        assert "more or fewer" in fails(".png", assembled(3, 2, bomb))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_far_longer_than_its_header_says_is_not_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(ENCODERS[suffix](example()))
    os.truncate(path, 2**36)  # sparse: takes no space
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"unpack it again$"):
            load_flow(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Pf\n7 5\n-1\n", "disparity"),
        (b"PFM\n7 5\n-1\n", "begins with 'PFM'"),
        (b"PF7 5 -1 x ", "begins with 'PF7'"),
        (b"pf\n7 5\n-1\n", "is no .pfm"),
        (b"\nPF\n7 5\n-1\n", "is no .pfm"),
        (b"PF\nseven 5\n-1\n", "'seven'"),
        (b"PF\n7.0 5\n-1\n", "'7.0'"),
        (b"PF\n7 +5\n-1\n", "'+5'"),
        (b"PF\n7 \xb2\n-1\n", "'\\xb2'"),
        (b"PF\n7 " + b"9" * 500 + b"\n-1\n", "expected a number 1 .. 4096"),
        (b"PF\n7 5\n0\n", "scale '0'"),
        (b"PF\n7 5\n-0.0\n", "scale '-0.0'"),
        (b"PF\n7 5\n1e-999\n", "scale '1e-999'"),
        (b"PF\n7 5\nnan\n", "scale 'nan'"),
        (b"PF\n7 5\n-inf\n", "scale '-inf'"),
        (b"PF\n7 5\n-1e999\n", "scale '-1e999'"),
        (b"PF\n7 5\n\xff\x00\n", "scale '\\xff\\x00'"),
        (b"PF\n7 5\n-1\r\n", "holds 421 bytes"),
        (b"PF\n7 5" + b" " * 2000 + b"-1\n", "no complete header"),
        (b"PF\n# comment\n7 5\n-1\n", "'#'"),
        (b"PF\n5 7 \n", "scale '"),
    ],
)
def test_bad_header_of_pfm(header: bytes, expected: str) -> None:
    remedy = "give a file of optical flow" if expected == "disparity" else "unpack it again"
    body = b"ab " * 140 if expected == "scale '" else bytes(7 * 5 * 12)
    assert expected in fails(".pfm", header + body, remedy)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (assembled(3, 2, zlib.compress(plain()), form=(16, 2, 1, 0, 0)), "unknown way"),
        (assembled(3, 2, zlib.compress(plain()), form=(16, 2, 0, 1, 0)), "unknown way"),
        (assembled(3, 2, zlib.compress(plain()), form=(16, 2, 0, 0, 1)), "interlaced"),
        (assembled(3, 2, zlib.compress(plain()[:-1])), "more or fewer"),
        (assembled(3, 2, zlib.compress(plain() + b"\0")), "more or fewer"),
        (assembled(3, 2, zlib.compress(plain()) + b"\0"), "more or fewer"),
        (assembled(3, 2, zlib.compress(plain())[:-1]), "more or fewer"),
        (assembled(3, 2, zlib.compress(plain())[:-1] + b"\xff"), "is damaged"),
        (assembled(3, 2, b"no deflate"), "is damaged"),
        (assembled(3, 2, b""), "more or fewer"),
        (assembled(3, 2), "more or fewer"),
        (assembled(3, 2, zlib.compress(b"\x05" + plain()[1:])), "filter 5"),
        (assembled(3, 2, zlib.compress(b"\xff" + plain()[1:])), "filter 255"),
        (SIGNATURE + chunk(b"IDAT", bytes(13)) + chunk(b"IEND", b""), "damaged header"),
        (SIGNATURE + chunk(b"IHDR", bytes(14)) + chunk(b"IEND", b""), "damaged header"),
        (assembled(3, 2, zlib.compress(plain()))[:-12] + b"\xff\xff\xff\xffIEND" + bytes(4), "cut off"),
    ],
)
def test_bad_png(content: bytes, expected: str) -> None:
    assert expected in fails(".png", content)


@pytest.mark.parametrize("form", [(8, 2), (8, 0), (16, 0), (16, 6), (8, 3), (16, 3), (0, 0), (255, 255)])
def test_png_of_another_kind(form: tuple[int, int]) -> None:
    message = fails(
        ".png", assembled(3, 2, zlib.compress(plain()), form=(*form, 0, 0, 0)), "give one in KITTI's format"
    )
    assert f"{form[0]} bits and colour type {form[1]}" in message


@pytest.mark.parametrize("position", [29, 45, -14, -1])  # checksum of the header, data, its checksum, that of the end
def test_png_with_a_wrong_checksum(position: int) -> None:
    content = bytearray(encode_kitti(example()))
    content[position] ^= 1
    assert "damaged" in fails(".png", bytes(content))


@pytest.mark.parametrize(
    "name", ["a.flo", "a.pfm", "a.png", "no/folder.flo", "line\nbreak.flo", "nul\0.flo", "x" * 300 + ".flo"]
)
def test_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_flow(tmp_path / name)
    message = str(caught.value)
    assert (
        message.startswith(str(tmp_path)) and len(message.splitlines()) == 1 and message.endswith("; unpack it again")
    )


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.flo").mkdir()
    os.mkfifo(tmp_path / "pipe.flo")
    for name in ("folder.flo", "pipe.flo"):
        with pytest.raises(UserError, match=f"{name}: no such file; unpack it again$"):
            load_flow(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.flo5", ".flo", "a.png.gz"])
def test_unknown_suffix(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encode_flo(example()))
    with pytest.raises(UserError, match=r"is no file of optical flow; give one that ends in \.flo, \.pfm, \.png$"):
        load_flow(tmp_path / name)


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flo"
    path.write_bytes(encode_flo(example()))

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=f"{path}: Permission denied; unpack it again$"):
        load_flow(path)


# Any bytes


def field_or_user_error(suffix: str, content: bytes) -> None:
    try:
        decode(suffix, content)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and f"field{suffix}: " in str(error)


STARTS = {
    ".flo": [b"", b"PIEH", b"PIEH\1\0\0\0", b"PIEH\1\0\0\0\1\0\0\0"],
    ".pfm": [b"", b"PF", b"PF\n1 1\n", b"PF 1 1 -1\n", b"PF 1 1 1\n", b"Pf\n"],
    ".png": [b"", SIGNATURE, assembled(1, 1)[:33]],
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SUFFIXES), st.data())
def test_any_bytes(suffix: str, data: st.DataObject) -> None:
    field_or_user_error(suffix, data.draw(st.sampled_from(STARTS[suffix])) + data.draw(st.binary(max_size=60)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SUFFIXES), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_any_damage(suffix: str, position: int, damage: bytes) -> None:
    content = ENCODERS[suffix](example(3, 4))
    start = position % len(content)
    field_or_user_error(suffix, content[:start] + damage + content[start + len(damage) :])
    field_or_user_error(suffix, content[:start] + damage + content[start:])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=19 * 2), st.binary(max_size=30), st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_any_data_behind_right_checksums(raw: bytes, noise: bytes, width: int, height: int) -> None:
    field_or_user_error(".png", assembled(3, 2, zlib.compress(raw.ljust(38, b"\3"))))
    field_or_user_error(".png", assembled(3, 2, noise))
    field_or_user_error(".png", assembled(width, height, zlib.compress(raw)))


# Speed and real data


def test_filtered_png_of_kittis_size_is_read_in_seconds() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (375, 1 + 6 * 1242), dtype=np.uint8)
    rows[:, 0] = 4
    content = assembled(1242, 375, zlib.compress(rows.tobytes(), 1))
    start = time.process_time()
    assert decode(".png", content).shape == (3, 375, 1242)
    assert time.process_time() - start < 10  # about 0.3 in fact


def test_real_flying_chairs() -> None:
    paths = sorted(SHARED.glob("FlyingChairs_release/data/*_flow.flo"))
    if not paths:
        pytest.skip(f"no real data at {SHARED / 'FlyingChairs_release'}")
    assert paths[0].name == "00001_flow.flo"
    for path in paths:
        field = load_flow(path)
        assert field.shape == (3, 384, 512) and field[2].all()
        assert np.array_equal(oracle("_optical_flow", "_read_flo")(str(path)), field[:2].numpy())
        assert encode_flo(field) == path.read_bytes()
