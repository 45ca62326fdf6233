"""The three terms of EncNet's loss (docs/protocols/encnet.md#losses)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["pixel_loss", "presence_loss"]


def pixel_loss(logits: Tensor, maps: Tensor, ignored: int) -> Tensor:
    """Cross-entropy of logits (B, C, H, W) with maps (B, H, W), mean over labelled pixels; 0 where there are none."""
    total = F.cross_entropy(logits, maps, ignore_index=ignored, reduction="sum")
    return total / (maps != ignored).sum().clamp_min(1)


def presence_loss(logits: Tensor, maps: Tensor, ignored: int) -> Tensor:
    """Binary cross-entropy of logits (B, C) with whether each class occurs in the map, mean over both axes."""
    classes = logits.shape[1]
    slots = maps.flatten(1).masked_fill(maps.flatten(1) == ignored, classes)
    occurs = torch.zeros(len(maps), classes + 1, dtype=logits.dtype, device=logits.device).scatter_(1, slots, 1)
    return F.binary_cross_entropy_with_logits(logits, occurs[:, :classes])
