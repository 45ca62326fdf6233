"""Metrics, against torchmetrics and against loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.classification import BinaryJaccardIndex, MulticlassAccuracy, MulticlassJaccardIndex

from l2sp_suite.metrics import ConfusionMatrix, EndPointError, RegionSimilarity, correct, end_point_errors, jaccard

cases = st.tuples(st.integers(2, 12), st.integers(0, 10**6), st.sampled_from([(7,), (5, 6), (2, 3, 4), (0,)]))


def drawn(classes: int, seed: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Predictions int64 and truth uint8, of which a tenth is ignored."""
    generator = torch.Generator().manual_seed(seed)
    prediction, truth = (torch.randint(classes, shape, generator=generator) for _ in range(2))
    truth[torch.rand(shape, generator=generator) < 0.1] = 255
    return prediction, truth.to(torch.uint8)


def counted(classes: int, *updates: tuple[Tensor, Tensor]) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes)
    for prediction, truth in updates:
        matrix.update(prediction, truth)
    return matrix


@settings(deadline=None)
@given(cases)
def test_matrix_is_what_a_loop_counts_and_agrees_with_torchmetrics(case: tuple[int, int, tuple[int, ...]]) -> None:
    (classes, _, shape), (prediction, truth) = case, drawn(*case)
    expected = [[0] * classes for _ in range(classes)]
    for p, t in zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True):
        if t != 255:
            expected[t][p] += 1
    matrix = counted(classes, (prediction, truth))
    assert matrix.tolist() == expected and matrix.matrix.dtype == torch.int64
    union = [sum(expected[c]) + sum(row[c] for row in expected) - expected[c][c] for c in range(classes)]
    iou = [expected[c][c] / union[c] if union[c] else 0.0 for c in range(classes)]
    assert matrix.iou().tolist() == iou and matrix.miou() == pytest.approx(sum(iou) / classes, abs=1e-12)
    if shape != (0,):
        index = MulticlassJaccardIndex(classes, average="none", ignore_index=255, zero_division=0)
        accuracy = MulticlassAccuracy(classes, average="micro", ignore_index=255)
        torch.testing.assert_close(matrix.iou().float(), index(prediction, truth.long()))
        assert matrix.pixel_accuracy() == pytest.approx(float(accuracy(prediction, truth.long())), abs=1e-6)


@given(cases, st.integers(0, 10**6))
def test_updates_pool(case: tuple[int, int, tuple[int, ...]], seed: int) -> None:
    one, two = drawn(*case), drawn(case[0], seed, (4, 5))
    pooled = tuple(torch.cat([a.flatten(), b.flatten()]) for a, b in zip(one, two, strict=True))
    assert counted(case[0], one, two).tolist() == counted(case[0], pooled).tolist()


@pytest.mark.parametrize(
    ("prediction", "truth", "rows", "iou"),
    [
        ([2, 2, 1], [0, 0, 1], [[0, 0, 2], [0, 1, 0], [0, 0, 0]], [0, 1, 0]),  # rows are truth
        ([0, 1], [0, 1], [[1, 0, 0], [0, 1, 0], [0, 0, 0]], [1, 1, 0]),  # a class without a pixel counts as 0
        ([1, 1, 0, 1], [255, 1, 0, 255], [[1, 0, 0], [0, 1, 0], [0, 0, 0]], [1, 1, 0]),  # ignored on either side
        ([7, 0], [255, 0], [[1, 0, 0], [0, 0, 0], [0, 0, 0]], [1, 0, 0]),  # what is predicted there may be anything
        ([0, 0], [255, 255], [[0] * 3] * 3, [0, 0, 0]),
    ],
)
def test_matrix_by_hand(prediction: list[int], truth: list[int], rows: list[list[int]], iou: list[float]) -> None:
    matrix = counted(3, (torch.tensor(prediction), torch.tensor(truth, dtype=torch.uint8)))
    assert matrix.tolist() == rows and matrix.iou().tolist() == iou and matrix.miou() == pytest.approx(sum(iou) / 3)
    total = sum(map(sum, rows))
    assert matrix.pixel_accuracy() == (sum(rows[c][c] for c in range(3)) / total if total else 0)
    other = ConfusionMatrix(3, ignored=-1)
    other.update(torch.tensor([7, 0]), torch.tensor([-1, 0]))
    assert other.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_counts_beyond_single_precision() -> None:
    matrix = ConfusionMatrix(2)
    matrix.matrix += torch.tensor([[2**24 + 1, 0], [0, 2**24]])
    matrix.update(torch.tensor([0]), torch.tensor([1]))
    assert matrix.tolist()[0][0] == 16777217
    assert matrix.pixel_accuracy() == (2**25 + 1) / (2**25 + 2) < 1


