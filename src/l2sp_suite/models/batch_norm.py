"""Batch norm in fine-tuning: which statistics it normalises by, where they begin, and how fast they follow."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import Tensor, nn

from l2sp_suite.utils.errors import UserError

__all__ = ["freeze_statistics", "fresh_statistics", "set_bn_momentum"]


def freeze_statistics(model: nn.Module) -> None:
    """Make every batch norm use its running statistics in training too; its scale and shift still learn."""
    for _, module in _batch_norms(model):
        module.register_forward_pre_hook(_as_in_test)  # a hook, as model.train() undoes eval()


def set_bn_momentum(model: nn.Module, momentum: float) -> None:
    """Set the share in (0, 1] that each batch has in the running statistics: 1 minus slim's decay."""
    for _, module in _batch_norms(model):
        module.momentum = momentum


def fresh_statistics(model: nn.Module, names: Collection[str]) -> frozenset[str]:
    """Those of some names that are running statistics, for training to fill anew: means, variances, counts of batches.

    Raises:
        UserError: one of their batch norms is frozen, and would normalise by what no batch has filled.
    """
    found: set[str] = set()
    for place, module in _batch_norms(model):
        own = {name for name, _ in module.named_buffers(place)}.intersection(names)
        if own and _as_in_test in module._forward_pre_hooks.values():
            raise UserError(
                f"statistics=fresh: batch norm {place} uses its running statistics in training too, and nothing would "
                "fill them: load them, or give task.network.frozen_bn=false"
            )
        found |= own
    return frozenset(found)


def _batch_norms(model: nn.Module) -> Iterator[tuple[str, nn.modules.batchnorm._BatchNorm]]:
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield name, module


def _as_in_test(module: nn.Module, _: tuple[Tensor, ...]) -> None:
    module.training = False
