"""Batches: pure functions of (seed, step), for any start and number of workers; caches; errors in one line."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_maps
import tiny_sets
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from l2sp_suite.datasets import (
    IGNORED,
    Batch,
    Cache,
    ClassificationSplit,
    Examples,
    LabelledImages,
    Pair,
    ScaledCrop,
    Segmentation,
    collate_labels,
    collate_maps,
    collate_pairs,
    equal_sizes,
    eval_batches,
    eval_transform,
    frame_cache,
    image_cache,
    load_image,
    map_cache,
    spread,
    steps_per_epoch,
    stored_pairs,
    train_batches,
    train_transform,
)
from l2sp_suite.datasets.loader import StepSampler
from l2sp_suite.utils.errors import UserError

HALF = (0.5, 0.5, 0.5)
TRAIN = train_transform(8, (0.05, 1), (0.75, 1.33), 0.5, 32 / 255, 0.5, HALF, HALF)
TEST = eval_transform(8, 0.875, HALF, HALF)
CROP = ScaledCrop(8, 10, HALF, HALF)
SIZE = 11


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> ClassificationSplit:
    folder = tmp_path_factory.mktemp("images")
    paths = tuple(folder / f"{k}.png" for k in range(SIZE))
    for k, path in enumerate(paths):
        tiny_sets.image(path, k)
    return ClassificationSplit(paths, tuple(range(SIZE)))  # the label tells which image it is


@pytest.fixture
def camvid(tmp_path: Path) -> Segmentation:
    return tiny.load("camvid", tiny.write("camvid", tmp_path))


def nothing_kept() -> Cache[Tensor]:
    return image_cache(limit_bytes=0)


def train(
    split: ClassificationSplit, batch_size: int, seed: int, start: int, total: int, workers: int = 0,
    cache: Cache[Tensor] | None = None,
) -> Iterator[Batch]:  # fmt: skip
    items = LabelledImages(split, TRAIN, nothing_kept() if cache is None else cache, seed)
    return train_batches(items, collate_labels, batch_size, seed, start, total, workers)


def evaluate(split: ClassificationSplit, batch_size: int, workers: int = 0) -> Iterator[Batch]:
    return eval_batches(LabelledImages(split, TEST, nothing_kept()), collate_labels, batch_size, workers)


def maps(
    data: Segmentation, batch_size: int, start: int, total: int, workers: int = 0, cache: Cache[Pair] | None = None
) -> Iterator[Batch]:
    cache = map_cache(data.decode, limit_bytes=0) if cache is None else cache
    items = Examples(data.train.files, CROP, cache, seed=3)
    return train_batches(items, collate_maps, batch_size, 3, start, total, workers)


def equal(found: Iterator[Batch] | list[Batch], expected: Iterator[Batch] | list[Batch]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


# Training


def test_a_batch(split: ClassificationSplit, camvid: Segmentation) -> None:
    images, labels = next(train(split, 4, 0, 0, 10))
    assert images.shape == (4, 3, 8, 8) and labels.shape == (4,)
    mapped, truths = next(maps(camvid, 3, 0, 1))
    assert mapped.shape == (3, 3, 8, 8) and truths.shape == (3, 8, 8)
    assert set(truths.flatten().tolist()) <= {*range(11), IGNORED}
    for batch, targets in ((images, labels), (mapped, truths)):
        assert batch.dtype == torch.float32 and targets.dtype == torch.int64
        assert batch.is_contiguous(memory_format=torch.channels_last)


def test_batches_depend_on_seed_and_step_alone(split: ClassificationSplit, camvid: Segmentation) -> None:
    torch.manual_seed(1)
    whole, state, cache = list(train(split, 4, 3, 0, 7)), torch.get_rng_state(), image_cache()
    for start in (0, 1, 2, 5, 7):  # a resumed run sees what it would have seen
        assert equal(train(split, 4, 3, start, 7, cache=cache), whole[start:])
    assert torch.equal(torch.get_rng_state(), state) and len(cache) == SIZE
    whole, kept = list(maps(camvid, 2, 0, 5)), map_cache(camvid.decode)
    assert not any(torch.equal(a[0], b[0]) for a, b in pairwise(whole))
    for start in (0, 0, 3):
        assert equal(maps(camvid, 2, start, 5, cache=kept), whole[start:])
    assert len(kept) == 4


@pytest.mark.slow
def test_workers_change_nothing(split: ClassificationSplit, camvid: Segmentation) -> None:
    for cache in (None, image_cache()):
        batches = list(train(split, 4, 3, 1, 7, workers=2, cache=cache))
        assert equal(batches, train(split, 4, 3, 1, 7))
        assert all(images.is_contiguous(memory_format=torch.channels_last) for images, _ in batches)
    assert equal(maps(camvid, 2, 1, 5, workers=2), maps(camvid, 2, 1, 5))
    assert equal(evaluate(split, 4, workers=2), evaluate(split, 4))


@pytest.mark.slow
def test_stopping_early_leaves_no_worker_behind(split: ClassificationSplit) -> None:
    batches = train(split, 4, 0, 0, 1000, workers=1)
    assert len(list(islice(batches, 2))) == 2 and multiprocessing.active_children()
    del batches
    assert not multiprocessing.active_children()


def test_epochs_and_seeds_differ_in_order_and_augmentation(split: ClassificationSplit) -> None:
    first, second = train(split, SIZE, 3, 0, 2)
    for images, labels in (second, next(train(split, SIZE, 4, 0, 2))):
        assert not torch.equal(labels, first[1])
        ordered = zip(first[0][first[1].argsort()], images[labels.argsort()], strict=True)
        assert not any(torch.equal(a, b) for a, b in ordered)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 10**9), st.integers(0, 60), st.integers(0, 20))
def test_each_epoch_is_a_permutation(size: int, batch_size: int, seed: int, start: int, count: int) -> None:
    total = start + count
    batches = list(StepSampler(size, batch_size, seed, 0, total))
    assert list(StepSampler(size, batch_size, seed, start, total)) == batches[start:]
    per_epoch = steps_per_epoch(size, batch_size)
    for step, keys in enumerate(batches):
        assert len(keys) == min(batch_size, size)
        assert {epoch for epoch, _ in keys} == {step // per_epoch}
    for first in range(0, total, per_epoch):
        indices = [index for keys in batches[first : first + per_epoch] for _, index in keys]
        assert len(set(indices)) == len(indices) and set(indices) <= set(range(size))


def test_set_smaller_than_the_batch_and_images_that_are_dropped(split: ClassificationSplit) -> None:
    for _, labels in train(split, 64, 0, 0, 3):
        assert sorted(labels.tolist()) == list(range(SIZE))
    batches = list(StepSampler(11, 4, 0, 0, 20))
    kept = [frozenset(index for keys in batches[k : k + 2] for _, index in keys) for k in range(0, 20, 2)]
    assert all(len(indices) == 8 for indices in kept) and any(a != b for a, b in pairwise(kept))


# Evaluation


def test_evaluation_is_in_order_and_whole(split: ClassificationSplit) -> None:
    batches = list(evaluate(split, 4))
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    images = torch.cat([images for images, _ in batches])
    assert torch.equal(images, torch.stack([TEST(load_image(path)) for path in split.paths]))
    items = LabelledImages(split, TEST, nothing_kept())
    assert len(items) == SIZE and items[5, 3][1] == 3 and torch.equal(items[5, 3][0], items[0, 3][0])


def test_stored_pairs_may_have_any_size_and_are_stacked_by_it(camvid: Segmentation, tmp_path: Path) -> None:
    Image.new("RGB", (7, 9), (255, 0, 0)).save(camvid.test.images[1])
    tiny_maps.png(camvid.test.maps[1], np.full((9, 7), 11, dtype=np.uint8))
    files = (*camvid.train.files[:3], camvid.test.files[1], camvid.test.files[0])
    stored = list(stored_pairs(files, map_cache(camvid.decode)))
    assert [tuple(labels.shape) for _, labels in stored] == [(10, 12)] * 3 + [(9, 7), (10, 12)]
    image, labels = stored[3]
    assert image.dtype == labels.dtype == torch.uint8 and (labels == IGNORED).all()
    assert image[:, 0, 0].tolist() == [255, 0, 0]
    runs = list(equal_sizes(stored, 2))
    assert [(first, len(images)) for first, images, _ in runs] == [(0, 2), (2, 1), (3, 1), (4, 1)]
    assert torch.equal(runs[0][2][1], stored[1][1])
    assert torch.equal(collate_pairs(stored[:2])[0], runs[0][1])


@given(st.integers(0, 50), st.integers(1, 60))
def test_numbers_are_spread_evenly(count: int, number: int) -> None:
    chosen = sorted(spread(count, number))
    assert len(chosen) == min(count, number) and set(chosen) <= set(range(count))
    if number <= count:
        gaps = [b - a for a, b in pairwise([-1 - chosen[0], *chosen, 2 * count - 1 - chosen[-1]])]
        assert max(gaps) - min(gaps) <= 2


# Caches


def test_image_cache_reduces_once_to_the_short_side(tmp_path: Path) -> None:
    tiny_sets.image(tmp_path / "a.png")  # 10 high, 12 wide
    files, cache = (tmp_path / "a.png",), image_cache(short_side=5)
    image = cache.load(files)
    assert image.shape == (3, 5, 6) and image.dtype == torch.uint8 and cache.load(files) is image
    for side in (10, 64, None):
        assert torch.equal(image_cache(short_side=side).load(files), load_image(files[0]))


def test_caches_keep_to_their_limit(split: ClassificationSplit, camvid: Segmentation) -> None:
    images, pairs = image_cache(limit_bytes=3 * 10 * 12 * 2), map_cache(camvid.decode, limit_bytes=2 * 4 * 10 * 12 + 1)
    for cache, files, size in ((images, split.files, 3 * 10 * 12), (pairs, camvid.train.files, 4 * 10 * 12)):
        first = [cache.load(key) for key in files]  # type: ignore[attr-defined]
        assert len(cache) == 2 and cache.used_bytes == 2 * size
        again = [cache.load(key) for key in files]  # type: ignore[attr-defined]
        assert [a is b for a, b in zip(first, again, strict=True)] == [True, True] + [False] * (len(files) - 2)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


def test_frame_cache_stacks_the_frames_and_decodes_a_last_one_once(tmp_path: Path) -> None:
    train = tiny.load("davis2016", tiny.write("davis2016", tmp_path)).train
    cache = frame_cache(lambda path: load_image(path)[0])
    for files in train.files[1:3]:
        frames, _ = cache.load(files)
        assert torch.equal(frames, torch.stack([load_image(files[0]), load_image(files[1])]))
    assert train.first[2] == train.second[2]


@pytest.mark.parametrize(("layout", "number"), [("pascal_mat", 1), ("camvid", 1), ("davis2016", 1), ("davis2016", 2)])
def test_files_of_one_example_have_one_size(layout: str, number: int, tmp_path: Path) -> None:
    data = tiny.load(layout, tiny.write(layout, tmp_path))
    files = data.train.files[0]
    save = tiny_maps.mat if layout == "pascal_mat" else tiny_maps.png
    save(files[number], np.zeros((12, 10), np.uint8))
    with pytest.raises(UserError) as caught:
        (map_cache if isinstance(data, Segmentation) else frame_cache)(data.decode).load(files)
    message = str(caught.value)
    assert message.startswith(f"{files[number]}: has 10x12 pixels, but its image {files[0].name} 12x10; unpack")


# Faults


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_file_is_one_line_in_the_parent(camvid: Segmentation, workers: int, tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{k}.png" for k in range(4))
    for path in paths:
        tiny_sets.image(path)
    bad = ClassificationSplit(paths, (0, 1, 2, 3))
    for victim in (paths[2], camvid.train.maps[2]):
        victim.write_bytes(victim.read_bytes()[:60])
    for victim, batches in (
        (paths[2], evaluate(bad, 2, workers)),
        (paths[2], train(bad, 4, 0, 0, 2, workers)),
        (camvid.train.maps[2], maps(camvid, 4, 0, 1, workers)),
    ):
        with pytest.raises(UserError) as caught:
            list(batches)
        assert str(caught.value).startswith(f"{victim}: cannot be decoded") and "\n" not in str(caught.value)


def test_settings_out_of_range_are_refused_at_once(split: ClassificationSplit) -> None:
    for call, expected in (
        (lambda: train(split, 0, 0, 0, 1), "batch size"),
        (lambda: train(split, 4, 0, 2, 1), "first step"),
        (lambda: train(split, 4, 0, -1, 1), "first step"),
        (lambda: evaluate(split, 4, -1), "workers"),
        (lambda: evaluate(ClassificationSplit((), ()), 4), "no image"),
        (lambda: image_cache(short_side=0), "short side"),
    ):
        with pytest.raises(UserError, match=expected):
            call()
