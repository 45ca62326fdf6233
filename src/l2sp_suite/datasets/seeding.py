"""Seeds as pure functions of a key, so that order and augmentation never depend on history."""

from __future__ import annotations

import struct
from hashlib import blake2b

import torch

__all__ = ["derive_seed", "permutation"]


def derive_seed(*key: int) -> int:
    """Return a seed in [0, 2**63) that depends on `key` (64-bit integers) alone.

    Hashed, because sums like seed + epoch collide, and neighbouring seeds can give related streams.
    """
    digest = blake2b(struct.pack(f"<{len(key)}q", *key), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def permutation(size: int, *key: int) -> list[int]:
    """Return a random permutation of range(size), a pure function of `key`."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(derive_seed(*key))).tolist()
