"""Which parameters are shared, new and exempt."""

import math

import pytest
import torch
from nets import ALPHA, BETA, PENALISED, SHARED, net, pretrained_of
from torch import nn

from l2sp import L2SP
from l2sp.partition import partition


def test_partition_by_layer_name_and_shape() -> None:
    model = net(0)
    pretrained = {**model.state_dict(), "5.weight": torch.ones(576, 5), "unused.weight": torch.ones(1)}
    with pytest.warns(UserWarning, match=r"5\.weight: pre-trained with shape \(576, 5\), here \(5, 576\)") as caught:
        sets = L2SP(model, pretrained, ALPHA, BETA).partition
    assert caught[0].filename == __file__
    assert tuple(sets.shared) == SHARED and tuple(sets.new) == ("5.weight",)
    assert set(sets.exempt) == {"1.weight", "1.bias", "3.bias", "5.bias"}
    assert sets.counts() == {"shared": 162 + 96, "new": 2880, "exempt": 6 + 6 + 4 + 5}
    assert str(sets).startswith("shared 258 in 2 tensors, new 2,880 in 1 tensors, exempt 21 in 4 tensors; 5.weight: ")
    assert str(sets).endswith("here (5, 576), counted as new")


def test_partition_of_all_exempts_nothing() -> None:
    model = net(0)
    pretrained = {
        **model.state_dict(),
        "3.bias": torch.ones(5),
        "1.bias": torch.zeros(6),
        "0.weight": torch.zeros(6, 3, 3, 3),
    }
    del pretrained["5.bias"]
    sets = partition(model, pretrained, "all")
    assert set(sets.shared) == {*PENALISED, "1.weight", "1.bias"}
    assert set(sets.new) == {"3.bias", "5.bias"} and not sets.exempt
    assert tuple(sets.mismatched) == ("3.bias",)
    assert sets.zeros == ("0.weight",)  # a bias may honestly be zero
    assert "0.weight: pre-trained weights are all zero" in str(sets)


def test_every_kind_of_convolution_and_linear_layer_is_penalised_and_nothing_else() -> None:
    convolutions = [getattr(nn, f"Conv{kind}{d}d")(2, 2, 1) for kind in ("", "Transpose") for d in (1, 2, 3)]
    others = [nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.Embedding(3, 2), nn.PReLU(), nn.BatchNorm1d(2)]
    model = nn.ModuleList([*convolutions, nn.Linear(2, 2), *others])
    assert list(partition(model, {}).new) == [f"{i}.weight" for i in range(7)]


def test_a_tied_weight_is_penalised_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert list(partition(model, {"0.weight": torch.ones(2, 2)}).shared) == ["0.weight"]


@pytest.mark.parametrize("penalize,name", [("weights", "3.weight"), ("all", "1.bias")])
@pytest.mark.parametrize("damage", [math.nan, math.inf])
def test_damaged_weights_are_refused_by_name(penalize: str, name: str, damage: float) -> None:
    model = net(0)
    pretrained = {**pretrained_of(model, *SHARED, "1.bias")}
    pretrained[name].view(-1)[0] = damage
    with pytest.raises(ValueError, match=f"{name} holds NaN"):
        partition(model, pretrained, penalize)


def test_damage_in_a_tensor_that_is_not_used_is_no_error() -> None:
    pretrained = {**pretrained_of(net(0), *SHARED), "1.bias": torch.full((6,), math.nan)}
    assert list(partition(net(0), pretrained).shared) == list(SHARED)


@pytest.mark.parametrize(
    "pretrained,penalize,reason",
    [
        ({"module.0.weight": torch.ones(6, 3, 3, 3)}, "weights", r"0\.weight \(nearest: module\.0\.weight\)"),
        ({"0.weight": torch.ones(6, 3, 3, 3)}, "biases", "weights, all, got 'biases'"),
    ],
)
def test_wrong_calls_are_refused(pretrained: dict[str, torch.Tensor], penalize: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        partition(net(0), pretrained, penalize)
