"""End-point errors at Scene Flow's size, of a network that sees SegFlow's (docs/protocols/segflow.md#epe)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from l2sp_suite.config import compose
from l2sp_suite.datasets import VideoSplit, frame_cache
from l2sp_suite.models.segflow import Output
from l2sp_suite.tasks.video.evaluation import evaluate_flow

STILL = (9.6**2 + 5.4**2) ** 0.5


class Constant(nn.Module):
    """A net that says of every pixel that it sees that it moves by (u, v), and that takes frames of one size."""

    def __init__(self, u: float, v: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.motion = torch.tensor([u, v])[None, :, None, None]

    def forward(self, frames: Tensor, mask: bool) -> Output:
        assert frames.shape == (1, 2, 3, 480, 854) and not mask
        return Output(None, self.motion.expand(1, 2, 480, 854), ())

    def own_flow(self, flows: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        return torch.zeros(1, 2, *size)


@pytest.mark.parametrize(("seen", "error"), [((8.54, -4.8), 0.0), ((0.0, 0.0), STILL), ((9.394, -4.8), 0.96)])
def test_vectors_are_enlarged_with_the_field(tmp_path: Path, seen: tuple[float, float], error: float) -> None:
    """(8.54, -4.8) px at 854x480 are (9.6, -5.4) at 960x540; the truth here is (9.6, -5.4) everywhere."""
    frame = tmp_path / "0001.png"
    Image.new("RGB", (960, 540)).save(frame)
    truth = torch.tensor([9.6, -5.4, 1.0])[:, None, None].expand(3, 540, 960).contiguous()
    pairs = VideoSplit((frame,), (frame,), (frame,), ("clip",))
    cfg = compose(["experiment=segflow_monkaa_final", "scale=paper", "runtime.workers=0"])
    net: Any = Constant(*seen).eval()
    metrics = evaluate_flow(net, None, pairs, frame_cache(lambda _: truth), cfg, shown=False).metrics
    assert metrics["EPE"] == pytest.approx(error, abs=1e-4)
    assert metrics["EPE_zero"] == pytest.approx(STILL, abs=1e-4)
    scaled = ((seen[0] - 8.54) ** 2 + (seen[1] + 4.8) ** 2) ** 0.5
    assert metrics["EPE_input"] == pytest.approx(scaled, abs=1e-4)
