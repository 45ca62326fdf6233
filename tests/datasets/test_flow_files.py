"""Files of optical flow: layout, independent readers, and every fault named in one line."""

from __future__ import annotations

import importlib
import os
import struct
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny_videos import flo, pfm
from torch import Tensor

from l2sp_suite.datasets.flow_files import LONGEST_SIDE, load_flow
from l2sp_suite.utils.errors import UserError

ENCODERS = {".flo": flo, ".pfm": pfm}
HUGE = 2**31 - 1
UNKNOWN = (float("inf"), float("-inf"), float("nan"))


def decode(suffix: str, content: bytes) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"field{suffix}"
        path.write_bytes(content)
        field = load_flow(path)
    assert field.dtype == torch.float32 and field.ndim == 3 and len(field) == 3 and field.numel()
    assert set(field[2].unique().tolist()) <= {0.0, 1.0}
    assert field[:2].isfinite().all() and not (field[:2] * (1 - field[2])).any()
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


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def example(height: int = 5, width: int = 7) -> Tensor:
    """A field, a fifth of whose vectors are not valid."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    field = torch.randint(-2000, 2000, (3, height, width), generator=generator) / 64
    field[2] = (torch.rand(height, width, generator=generator) > 0.2).float()
    field[:2] *= field[2]
    return field


def fields(limit: float) -> st.SearchStrategy[Tensor]:
    def masked(parts: tuple[np.ndarray, np.ndarray]) -> Tensor:
        vectors, valid = (torch.from_numpy(part.copy()) for part in parts)
        return torch.cat([torch.where(valid, vectors, 0), valid[None].float()])

    def of_size(size: tuple[int, int]) -> st.SearchStrategy[Tensor]:
        numbers = st.floats(-limit, limit, width=32)
        return st.tuples(hnp.arrays(np.float32, (2, *size), elements=numbers), hnp.arrays(bool, size)).map(masked)

    return st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(of_size)


# Layout


def test_flo_layout() -> None:
    content = b"PIEH" + struct.pack("<ii", 3, 2) + struct.pack("<12f", *range(12))
    assert decode(".flo", content).tolist() == [[[0, 2, 4], [6, 8, 10]], [[1, 3, 5], [7, 9, 11]], [[1] * 3] * 2]
    assert struct.pack("<f", 202021.25) == b"PIEH"


def test_pfm_bottom_row_comes_first() -> None:
    bottom, top = (1, 2, 0, 3, 4, 0), (5, 6, 0, 7, 8, 0)
    field = decode(".pfm", b"PF\n2 2\n-1\n" + struct.pack("<12f", *bottom, *top))
    assert field[:2].tolist() == [[[5, 7], [1, 3]], [[6, 8], [2, 4]]]
    assert torch.equal(decode(".pfm", b"PF\n2 2\n1\n" + struct.pack(">12f", *bottom, *top)), field)


@given(st.sampled_from([(".flo", 1e9), (".pfm", float(np.finfo(np.float32).max))]).flatmap(
    lambda kind: st.tuples(st.just(kind[0]), fields(kind[1]))
))  # fmt: skip
def test_any_field_is_read_back(case: tuple[str, Tensor]) -> None:
    assert torch.equal(decode(case[0].upper(), ENCODERS[case[0]](case[1])), case[1])


@given(fields(1e6), st.sampled_from([("<", b"-1"), (">", b"1.0"), (">", b"+0.5"), ("<", b"-2e3")]), st.data())
def test_pfm_of_both_byte_orders_and_any_space(field: Tensor, order: tuple[str, bytes], data: st.DataObject) -> None:
    space = st.text(" \t\r\n", min_size=1, max_size=4).map(str.encode)
    tokens = [b"PF", b"%d" % field.shape[2], b"%d" % field.shape[1]]
    header = b"".join(token + data.draw(space) for token in tokens) + order[1] + data.draw(space)[:1]
    assert torch.equal(decode(".pfm", pfm(field, order[0], header)), field)


@pytest.mark.parametrize("place", [0, 1])
def test_unknown_vectors(place: int) -> None:
    for value in (1e10, -1e10, 1.001e9, *UNKNOWN):
        vector = [1.0, 2.0]
        vector[place] = value
        expected = [[[0, 3]], [[0, 4]], [[0, 1]]]
        assert decode(".flo", b"PIEH" + struct.pack("<ii4f", 2, 1, *vector, 3, 4)).tolist() == expected
        if value in UNKNOWN[:2] or value != value:  # what the third channel holds plays no role
            content = struct.pack("<6f", *vector, float("nan"), 3, 4, float("inf"))
            assert decode(".pfm", b"PF 2 1 -1\n" + content).tolist() == expected


def oracle(module: str, name: str) -> Callable[[str], Any]:
    """A private reader of torchvision, which another version may not have."""
    try:
        return getattr(importlib.import_module(f"torchvision.datasets.{module}"), name)
    except (ImportError, AttributeError):
        pytest.skip(f"this torchvision has no {name}")


@pytest.mark.parametrize(
    ("suffix", "order", "reader"),
    [(".flo", "<", ("_optical_flow", "_read_flo")), (".pfm", "<", ("utils", "_read_pfm")),
     (".pfm", ">", ("utils", "_read_pfm"))],
)  # fmt: skip
def test_as_torchvision_reads_it(suffix: str, order: str, reader: tuple[str, str], tmp_path: Path) -> None:
    field, path = example(9, 13), tmp_path / f"a{suffix}"
    path.write_bytes(flo(field) if suffix == ".flo" else pfm(field, order))
    theirs, ours = oracle(*reader)(str(path)), load_flow(path)
    known = (np.abs(theirs) <= 1e9).all(axis=0)
    assert torch.equal(ours, field) and np.array_equal(known, ours[2] == 1)
    assert np.array_equal(np.where(known, theirs, 0), ours[:2].numpy())


# Faults


@pytest.mark.parametrize("suffix", ENCODERS)
def test_cut_anywhere_or_longer_than_the_header_says(suffix: str) -> None:
    content = ENCODERS[suffix](example(3, 4))
    for end in range(len(content)):
        assert fails(suffix, content[:end])
    assert "empty" in fails(suffix, b"")
    for more in (1, 4, 12, 10_000):
        fails(suffix, content + bytes(more))


@pytest.mark.parametrize("suffix", ENCODERS)
def test_another_format_under_the_suffix(suffix: str) -> None:
    other = pfm(example()) if suffix == ".flo" else flo(example())
    for content in (other, b"P6\n7 5\n255\n", b"\x89PNG\r\n\x1a\n", b"\xff" * 90):
        assert f"is no {suffix} file" in fails(suffix, content)


@pytest.mark.parametrize(
    ("size", "claims"),
    [
        *((size, "claims ") for size in ((0, 5), (-1, -1), (HUGE, HUGE), (1, HUGE), (-(2**31), 2), (70_000, 1))),
        *((size, "holds ") for size in ((LONGEST_SIDE,) * 2, (1, LONGEST_SIDE), (LONGEST_SIDE, 1))),
    ],
)
def test_a_header_does_not_decide_how_much_memory_is_taken(size: tuple[int, int], claims: str) -> None:
    with little_memory():
        assert fails(".flo", b"PIEH" + struct.pack("<ii", *size) + bytes(64)).startswith(claims)
        assert fails(".pfm", b"PF\n%d %d\n-1\n" % size + bytes(64)).startswith(claims)


@pytest.mark.parametrize("suffix", ENCODERS)
def test_file_far_longer_than_its_header_says_is_not_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(ENCODERS[suffix](example()))
    os.truncate(path, 2**36)  # sparse: takes no space
    with little_memory(), pytest.raises(UserError, match=r"unpack it again$"):
        load_flow(path)


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
    "name", ["a.flo", "a.pfm", "no/folder.flo", "line\nbreak.flo", "nul\0.flo", "x" * 300 + ".flo"]
)
def test_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"; unpack it again$") as caught:
        load_flow(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path)) and len(str(caught.value).splitlines()) == 1


def test_what_is_no_file_or_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.flo").mkdir()
    os.mkfifo(tmp_path / "pipe.flo")
    for name in ("folder.flo", "pipe.flo"):
        with pytest.raises(UserError, match=f"{name}: no such file; unpack it again$"):
            load_flow(tmp_path / name)

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.flo").write_bytes(flo(example()))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"a\.flo: Permission denied; unpack it again$"):
        load_flow(tmp_path / "a.flo")


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.flo5", ".flo", "a.png"])
def test_unknown_suffix(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(flo(example()))
    with pytest.raises(UserError, match=r"is no file of optical flow; give one that ends in \.flo or \.pfm$"):
        load_flow(tmp_path / name)


# Any bytes

STARTS = {
    ".flo": [b"", b"PIEH", b"PIEH\1\0\0\0", b"PIEH\1\0\0\0\1\0\0\0"],
    ".pfm": [b"", b"PF", b"PF\n1 1\n", b"PF 1 1 -1\n", b"PF 1 1 1\n", b"Pf\n"],
}


def field_or_user_error(suffix: str, content: bytes) -> None:
    try:
        decode(suffix, content)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and f"field{suffix}: " in str(error)


@given(st.sampled_from(list(ENCODERS)), st.data(), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_any_bytes_and_any_damage(suffix: str, data: st.DataObject, position: int, damage: bytes) -> None:
    field_or_user_error(suffix, data.draw(st.sampled_from(STARTS[suffix])) + data.draw(st.binary(max_size=60)))
    content = ENCODERS[suffix](example(3, 4))
    start = position % len(content)
    field_or_user_error(suffix, content[:start] + damage + content[start + len(damage) :])
    field_or_user_error(suffix, content[:start] + damage + content[start:])


def test_real_flying_chairs(real_data: Callable[[str], Path]) -> None:
    paths = sorted(real_data("FlyingChairs_release").glob("data/*_flow.flo"))
    assert paths[0].name == "00001_flow.flo"
    for path in paths:
        field = load_flow(path)
        assert field.shape == (3, 384, 512) and field[2].all()
        assert np.array_equal(oracle("_optical_flow", "_read_flo")(str(path)), field[:2].numpy())
