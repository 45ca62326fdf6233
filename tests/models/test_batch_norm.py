"""Batch norm in fine-tuning: frozen statistics, their speed, and those that training fills anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from l2sp_suite.models.batch_norm import freeze_statistics, set_bn_momentum
from l2sp_suite.models.classifier import build_network
from l2sp_suite.pretrained import PretrainedWeights, load_pretrained
from l2sp_suite.utils.errors import UserError

STATISTICS = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
"""With the values of a new network."""


def of_another(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of these names and shapes with values that no new network has."""
    generator = torch.Generator().manual_seed(5)
    drawn = {n: torch.rand(t.shape, generator=generator) + 2 for n, t in state.items() if t.is_floating_point()}
    return {n: drawn.get(n, t + 7) for n, t in state.items()}


def check(state: dict[str, Tensor], w0: dict[str, Tensor]) -> None:
    """A network that began from `w0` has its weights, and new statistics."""
    for name, tensor in w0.items():
        initial = STATISTICS.get(name.rpartition(".")[2])
        assert torch.equal(state[name], tensor if initial is None else torch.full_like(tensor, initial)), name


def test_frozen_statistics_stay_and_are_used_in_training_while_scale_and_shift_learn() -> None:
    net = build_network("tf_efficientnet_lite0", 6, 1.0, 0.0, False, 64)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        net.train()(images)  # statistics that are not the initial ones
        before = {n: b.clone() for n, b in net.named_buffers()}
        tested = net.eval()(images)
    freeze_statistics(net)
    output = net.train()(images)
    torch.testing.assert_close(output, tested)
    output.sum().backward()
    assert all(torch.equal(b, before[n]) for n, b in net.named_buffers())
    assert net.get_parameter("bn1.weight").grad.any() and net.get_parameter("bn1.bias").grad.any()


def test_momentum_is_the_share_of_a_batch_in_the_statistics() -> None:
    net, batch = nn.Sequential(nn.BatchNorm1d(2)), torch.randn(8, 2) + 3
    set_bn_momentum(net, 0.25)
    net.train()(batch)
    torch.testing.assert_close(net[0].running_mean, 0.25 * batch.mean(0))


def two_norms() -> nn.ModuleDict:
    return nn.ModuleDict({"a": nn.BatchNorm2d(2), "b": nn.BatchNorm1d(3), "c": nn.Linear(3, 2)})


def test_statistics_that_are_not_loaded_are_reported_as_new() -> None:
    net = two_norms()
    w0 = of_another({n: t for n, t in net.state_dict().items() if n[0] in "ac"})
    report = load_pretrained(net, PretrainedWeights(w0, "", "test"), "fresh")
    assert set(report.loaded) == {"a.weight", "a.bias", "c.weight", "c.bias"} and not report.unused
    assert {"a.running_mean", "a.running_var"} <= set(report.missing)
    check(net.state_dict(), w0)


def test_a_frozen_norm_needs_statistics() -> None:
    net = two_norms()
    freeze_statistics(net["a"])
    w0 = of_another(net.state_dict())
    with pytest.raises(UserError, match=r"batch norm a uses .*task\.network\.frozen_bn=false") as caught:
        load_pretrained(net, PretrainedWeights(w0, "", "test"), "fresh")
    assert "\n" not in str(caught.value)
    others = {name: tensor for name, tensor in w0.items() if name[0] != "a"}
    load_pretrained(
        net, PretrainedWeights(others, "", "test"), "fresh"
    )  # weights of another part say nothing of that one
    check(net.state_dict(), others)
