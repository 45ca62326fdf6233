"""The encoding layer: soft assignment of features to learnt codewords (docs/protocols/encnet.md#context-encoding)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Encoding"]


class Encoding(nn.Module):
    """Aggregates the residuals of features to `codes` codewords.

    With features x_i, codewords d_k and scales s_k: a_ik = softmax over k of s_k ||x_i - d_k||^2, and
    e_k = sum over i of a_ik (x_i - d_k). The tensor of all residuals, (B, N, K, D), is never made: the square
    is expanded, and the sum is A^T X minus the codewords times their total assignment.

    Args:
        channels: D, of the features.
        codes: K, number of codewords.
    """

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(codes * channels)
        self.codewords = nn.Parameter(torch.empty(codes, channels).uniform_(-bound, bound))
        self.scales = nn.Parameter(torch.empty(codes).uniform_(-1, 0))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, D, H, W) to encodings (B, K, D) in the features' type or float32, whichever is finer."""
        with torch.autocast(features.device.type, enabled=False):  # the expanded square cancels in half precision
            x = features.flatten(2).transpose(1, 2)
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            assigned = torch.softmax(self.scales * self._squared_distances(x), dim=-1)
            mass = assigned.sum(dim=1).unsqueeze(-1)
            encoded: Tensor = assigned.transpose(1, 2) @ x - mass * self.codewords
        return encoded

    def _squared_distances(self, x: Tensor) -> Tensor:
        """||x_i - d_k||^2 as (B, N, K), at least 0 whatever the rounding."""
        lengths = torch.linalg.vecdot(x, x).unsqueeze(-1)
        own = torch.linalg.vecdot(self.codewords, self.codewords)
        squares: Tensor = lengths - 2 * (x @ self.codewords.T) + own
        return squares.clamp_min(0)
