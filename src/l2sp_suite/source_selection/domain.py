"""A set of classes as the similarity sees it: a mean feature and a number of images of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l2sp_suite.utils.errors import UserError

__all__ = ["Domain"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Domain:
    """Classes of one data set: `features` (C, D) are the means over their images, `images` (C,) how many those are.

    Raises:
        UserError: no class at all, a name twice, a class without images, or a feature that is NaN or infinite.
    """

    name: str
    classes: tuple[str, ...]
    features: Array
    images: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not len(self.classes) == len(self.features) == len(self.images):
            raise ValueError(f"{len(self.classes)} classes, features {self.features.shape}, images {self.images.shape}")
        if not self.classes:
            raise UserError(f"{self.name}: no class is left; lower the least number of images of a class")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise UserError(f"{self.name}: class {twice} is there twice")
        for index in np.flatnonzero(self.images < 1)[:1]:
            raise UserError(f"{self.name}: class {self.classes[index]} has no image; leave it out of the lists")
        for index in np.flatnonzero(~np.isfinite(self.features).all(1))[:1]:
            raise UserError(
                f"{self.name}: the features of class {self.classes[index]} are NaN or infinite; "
                "check the weights of the feature network, and delete the cached features"
            )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def weights(self) -> Array:
        """Share of the images that each class has, (C,); their sum is 1."""
        shares: Array = self.images / self.images.sum()
        return shares

    def select(self, indices: Iterable[int]) -> Domain:
        """The classes at `indices`, in their order."""
        chosen = list(indices)
        names = tuple(self.classes[index] for index in chosen)
        return Domain(self.name, names, self.features[chosen], self.images[chosen])

    def at_least(self, images: int) -> Domain:
        """The classes with that many images or more (DSTL leaves out source classes of fewer than 200)."""
        return self.select(np.flatnonzero(self.images >= images).tolist())
