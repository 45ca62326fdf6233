"""Checkpoints of TensorFlow: what was written is read, slim's Inception-V3 by its own names, nothing that is broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tensorflow_files import write_checkpoint
from test_caffe import damaged

from l2sp_suite.models.classifier import head_prefixes
from l2sp_suite.models.inception_v3 import inception_v3
from l2sp_suite.pretrained import CONVERTERS, convert, load_weights
from l2sp_suite.pretrained.convert.inception import trunk
from l2sp_suite.pretrained.convert.tensorflow import open_checkpoint
from l2sp_suite.utils.errors import UserError

NAMES = st.text("abé/_", min_size=1, max_size=9)
NETS = st.dictionaries(
    NAMES,
    arrays(np.float32, array_shapes(min_dims=0, max_dims=4, max_side=3), elements=st.floats(-9, 9, width=32)),
    min_size=1,
    max_size=20,
)
SAFE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(NETS, st.integers(1, 9))
@SAFE
def test_what_is_written_is_read(tmp_path: Path, net: dict[str, np.ndarray], per_block: int) -> None:
    checkpoint = open_checkpoint(write_checkpoint(tmp_path / "m.ckpt-7", net, per_block))
    assert sorted(checkpoint.entries) == sorted(net)
    for name, array in net.items():
        assert np.array_equal(checkpoint.read(name), array) and checkpoint.read(name).shape == array.shape


@given(NETS, st.data())
@SAFE
def test_a_cut_or_changed_index_is_one_line(tmp_path: Path, net: dict[str, np.ndarray], data: st.DataObject) -> None:
    index = write_checkpoint(tmp_path / "m", net)
    index.write_bytes(damaged(index.read_bytes(), data))
    try:
        checkpoint = open_checkpoint(index)
        for name in checkpoint.entries:
            checkpoint.read(name)
    except UserError as error:
        assert str(tmp_path) in str(error) and "\n" not in str(error)


def test_an_array_beyond_any_file_is_one_line(tmp_path: Path) -> None:
    entry = replace(open_checkpoint(write_checkpoint(tmp_path / "m", {"a": np.ones(4)})).entries["a"], offset=2**63)
    checkpoint = replace(open_checkpoint(tmp_path / "m.index"), entries={"a": entry})
    with pytest.raises(UserError, match="cut short"):
        checkpoint.read("a")


def test_the_checksum_is_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, tensors = "inception_v3_slim", {"w": torch.ones(2, 2)}
    small = replace(CONVERTERS[name], read=lambda _: tensors, network=lambda: tensors, output_difference=None)
    monkeypatch.setitem(CONVERTERS, name, small)  # type: ignore[arg-type]
    prefix, target = tmp_path / "m", tmp_path / "w.safetensors"
    sums = {convert(name, write_checkpoint(prefix, {"a": np.full(3, value)}), target) for value in (1, 2)}
    assert len(sums) == 2  # the same index, other arrays


def test_missing_and_cut_files(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "m", {"a": np.ones(4)})
    data = tmp_path / "m.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    for path, message in (
        (tmp_path / "model.ckpt", "give the .index file"),
        (tmp_path / "gone.index", "No such file"),
        (index, "ends before the end of a: cut short"),
    ):
        with pytest.raises(UserError, match=message):
            open_checkpoint(path).read("a")
    data.unlink()
    with pytest.raises(UserError, match=r"m\.data-00000-of-00001: No such file"):
        open_checkpoint(index).read("a")
    with pytest.raises(UserError, match="no array b"):
        open_checkpoint(index).read("b")


# Inception-V3: slim's name of each of torchvision's layers, block by block

A = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1", "branch5x5_1": "Branch_1/Conv2d_0a_1x1",
    "branch5x5_2": "Branch_1/Conv2d_0b_5x5", "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3", "branch3x3dbl_3": "Branch_2/Conv2d_0c_3x3",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}  # fmt: skip
A5C = {**A, "branch5x5_1": "Branch_1/Conv2d_0b_1x1", "branch5x5_2": "Branch_1/Conv_1_0c_5x5"}
B = {
    "branch3x3": "Branch_0/Conv2d_1a_1x1", "branch3x3dbl_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_1/Conv2d_0b_3x3", "branch3x3dbl_3": "Branch_1/Conv2d_1a_1x1",
}  # fmt: skip
C = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1", "branch7x7_1": "Branch_1/Conv2d_0a_1x1",
    "branch7x7_2": "Branch_1/Conv2d_0b_1x7", "branch7x7_3": "Branch_1/Conv2d_0c_7x1",
    "branch7x7dbl_1": "Branch_2/Conv2d_0a_1x1", "branch7x7dbl_2": "Branch_2/Conv2d_0b_7x1",
    "branch7x7dbl_3": "Branch_2/Conv2d_0c_1x7", "branch7x7dbl_4": "Branch_2/Conv2d_0d_7x1",
    "branch7x7dbl_5": "Branch_2/Conv2d_0e_1x7", "branch_pool": "Branch_3/Conv2d_0b_1x1",
}  # fmt: skip
D = {
    "branch3x3_1": "Branch_0/Conv2d_0a_1x1", "branch3x3_2": "Branch_0/Conv2d_1a_3x3",
    "branch7x7x3_1": "Branch_1/Conv2d_0a_1x1", "branch7x7x3_2": "Branch_1/Conv2d_0b_1x7",
    "branch7x7x3_3": "Branch_1/Conv2d_0c_7x1", "branch7x7x3_4": "Branch_1/Conv2d_1a_3x3",
}  # fmt: skip
E = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1", "branch3x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3_2a": "Branch_1/Conv2d_0b_1x3", "branch3x3_2b": "Branch_1/Conv2d_0b_3x1",
    "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1", "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3",
    "branch3x3dbl_3a": "Branch_2/Conv2d_0c_1x3", "branch3x3dbl_3b": "Branch_2/Conv2d_0d_3x1",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}  # fmt: skip
E7C = {**E, "branch3x3_2b": "Branch_1/Conv2d_0c_3x1"}
BLOCKS = {"5b": A, "5c": A5C, "5d": A, "6a": B, "6b": C, "6c": C, "6d": C, "6e": C, "7a": D, "7b": E, "7c": E7C}
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
LAYERS = {name: name for name in STEM} | {
    f"Mixed_{block}.{ours}": f"Mixed_{block}/{slim}"
    for block, layers in BLOCKS.items()
    for ours, slim in layers.items()
}


def slim_arrays(net: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A net's trunk by slim's names; every other layer has averages, and something else in the variables themselves."""
    arrays: dict[str, np.ndarray] = {
        "global_step": np.ones(1),
        "InceptionV3/Logits/Conv2d_1c_1x1/weights": np.ones((1, 1, 2, 2)),
    }
    arrays["InceptionV3/AuxLogits/Conv2d_1b_1x1/weights"] = np.ones((1, 1, 2, 2))
    for number, (ours, slim) in enumerate(LAYERS.items()):
        scope = f"InceptionV3/{slim}"
        parts = {
            "weights": net[f"{ours}.conv.weight"].permute(2, 3, 1, 0),
            "BatchNorm/beta": net[f"{ours}.bn.bias"],
            "BatchNorm/moving_mean": net[f"{ours}.bn.running_mean"],
            "BatchNorm/moving_variance": net[f"{ours}.bn.running_var"],
        }
        for part, tensor in parts.items():
            averaged = number % 2 == 1 and not part.startswith("BatchNorm/moving")
            arrays[f"{scope}/{part}"] = np.zeros(1) if averaged else tensor.numpy()
            if averaged:
                arrays[f"{scope}/{part}/ExponentialMovingAverage"] = tensor.numpy()
    return arrays


@pytest.mark.slow
def test_slim_s_inception_becomes_the_same_net(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = inception_v3(7)
    state = {
        name: torch.rand(t.shape) + 0.1 if "bn" in name else t
        for name, t in net.state_dict().items()
        if name in trunk()
    }
    state = {name: torch.ones_like(t) if name.endswith("bn.weight") else t for name, t in state.items()}
    index = write_checkpoint(tmp_path / "model.ckpt-100", slim_arrays(state))
    target = tmp_path / "w.safetensors"
    convert("inception_v3_slim", index, target)
    weights = load_weights("file", net, target, None, head_prefixes(net))
    names = {name for name, tensor in trunk().items() if tensor.is_floating_point()}
    assert set(weights.tensors) == names and len(names) == 94 * 5
    assert all(torch.equal(weights.tensors[name], state[name]) for name in names)


def test_another_net_is_refused(tmp_path: Path) -> None:
    index = write_checkpoint(tmp_path / "m", {"InceptionV3/Conv2d_1a_3x3/weights": np.ones((3, 3, 3, 32))})
    with pytest.raises(UserError, match="1 convolutions of Inception-V3 in it, the network has 94"):
        convert("inception_v3_slim", index, tmp_path / "x.safetensors")
