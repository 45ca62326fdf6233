"""Choosing the source classes nearest to some targets, from a configuration to the lists that pre-training reads."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp.approaches.dstl.config import DSTLConfig
from l2sp.approaches.dstl.network import build_network, head_prefixes, without_head
from l2sp.approaches.release import read_release
from l2sp.approaches.weights import apply_start, load_start
from l2sp.config import CONFIGS, compose, explain
from l2sp.data.class_lists import keep_classes, list_digest
from l2sp.data.classification import Classification, load_image, read
from l2sp.data.families import family_of, label_of
from l2sp.data.seeding import permutation
from l2sp.data.transforms import eval_transform
from l2sp.errors import UserError
from l2sp.fetch.state import load
from l2sp.files import write_atomically
from l2sp.report.records import format_records
from l2sp.report.sources import SHOWN, Nearest, Similarity
from l2sp.schema import TrainConfig
from l2sp.similarity.domain import Domain
from l2sp.similarity.emd import emd, similarity
from l2sp.similarity.features import FeatureNet, class_means
from l2sp.similarity.selection import Chosen, chosen_classes, nearest
from l2sp.training.run import data_root, start_files

__all__ = ["Choice", "ChoiceConfig", "choose", "load_choice", "write_choice"]

_log = logging.getLogger(__name__)


@dataclass
class ChoiceConfig:
    """What to choose: `configs/choice/<name>.yaml`.

    `name`: of the list. `source`, `targets`: names of `configs/data/`. `k`: classes for each target, a number or a
    mapping by target. `others`: lists as long for comparison, `random` (by `seed`) and `least`, the least similar.
    `gamma` of the similarity; source classes of fewer than `least_images` are left out. `network`: overrides of a run
    of DSTL, whose network before fine-tuning gives the features. `batch_size`: images at once.
    """

    name: str = MISSING
    scale: str = MISSING
    source: str = MISSING
    targets: list[str] = MISSING
    k: Any = MISSING
    others: list[str] = MISSING
    seed: int = MISSING
    gamma: float = MISSING
    least_images: int = MISSING
    batch_size: int = MISSING
    network: list[str] = MISSING


@dataclass(frozen=True)
class Choice:
    """What was chosen: the lists by name, what of them and of the families is how similar, and where that is from.

    `samples`: for each target an image of its own and one of each of its nearest classes, with what they show.
    """

    lists: Mapping[str, Sequence[Nearest]]
    similarities: Sequence[Similarity]
    origin: Mapping[str, Any]
    samples: Mapping[str, Sequence[tuple[str, Path]]]


def load_choice(arguments: Sequence[str]) -> tuple[ChoiceConfig, TrainConfig]:
    """The choice that some overrides name, and the run whose network gives the features.

    `choice=<name>` takes another file than `configs/choice/mini.yaml`; a key of `ChoiceConfig` sets that, every other
    override is of the run.

    Raises:
        UserError: no such choice or key, or a value of a wrong type.
    """
    given = dict(argument.partition("=")[::2] for argument in arguments)
    name = given.pop("choice", "mini")
    path = CONFIGS / "choice" / f"{name}.yaml"
    if not path.exists():
        known = sorted(one.stem for one in path.parent.glob("*.yaml"))
        raise UserError(f"no choice '{name}' in {path.parent}: use one of {', '.join(known)}")
    own = [f"{key}={value}" for key, value in given.items() if key in ChoiceConfig.__dataclass_fields__]
    rest = [f"{key}={value}" for key, value in given.items() if key not in ChoiceConfig.__dataclass_fields__]
    try:
        merged = OmegaConf.merge(OmegaConf.structured(ChoiceConfig), OmegaConf.load(path), OmegaConf.from_dotlist(own))
        choice = cast(ChoiceConfig, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {explain(error, tuple(ChoiceConfig.__dataclass_fields__))}") from error
    return choice, compose([*choice.network, f"scale={choice.scale}", *rest])


def choose(choice: ChoiceConfig, cfg: TrainConfig) -> Choice:
    """Measures the features, and chooses.

    Raises:
        UserError: data or weights are missing or damaged, or the numbers of classes do not fit.
    """
    root = data_root(cfg)
    net = _feature_net(cfg, start_files(cfg, root))
    digests: dict[str, str] = {}
    domains, sets = {}, {}
    for name in (choice.source, *choice.targets):
        read_set, digests[name] = read_release(load(name), cfg.scale, root, read)
        sets[name] = _seen(read_set)
        folder = Path(cfg.paths.artifacts) / "features"
        domains[name] = class_means(net, sets[name], digests[name], folder, choice.batch_size, cfg.runtime.workers)
    source = domains[choice.source].at_least(choice.least_images)
    targets = {name: domains[name] for name in choice.targets}
    lists = _lists(choice, source, targets)
    parts: dict[str, dict[str, list[int]]] = {
        "list": {"whole": list(range(len(source))), **_indices(source, lists)},
        "family": _families(source),
    }
    found = [
        Similarity(kind, name, target.name, len(indices), int(part.images.sum()), distance, _near(distance, choice))
        for kind, named in parts.items()
        for name, indices in named.items()
        for part in (source.select(indices),)
        for target in targets.values()
        for distance in (emd(part, target),)
    ]
    origin = {
        "network": {"name": net.name, "identity": net.identity},
        "choice": asdict(choice),
        "data": digests,
        "lists": {
            name: {"classes": len(names), "sha256": list_digest(names)}
            for name, entries in lists.items()
            for names in (tuple(dict.fromkeys(entry.source for entry in entries)),)
        },
    }
    return Choice(lists, found, origin, _samples(choice, lists[choice.name], sets))


def _seen(data: Classification) -> Classification:
    """The classes that have a training image: of a subset some may be in the test part alone."""
    seen = set(data.train.labels)
    unseen = [name for label, name in enumerate(data.classes) if label not in seen]
    if not unseen:
        return data
    _log.warning("%s: no training image of %s: left out", data.name, ", ".join(unseen))
    return keep_classes(data, [name for name in data.classes if name not in unseen])


def _near(distance: float, choice: ChoiceConfig) -> float:
    return float(similarity(distance, choice.gamma))


def _feature_net(cfg: TrainConfig, files: Mapping[str, Path]) -> FeatureNet:
    """The run's network with its starting weights, without a classifier."""
    if cfg.approach.name != "dstl" or cfg.weights.source == "none":
        raise UserError(f"{cfg.experiment}: features come from a pre-trained network of DSTL; choose another run")
    protocol = cast(DSTLConfig, cfg.approach)
    network, size = protocol.network, protocol.input_size
    model = build_network(network.name, 2, network.width, 0.0, False, size)
    heads = head_prefixes(model)
    start = load_start(cfg.weights.source, model, files.get("weights"), cfg.weights.sha256, heads)
    missing = [name for name in apply_start(model, start).missing if not name.startswith(heads)]
    if missing:
        raise UserError(f"{start.origin}: has nothing for {missing[0]}; features need the whole network's weights")
    seen = (network.name, network.width, size, protocol.crop, list(protocol.mean), list(protocol.std))
    preprocessing = eval_transform(
        size, protocol.crop, protocol.mean, protocol.std, antialias=protocol.augment.antialias
    )
    device = torch.device("cuda" if torch.cuda.is_available() and cfg.runtime.device != "cpu" else "cpu")
    identity = hashlib.sha256(json.dumps([start.sha256, *seen, protocol.augment.antialias]).encode()).hexdigest()
    origin = cfg.weights.experiment or cfg.weights.file or cfg.weights.source
    return FeatureNet(f"{network.name} from {origin}", without_head(model).to(device), preprocessing, identity)


