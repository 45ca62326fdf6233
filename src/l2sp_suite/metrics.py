"""Metrics of the approaches."""

from __future__ import annotations

from statistics import fmean

import torch
from torch import Tensor

__all__ = ["ConfusionMatrix", "EndPointError", "RegionSimilarity", "correct", "end_point_errors", "jaccard"]


def correct(logits: Tensor, labels: Tensor) -> int:
    """Number of images (of N) whose highest logit (N, C) is their label (N,); accuracy is its sum over N."""
    return int((logits.argmax(dim=1) == labels).sum())


class ConfusionMatrix:
    """Counts of pixels by truth (row) and prediction (column), pooled over all updates.

    `matrix`: int64 (C, C) on the CPU. Pixels whose truth is `ignored` count nowhere.
    Source: docs/protocols/encnet.md#evaluation.
    """

    def __init__(self, classes: int, ignored: int = 255) -> None:
        if classes < 1:
            raise ValueError(f"a confusion matrix has at least one class, found {classes}")
        self.classes, self.ignored = classes, ignored
        self.matrix = torch.zeros(classes, classes, dtype=torch.int64)

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Count integer tensors of the same shape, any, on the same device, any.

        Raises ValueError if the shapes differ, or for a class outside 0 .. C-1, which would count as another.
        """
        if prediction.shape != truth.shape:
            raise ValueError(f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape")
        labelled = truth != self.ignored
        rows, columns = truth[labelled].long(), prediction[labelled].long()
        for values in (rows, columns):
            if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < self.classes:
                raise ValueError(f"a class is not in 0..{self.classes - 1}: {values.min()}..{values.max()}")
        counts = torch.bincount(rows * self.classes + columns, minlength=self.classes**2)
        self.matrix += counts.view(self.classes, self.classes).cpu()

    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right, in [0, 1]; 0 if there are none."""
        return int(self.matrix.diagonal().sum()) / max(1, int(self.matrix.sum()))

    def iou(self) -> Tensor:
        """Intersection over union of each class, float64 (C,) in [0, 1].

        A class with no pixel on either side has 0, as published: there it is 0 / eps.
        """
        hits = self.matrix.diagonal()
        union = self.matrix.sum(0) + self.matrix.sum(1) - hits
        return hits.double() / union.clamp(min=1)

    def miou(self) -> float:
        """Plain mean of `iou` over all C classes, those without a pixel included, as published."""
        return float(self.iou().mean())

    def tolist(self) -> list[list[int]]:
        """The matrix as lists of rows."""
        rows: list[list[int]] = self.matrix.tolist()
        return rows


def jaccard(prediction: Tensor, truth: Tensor) -> float:
    """Intersection over union of two masks of the same shape (H, W), boolean or of 0 and 1; 1 if both are empty.

    Raises ValueError if the shapes differ, or for any other value, such as that of pixels to ignore.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of {tuple(prediction.shape)} and {tuple(truth.shape)} differ in shape")
    for mask in (prediction, truth):
        if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
            raise ValueError("a mask has a value that is neither 0 nor 1")
    found, wanted = prediction.bool(), truth.bool()
    union = int((found | wanted).sum())
    return int((found & wanted).sum()) / union if union else 1.0


class RegionSimilarity:
    """J of DAVIS: `jaccard`, averaged over the frames of a sequence, then over sequences, whatever their lengths.

    The first and the last frame of a sequence do not count: the first is what the task may start from.
    """

    def __init__(self) -> None:
        self._frames: dict[str, list[float]] = {}

    def update(self, sequence: str, prediction: Tensor, truth: Tensor) -> None:
        """Add the next frame of `sequence`, in order of time; sequences may alternate. Raises as `jaccard`."""
        similarity = jaccard(prediction, truth)  # before its sequence is made: what is refused leaves no trace
        self._frames.setdefault(sequence, []).append(similarity)

    def by_sequence(self) -> dict[str, float]:
        """Mean J of each sequence, in [0, 1], in the order of their first frames.

        Raises ValueError, naming it, for a sequence of fewer than 3 frames, of which none would count.
        """
        for name, frames in self._frames.items():
            if len(frames) < 3:
                raise ValueError(f"sequence {name!r} has {len(frames)} frames: none between the first and the last")
        return {name: fmean(frames[1:-1]) for name, frames in self._frames.items()}

    @property
    def counted(self) -> int:
        """Number of frames that count."""
        return sum(max(len(frames) - 2, 0) for frames in self._frames.values())

    def value(self) -> float:
        """Mean of `by_sequence`, in [0, 1]; raises as it does, and ValueError if there is no sequence."""
        if not self._frames:
            raise ValueError("no sequence, hence no region similarity")
        return fmean(self.by_sequence().values())


def end_point_errors(flow: Tensor, truth: Tensor) -> Tensor:
    """Distances between the ends of two fields of motion: (..., H, W), in pixels; 0 where the truth is not valid.

    `flow`: (..., 2, H, W), u and v in pixels; `truth`: (..., 3, H, W), u, v and valid (1 or 0).
    Raises ValueError if the shapes do not agree.
    """
    vectors, valid = _parted(flow, truth)
    distances = torch.linalg.vector_norm(flow - vectors, dim=-3)
    return torch.where(valid, distances, 0)  # not times valid: what is unknown may be stored as NaN


class EndPointError:
    """Mean distance between the ends of two fields of motion, pooled over the valid pixels of all updates."""

    def __init__(self) -> None:
        self._total, self._count = 0.0, 0

    def update(self, flow: Tensor, truth: Tensor) -> None:
        """Add fields as `end_point_errors` takes them, on any device; raises as it does."""
        errors, (_, valid) = end_point_errors(flow, truth), _parted(flow, truth)
        self._total += float(errors.sum(dtype=torch.float64))
        self._count += int(valid.sum())

    def value(self) -> float:
        """Mean end-point error in pixels. Raises ValueError if no pixel was valid."""
        if not self._count:
            raise ValueError("no valid pixel, hence no end-point error")
        return self._total / self._count


def _parted(flow: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return u and v (..., 2, H, W) and valid, bool (..., H, W), of `truth`."""
    if truth.ndim < 3 or truth.shape[-3] != 3 or flow.shape != (*truth.shape[:-3], 2, *truth.shape[-2:]):
        raise ValueError(f"flow {tuple(flow.shape)} and truth {tuple(truth.shape)} do not agree: (..., 2 | 3, H, W)")
    return truth[..., :2, :, :], truth[..., 2, :, :] > 0.5
