"""What to choose, from `configs/choice/` and a command line: typed, and checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config.compose import CONFIGS, compose, explain, leaves, scale_names, unknown_key
from l2sp_suite.config.limits import Limit, at_least, check, one_of, span, triple
from l2sp_suite.config.schema import PathsConfig, TrainConfig
from l2sp_suite.utils.errors import UserError

__all__ = ["ChoiceConfig", "FeaturesConfig", "load_choice"]

OTHERS = ("random", "least")
"""Lists as long as the chosen one, to compare it with."""


@dataclass
class FeaturesConfig:
    """The network whose features are compared, without its classifier.

    `network`: `inception_v3`, or a name of timm, with a tag or not. `source` of its weights: `timm`,
    `efficientnet_lite0` (packaged), or `file`, which is `file` below `paths.data`; `sha256`: of the weights, if known.
    `input_size` in pixels, `crop` (side of the central crop), `mean` and `std` of pixels in 0..1; null: those that the
    weights were published with. Images are resized bilinearly.
    """

    network: str = MISSING
    source: str = MISSING
    file: str | None = MISSING
    sha256: str | None = MISSING
    input_size: int | None = MISSING
    crop: float | None = MISSING
    mean: list[float] | None = MISSING
    std: list[float] | None = MISSING


@dataclass
class ChoiceConfig:
    """What to choose: `configs/choice/<name>.yaml`.

    `name`: of the list. `candidates`: the data set whose classes are chosen from, `targets`: those that they are to be
    near to, names of `configs/data/`. `k`: classes for each target, a number or a mapping by target. `others`: lists as
    long for comparison, `random` (drawn by `random_seed`) and `least`, the least similar. `gamma` of the similarity;
    candidates of fewer than `least_images` are left out. `batch_size`: images at once, decoded by `workers` processes.
    """

    name: str = MISSING
    scale: str = MISSING
    candidates: str = MISSING
    targets: list[str] = MISSING
    k: Any = MISSING
    others: list[str] = MISSING
    random_seed: int = MISSING
    gamma: float = MISSING
    least_images: int = MISSING
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    batch_size: int = MISSING
    workers: int = MISSING
    device: str = MISSING

    @property
    def k_of(self) -> Mapping[str, int]:
        """The number of classes for each target."""
        return self.k if isinstance(self.k, dict) else dict.fromkeys(self.targets, self.k)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number_or_numbers(value: Any) -> bool:
    return all(map(_whole, value.values())) if isinstance(value, DictConfig) else _whole(value)


_LIMITS: Mapping[str, Limit] = {
    "name": (
        lambda v: v.isidentifier() and v not in ("whole", "similarity", *OTHERS),
        f"letters, digits and underscores, and none of whole, similarity, {', '.join(OTHERS)}",
    ),
    "targets": (lambda v: len(v) > 0 and len(set(v)) == len(v), "data sets, each once, e.g. targets=[cub200]"),
    "k": (_number_or_numbers, "a whole number above 0, or one for each target, e.g. 'k={cub200: 5, food101: 3}'"),
    "others": (lambda v: set(v) <= set(OTHERS) and len(set(v)) == len(v), f"some of {', '.join(OTHERS)}, or []"),
    "random_seed": at_least(0),
    "gamma": span(0, ends="(]"),
    "least_images": at_least(1),
    "features.source": one_of("timm", "efficientnet_lite0", "file"),
    "features.input_size": at_least(1),
    "features.crop": span(0, 1, "(]"),
    "features.mean": triple(-1),
    "features.std": triple(0),
    "batch_size": at_least(1),
    "workers": at_least(0),
    "device": one_of("auto", "cpu", "cuda"),
}
_PATHS = frozenset(leaves(PathsConfig, "paths."))
KEYS = frozenset(leaves(ChoiceConfig)) | _PATHS
"""Every key that may be given on the command line, beside `choice` itself."""


def load_choice(arguments: Sequence[str]) -> tuple[ChoiceConfig, TrainConfig]:
    """The choice that some overrides name, and a configuration with its scale and folders (`paths.*`).

    `choice=<name>` takes another file than `configs/choice/mini.yaml`; every other override, in Hydra's grammar, sets a
    key of `ChoiceConfig`, or of `paths`.

    Raises:
        UserError: no such choice or key, or a value that it cannot have.
    """
    given = _parsed(arguments)
    name = str(given.pop("choice", "mini"))
    path = CONFIGS / "choice" / f"{name}.yaml"
    for key in sorted(given.keys() - KEYS):
        raise unknown_key(key, KEYS)
    if not path.exists():
        known = sorted(one.stem for one in path.parent.glob("*.yaml"))
        raise UserError(f"no choice '{name}' in {path.parent}: use one of {', '.join(known)}")
    try:
        node = OmegaConf.merge(OmegaConf.structured(ChoiceConfig), OmegaConf.load(path))
        for key in given.keys() - _PATHS:
            OmegaConf.update(node, key, given[key], merge=False)  # a mapping replaces the file's
        choice = cast(ChoiceConfig, OmegaConf.to_object(node))
    except OmegaConfBaseException as error:
        raise explain(error, KEYS) from error
    check(node, _LIMITS)
    if choice.k is None:  # the one key whose type admits it
        raise UserError(f"k=null: give {_LIMITS['k'][1]}")
    if choice.candidates in choice.targets:
        raise UserError(
            f"{choice.candidates} is a target and gives the candidates: nothing is nearer to it than itself"
        )
    if odd := sorted(set(choice.k_of) ^ set(choice.targets)):
        raise UserError(f"{odd[0]} is in one of targets and k only: give each target its number of classes")
    if choice.scale not in scale_names():
        raise UserError(f"scale={choice.scale}: use one of {', '.join(scale_names())}")
    paths = [text for text in arguments if text.partition("=")[0] in _PATHS]
    return choice, compose(["experiment=dstl_cub200", f"scale={choice.scale}", *paths])


def _parsed(arguments: Sequence[str]) -> dict[str, Any]:
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise explain(error) from error
    for one in overrides:
        if one.type is not OverrideType.CHANGE or one.is_sweep_override():
            raise UserError(f"{one.input_line}: give one value, as key=value")
    return {one.key_or_group: one.value() for one in overrides}
