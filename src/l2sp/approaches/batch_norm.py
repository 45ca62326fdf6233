"""Batch norm in fine-tuning: which statistics it normalises by, and how fast they follow."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

__all__ = ["freeze_statistics", "set_bn_momentum"]


def freeze_statistics(model: nn.Module) -> None:
    """Make every batch norm use its running statistics in training too; its scale and shift still learn."""
    for module in _batch_norms(model):
        module.register_forward_pre_hook(_as_in_test)  # a hook, as model.train() undoes eval()


def set_bn_momentum(model: nn.Module, momentum: float) -> None:
    """Set the share in (0, 1] that each batch has in the running statistics: 1 minus the decay of protocol 3.1."""
    for module in _batch_norms(model):
        module.momentum = momentum


def _batch_norms(model: nn.Module) -> Iterator[nn.modules.batchnorm._BatchNorm]:
    return (module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))


def _as_in_test(module: nn.Module, _: tuple[Tensor, ...]) -> None:
    module.training = False
