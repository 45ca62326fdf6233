"""Class means of a network's features over a set of images of any size: streamed, cached, resumable."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from tqdm import tqdm

from l2sp_suite.datasets import (
    Classification,
    LabelledImages,
    Transform,
    collate_labels,
    eval_batches,
    image_cache,
)
from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["FeatureNet", "class_means"]

_KEEP_EVERY = 20.0  # seconds


@dataclass(frozen=True)
class FeatureNet:
    """A network without its classifier."""

    name: str  # which network
    model: nn.Module  # takes images (N, 3, S, S) to features (N, D)
    transform: Transform  # makes an image of (3, H, W) uint8
    identity: str  # changes with whatever changes the features: weights, size, normalisation
    description: Mapping[str, Any] = field(default_factory=dict)  # the same for people


@dataclass
class _Sums:
    """Of the images seen so far: sums of features (C, D) in double precision, numbers of images (C,), and of all."""

    features: Tensor
    images: Tensor
    seen: int


def class_means(
    net: FeatureNet, data: Classification, digest: str, cache: Path, batch_size: int, workers: int = 0
) -> Domain:
    """The mean feature of each class over a data set's training images.

    Args:
        net: gives the features; it is put into evaluation mode.
        data: its training part is read once, in order.
        digest: of the data (`l2sp_suite.datasets.digest`).
        cache: folder for sums of features: what it has of this network and data is not computed again, and an
            interrupted call goes on where it stopped, to the same bits.
        batch_size: images at once.
        workers: processes that decode.

    Raises:
        UserError: an image cannot be decoded, a feature is NaN or infinite, or a class has no image.
    """
    key = hashlib.sha256(json.dumps([net.identity, digest, data.classes, batch_size]).encode()).hexdigest()[:16]
    file = cache / f"{data.name}-{key}.safetensors"
    classes, total = len(data.classes), len(data.train)
    sums = _read(file, classes, total) or _Sums(torch.empty(0), torch.zeros(classes, dtype=torch.int64), 0)
    if sums.seen < total:
        sums = _accumulate(net, data, sums, file, batch_size, workers)
    return Domain(data.name, data.classes, (sums.features / sums.images[:, None]).numpy(), sums.images.numpy())


@torch.inference_mode()
def _accumulate(net: FeatureNet, data: Classification, sums: _Sums, file: Path, batch_size: int, workers: int) -> _Sums:
    rest = data.train.select(range(sums.seen, len(data.train)))
    items = LabelledImages(rest, net.transform, image_cache(limit_bytes=0))
    device = next(net.model.parameters()).device
    net.model.eval()
    batches = eval_batches(items, collate_labels, batch_size, workers)
    bar = tqdm(batches, desc=f"features of {data.name}", total=-(-len(rest) // batch_size), disable=None, leave=False)
    kept = time.monotonic()
    for images, labels in bar:
        features = net.model(images.to(device)).double().cpu()
        if not torch.isfinite(features).all():
            raise UserError(
                f"{data.name}: {net.name} gives NaN or infinite features for image {sums.seen} or a later one "
                f"({data.train.paths[sums.seen]}); check its weights"
            )
        if not sums.seen:
            sums.features = torch.zeros(len(data.classes), features.shape[1], dtype=torch.float64)
        sums.features.index_add_(0, labels, features)
        sums.images += torch.bincount(labels, minlength=len(data.classes))
        sums.seen += len(labels)
        if time.monotonic() - kept >= _KEEP_EVERY or sums.seen == len(data.train):
            _write(file, sums)
            kept = time.monotonic()
    return sums


def _write(file: Path, sums: _Sums) -> None:
    content = {"features": sums.features, "images": sums.images}
    write_atomically(file, save(content))


def _read(file: Path, classes: int, total: int) -> _Sums | None:
    """The sums that an earlier call left, of so many classes and at most `total` images; None where there are none.

    Raises:
        UserError: the file is damaged.
    """
    if not file.exists():
        return None
    try:
        content = load(file.read_bytes())
        images = content["images"]
        sums = _Sums(content["features"], images, int(images.sum()))
        if sums.features.shape[:-1] != (classes,) or images.shape != (classes,) or not 0 <= sums.seen <= total:
            raise ValueError(f"{tuple(sums.features.shape)} features of {sums.seen} images")
        return sums
    except Exception as error:  # safetensors has a zoo of errors for a damaged file
        raise UserError(f"{file}: damaged ({str(error).splitlines()[0][:80]}); delete it") from error
