"""What tells one data set from another, and what a campaign does with results of the other one."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_sets
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.config.composition import ROOT, override
from l2sp_suite.datasets.classification import READERS, digest, read
from l2sp_suite.datasets.records import Classification, Split
from l2sp_suite.sweeps.plan import expand, load_plan


@pytest.mark.parametrize("name", READERS)
def test_digest_is_of_the_content_and_not_of_the_place(name: str, tmp_path: Path) -> None:
    one, two = tiny_sets.write(name, tmp_path / "a"), tiny_sets.write(name, tmp_path / "b")
    assert digest(read(name, one), one) == digest(read(name, two), two)
    changed = read(name, two).train.paths[0]
    changed.write_bytes(changed.read_bytes() + b" ")
    assert digest(read(name, one), one) != digest(read(name, two), two)


@given(st.permutations(range(4)), st.integers(0, 3))
def test_digest_knows_labels_and_parts_but_no_order(order: list[int], moved: int) -> None:
    paths, labels = [ROOT / "README.md", ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".gitignore"], [0, 1, 1, 0]

    def data(train: list[int], test: list[int], labels: list[int]) -> Classification:
        parts = [Split(tuple(paths[i] for i in part), tuple(labels[i] for i in part)) for part in (train, test)]
        return Classification("x", ("a", "b"), *parts)

    base = digest(data([0, 1, 2, 3], [], labels), ROOT)
    assert digest(data(order, [], labels), ROOT) == base
    assert digest(data([i for i in order if i != moved], [moved], labels), ROOT) != base
    flipped = [1 - label if i == moved else label for i, label in enumerate(labels)]
    assert digest(data(order, [], flipped), ROOT) != base


def test_results_of_other_data_are_not_taken_for_ours(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny_sets.write("cub200", tmp_path / name)
    tiny_sets.image(tmp_path / "b" / "CUB_200_2011" / "images" / next(iter_images(tmp_path / "b")), shade=99)

    def listed(name: str) -> str:
        words = ["--scale", "pocket", "--plan", "table3", "--seeds", "1", "--dry", "--data", tmp_path / name]
        command = [sys.executable, ROOT / "experiments" / "reproduce.py", "--results", tmp_path / "out", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    text = listed("a")
    assert "to do   dstl_cub200 l2-" in text and text.count("no data: dstl_") == 5
    common = [override("paths.results", str(tmp_path / "out")), override("paths.data", str(tmp_path / "a"))]
    item = expand([load_plan("table3")], "pocket", 1, common)[0]
    root = tmp_path / "a" / "CUB_200_2011"
    item.run.start({"data": digest(read("cub200", root), root)})
    item.run.finish({"value": 0.5})
    assert "done    dstl_cub200 l2-" in listed("a")
    assert "blocked dstl_cub200 l2-" in listed("b")


def iter_images(folder: Path):
    root = folder / "CUB_200_2011" / "images"
    return (path.relative_to(root) for path in sorted(root.rglob("*.jpg")))
