"""Every classification set of the synthetic data is read back by the ordinary readers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from l2sp_suite.datasets import Classification, load_image, read
from miniworld import ObjectRecipe, ensure_world, named_recipe
from miniworld.objects.layouts import FOLDERS

RECIPE = named_recipe("tiny", "objects")
assert isinstance(RECIPE, ObjectRecipe)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(RECIPE.targets), "source"])
def test_synthetic_set_is_read(name: str, artifacts: Path) -> None:
    root = ensure_world(artifacts, "tiny", "objects")
    data = read(Classification, "image_folder" if name == "source" else name, root / FOLDERS[name])
    sizes = RECIPE.source if name == "source" else RECIPE.targets[name]
    trained, tested = (sizes.train, sizes.val) if name == "source" else (sizes.train + sizes.val, sizes.test)
    assert len(data.classes) == sizes.classes
    assert set(Counter(data.train.labels).values()) == {trained}
    assert set(Counter(data.test.labels).values()) == {tested}
    assert load_image(data.test.paths[0]).shape == (3, RECIPE.image_size, RECIPE.image_size)
