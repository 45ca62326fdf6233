"""Lists of classes: what is kept keeps its images, and what cannot be kept is said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import tiny_sets
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.config.class_lists import list_digest, read_classes
from l2sp_suite.datasets import Classification, ClassificationSplit, keep_classes, read
from l2sp_suite.utils.errors import UserError


def test_kept_classes_keep_their_images_under_dense_labels(tmp_path: Path) -> None:
    whole = read(Classification, "image_folder", tiny_sets.write("image_folder", tmp_path))
    kept = keep_classes(whole, ["class_2", "class_0"])
    assert kept.classes == ("class_0", "class_2") and kept.counts == {"classes": 2, "train": 4, "test": 2}
    for split in (kept.train, kept.test):
        assert [path.parent.name for path in split.paths] == [kept.classes[label] for label in split.labels]
    assert keep_classes(whole, whole.classes) == whole


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    whole = read(Classification, "image_folder", tiny_sets.write("image_folder", tmp_path))
    with pytest.raises(UserError, match=r"image_folder has no class 'class_7' \(1 of the list lack\); nearest: 'class"):
        keep_classes(whole, ["class_0", "class_7"])
    untested = Classification("x", ("a", "b"), ClassificationSplit((Path("1"),), (0,)), ClassificationSplit((), ()))
    for name, part in (("a", "test"), ("b", "training")):
        with pytest.raises(UserError, match=f"x has no {part} image of these classes"):
            keep_classes(untested, [name])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1))
def test_lists_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("lists") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["rank", "source"], *enumerate(names)])
    classes = read_classes(path)
    assert classes == tuple(dict.fromkeys(names))
    assert list_digest(classes) == list_digest(classes[::-1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such list of classes"), ("rank,class\n1,a\n", "names no class"), ("source\n", "names no class")],
)
def test_what_is_no_list_is_said(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=reason):
        read_classes(path)
