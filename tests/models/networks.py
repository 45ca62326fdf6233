"""What tests of networks share: shapes that layers give, norms as after training, counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def watch(modules: Mapping[str, nn.Module], inputs: bool = False) -> dict[str, Any]:
    """Fills with what each module gives, or is given, in the next forward pass."""
    seen: dict[str, Any] = {}
    for name, module in modules.items():
        if inputs:
            module.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
        else:
            module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    return seen


def shapes(seen: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Without the batch."""
    return {name: tuple(out.shape[1:]) for name, out in seen.items()}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def random_norms(net: nn.Module, spread: float = 0.5) -> None:
    """As after training, so that statistics, scales and shifts matter and no residual branch is switched off."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 0.5 + 2 * spread)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -spread, spread)


def without(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