def _lists(choice: ChoiceConfig, source: Domain, targets: Mapping[str, Domain]) -> dict[str, list[Nearest]]:
    k = choice.k if isinstance(choice.k, dict) else dict.fromkeys(choice.targets, choice.k)
    chosen = chosen_classes(source, targets, k, choice.gamma)
    lists = {choice.name: [_entry(one) for one in chosen]}
    size = len({one.source for one in chosen})
    best = _best(source, targets, choice.gamma)
    for name in choice.others:
        lists[name] = [best[index] for index in _other(name, choice, best, size)]
    return lists


def _entry(one: Chosen) -> Nearest:
    label, family = label_of(one.source), family_of(one.source)
    return Nearest(one.target, one.rank, one.source, label, family, one.similarity, one.images)


def _best(source: Domain, targets: Mapping[str, Domain], gamma: float) -> list[Nearest]:
    """Of every source class, in the source's order, what it is to the target that it is most similar to."""
    ranked = [one for target in targets.values() for one in nearest(source, target, len(source), gamma)]
    best = {one.source: one for one in sorted(ranked, key=lambda one: one.similarity)}
    return [_entry(best[name]) for name in source.classes]


def _other(name: str, choice: ChoiceConfig, best: Sequence[Nearest], size: int) -> list[int]:
    if name == "random":
        return sorted(permutation(len(best), choice.seed)[:size])
    if name == "least":
        return sorted(range(len(best)), key=lambda index: best[index].similarity)[:size]
    raise UserError(f"others: no list '{name}'; use random, least or none")


def _samples(
    choice: ChoiceConfig, chosen: Sequence[Nearest], sets: Mapping[str, Classification]
) -> dict[str, list[tuple[str, Path]]]:
    source = sets[choice.source]
    first = {label: path for path, label in reversed(list(zip(source.train.paths, source.train.labels, strict=True)))}
    samples = {name: [(name, sets[name].train.paths[0])] for name in choice.targets}
    for entry in chosen:
        if entry.rank <= SHOWN:
            samples[entry.target].append((entry.label, first[source.classes.index(entry.source)]))
    return samples


def _indices(source: Domain, lists: Mapping[str, Sequence[Nearest]]) -> dict[str, list[int]]:
    place = {name: index for index, name in enumerate(source.classes)}
    return {name: sorted({place[entry.source] for entry in entries}) for name, entries in lists.items()}


def _families(source: Domain) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, name in enumerate(source.classes):
        found.setdefault(family_of(name), []).append(index)
    return found


def write_choice(choice: Choice, folder: Path) -> list[Path]:
    """Writes `<list>.csv` for each list, `similarity.csv`, `origin.json` and `classes.png`; returns their paths."""
    from l2sp.report.figures import classes  # matplotlib takes a second to import

    pictures = {
        name: [(label, load_image(path).permute(1, 2, 0).numpy()) for label, path in row]
        for name, row in choice.samples.items()
    }
    files: dict[str, str | bytes] = {
        f"{name}.csv": format_records(Nearest, entries) for name, entries in choice.lists.items()
    }
    files["similarity.csv"] = format_records(Similarity, choice.similarities)
    files["origin.json"] = json.dumps(choice.origin, indent=1) + "\n"
    files["classes.png"] = classes(pictures)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]
