"""Every classification set of the synthetic data is read back by the ordinary readers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from l2sp_suite.datasets import Classification, find_root, load_image, read
from l2sp_suite.download import load
from miniworld import ObjectRecipe, ensure_world, named_recipe

RECIPE = named_recipe("tiny", "objects")
assert isinstance(RECIPE, ObjectRecipe)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(RECIPE.targets), "source"])
def test_synthetic_set_is_read(name: str, artifacts: Path) -> None:
    config = load("mini_source" if name == "source" else name)
    root = find_root(ensure_world(artifacts, "tiny", "objects"), config.folders, config.remedy)
    data = read(Classification, config.reader, root)
    sizes = RECIPE.source if name == "source" else RECIPE.targets[name]
    trained, tested = (sizes.train, sizes.val) if name == "source" else (sizes.train + sizes.val, sizes.test)
    assert len(data.classes) == sizes.classes
    assert set(Counter(data.train.labels).values()) == {trained}
    assert set(Counter(data.test.labels).values()) == {tested}
    assert load_image(data.test.paths[0]).shape == (3, RECIPE.image_size, RECIPE.image_size)
