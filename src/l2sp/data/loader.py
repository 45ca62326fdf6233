"""Batches as pure functions of (seed, step): a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from l2sp.data.images import ImageCache
from l2sp.data.labelled import Split
from l2sp.data.seeding import permutation
from l2sp.data.transforms import Transform, seeded
from l2sp.errors import UserError

__all__ = ["Batch", "CachedImages", "StepSampler", "eval_batches", "steps_per_epoch", "train_batches"]

Batch = tuple[Tensor, Tensor]
Key = tuple[int, int]


class CachedImages(Dataset[tuple[Tensor, int]]):
    """The images of a split by key (epoch, index): (transformed image, label).

    With a `seed` the transform is random but a pure function of (seed, epoch, index); with None it must not
    be random, and the epoch has no effect. `cache` keeps decoded images; without one each call decodes.
    """

    def __init__(
        self, split: Split, transform: Transform, seed: int | None = None, cache: ImageCache | None = None
    ) -> None:
        self.split = split
        self.transform = transform
        self.seed = seed
        self.cache = ImageCache(limit_bytes=0) if cache is None else cache

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        """Raises UserError if the image cannot be decoded."""
        epoch, index = key
        image = self.cache.load(self.split.paths[index])
        if self.seed is None:
            return self.transform(image), self.split.labels[index]
        return seeded(self.transform, image, self.seed, epoch, index), self.split.labels[index]


class StepSampler(Sampler[list[Key]]):
    """The keys of the batches of steps start_step .. total_steps - 1.

    Each epoch is a permutation of its own, of which an incomplete last batch is dropped; a set smaller than
    the batch is one batch.
    """

    def __init__(self, size: int, batch_size: int, seed: int, start_step: int, total_steps: int) -> None:
        self.size, self.batch_size, self.seed = size, min(batch_size, size), seed
        self.start_step, self.total_steps = start_step, total_steps

    def __len__(self) -> int:
        return max(0, self.total_steps - self.start_step)

    def __iter__(self) -> Iterator[list[Key]]:
        steps = steps_per_epoch(self.size, self.batch_size)
        order: list[int] = []
        for step in range(self.start_step, self.total_steps):
            epoch, position = divmod(step, steps)
            if position == 0 or not order:
                order = permutation(self.size, self.seed, epoch)
            first = position * self.batch_size
            yield [(epoch, index) for index in order[first : first + self.batch_size]]


def steps_per_epoch(size: int, batch_size: int) -> int:
    """Return how many full batches an epoch of `size` images has; 1 if the set is smaller than the batch."""
    return max(1, size // batch_size)


def train_batches(
    split: Split,
    transform: Transform,
    batch_size: int,
    seed: int,
    start_step: int,
    total_steps: int,
    workers: int = 0,
    cache: ImageCache | None = None,
) -> Iterator[Batch]:
    """Return the batches of steps start_step .. total_steps - 1, the same for any start and any `workers`.

    A batch: images float32 (N, 3, size, size) in channels_last memory, labels int64 (N,).
    Raises UserError for settings out of range, at once, and for an image that cannot be decoded, at its step.
    """
    _check(split, batch_size, workers)
    if not 0 <= start_step <= total_steps:
        raise UserError(f"the first step must lie in 0..{total_steps}, found {start_step}")
    sampler = StepSampler(len(split), batch_size, seed, start_step, total_steps)
    return _batches(CachedImages(split, transform, seed, cache), sampler, workers)


def eval_batches(
    split: Split, transform: Transform, batch_size: int, workers: int = 0, cache: ImageCache | None = None
) -> Iterator[Batch]:
    """Return every image of the split once, in order; the last batch may be smaller. See `train_batches`."""
    _check(split, batch_size, workers)
    keys = [
        [(0, index) for index in range(first, min(first + batch_size, len(split)))]
        for first in range(0, len(split), batch_size)
    ]
    return _batches(CachedImages(split, transform, None, cache), keys, workers)


class _Relay(Dataset[tuple[Tensor, int] | UserError]):
    """Hands a UserError over as an item: raised in a worker it would come back wrapped in a traceback."""

    def __init__(self, images: CachedImages) -> None:
        self.images = images

    def __getitem__(self, key: Key) -> tuple[Tensor, int] | UserError:
        try:
            return self.images[key]
        except UserError as error:
            return error


def _batches(images: CachedImages, keys: Iterable[list[Key]], workers: int) -> Iterator[Batch]:
    loader = DataLoader(
        _Relay(images),
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=_collate,
        generator=torch.Generator(),  # otherwise the loader draws a seed from the global one
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _collate(items: list[tuple[Tensor, int] | UserError]) -> Batch | UserError:
    images: list[Tensor] = []
    labels: list[int] = []
    for item in items:
        if isinstance(item, UserError):
            return item
        images.append(item[0])
        labels.append(item[1])
    channels, height, width = images[0].shape
    shape = (len(images), channels, height, width)
    batch = torch.empty(shape, dtype=images[0].dtype, memory_format=torch.channels_last)
    return torch.stack(images, out=batch), torch.tensor(labels)


def _check(split: Split, batch_size: int, workers: int) -> None:
    if not len(split):
        raise UserError("there is no image to make batches of")
    if batch_size < 1:
        raise UserError(f"the batch size must be at least 1, found {batch_size}")
    if workers < 0:
        raise UserError(f"the number of loader workers must not be negative, found {workers}")
