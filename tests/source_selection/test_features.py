"""Class means: those of the definition, the same after an interruption, and honest about what cannot be averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from l2sp_suite.datasets import Classification, load_image, read
from l2sp_suite.source_selection import features
from l2sp_suite.source_selection.features import FeatureNet, class_means
from l2sp_suite.utils.errors import UserError
from miniworld import build_world, named_recipe


class Means(nn.Module):
    """Channel means of an image, as a network of which each call is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.calls = 0
        self.fails_at = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return images.mean((2, 3)) * self.scale


def transform(image: Tensor) -> Tensor:
    return image.float()


@pytest.fixture(scope="module")
def cub(tmp_path_factory: pytest.TempPathFactory) -> Classification:
    root = build_world(tmp_path_factory.mktemp("w") / "w", named_recipe("tiny", "objects"), workers=1)
    return read(Classification, "cub200", root / "CUB_200_2011")


def net() -> tuple[FeatureNet, Means]:
    model = Means()
    return FeatureNet("means", model, transform, "means-1"), model


def test_means_are_those_of_the_definition(cub: Classification, tmp_path: Path) -> None:
    domain = class_means(net()[0], cub, "digest", tmp_path, batch_size=5)
    assert domain.classes == cub.classes and domain.images.tolist() == [4, 4, 4]
    for label in range(3):
        paths = [path for path, other in zip(cub.train.paths, cub.train.labels, strict=True) if other == label]
        expected = np.mean([load_image(path).float().mean((1, 2)).numpy() for path in paths], axis=0)
        np.testing.assert_allclose(domain.features[label], expected, rtol=1e-6)


def test_an_interrupted_call_goes_on_to_the_same_bits(
    cub: Classification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_KEEP_EVERY", 0.0)
    whole = class_means(net()[0], cub, "digest", tmp_path / "whole", batch_size=5)
    given, model = net()
    model.fails_at = 3
    with pytest.raises(KeyboardInterrupt):
        class_means(given, cub, "digest", tmp_path / "half", batch_size=5)
    again, model = net()
    resumed = class_means(again, cub, "digest", tmp_path / "half", batch_size=5)
    assert model.calls == 1 and resumed.features.tobytes() == whole.features.tobytes()
    class_means(again, cub, "digest", tmp_path / "half", batch_size=5)
    assert model.calls == 1  # all of it was kept
    class_means(again, cub, "another", tmp_path / "half", batch_size=5)
    assert model.calls == 4


def test_nan_and_classes_without_images_and_damaged_caches_are_errors(cub: Classification, tmp_path: Path) -> None:
    given, model = net()
    with torch.no_grad():
        model.scale[1] = torch.nan
    with pytest.raises(UserError, match=r"means gives NaN or infinite features for image 0 or a later one"):
        class_means(given, cub, "digest", tmp_path, batch_size=5)
    few = replace(cub, train=cub.train.select(i for i, label in enumerate(cub.train.labels) if label))
    with pytest.raises(UserError, match="has no image"), np.errstate(all="ignore"):
        class_means(net()[0], few, "digest", tmp_path, batch_size=5)
    (file,) = tmp_path.glob("cub200-*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(UserError, match=r"damaged .*; delete it"):
        class_means(net()[0], few, "digest", tmp_path, batch_size=5)
    classes = len(few.classes)
    for rows, images in ((1, torch.ones(1, dtype=torch.int64)), (classes, torch.full((classes,), 1000))):
        file.write_bytes(save({"features": torch.zeros(rows, 4), "images": images}))
        with pytest.raises(UserError, match=r"damaged \(.* features of .* images\); delete it"):
            class_means(net()[0], few, "digest", tmp_path, batch_size=5)
