"""From data sets and a network to the lists of nearest classes, and how similar they are."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2sp_suite.config import DataConfig, list_digest
from l2sp_suite.datasets import (
    READERS,
    Classification,
    ClassificationSplit,
    permutation,
    read_dataset,
    superclass_of,
)
from l2sp_suite.datasets.synthetic import synthetic_root
from l2sp_suite.download import load
from l2sp_suite.source_selection.config import SelectionConfig
from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.source_selection.emd import emd, similarity
from l2sp_suite.source_selection.features import class_means
from l2sp_suite.source_selection.nearest import Nearest, check_k, nearest, nearest_to_each
from l2sp_suite.source_selection.network import feature_net
from l2sp_suite.utils.errors import UserError

__all__ = ["Selection", "Similarity", "select_source"]

SHOWN = 5
"""Nearest classes of each target that the picture shows."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Similarity:
    """How near some source classes together are to a target (docs/protocols/dstl.md#similarity)."""

    kind: str  # `list`, or `family`: a superclass of the candidates
    source: str  # name of the list or superclass
    target: str  # the target's name
    classes: int  # how many there are
    images: int  # of these classes
    emd: float  # in units of the features
    similarity: float  # in (0, 1]


@dataclass(frozen=True)
class Selection:
    """What was selected."""

    lists: Mapping[str, Sequence[Nearest]]  # the selected classes and the baselines, by name of the list
    similarities: Sequence[Similarity]  # of lists and superclasses to the targets
    origin: Mapping[str, Any]  # what it was made of, for origin.json
    # for each target an image of its own and one of each of its nearest classes, with their labels
    samples: Mapping[str, Sequence[tuple[str, Path]]]


def select_source(config: SelectionConfig) -> Selection:
    """Reads the data sets, measures the features, and selects; looks for faults of the data before features.

    Raises:
        UserError: data or weights are missing or damaged, or the numbers of classes do not fit.
    """
    sets, digests = _read(config)
    candidates = sets[config.candidates]
    enough = _with_enough_images(config, candidates)
    for target in config.targets:
        check_k(config.k_of[target], target, config.candidates, enough)
    net = feature_net(config.features, Path(config.paths.data), config.device)
    folder = Path(config.paths.artifacts) / "features"
    domains = {
        name: class_means(net, data, digests[name], folder, config.batch_size, config.workers)
        for name, data in sets.items()
    }
    source = domains[config.candidates].at_least(config.least_images)
    targets = {name: domains[name] for name in config.targets}
    lists = _lists(config, source, targets)
    settings = asdict(config)
    del settings["paths"]
    origin = {
        "network": net.description,
        "choice": settings,
        "data": digests,
        "lists": {name: _list_origin(entries) for name, entries in lists.items()},
    }
    similarities = list(_similarities(source, targets, lists, config.gamma))
    return Selection(lists, similarities, origin, _samples(config, lists[config.name], sets))


def _read(config: SelectionConfig) -> tuple[dict[str, Classification], dict[str, str]]:
    """The data sets of a selection and their digests, by name."""
    configs = {name: load(name) for name in (config.candidates, *config.targets)}
    for name, data in configs.items():
        if data.reader not in READERS[Classification]:
            raise UserError(f"{name}: has no classes to select from or for; take a data set of images with one label")
    scale = config.read_scale()

    def root(data: DataConfig) -> Path:
        if scale.world is None:
            return Path(config.paths.data)
        return synthetic_root(Path(config.paths.artifacts), scale.world, data.part)

    pairs = {name: read_dataset(data, scale, root(data), Classification) for name, data in configs.items()}
    sets = {name: _with_training_images(name, data) for name, (data, _) in pairs.items()}
    return sets, {name: digest for name, (_, digest) in pairs.items()}


def _with_training_images(name: str, data: Classification) -> Classification:
    """The classes that have a training image, and those images: of a subset some classes may be tested alone.

    It is called by its configuration's name: several of these may have one reader.
    """
    seen = sorted(set(data.train.labels))
    unseen = sorted(set(range(len(data.classes))) - set(seen))
    if unseen:
        _log.warning("%s: no training image of %s: left out", name, ", ".join(data.classes[i] for i in unseen))
    dense = {label: index for index, label in enumerate(seen)}
    train = ClassificationSplit(data.train.paths, tuple(dense[label] for label in data.train.labels))
    return Classification(name, tuple(data.classes[label] for label in seen), train, ClassificationSplit((), ()))


def _with_enough_images(config: SelectionConfig, candidates: Classification) -> int:
    """How many candidates have as many training images as they must have.

    Raises:
        UserError: none has.
    """
    counts = Counter(candidates.train.labels).values()
    enough = sum(count >= config.least_images for count in counts)
    if not enough:
        raise UserError(
            f"least_images={config.least_images}: no class of {config.candidates} has more than {max(counts)}"
        )
    return enough


def _lists(config: SelectionConfig, source: Domain, targets: Mapping[str, Domain]) -> dict[str, list[Nearest]]:
    selected = nearest_to_each(source, targets, config.k_of, config.gamma)
    best = _best(source, targets, config.gamma)
    size = len({entry.source for entry in selected})
    indices = {
        "random": sorted(permutation(len(best), config.random_seed)[:size]),
        "least": sorted(range(len(best)), key=lambda index: best[index].similarity)[:size],
    }
    return {config.name: selected, **{name: [best[index] for index in indices[name]] for name in config.baselines}}


def _best(source: Domain, targets: Mapping[str, Domain], gamma: float) -> list[Nearest]:
    """Of every candidate, in their order, what it is to the target that it is most similar to."""
    ranked = [entry for target in targets.values() for entry in nearest(source, target, len(source), gamma)]
    best = {entry.source: entry for entry in sorted(ranked, key=lambda entry: entry.similarity)}
    return [best[name] for name in source.classes]


def _similarities(
    source: Domain, targets: Mapping[str, Domain], lists: Mapping[str, Sequence[Nearest]], gamma: float
) -> Iterator[Similarity]:
    """Of the whole source, of each list and of each superclass of candidates, to every target."""
    index_of = {name: index for index, name in enumerate(source.classes)}
    parts = {("list", "whole"): list(range(len(source)))}
    parts |= {("list", name): sorted({index_of[entry.source] for entry in entries}) for name, entries in lists.items()}
    for index, name in enumerate(source.classes):
        parts.setdefault(("family", superclass_of(name)), []).append(index)
    for (kind, name), indices in parts.items():
        part = source.select(indices)
        for target in targets.values():
            distance = emd(part, target)
            near = float(similarity(distance, gamma))
            yield Similarity(kind, name, target.name, len(part), int(part.images.sum()), distance, near)


def _list_origin(entries: Sequence[Nearest]) -> dict[str, Any]:
    names = tuple(dict.fromkeys(entry.source for entry in entries))
    return {"classes": len(names), "sha256": list_digest(names)}


def _samples(
    config: SelectionConfig, selected: Sequence[Nearest], sets: Mapping[str, Classification]
) -> dict[str, list[tuple[str, Path]]]:
    candidates = sets[config.candidates]
    first: dict[str, Path] = {}
    for path, label in zip(candidates.train.paths, candidates.train.labels, strict=True):
        first.setdefault(candidates.classes[label], path)
    samples = {name: [(name, sets[name].train.paths[0])] for name in config.targets}
    for entry in selected:
        if entry.rank <= SHOWN:
            samples[entry.target].append((entry.label, first[entry.source]))
    return samples
