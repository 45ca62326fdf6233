"""Batches as pure functions of (seed, step): a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from l2sp_suite.datasets.cache import Cache
from l2sp_suite.datasets.images import Files, Pair
from l2sp_suite.datasets.records import ClassificationSplit
from l2sp_suite.datasets.seeding import permutation
from l2sp_suite.datasets.transforms import Transform, seeded
from l2sp_suite.utils.errors import UserError

__all__ = [
    "Batch", "Examples", "Items", "LabelledImages", "StepSampler", "collate_labels", "collate_maps", "collate_pairs",
    "equal_sizes", "eval_batches", "spread", "steps_per_epoch", "stored_pairs", "train_batches",
]  # fmt: skip

Batch = tuple[Tensor, Tensor]
Key = tuple[int, int]
T = TypeVar("T")
V = TypeVar("V", bound=Tensor | Pair)
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)
Collate = Callable[[list[T]], Batch]


class Items(Protocol[T_co]):
    """Items by key (epoch, index), each a pure function of its key."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Key, /) -> T_co: ...


class Examples(Dataset[R], Generic[V, R]):
    """Transformed examples of a split by key (epoch, index).

    An example is transform(cache.load(files[index])).
    With a `seed` the transform is random but a pure function of (seed, epoch, index); with None it must not be random,
    and the epoch has no effect. `cache` decodes, and keeps what fits.
    """

    def __init__(
        self, files: Sequence[Files], transform: Callable[[V], R], cache: Cache[V], seed: int | None = None
    ) -> None:
        self.files, self.transform, self.cache, self.seed = files, transform, cache, seed

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> R:
        """Raises UserError if a file cannot be decoded, or if two that belong together differ in size."""
        decoded = self.cache.load(self.files[key[1]])
        return self.transform(decoded) if self.seed is None else seeded(self.transform, decoded, self.seed, *key)


class LabelledImages(Dataset[tuple[Tensor, int]]):
    """Transformed images of a split with their labels, by key (epoch, index).

    Arguments as of `Examples`.
    """

    def __init__(
        self, split: ClassificationSplit, transform: Transform, cache: Cache[Tensor], seed: int | None = None
    ) -> None:
        self.images = Examples(split.files, transform, cache, seed)
        self.labels = split.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        """Raises UserError if the image cannot be decoded."""
        return self.images[key], self.labels[key[1]]


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
    """Full batches in an epoch of `size` images; 1 if there are fewer than a batch."""
    return max(1, size // batch_size)


def train_batches(
    items: Items[T],
    collate: Collate[T],
    batch_size: int,
    seed: int,
    start_step: int,
    total_steps: int,
    workers: int = 0,
) -> Iterator[Batch]:
    """Training batches of steps start_step .. total_steps - 1.

    They are the same for any start and any `workers`.
    `collate` makes one batch of a list of items: `collate_labels`, `collate_maps` or `collate_pairs`. `seed` is
    that of the order; the items have their own. Raises UserError for settings out of range, at once, and what the items
    raise, at its step.
    """
    _check(items, batch_size, workers)
    if not 0 <= start_step <= total_steps:
        raise UserError(f"the first step must lie in 0..{total_steps}, found {start_step}")
    sampler = StepSampler(len(items), batch_size, seed, start_step, total_steps)
    return _batches(items, collate, sampler, workers)


def eval_batches(items: Items[T], collate: Collate[T], batch_size: int, workers: int = 0) -> Iterator[Batch]:
    """Batches of every item once, in order; the last may be smaller.

    See `train_batches`.
    """
    _check(items, batch_size, workers)
    size = len(items)
    keys = [
        [(0, index) for index in range(first, min(first + batch_size, size))] for first in range(0, size, batch_size)
    ]
    return _batches(items, collate, keys, workers)


def collate_labels(items: Sequence[tuple[Tensor, int]]) -> Batch:
    """A batch of images (C, H, W) and labels.

    (N, C, H, W) in channels_last memory and int64 (N,)
    """
    return _stacked([image for image, _ in items]), torch.tensor([label for _, label in items])


def collate_maps(items: Sequence[Pair]) -> Batch:
    """A batch of images (C, H, W) and label maps (H, W), all of one size.

    (N, C, H, W) in channels_last memory and int64 (N, H, W)
    """
    return _stacked([image for image, _ in items]), torch.stack([labels for _, labels in items]).long()


def collate_pairs(items: Sequence[Pair]) -> Pair:
    """A batch of pairs, such as frames (2, 3, H, W) and truths (..., H, W).

    All are of one size; each is stacked along a new dimension.
    """
    return torch.stack([image for image, _ in items]), torch.stack([truth for _, truth in items])


def stored_pairs(files: Sequence[Files], cache: Cache[Pair], workers: int = 0) -> Iterator[Pair]:
    """The examples one by one, as they are stored, of any sizes.

    See `train_batches`.
    """
    return eval_batches(Examples(files, _as_stored, cache), _only, 1, workers)


def _as_stored(pair: Pair) -> Pair:
    return pair


def _only(pairs: Sequence[Pair]) -> Pair:
    (pair,) = pairs
    return pair


def spread(count: int, number: int) -> set[int]:
    """`number` of the numbers 0 .. count - 1, evenly spread; all if they are fewer."""
    number = min(number, count)
    return {int((k + 0.5) * count / number) for k in range(number)}


def equal_sizes(items: Iterable[Pair], limit: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Stack runs of at most `limit` neighbours of one size.

    Yields the number of the first, images or frames, and truths.
    """
    first, run = 0, list[Pair]()
    for item in items:
        if run and (len(run) == limit or item[0].shape != run[0][0].shape):
            yield first, *collate_pairs(run)
            first, run = first + len(run), []
        run.append(item)
    if run:
        yield first, *collate_pairs(run)


def _stacked(images: list[Tensor]) -> Tensor:
    channels, height, width = images[0].shape
    shape = (len(images), channels, height, width)
    batch = torch.empty(shape, dtype=images[0].dtype, memory_format=torch.channels_last)
    return torch.stack(images, out=batch)


class _Relay(Dataset[T | UserError], Generic[T]):
    """Hands a UserError over as an item: raised in a worker it would come back wrapped in a traceback."""

    def __init__(self, items: Items[T]) -> None:
        self.items = items

    def __getitem__(self, key: Key) -> T | UserError:
        try:
            return self.items[key]
        except UserError as error:
            return error


def _relayed(collate: Collate[T], items: list[T | UserError]) -> Batch | UserError:
    good: list[T] = []
    for item in items:
        if isinstance(item, UserError):
            return item
        good.append(item)
    return collate(good)


def _batches(items: Items[T], collate: Collate[T], keys: Iterable[list[Key]], workers: int) -> Iterator[Batch]:
    loader = DataLoader(
        _Relay(items),
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=partial(_relayed, collate),
        generator=torch.Generator(),  # otherwise the loader draws a seed from the global one
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _check(items: Items[T], batch_size: int, workers: int) -> None:
    if not len(items):
        raise UserError("there is no image to make batches of")
    if batch_size < 1:
        raise UserError(f"the batch size must be at least 1, found {batch_size}")
    if workers < 0:
        raise UserError(f"the number of loader workers must not be negative, found {workers}")
