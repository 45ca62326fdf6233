"""A small network with gradients that depend on the step alone, and the loop that trains it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from l2sp import L2SP

ALPHA, BETA = 0.3, 0.05
SHARED = ("0.weight", "3.weight")
PENALISED = (*SHARED, "5.weight")


def net(seed: int, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 2, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 12 * 12, 5),
    ]
    return nn.Sequential(*layers).to(dtype)


def pretrained_of(model: nn.Module, *names: str) -> dict[str, Tensor]:
    """Other weights than the network's own, so that the pull is not zero at once."""
    generator = torch.Generator().manual_seed(7)
    state = model.state_dict()
    return {n: torch.randn(state[n].shape, generator=generator, dtype=state[n].dtype) for n in names}


def gradients(model: nn.Module, step: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(step)
    dtype = next(model.parameters()).dtype
    images = torch.randn(4, 3, 8, 8, generator=generator, dtype=dtype)
    labels = torch.randint(0, 5, (4,), generator=generator)
    (scale * nn.functional.cross_entropy(model(images), labels)).backward()


def run(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: range, extra: Callable[[], Tensor] | None = None
) -> None:
    for step in steps:
        optimizer.zero_grad()
        gradients(model, step)
        if extra is not None:
            extra().backward()
        optimizer.step()


def sgd(params: object, **options: object) -> torch.optim.SGD:
    return torch.optim.SGD(params, lr=0.05, momentum=0.9, **options)


def attached(model: nn.Module, pretrained: dict[str, Tensor], alpha: float = ALPHA, beta: float = BETA):
    penalty = L2SP(model, pretrained, alpha, beta)
    optimizer = sgd(penalty.param_groups(), fused=True)
    return penalty.attach(optimizer), optimizer


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def gap(a: nn.Module, b: nn.Module) -> float:
    return max((x - y).abs().max().item() for x, y in zip(a.parameters(), b.parameters(), strict=True))
