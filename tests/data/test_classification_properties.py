"""Properties of the readers: any valid file survives, no text or cut file raises anything but UserError."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
import tiny_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sp_suite.datasets.classification import READERS, Split, hold_out, read
from l2sp_suite.datasets.layout import whole_number
from l2sp_suite.utils.errors import UserError

names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
rows = st.dictionaries(names, st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12).filter(
    lambda found: len({train for _, train in found.values()}) == 2
)


@settings(max_examples=40, deadline=None)
@given(rows, st.lists(st.integers(0, 10**9 - 1), min_size=5, max_size=5, unique=True))
def test_any_valid_caltech_release_survives(found: dict[str, tuple[int, bool]], ids: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "images/c").mkdir(parents=True)
        for key in found:
            (root / f"images/c/{key} x.jpg").touch()
        tiny_sets.text(root / "images.txt", (f"{key} c/{key} x.jpg" for key in found))
        tiny_sets.text(root / "image_class_labels.txt", (f"{k} {ids[c]}" for k, (c, _) in found.items()))
        tiny_sets.text(root / "train_test_split.txt", (f"{k}  {int(t)}" for k, (_, t) in found.items()))
        tiny_sets.text(root / "classes.txt", (f"{number} name {number}" for number in ids))
        read_back = read("cub200", root)
    for split, wanted in ((read_back.train, True), (read_back.test, False)):
        expected = [(f"{k} x.jpg", f"name {ids[c]}") for k, (c, train) in found.items() if train == wanted]
        pairs = zip(split.paths, split.labels, strict=True)
        assert [(path.name, read_back.classes[label]) for path, label in pairs] == expected


@settings(max_examples=40, deadline=None)
@given(rows, st.lists(names, min_size=5, max_size=5, unique=True), st.sampled_from(["aircraft", "food101"]))
def test_any_valid_list_survives(found: dict[str, tuple[int, bool]], classes: list[str], name: str) -> None:
    air = name == "aircraft"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tiny_sets.text(root / ("data/variants.txt" if air else "meta/classes.txt"), classes)
        for key, (c, _) in found.items():
            path = root / (f"data/images/{key}.jpg" if air else f"images/{classes[c]}/{key}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for file, wanted in (("trainval" if air else "train", True), ("test", False)):
            lines = [(k, classes[c]) for k, (c, train) in found.items() if train == wanted]
            target = root / (f"data/images_variant_{file}.txt" if air else f"meta/{file}.txt")
            tiny_sets.text(target, (f"{k} {c}" if air else f"{c}/{k}" for k, c in lines))
        read_back = read(name, root)
    for split, wanted in ((read_back.train, True), (read_back.test, False)):
        pairs = zip(split.paths, split.labels, strict=True)
        expected = [(k, classes[c]) for k, (c, train) in found.items() if train == wanted]
        assert [(path.stem, read_back.classes[label]) for path, label in pairs] == expected


TEXT_FILES = [(name, file) for name, files in tiny_sets.TEXTS.items() for file in files]
MAT_FILES = [(name, file) for name, files in tiny_sets.MATS.items() for file in files]


@pytest.fixture(scope="module")
def tiny_roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("tiny")
    return {name: tiny_sets.write(name, parent) for name in READERS}


def only_user_errors(name: str, root: Path, file: str, content: bytes) -> None:
    original = (root / file).read_bytes()
    try:
        (root / file).write_bytes(content)
        read(name, root)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and str(root) in str(error)
    finally:
        (root / file).write_bytes(original)


words = st.sampled_from(["1", "2", " ", "\n", "\r", "\0", "x.jpg", "/", "..", "0001.Bird_0/1.jpg", "\x85", "²", "٣"])


@settings(max_examples=200, deadline=None)
@given(
    case=st.sampled_from(TEXT_FILES),
    content=st.one_of(st.binary(), st.text().map(str.encode), st.lists(words).map(lambda w: "".join(w).encode())),
)
def test_garbage_text_raises_user_errors_only(
    tiny_roots: dict[str, Path], case: tuple[str, str], content: bytes
) -> None:
    name, file = case
    only_user_errors(name, tiny_roots[name], file, content)


@settings(max_examples=60, deadline=None)
@given(case=st.sampled_from(TEXT_FILES), line=st.integers(0, 8), text=st.text(max_size=20))
def test_one_garbage_line_raises_user_errors_only(
    tiny_roots: dict[str, Path], case: tuple[str, str], line: int, text: str
) -> None:
    name, file = case
    lines = (tiny_roots[name] / file).read_text().splitlines()
    lines[line % len(lines)] = text
    only_user_errors(name, tiny_roots[name], file, "\n".join(lines).encode())


# Cut and foreign files only: on some single flipped bytes scipy's reader itself dies of a segmentation fault.
@settings(max_examples=60, deadline=None)
@given(case=st.sampled_from(MAT_FILES), cut=st.floats(0, 1), foreign=st.none() | st.binary(max_size=100))
def test_damaged_mat_raises_user_errors_only(
    tiny_roots: dict[str, Path], case: tuple[str, str], cut: float, foreign: bytes | None
) -> None:
    name, file = case
    content = (tiny_roots[name] / file).read_bytes()
    content = content[: int(cut * len(content))] if foreign is None else foreign
    only_user_errors(name, tiny_roots[name], file, content)


@given(st.integers(0, 10**9 - 1))
def test_whole_numbers_are_read(number: int) -> None:
    assert whole_number(str(number)) == number


@given(st.text())
def test_whole_number_takes_nothing_else(text: str) -> None:
    number = whole_number(text)
    assert (number is not None) == (text.isascii() and text.isdigit() and len(text) <= 9)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.floats(0.01, 0.99), st.integers(0, 10**6))
def test_hold_out(labels: list[int], fraction: float, seed: int) -> None:
    split = Split(tuple(Path(str(i)) for i in range(len(labels))), tuple(labels))
    kept, held = hold_out(split, fraction, seed)
    assert hold_out(split, fraction, seed) == (kept, held)
    assert sorted(kept.paths + held.paths) == sorted(split.paths)
    for part in (kept, held):
        indices = [int(str(path)) for path in part.paths]
        assert indices == sorted(indices)
        assert [labels[i] for i in indices] == list(part.labels)
    total, given_away = Counter(labels), Counter(held.labels)
    for label, count in total.items():
        wanted = min(max(round(fraction * count), 1), count - 1)
        assert given_away[label] == wanted < count


def test_hold_out_depends_on_the_seed() -> None:
    split = Split(tuple(Path(str(i)) for i in range(100)), (0,) * 100)
    assert hold_out(split, 0.1, 0) != hold_out(split, 0.1, 1)
