"""Inception-V3 against torchvision's own class, and the size rules against real forwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.inception import Inception3

from l2sp_suite.models.inception_v3 import MIN_INPUT, WIDTHS, aux_fits, inception_v3, mixed_6e_size
from l2sp_suite.utils.errors import UserError

THIN = 1 / 16


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Ours and torchvision's, from one seed."""
    torch.manual_seed(3)
    ours = inception_v3(1000)
    torch.manual_seed(3)
    theirs = Inception3(num_classes=1000, aux_logits=True, init_weights=True, dropout=0.2)
    return ours, theirs


@pytest.mark.slow
def test_width_one_is_torchvision_s_bit_by_bit(pair: tuple[nn.Module, nn.Module]) -> None:
    """Weights, evaluation, and training with the auxiliary head; statistics after it."""
    ours, theirs = (net.state_dict() for net in pair)
    assert list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    images = torch.rand(2, 3, 80, 80) * 2 - 1
    with torch.no_grad():
        assert torch.equal(*(net.eval()(images) for net in pair))
    images, outputs = torch.rand(2, 3, 299, 299) * 2 - 1, []
    for net in pair:
        torch.manual_seed(0)  # the same dropout
        with torch.no_grad():
            outputs.append(net.train()(images))
    assert torch.equal(outputs[0].logits, outputs[1].logits)
    assert torch.equal(outputs[0].aux_logits, outputs[1].aux_logits)
    statistics = ([b for _, b in net.named_buffers()] for net in pair)
    assert all(torch.equal(a, b) for a, b in zip(*statistics, strict=True))


@pytest.mark.slow
def test_published_settings(pair: tuple[nn.Module, nn.Module]) -> None:
    net = pair[0]
    assert sum(p.numel() for p in net.parameters()) == 27_161_264
    assert net.transform_input is False and net.dropout.p == 0.2
    assert {m.eps for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    counts = {m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)}
    assert all(c % 16 == 0 for c in counts) and any(c % 32 for c in counts)  # so 1/16 is the least width


@pytest.mark.slow
def test_quarter_width_has_a_quarter_of_every_channel_count(pair: tuple[nn.Module, nn.Module]) -> None:
    wide, convolutions = dict(pair[0].named_modules()), 0
    for name, narrow in inception_v3(7, width=0.25).named_modules():
        if isinstance(narrow, nn.Conv2d):
            convolutions += 1
            full = wide[name]
            inputs = 3 if full.in_channels == 3 else full.in_channels / 4
            assert (narrow.in_channels, narrow.out_channels) == (inputs, full.out_channels / 4), name
            assert all(getattr(narrow, key) == getattr(full, key) for key in ("kernel_size", "stride", "padding")), name
        elif isinstance(narrow, nn.Linear):
            assert (narrow.in_features, narrow.out_features) == (wide[name].in_features / 4, 7)
    assert convolutions == 96


@pytest.mark.parametrize("width", [pytest.param(w, marks=pytest.mark.slow) if w > 0.25 else w for w in WIDTHS if w < 1])
def test_every_width_gives_logits(width: float) -> None:
    net = inception_v3(5, width=width, input_size=MIN_INPUT).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 3, 75, 75)).shape == (2, 5)


def test_new_classifiers_spread_as_torchvision_s_do() -> None:
    net = inception_v3(400, width=0.25)
    assert net.fc.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert net.AuxLogits.fc.weight.std().item() == pytest.approx(0.001, rel=0.02)


@pytest.mark.parametrize(("size", "aux"), [(80, False), pytest.param(299, True, marks=pytest.mark.slow)])
def test_the_gradient_reaches_every_parameter(size: int, aux: bool) -> None:
    torch.manual_seed(0)
    net = inception_v3(4, width=THIN, input_size=size)
    output = net(torch.rand(4, 3, size, size))
    assert isinstance(output, tuple) is aux
    loss = output.logits.square().sum() + output.aux_logits.square().sum() if aux else output.square().sum()
    loss.backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_auxiliary_head_fits_exactly_where_torchvision_s_works() -> None:
    with torch.device("meta"):
        head = Inception3(num_classes=2, aux_logits=True, init_weights=False).AuxLogits.train()
    for size in (139, 187, 298, 299, 300, 315):
        features = torch.zeros(2, 768, *[mixed_6e_size(size)] * 2, device="meta")
        if aux_fits(size):
            assert head(features).shape == (2, 2)
        else:
            with pytest.raises((RuntimeError, ValueError)):
                head(features)
    assert not aux_fits(298) and aux_fits(299)


@pytest.mark.parametrize("size", [75, 80, 107, 298, 299])
def test_the_size_rule_is_the_size_of_the_map(size: int) -> None:
    net = inception_v3(2, width=THIN, input_size=size, aux=False).to("meta").eval()
    seen = []
    net.Mixed_6e.register_forward_hook(lambda _m, _i, output: seen.append(output.shape[-1]))
    net(torch.zeros(1, 3, size, size, device="meta"))
    assert seen == [mixed_6e_size(size)]


def test_without_room_the_auxiliary_head_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert inception_v3(2, width=THIN, aux=True, input_size=298).AuxLogits is None
    assert "298 px" in caplog.text
    assert inception_v3(2, width=THIN, aux=False, input_size=299).AuxLogits is None


def test_75_pixels_are_the_least() -> None:
    net = inception_v3(2, width=THIN, input_size=75).eval()
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, 74, 74))
    with pytest.raises(UserError, match="75 px or more, not 74"):
        inception_v3(2, width=THIN, input_size=74)


@pytest.mark.parametrize("width", [0.3, 0.75, 2.0, 1 / 32, 0.0, -1.0])
def test_a_width_that_does_not_divide_is_refused(width: float) -> None:
    with pytest.raises(UserError, match=r"allowed: 1, 0\.5, 0\.25, 0\.125, 0\.0625"):
        inception_v3(2, width=width)
