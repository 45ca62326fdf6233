"""Configuration of a source selection: `configs/source_selection/<name>.yaml` and overrides, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config import (
    CONFIGS,
    Check,
    PathsConfig,
    ScaleConfig,
    at_least,
    check,
    explain,
    key,
    leaves,
    one_of,
    read_overrides,
    scale_names,
    span,
    triple,
    unknown_key,
)
from l2sp_suite.utils.errors import UserError

__all__ = ["FeaturesConfig", "SelectionConfig", "load_selection"]

_BASELINES = ("random", "least")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_NAME = Check(
    lambda v: v.isidentifier() and v not in ("whole", "similarity", *_BASELINES),
    f"letters, digits and underscores, and none of whole, similarity, {', '.join(_BASELINES)}",
)
_TARGETS = Check(lambda v: len(v) > 0 and len(set(v)) == len(v), "data sets, each once, e.g. targets=[cub200]")
_K = Check(
    lambda v: all(map(_is_count, v.values())) if isinstance(v, dict) else _is_count(v),
    "a whole number above 0, or one for each target, e.g. 'k={cub200: 5, food101: 3}'",
)
_SOME_BASELINES = Check(
    lambda v: set(v) <= set(_BASELINES) and len(set(v)) == len(v), f"some of {', '.join(_BASELINES)}, or []"
)


@dataclass
class FeaturesConfig:
    """The network, without its classifier, whose features are compared; images are resized bilinearly."""

    network: str = key("inception_v3, or a name of timm, with a tag or without")
    source: str = key(
        "where its weights come from: timm, a package, or a file", one_of("timm", "efficientnet_lite0", "file")
    )
    file: str | None = key("of file: the path below paths.data")
    sha256: str | None = key("expected checksum of the weights; null checks nothing")
    input_size: int | None = key("side of the input in pixels; null: as the weights were published", at_least(1))
    crop: float | None = key("central share of both sides; null: as published", span(0, 1, "(]"))
    mean: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(-1))
    std: list[float] | None = key("per channel on [0, 1]; null: as the weights were published", triple(0))


@dataclass
class SelectionConfig:
    """A source selection: which classes are taken from, for which targets, how many, by which features."""

    name: str = key("name of the list of selected classes", _NAME)
    scale: str = key("mini, small or paper")
    candidates: str = key("data set whose classes are selected from, as in configs/data")
    targets: list[str] = key("data sets that they are to be near to", _TARGETS)
    k: Any = key("classes for each target: a number, or a mapping by target", _K)
    baselines: list[str] = key(
        "lists as long, to compare with: random classes, or the least similar ones", _SOME_BASELINES
    )
    random_seed: int = key("seed of the random list", at_least(0))
    gamma: float = key("of the similarity exp(-gamma EMD)", span(0, ends="(]"))
    least_images: int = key("candidates with fewer training images are left out", at_least(1))
    features: FeaturesConfig = MISSING
    batch_size: int = key("images at once", at_least(1))
    workers: int = key("processes that decode", at_least(0))
    device: str = key("auto, cpu or cuda", one_of("auto", "cpu", "cuda"))
    paths: PathsConfig = MISSING

    @property
    def k_of(self) -> Mapping[str, int]:
        """The number of classes for each target."""
        return self.k if isinstance(self.k, dict) else dict.fromkeys(self.targets, self.k)

    def read_scale(self) -> ScaleConfig:
        """The scale's configuration."""
        node = OmegaConf.merge(
            OmegaConf.structured(ScaleConfig), OmegaConf.load(CONFIGS / "scale" / f"{self.scale}.yaml")
        )
        return cast(ScaleConfig, OmegaConf.to_object(node))


_KEYS = frozenset(leaves(SelectionConfig))


def load_selection(arguments: Sequence[str]) -> SelectionConfig:
    """The selection that some overrides name.

    `selection=<name>` takes another file than `configs/source_selection/mini.yaml`; every other override, in Hydra's
    grammar, sets a key of `SelectionConfig`. Folders (`paths.*`) are those of runs unless given.

    Raises:
        UserError: no such selection or key, or a value that it cannot have.
    """
    values = read_overrides(arguments)
    name = str(values.pop("selection", "mini"))
    for unknown in sorted(values.keys() - _KEYS):
        raise unknown_key(unknown, _KEYS)
    path = CONFIGS / "source_selection" / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise UserError(f"no selection '{name}' in {path.parent}: use one of {known}")
    folders = OmegaConf.load(CONFIGS / "train.yaml").paths
    try:
        node = OmegaConf.merge(OmegaConf.structured(SelectionConfig), {"paths": folders}, OmegaConf.load(path))
        for dotted, value in values.items():
            OmegaConf.update(node, dotted, value, merge=False)  # a mapping replaces the file's
        selection = cast(SelectionConfig, OmegaConf.to_object(node))
    except OmegaConfBaseException as error:
        raise explain(error, _KEYS) from error
    _check(selection)
    return selection


def _check(selection: SelectionConfig) -> None:
    check(selection)
    if selection.k is None:  # the one key whose type admits it
        raise UserError(f"k=null: give {_K.words}")
    if selection.candidates in selection.targets:
        raise UserError(
            f"{selection.candidates} is a target and gives the candidates: nothing is nearer to it than itself"
        )
    if odd := sorted(set(selection.k_of) ^ set(selection.targets)):
        raise UserError(f"{odd[0]} is in one of targets and k only: give each target its number of classes")
    if selection.scale not in scale_names():
        raise UserError(f"scale={selection.scale}: use one of {', '.join(scale_names())}")
