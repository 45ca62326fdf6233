"""From two or more data sets and a network to the lists of nearest classes, and how similar they are."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from l2sp_suite.config import list_digest
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.datasets import (
    READERS,
    Classification,
    ClassificationSplit,
    label_of,
    permutation,
    read_dataset,
    superclass_of,
)
from l2sp_suite.download import load
from l2sp_suite.report.sources import SHOWN, Nearest, Similarity
from l2sp_suite.source_selection.config import ChoiceConfig
from l2sp_suite.source_selection.domain import Domain
from l2sp_suite.source_selection.emd import emd, similarity
from l2sp_suite.source_selection.features import class_means
from l2sp_suite.source_selection.network import feature_net
from l2sp_suite.source_selection.selection import Chosen, check_k, chosen_classes, nearest
from l2sp_suite.training.trainer import data_root
from l2sp_suite.utils.errors import UserError

__all__ = ["Choice", "choose"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What was chosen: the lists by name, what of them and of the families is how similar, and where that is from.

    `samples`: for each target an image of its own and one of each of its nearest classes, with what they show.
    """

    lists: Mapping[str, Sequence[Nearest]]
    similarities: Sequence[Similarity]
    origin: Mapping[str, Any]
    samples: Mapping[str, Sequence[tuple[str, Path]]]


def choose(choice: ChoiceConfig, cfg: TrainConfig) -> Choice:
    """Reads the data sets, measures the features, and chooses.

    `cfg` says the scale and the folders. What can be wrong with the data is looked for before features are computed.

    Raises:
        UserError: data or weights are missing or damaged, or the numbers of classes do not fit.
    """
    configs = {name: load(name) for name in (choice.candidates, *choice.targets)}
    for name, config in configs.items():
        if config.reader not in READERS[Classification]:
            raise UserError(f"{name}: has no classes to choose from or for; take a data set of images with one label")
    root = data_root(cfg)
    read_sets = {name: read_dataset(config, cfg.scale, root, Classification) for name, config in configs.items()}
    sets = {name: _seen(name, data) for name, (data, _) in read_sets.items()}
    enough = _enough(choice, sets[choice.candidates])
    for target in choice.targets:
        check_k(choice.k_of[target], target, choice.candidates, enough)
    net = feature_net(choice.features, Path(cfg.paths.data), choice.device)
    folder = Path(cfg.paths.artifacts) / "features"
    domains = {
        name: class_means(net, data, read_sets[name][1], folder, choice.batch_size, choice.workers)
        for name, data in sets.items()
    }
    candidates = domains[choice.candidates].at_least(choice.least_images)
    targets = {name: domains[name] for name in choice.targets}
    lists = _lists(choice, candidates, targets)
    similarities = list(_similarities(candidates, targets, lists, choice.gamma))
    origin = {
        "network": net.told,
        "choice": asdict(choice),
        "data": {name: digest for name, (_, digest) in read_sets.items()},
        "lists": {name: _listed(entries) for name, entries in lists.items()},
    }
    return Choice(lists, similarities, origin, _samples(choice, lists[choice.name], sets))


def _seen(name: str, data: Classification) -> Classification:
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


def _enough(choice: ChoiceConfig, candidates: Classification) -> int:
    """How many candidates have as many training images as they must have.

    Raises:
        UserError: none has.
    """
    counts = Counter(candidates.train.labels).values()
    if not (found := sum(count >= choice.least_images for count in counts)):
        raise UserError(
            f"least_images={choice.least_images}: no class of {choice.candidates} has more than {max(counts)}"
        )
    return found


def _lists(choice: ChoiceConfig, candidates: Domain, targets: Mapping[str, Domain]) -> dict[str, list[Nearest]]:
    chosen = chosen_classes(candidates, targets, choice.k_of, choice.gamma)
    best = _best(candidates, targets, choice.gamma)
    size = len({one.source for one in chosen})
    places = {
        "random": sorted(permutation(len(best), choice.random_seed)[:size]),
        "least": sorted(range(len(best)), key=lambda index: best[index].similarity)[:size],
    }
    others = {name: [best[index] for index in places[name]] for name in choice.others}
    return {choice.name: [_entry(one) for one in chosen], **others}


def _entry(one: Chosen) -> Nearest:
    label, family = label_of(one.source), superclass_of(one.source)
    return Nearest(one.target, one.rank, one.source, label, family, one.similarity, one.images)


def _best(candidates: Domain, targets: Mapping[str, Domain], gamma: float) -> list[Nearest]:
    """Of every candidate, in their order, what it is to the target that it is most similar to."""
    ranked = [one for target in targets.values() for one in nearest(candidates, target, len(candidates), gamma)]
    best = {one.source: one for one in sorted(ranked, key=lambda one: one.similarity)}
    return [_entry(best[name]) for name in candidates.classes]


def _similarities(
    candidates: Domain, targets: Mapping[str, Domain], lists: Mapping[str, Sequence[Nearest]], gamma: float
) -> Iterator[Similarity]:
    """Of the whole source, of each list and of each family of candidates, to every target."""
    place = {name: index for index, name in enumerate(candidates.classes)}
    parts = {("list", "whole"): list(range(len(candidates)))}
    parts |= {("list", name): sorted({place[one.source] for one in entries}) for name, entries in lists.items()}
    for index, name in enumerate(candidates.classes):
        parts.setdefault(("family", superclass_of(name)), []).append(index)
    for (kind, name), indices in parts.items():
        part = candidates.select(indices)
        for target in targets.values():
            far = emd(part, target)
            near = float(similarity(far, gamma))
            yield Similarity(kind, name, target.name, len(part), int(part.images.sum()), far, near)


def _listed(entries: Sequence[Nearest]) -> dict[str, Any]:
    names = tuple(dict.fromkeys(entry.source for entry in entries))
    return {"classes": len(names), "sha256": list_digest(names)}


def _samples(
    choice: ChoiceConfig, chosen: Sequence[Nearest], sets: Mapping[str, Classification]
) -> dict[str, list[tuple[str, Path]]]:
    candidates = sets[choice.candidates]
    first: dict[str, Path] = {}
    for path, label in zip(candidates.train.paths, candidates.train.labels, strict=True):
        first.setdefault(candidates.classes[label], path)
    samples = {name: [(name, sets[name].train.paths[0])] for name in choice.targets}
    for entry in chosen:
        if entry.rank <= SHOWN:
            samples[entry.target].append((entry.label, first[entry.source]))
    return samples
