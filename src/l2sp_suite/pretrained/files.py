"""Files of named tensors: written whole, read with suspicion, and their checksums."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["Tensors", "check_sum", "check_values", "file_sha256", "read_weights", "save_weights", "shortened",
           "tensors_sha256"]  # fmt: skip

_log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]


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
    """Writes tensors, and notes, to a safetensors file: the whole file or none."""
    from safetensors.torch import save

    # safetensors refuses shared and strided memory, and channels_last weights are strided
    plain = {
        name: tensor.detach().to("cpu", copy=True).clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_atomically(path, save(plain, notes))


def read_weights(path: Path, sha256: str | None = None) -> tuple[Tensors, str]:
    """Tensors and checksum of a .safetensors, .pt or .pth file.

    A torch file may hold them as they are, or under `state_dict` or `model` as a training checkpoint does.

    Raises:
        UserError: no such file, another checksum than `sha256` (compared before anything is parsed), or a damaged file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of pre-trained weights; make it or correct the path")
    reader = _READERS.get(path.suffix if not path.name.endswith(".pth.tar") else ".pth")
    if reader is None:
        raise UserError(f"{path}: pre-trained weights are read from {', '.join(_READERS)} files")
    actual = file_sha256(path)
    check_sum(str(path), actual, sha256)
    try:
        return reader(path), actual
    except UserError:
        raise
    except Exception as error:  # each reader has its own zoo of errors for a damaged file
        reason = str(error).split("\n", 1)[0][:120]
        raise UserError(f"{path}: damaged or not a weight file ({reason}); fetch it again") from error


def _read_torch(path: Path) -> Tensors:
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path}: holds no table of named tensors; give a file with a state_dict")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _read_safetensors(path: Path) -> Tensors:
    from safetensors.torch import load_file

    return dict(load_file(path))


_READERS: dict[str, Callable[[Path], Tensors]] = {
    ".safetensors": _read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
}


def check_sum(origin: str, actual: str, expected: str | None) -> None:
    """Refuses weights whose SHA-256 is not the expected one (None: whatever it is).

    Raises:
        UserError: the checksums differ.
    """
    if expected is not None and actual != expected.lower():
        raise UserError(f"{origin}: sha256 is {actual}, expected {expected}; fetch it again or correct the key")


def check_values(origin: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuses what no trained network holds, and logs vectors of zeros, which may be a bias or a hole.

    Raises:
        UserError: NaN or infinity, or a matrix or kernel of zeros.
    """
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    for name, tensor in floats.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{origin}: tensor {name} holds NaN or infinity; nothing can be trained from it")
    zeros = [name for name, tensor in floats.items() if not bool(tensor.any())]
    for name in zeros:
        if floats[name].ndim >= 2:
            raise UserError(f"{origin}: weight {name} is all zeros: untrained or damaged")
    if zeros:
        _log.warning("%s: %d tensors are all zeros: %s", origin, len(zeros), shortened(zeros))


def shortened(names: list[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
