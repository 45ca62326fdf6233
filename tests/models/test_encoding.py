"""The encoding layer against its definition."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sp_suite.models.encoding import Encoding


def direct(layer: Encoding, features: torch.Tensor) -> torch.Tensor:
    x = features.flatten(2).transpose(1, 2).unsqueeze(2)
    residuals = x - layer.codewords
    assigned = torch.softmax(layer.scales * residuals.square().sum(-1), dim=-1)
    return (assigned.unsqueeze(-1) * residuals).sum(1)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 6), st.tuples(st.integers(1, 4), st.integers(1, 4)))
@settings(deadline=None)
def test_encoding_is_its_definition(batch: int, channels: int, codes: int, size: tuple[int, int]) -> None:
    torch.manual_seed(batch + 10 * channels + 100 * codes)
    layer = Encoding(channels, codes).double()
    features = torch.randn(batch, channels, *size, dtype=torch.float64, requires_grad=True)
    ours, theirs = layer(features), direct(layer, features)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    leaves = (features, layer.codewords, layer.scales)
    weights = torch.randn_like(ours)
    gradients = (torch.autograd.grad((out * weights).sum(), leaves) for out in (ours, theirs))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_initialisation_and_permutation() -> None:
    torch.manual_seed(0)
    layer = Encoding(32, 8)
    assert layer.codewords.abs().max() <= 1 / 16 and layer.scales.min() >= -1 and layer.scales.max() <= 0
    features = torch.randn(2, 32, 3, 5)
    shuffled = features.flatten(2)[..., torch.randperm(15)].reshape(2, 32, 3, 5)
    torch.testing.assert_close(layer(features), layer(shuffled))


def test_under_autocast_it_stays_in_single_precision() -> None:
    torch.manual_seed(0)
    layer, features = Encoding(32, 8), torch.randn(2, 32, 3, 5)
    expected = layer(features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(features), expected)


_MEMORY = """
import resource, torch
from l2sp_suite.models.encoding import Encoding
torch.manual_seed(0)
layer = Encoding(512, 32)
layer(torch.randn(1, 512, 4, 4)).sum().backward()
features = torch.randn(4, 512, 60, 60, requires_grad=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
layer(features).square().sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes on Linux only")
def test_it_needs_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024  # the direct formula's residuals alone take 900 MB