def test_large_map_of_many_classes_in_bytes() -> None:
    truth = (torch.arange(250 * 250) % 250).view(250, 250).to(torch.uint8)  # 250 * 250 overflows a byte
    matrix = counted(250, (truth.clone(), truth))
    assert torch.equal(matrix.matrix, 250 * torch.eye(250, dtype=torch.int64))


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [([0, 3], [0, 0], r"0\.\.2"), ([0, -1], [0, 0], "-1"), ([0, 0], [0, 3], "3"), ([0, 0], [0, 0, 0], "shape")],
)
def test_faults(prediction: list[int], truth: list[int], message: str) -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        matrix.update(torch.tensor(prediction), torch.tensor(truth))
    assert sum(map(sum, matrix.tolist())) == 0


def test_needs_a_class() -> None:
    with pytest.raises(ValueError, match="at least one class"):
        ConfusionMatrix(0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_same_on_a_gpu() -> None:
    prediction, truth = drawn(9, 0, (30, 40))
    assert counted(9, (prediction.cuda(), truth.cuda())).tolist() == counted(9, (prediction, truth)).tolist()


def test_correct() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert correct(logits, torch.tensor([1, 0, 0])) == 2


# Masks of clips


def masks(seed: int, height: int = 5, width: int = 7) -> tuple[Tensor, Tensor]:
    """Two masks uint8 of 0 and 1, neither empty."""
    generator = torch.Generator().manual_seed(seed)
    one, two = ((torch.rand(height, width, generator=generator) < 0.4).to(torch.uint8) for _ in range(2))
    one[0, 0] = two[1, 1] = 1
    return one, two


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 9))
def test_jaccard_is_what_sets_say_and_torchmetrics(seed: int, height: int, width: int) -> None:
    prediction, truth = masks(seed, height, width)
    p, g = ({tuple(at) for at in mask.nonzero().tolist()} for mask in (prediction, truth))
    assert jaccard(prediction, truth) == len(p & g) / len(p | g) == jaccard(truth, prediction)
    assert jaccard(prediction.bool(), truth.float()) == jaccard(prediction, truth)
    assert jaccard(prediction, truth) == pytest.approx(float(BinaryJaccardIndex()(prediction, truth)), abs=1e-6)


def test_jaccard_at_its_ends() -> None:
    empty, full = torch.zeros(3, 4, dtype=torch.uint8), torch.ones(3, 4, dtype=torch.bool)
    assert (jaccard(empty, empty), jaccard(full, full), jaccard(empty, full), jaccard(full, empty)) == (1, 1, 0, 0)


@pytest.mark.parametrize(("value", "shape", "message"), [(1, (4, 3), "shape"), (255, (3, 4), "0 nor 1")])
def test_masks_that_are_none(value: int, shape: tuple[int, int], message: str) -> None:
    mask, other = torch.zeros(3, 4), torch.full(shape, value, dtype=torch.uint8)
    for pair in ((mask, other), (other, mask)):
        with pytest.raises(ValueError, match=message):
            jaccard(*pair)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=6), min_size=1, max_size=4), st.booleans())
def test_region_similarity_is_its_definition(clips: list[list[int]], alternate: bool) -> None:
    region = RegionSimilarity()
    order = [(time, k) if alternate else (k, time) for k, clip in enumerate(clips) for time in range(len(clip))]
    for entry in sorted(order):
        time, k = entry if alternate else entry[::-1]
        region.update(f"clip {k}", *masks(clips[k][time]))
    means = []
    for clip in clips:
        frames = [jaccard(*masks(seed)) for seed in clip[1:-1]]
        means.append(sum(frames) / len(frames))
    assert list(region.by_sequence().values()) == pytest.approx(means, abs=1e-12)
    assert set(region.by_sequence()) == {f"clip {k}" for k in range(len(clips))}
    assert region.value() == pytest.approx(sum(means) / len(means), abs=1e-12)


