"""The reader of .caffemodel files: what was written, and nothing that is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_files import blob, caffemodel, field, varint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from l2sp_suite.pretrained.convert.caffe import read_caffemodel
from l2sp_suite.utils.errors import UserError

ARRAYS = arrays(np.float32, array_shapes(min_dims=1, max_dims=4, max_side=4), elements=st.floats(-9, 9, width=32))
NETS = st.dictionaries(st.text("abz_/ü", min_size=1, max_size=6), st.lists(ARRAYS, min_size=1, max_size=3), min_size=1)
SAFE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(NETS, st.booleans(), st.booleans())
@SAFE
def test_what_is_written_is_read(tmp_path: Path, net: dict[str, list[np.ndarray]], old: bool, packed: bool) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(net, old, packed))
    layers = read_caffemodel(path)
    assert list(layers) == list(net)
    for name, blobs in net.items():
        for expected, array in zip(blobs, layers[name], strict=True):
            assert np.array_equal(array.ravel(), expected.ravel()) and array.dtype == np.float32
            assert array.shape == ((1,) * (4 - expected.ndim) + expected.shape if old else expected.shape)


@given(NETS, st.data())
@SAFE
def test_a_cut_or_changed_file_is_one_line(
    tmp_path: Path, net: dict[str, list[np.ndarray]], data: st.DataObject
) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(damaged(caffemodel(net), data))
    try:
        read_caffemodel(path)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """The content cut somewhere, or with one bit changed."""
    changed = bytearray(content)
    if data.draw(st.booleans()):
        return content[: data.draw(st.integers(0, len(content) - 1))]
    changed[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    return bytes(changed)


HUGE = field(7, field(1, varint(2**40) + varint(2**20)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no layer with weights"),
        (b"layer {\n name: 'conv1' }", "damaged or not a .caffemodel"),
        (varint(100 << 3 | 2) + varint(2**60) + b"x", "1,152,921,504,606,846,976 bytes where 1 are left"),
        (field(100, field(1, b"a") + field(7, HUGE)), "0 numbers for an array of 1099511627776 x 1048576"),
        (field(100, field(1, b"\xff") + field(7, blob(np.ones(2, np.float32)))), "damaged"),
        (field(100, field(7, field(7, field(1, varint(2))) + field(5, b"12345"))), "no whole number of numbers"),
        (b"\xff" * 12, "more than 64 bits"),
        (varint(1 << 3 | 3), "unknown kind 3"),
        (None, "No such file"),
    ],
)
def test_hostile_files_end_in_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "net.caffemodel"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"net\.caffemodel") as caught:
        read_caffemodel(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)
