"""The confusion matrix, against torchmetrics and against a loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from l2sp.metrics import ConfusionMatrix, correct

cases = st.tuples(st.integers(2, 12), st.integers(0, 10**6), st.sampled_from([(7,), (5, 6), (2, 3, 4), (0,)]))


def drawn(classes: int, seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions int64 and truth uint8, of which a tenth is ignored."""
    generator = torch.Generator().manual_seed(seed)
    prediction, truth = (torch.randint(classes, shape, generator=generator) for _ in range(2))
    truth[torch.rand(shape, generator=generator) < 0.1] = 255
    return prediction, truth.to(torch.uint8)


def counted(classes: int, *updates: tuple[torch.Tensor, torch.Tensor]) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes)
    for prediction, truth in updates:
        matrix.update(prediction, truth)
    return matrix


@given(cases)
def test_is_what_a_loop_counts(case: tuple[int, int, tuple[int, ...]]) -> None:
    prediction, truth = drawn(*case)
    expected = [[0] * case[0] for _ in range(case[0])]
    for p, t in zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True):
        if t != 255:
            expected[t][p] += 1
    found = counted(case[0], (prediction, truth))
    assert found.tolist() == expected and found.matrix.dtype == torch.int64
    union = [sum(expected[c]) + sum(row[c] for row in expected) - expected[c][c] for c in range(case[0])]
    iou = [expected[c][c] / union[c] if union[c] else 0.0 for c in range(case[0])]
    assert found.iou().tolist() == iou
    assert found.miou() == pytest.approx(sum(iou) / case[0], abs=1e-12)


@settings(deadline=None)
@given(cases.filter(lambda case: case[2] != (0,)))
def test_agrees_with_torchmetrics(case: tuple[int, int, tuple[int, ...]]) -> None:
    prediction, truth = drawn(*case)
    found = counted(case[0], (prediction, truth))
    index = MulticlassJaccardIndex(case[0], average="none", ignore_index=255, zero_division=0)
    accuracy = MulticlassAccuracy(case[0], average="micro", ignore_index=255)
    torch.testing.assert_close(found.iou().float(), index(prediction, truth.long()))
    assert found.pixel_accuracy() == pytest.approx(float(accuracy(prediction, truth.long())), abs=1e-6)


@given(cases, st.integers(0, 10**6))
def test_updates_pool(case: tuple[int, int, tuple[int, ...]], seed: int) -> None:
    one, two = drawn(*case), drawn(case[0], seed, (4, 5))
    pooled = tuple(torch.cat([a.flatten(), b.flatten()]) for a, b in zip(one, two, strict=True))
    assert counted(case[0], one, two).tolist() == counted(case[0], pooled).tolist()


def test_rows_are_truth() -> None:
    found = counted(3, (torch.tensor([2, 2, 1]), torch.tensor([0, 0, 1])))
    assert found.tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 0]]
    assert found.pixel_accuracy() == 1 / 3
    assert found.iou().tolist() == [0, 1, 0]


def test_class_without_a_pixel_counts_as_zero() -> None:
    found = counted(4, (torch.tensor([0, 1]), torch.tensor([0, 1])))
    assert found.iou().tolist() == [1, 1, 0, 0]
    assert found.miou() == 0.5


def test_ignored_pixels_count_on_neither_side() -> None:
    found = counted(2, (torch.tensor([[1, 1], [0, 1]]), torch.tensor([[255, 1], [0, 255]], dtype=torch.uint8)))
    assert found.tolist() == [[1, 0], [0, 1]]
    other = ConfusionMatrix(2, ignored=-1)
    other.update(torch.tensor([0, 7]), torch.tensor([0, -1]))  # what is predicted there may be anything
    assert other.tolist() == [[1, 0], [0, 0]]


def test_without_any_labelled_pixel() -> None:
    found = counted(3, (torch.zeros(4).long(), torch.full((4,), 255)))
    assert (found.pixel_accuracy(), found.miou()) == (0, 0)


def test_counts_beyond_single_precision() -> None:
    found = ConfusionMatrix(2)
    found.matrix += torch.tensor([[2**24 + 1, 0], [0, 2**24]])
    found.update(torch.tensor([0]), torch.tensor([1]))
    assert found.tolist()[0][0] == 16777217
    assert found.pixel_accuracy() == (2**25 + 1) / (2**25 + 2) < 1


def test_large_map_of_many_classes_in_bytes() -> None:
    truth = (torch.arange(250 * 250) % 250).view(250, 250).to(torch.uint8)  # 250 * 250 overflows a byte
    found = counted(250, (truth.clone(), truth))
    assert torch.equal(found.matrix, 250 * torch.eye(250, dtype=torch.int64))


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_same_on_a_gpu() -> None:
    prediction, truth = drawn(9, 0, (30, 40))
    assert counted(9, (prediction.cuda(), truth.cuda())).tolist() == counted(9, (prediction, truth)).tolist()


def test_correct() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert correct(logits, torch.tensor([1, 0, 0])) == 2