def test_region_similarity_of_sequences_not_of_frames_and_without_the_first_and_the_last() -> None:
    region, on, off = RegionSimilarity(), torch.ones(2, 2), torch.zeros(2, 2)
    with pytest.raises(ValueError, match="no sequence"):
        region.value()
    with pytest.raises(ValueError, match="shape"):  # what is refused leaves no trace
        region.update("other", on, torch.ones(2, 3))
    for _ in range(3):
        region.update("short", on, on)
    for time in range(12):
        region.update("long", on if time in (0, 11) else off, on)  # right only where it does not count
    assert region.by_sequence() == {"short": 1.0, "long": 0.0} and region.value() == 0.5 and region.counted == 11
    for _ in range(2):
        region.update("swan", on, on)
    for ask in (region.value, region.by_sequence):
        with pytest.raises(ValueError, match="'swan' has 2 frames"):
            ask()


# Fields of motion


def fields(seed: int, shape: tuple[int, ...], share: float = 0.7) -> tuple[Tensor, Tensor]:
    """Flow (*leading, 2, H, W) and truth (*leading, 3, H, W), NaN where it is not valid."""
    generator = torch.Generator().manual_seed(seed)
    *leading, height, width = shape
    flow = 5 * torch.randn(*leading, 2, height, width, generator=generator)
    truth = 5 * torch.randn(*leading, 3, height, width, generator=generator)
    valid = torch.rand(*leading, height, width, generator=generator) < share
    truth[..., 2, :, :] = valid
    truth[..., :2, :, :].masked_fill_(~valid.unsqueeze(-3), math.nan)
    return flow, truth


def listed(flow: Tensor, truth: Tensor) -> list[float]:
    """Errors of the valid pixels, one by one."""
    rows = zip(flow.movedim(-3, -1).reshape(-1, 2).tolist(), truth.movedim(-3, -1).reshape(-1, 3).tolist(), strict=True)
    return [math.hypot(u - x, v - y) for (u, v), (x, y, valid) in rows if valid]


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (2, 3, 4, 5), (0, 4, 5)])
def test_end_point_errors_one_by_one(shape: tuple[int, ...]) -> None:
    flow, truth = fields(1, shape)
    errors, valid = end_point_errors(flow, truth), truth[..., 2, :, :] == 1
    assert errors.shape == shape
    assert errors[valid].tolist() == pytest.approx(listed(flow, truth), rel=1e-5)
    assert (errors[~valid] == 0).all()


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_end_point_error_pools_pixels(first: int, second: int) -> None:
    error, every = EndPointError(), []
    for flow, truth in (fields(first, (2, 4, 5)), fields(second, (3, 3), share=0.3), fields(1, (6, 6), share=0)):
        error.update(flow, truth)
        every += listed(flow, truth)
    assert error.value() == pytest.approx(sum(every) / len(every), rel=1e-5)


def test_end_point_error_in_closed_form() -> None:
    error, flow, truth = EndPointError(), torch.zeros(2, 2, 2), torch.ones(3, 2, 2)
    flow[0], flow[1] = 4, -3
    error.update(flow, truth)
    assert error.value() == 5
    error.update(truth[:2], truth)
    assert error.value() == 2.5


def test_end_point_error_beyond_single_precision_and_of_nothing() -> None:
    error, flow, truth = EndPointError(), torch.zeros(2, 1, 2), torch.ones(3, 1, 2)
    truth[:2] = 0
    flow[0, 0, 0], flow[0, 0, 1] = 2.0**25, 1
    for _ in range(2):
        error.update(flow, truth)
    assert error.value() == (2**25 + 1) / 2
    nothing = EndPointError()
    nothing.update(*fields(0, (2, 4, 5), share=0))
    with pytest.raises(ValueError, match="no valid pixel"):
        nothing.value()


@pytest.mark.parametrize(
    ("flow", "truth"),
    [((2, 4, 5), (2, 4, 5)), ((3, 4, 5), (3, 4, 5)), ((2, 4, 5), (3, 4, 6)), ((1, 2, 4, 5), (3, 4, 5)),
     ((2, 2, 4, 5), (1, 3, 4, 5)), ((2, 4, 5), (4, 5))],
)  # fmt: skip
def test_fields_that_do_not_agree(flow: tuple[int, ...], truth: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not agree"):
        end_point_errors(torch.zeros(flow), torch.zeros(truth))
    with pytest.raises(ValueError, match="do not agree"):
        EndPointError().update(torch.zeros(flow), torch.zeros(truth))
