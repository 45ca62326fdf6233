"""Metrics of the approaches."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ConfusionMatrix", "correct"]


def correct(logits: Tensor, labels: Tensor) -> int:
    """Number of images (of N) whose highest logit (N, C) is their label (N,); accuracy is its sum over N."""
    return int((logits.argmax(dim=1) == labels).sum())


class ConfusionMatrix:
    """Counts of pixels by truth (row) and prediction (column), pooled over all updates (docs: protocol 1.9).

    `matrix`: int64 (C, C) on the CPU. Pixels whose truth is `ignored` count nowhere.
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
