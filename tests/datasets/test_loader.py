"""Batches: pure functions of (seed, step), for any start and number of workers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_maps
import tiny_sets
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2sp_suite.datasets.images import ImageCache, MapCache, Pair, load_image
from l2sp_suite.datasets.loader import (
    Batch,
    CachedImages,
    CachedItems,
    StepSampler,
    collate_labels,
    collate_maps,
    collate_single,
    eval_batches,
    steps_per_epoch,
    train_batches,
)
from l2sp_suite.datasets.records import Split
from l2sp_suite.datasets.segmentation import IGNORED, Segmentation
from l2sp_suite.datasets.segmentation import read as read_maps
from l2sp_suite.datasets.segmentation_transforms import ScaledCrop
from l2sp_suite.datasets.transforms import eval_transform, train_transform
from l2sp_suite.utils.errors import UserError

HALF = (0.5, 0.5, 0.5)
TRAIN = train_transform(8, (0.05, 1), (0.75, 1.33), 0.5, 32 / 255, 0.5, HALF, HALF)
TEST = eval_transform(8, 0.875, HALF, HALF)
SIZE = 11


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("images")
    paths = tuple(folder / f"{k}.png" for k in range(SIZE))
    for k, path in enumerate(paths):
        tiny_sets.image(path, k)
    return Split(paths, tuple(range(SIZE)))  # the label tells which image it is


def train(
    split: Split, batch_size: int, seed: int, start: int, total: int, workers: int = 0, cache: ImageCache | None = None
) -> Iterator[Batch]:
    items = CachedImages(split, TRAIN, seed, cache)
    return train_batches(items, collate_labels, batch_size, seed, start, total, workers)


def evaluate(split: Split, batch_size: int, workers: int = 0) -> Iterator[Batch]:
    return eval_batches(CachedImages(split, TEST), collate_labels, batch_size, workers)


def equal(found: Iterator[Batch] | list[Batch], expected: Iterator[Batch] | list[Batch]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


# Training


def test_a_batch(split: Split) -> None:
    images, labels = next(train(split, 4, 0, 0, 10))
    assert images.shape == (4, 3, 8, 8) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.shape == (4,) and labels.dtype == torch.int64


@pytest.mark.parametrize("start", [0, 1, 2, 5, 7])
def test_resumed_run_sees_what_it_would_have_seen(split: Split, start: int) -> None:
    whole = list(train(split, 4, 3, 0, 7))
    assert equal(train(split, 4, 3, start, 7), whole[start:])


def test_workers_change_nothing(split: Split) -> None:
    alone = list(train(split, 4, 3, 1, 7))
    assert equal(train(split, 4, 3, 1, 7, workers=2), alone)
    found = train(split, 4, 3, 1, 7, workers=2, cache=ImageCache())
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images, _ in found)


def test_cache_changes_nothing(split: Split) -> None:
    cache = ImageCache()
    for _ in range(2):
        cached = train(split, 4, 3, 0, 7, cache=cache)
        assert equal(cached, train(split, 4, 3, 0, 7))
    assert len(cache) == SIZE


def test_order_ignores_and_keeps_the_global_state(split: Split) -> None:
    torch.manual_seed(1)
    first = list(train(split, 4, 3, 0, 3))
    state = torch.get_rng_state()
    assert equal(train(split, 4, 3, 0, 3), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_differ_in_order_and_augmentation(split: Split) -> None:
    epochs = list(train(split, SIZE, 3, 0, 2))
    other = next(train(split, SIZE, 4, 0, 2))
    for (images, labels), (images2, labels2) in ((epochs[0], epochs[1]), (epochs[0], other)):
        assert not torch.equal(labels, labels2)
        assert not any(
            torch.equal(a, b) for a, b in zip(images[labels.argsort()], images2[labels2.argsort()], strict=True)
        )


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


def test_set_smaller_than_the_batch(split: Split) -> None:
    for _, labels in train(split, 64, 0, 0, 3):
        assert sorted(labels.tolist()) == list(range(SIZE))


def test_dropped_images_change_from_epoch_to_epoch() -> None:
    batches = list(StepSampler(11, 4, 0, 0, 20))
    kept = [
        frozenset(index for keys in pair for _, index in keys) for pair in zip(batches[::2], batches[1::2], strict=True)
    ]
    assert all(len(indices) == 8 for indices in kept)
    assert any(a != b for a, b in pairwise(kept))


def test_stopping_early_leaves_no_worker_behind(split: Split) -> None:
    batches = train(split, 4, 0, 0, 1000, workers=1)
    assert len(list(islice(batches, 2))) == 2
    assert multiprocessing.active_children()
    del batches
    assert not multiprocessing.active_children()


# Evaluation


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_is_in_order_and_whole(split: Split, workers: int) -> None:
    batches = list(evaluate(split, 4, workers))
    assert [len(labels) for _, labels in batches] == [4, 4, 3]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(SIZE))
    images = torch.cat([images for images, _ in batches])
    assert torch.equal(images, torch.stack([TEST(load_image(path)) for path in split.paths]))


# Cache


def test_cache_reduces_once_to_the_short_side(tmp_path: Path) -> None:
    tiny_sets.image(tmp_path / "a.png")  # 10 high, 12 wide
    cache = ImageCache(short_side=5)
    image = cache.load(tmp_path / "a.png")
    assert image.shape == (3, 5, 6) and image.dtype == torch.uint8
    assert cache.load(tmp_path / "a.png") is image
    assert ImageCache(short_side=10).load(tmp_path / "a.png").shape == (3, 10, 12)
    assert ImageCache(short_side=64).load(tmp_path / "a.png").shape == (3, 10, 12)


def test_cache_keeps_to_its_limit(split: Split) -> None:
    cache = ImageCache(limit_bytes=3 * 10 * 12 * 2)
    images = [cache.load(path) for path in split.paths]
    assert len(cache) == 2 and cache.used_bytes == cache.limit_bytes
    assert all(torch.equal(cache.load(p), image) for p, image in zip(split.paths, images, strict=True))


def test_dataset_alone(split: Split) -> None:
    images = CachedImages(split, TEST)
    assert len(images) == SIZE
    image, label = images[5, 3]
    assert label == 3 and torch.equal(image, images[0, 3][0])


# Maps of labels

CROP = ScaledCrop(8, 10, HALF, HALF)


def as_stored(pair: Pair) -> Pair:
    return pair


@pytest.fixture(scope="module")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    return read_maps("camvid", tiny_maps.write("camvid", tmp_path_factory.mktemp("camvid")))


def maps_batches(
    data: Segmentation, batch_size: int, start: int, total: int, workers: int = 0, cache: MapCache | None = None
) -> Iterator[Batch]:
    cache = MapCache(data.decode, limit_bytes=0) if cache is None else cache
    items = CachedItems(data.train.keys, CROP, cache, seed=3)
    return train_batches(items, collate_maps, batch_size, 3, start, total, workers)


def test_a_batch_of_maps(camvid: Segmentation) -> None:
    images, labels = next(maps_batches(camvid, 3, 0, 1))
    assert images.shape == (3, 3, 8, 8) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.shape == (3, 8, 8) and labels.dtype == torch.int64
    assert set(labels.flatten().tolist()) <= {*range(11), IGNORED}


def test_batches_of_maps_depend_on_seed_and_step_alone(camvid: Segmentation) -> None:
    whole, cache = list(maps_batches(camvid, 2, 0, 5)), MapCache(camvid.decode)
    assert not any(torch.equal(a[0], b[0]) for a, b in pairwise(whole))
    for start, workers, kept in ((0, 0, cache), (0, 0, cache), (1, 2, None), (3, 0, None)):
        assert equal(maps_batches(camvid, 2, start, 5, workers, kept), whole[start:])
    assert len(cache) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_of_images_of_different_sizes(tmp_path: Path, workers: int) -> None:
    data = read_maps("camvid", tiny_maps.write("camvid", tmp_path))
    Image.new("RGB", (7, 9), (255, 0, 0)).save(data.test.images[1])
    tiny_maps.png(data.test.maps[1], np.full((9, 7), 11, dtype=np.uint8))
    items = CachedItems(data.test.keys, as_stored, MapCache(data.decode))
    found = list(eval_batches(items, collate_single, 1, workers))
    assert [tuple(image.shape) for image, _ in found] == [(3, 10, 12), (3, 9, 7)]
    assert [tuple(labels.shape) for _, labels in found] == [(10, 12), (9, 7)]
    image, labels = found[1]
    assert image.dtype == torch.uint8 and image[:, 0, 0].tolist() == [255, 0, 0]
    assert labels.dtype == torch.uint8 and (labels == IGNORED).all()


def test_single_takes_no_larger_batch(camvid: Segmentation) -> None:
    items = CachedItems(camvid.test.keys, as_stored, MapCache(camvid.decode))
    with pytest.raises(ValueError, match="unpack"):
        next(eval_batches(items, collate_single, 2))


def test_cache_of_maps_keeps_to_its_limit(camvid: Segmentation) -> None:
    cache = MapCache(camvid.decode, limit_bytes=2 * 4 * 10 * 12 + 1)
    pairs = list(zip(camvid.train.images, camvid.train.maps, strict=True))
    first = [cache.load(pair) for pair in pairs]
    assert len(cache) == 2 and cache.used_bytes == 2 * 4 * 10 * 12
    assert [cache.load(pair) is kept for pair, kept in zip(pairs, first, strict=True)] == [True, True, False, False]


# Faults


@pytest.mark.parametrize("workers", [0, 1])
def test_truncated_image_is_one_line_in_the_parent(tmp_path: Path, workers: int) -> None:
    paths = tuple(tmp_path / f"{k}.png" for k in range(4))
    for path in paths:
        tiny_sets.image(path)
    paths[2].write_bytes(paths[2].read_bytes()[:60])
    bad = Split(paths, (0, 1, 2, 3))
    for batches in (evaluate(bad, 2, workers), train(bad, 4, 0, 0, 2, workers)):
        with pytest.raises(UserError) as caught:
            list(batches)
        assert str(caught.value).startswith(f"{paths[2]}: cannot be decoded")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_map_is_one_line_in_the_parent(tmp_path: Path, workers: int) -> None:
    data = read_maps("camvid", tiny_maps.write("camvid", tmp_path))
    victim = data.train.maps[2]
    victim.write_bytes(victim.read_bytes()[:60])
    with pytest.raises(UserError) as caught:
        list(maps_batches(data, 4, 0, 1, workers=workers))
    assert str(caught.value).startswith(f"{victim}: cannot be decoded") and "\n" not in str(caught.value)


def test_settings_out_of_range_are_refused_at_once(split: Split) -> None:
    for call, expected in (
        (lambda: train(split, 0, 0, 0, 1), "batch size"),
        (lambda: train(split, 4, 0, 2, 1), "first step"),
        (lambda: train(split, 4, 0, -1, 1), "first step"),
        (lambda: evaluate(split, 4, -1), "workers"),
        (lambda: evaluate(Split((), ()), 4), "no image"),
        (lambda: ImageCache(short_side=0), "short side"),
    ):
        with pytest.raises(UserError, match=expected):
            call()
