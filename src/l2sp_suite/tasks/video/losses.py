"""The losses of SegFlow's two tasks.

Source: docs/protocols/segflow.md#segmentation-phase and docs/protocols/segflow.md#flow-phase.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from l2sp_suite.metrics import end_point_errors
from l2sp_suite.models.flownets import FLOW_UNIT

__all__ = ["flow_loss", "mask_loss", "mean_error", "scale_losses"]


def mask_loss(logits: Tensor, masks: Tensor, ignored: int, *, summed: bool, balanced: bool) -> Tensor:
    """Cross-entropy of logits (B, 2, H, W) with masks (B, H, W) of 0, 1 and `ignored`.

    Args:
        logits: of background and object.
        masks: any integer type.
        ignored: value of pixels that do not count.
        summed: sum over the pixels and mean over the images, as released; otherwise the mean over labelled pixels,
            0 where there are none.
        balanced: each class weighs the share of the image's labelled pixels that are not its own.
    """
    labels = masks.long()
    losses = F.cross_entropy(logits, labels, ignore_index=ignored, reduction="none")
    labelled = labels != ignored
    if balanced:
        objects = (labels == 1).sum((1, 2), keepdim=True) / labelled.sum((1, 2), keepdim=True).clamp_min(1)
        losses = losses * torch.where(labels == 1, 1 - objects, objects)
    return losses.sum() / (len(masks) if summed else labelled.sum().clamp_min(1))


def flow_loss(
    flow: Tensor | None,
    flows: Sequence[Tensor],
    truth: Tensor,
    seen: Sequence[int],
    final: float,
    scales: Sequence[float],
) -> Tensor:
    """Weighted end-point errors of the final flow (px) and of FlowNetS's own predictions (units of 20 px).

    Args:
        flow: (B, 2, H, W) in pixels; not needed if `final` is 0.
        flows: flow6 .. flow2, (B, 2, h, w).
        truth: (B, 3, H, W): u, v in pixels, valid.
        seen: height and width of the frames that FlowNetS saw.
        final: weight of the mean error of `flow` over valid pixels.
        scales: weights of the mean errors of `flows`; empty leaves them out. With the means, FlowNet's published
            weights of sums over pixels (.32, .08, .02, .01, .005) are 1/4, 1/4, 1/4, 1/2, 1, up to a common factor.
    """
    loss = truth.new_zeros(())
    if final:
        assert flow is not None
        loss = loss + final * mean_error(flow, truth)
    if scales:
        parts = scale_losses(flows, truth, seen)
        loss = loss + sum(weight * part for weight, part in zip(scales, parts, strict=True))
    return loss


def mean_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Mean end-point error over the valid pixels of a batch; 0 where there are none."""
    return end_point_errors(flow, truth).sum() / (truth[..., 2, :, :] > 0.5).sum().clamp_min(1)


def scale_losses(flows: Sequence[Tensor], truth: Tensor, seen: Sequence[int]) -> list[Tensor]:
    """Mean end-point error of each of FlowNetS's predictions against the truth averaged over its cells."""
    height, width = truth.shape[-2:]
    factors = truth.new_tensor([seen[1] / width, seen[0] / height])[:, None, None] / FLOW_UNIT
    valid = truth[:, 2:]
    weighted = torch.cat([truth[:, :2] * factors * valid, valid], dim=1)
    losses = []
    for flow in flows:
        pooled = F.adaptive_avg_pool2d(weighted, (flow.shape[-2], flow.shape[-1]))
        share = pooled[:, 2:]
        cells = torch.cat([pooled[:, :2] / share.clamp_min(1e-6), (share > 0).to(share.dtype)], dim=1)
        losses.append(mean_error(flow, cells))
    return losses
