"""What the transforms of all tasks share: seeds that depend on the example alone, and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torchvision.transforms import v2

from l2sp_suite.datasets.seeding import derive_seed
from l2sp_suite.utils.errors import UserError

__all__ = ["Normalize", "TensorTransform", "Transform", "seeded"]

Transform = Callable[[Tensor], Tensor]
T = TypeVar("T")
R = TypeVar("R")


def seeded(transform: Callable[[T], R], item: T, *key: int) -> R:
    """Return transform(item) with torch's CPU generator seeded from `key`.

    The generator's state is put back.
    So an example's augmentation does not depend on what ran before, in whichever process.
    """
    generator = torch.default_generator  # torch.manual_seed also visits every accelerator: 0.2 ms a call
    state = generator.get_state()
    generator.manual_seed(derive_seed(*key))
    try:
        return transform(item)
    finally:
        generator.set_state(state)


class TensorTransform(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """A v2 transform of one image tensor.

    Subclasses override `forward`: v2's dispatch over nested inputs costs as much as their work here.
    """


class Normalize(TensorTransform):
    """Clips to 0 .. 255, divides by 255, then (x - mean) / std per channel; float32.

    `v2.Normalize` builds its constants anew for every image, which takes longer than the work.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std) <= 0:
            raise UserError(f"need as many standard deviations, all positive, as means: {mean}, {std}")
        self.gain = torch.tensor([1 / (255 * s) for s in std])[:, None, None]
        self.offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])[:, None, None]

    def forward(self, image: Tensor) -> Tensor:
        """Normalise (C, H, W), uint8 or float in 0 .. 255."""
        if image.dtype != torch.uint8:
            image = image.clamp(0, 255)
        return (image * self.gain).add_(self.offset)  # one addcmul is slower: it broadcasts badly
