"""Networks by name, the names of their heads, and their outputs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision.models.inception import InceptionOutputs

from l2sp_suite.models.batch_norm import freeze_statistics
from l2sp_suite.models.classifier import build_network, head_prefixes, logits_of, zero_head
from l2sp_suite.utils.errors import UserError


def test_inception_by_name():
    net = build_network("inception_v3", 6, 1 / 16, 0.2, True, 80)
    assert type(net).__name__ == "Inception3"
    assert net.fc.out_features == 6


def test_a_timm_network_by_name():
    net = build_network("tf_efficientnet_lite0", 6, 1.0, 0.3, True, 64)
    assert net.drop_rate == 0.3
    with torch.no_grad():
        logits, aux = logits_of(net.eval()(torch.zeros(1, 3, 64, 64)))
    assert logits.shape == (1, 6)
    assert aux is None


@pytest.mark.parametrize(
    ("name", "head"),
    [("tf_efficientnet_lite0", "classifier."), ("resnet18", "fc."), ("convnext_atto", "head.fc.")],
)
def test_heads_are_what_timm_calls_the_classifier(name, head):
    net = build_network(name, 3, 1.0, 0.0, False, 64)
    assert head_prefixes(net) == (head,)
    assert net.get_parameter(f"{head}weight").shape[0] == 3
    assert net.default_cfg["classifier"] + "." == head  # timm's own table as the oracle


def test_a_distilled_network_has_two_heads():
    net = build_network("deit_tiny_distilled_patch16_224", 3, 1.0, 0.0, False, 224)
    assert head_prefixes(net) == ("head.", "head_dist.")


def test_the_head_of_inception_is_what_the_published_code_does_not_restore():
    net = build_network("inception_v3", 6, 1 / 16, 0.2, True, 299)
    prefixes = head_prefixes(net)
    assert prefixes == ("fc.", "AuxLogits.")
    new = [n for n, _ in net.named_parameters() if n.startswith(prefixes)]
    assert len(new) == 2 + 2 * 3 + 2  # classifier; two convolutions with batch norm; auxiliary classifier


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 299), ("tf_efficientnet_lite0", 64)])
def test_a_zero_head_gives_every_class_the_same_logit_and_still_learns(name, size):
    net = build_network(name, 6, 1 / 16 if name == "inception_v3" else 1.0, 0.0, True, size)
    zero_head(net)
    logits, aux = logits_of(net(torch.randn(2, 3, size, size)))
    for output in (logits, aux) if name == "inception_v3" else (logits,):
        assert not output.any()
        torch.nn.functional.cross_entropy(output, torch.tensor([0, 1])).backward(retain_graph=True)
    changed = [n for n, p in net.named_parameters() if p.grad is not None and p.grad.any()]
    assert {n.rsplit(".", 1)[0] for n in changed} == ({"fc", "AuxLogits.fc"} if aux is not None else {"classifier"})


def test_frozen_statistics_stay_and_are_used_in_training_while_scale_and_shift_learn():
    net = build_network("tf_efficientnet_lite0", 6, 1.0, 0.0, False, 64)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        net.train()(images)  # statistics that are not the initial ones
        before = {n: b.clone() for n, b in net.named_buffers()}
        in_test = net.eval()(images)
    freeze_statistics(net)
    output = net.train()(images)
    torch.testing.assert_close(output, in_test)
    output.sum().backward()
    assert all(torch.equal(b, before[n]) for n, b in net.named_buffers())
    assert net.get_parameter("bn1.weight").grad.any()
    assert net.get_parameter("bn1.bias").grad.any()


def test_a_network_without_a_classifier_is_refused():
    with pytest.raises(UserError, match="Linear does not say"):
        head_prefixes(nn.Linear(2, 2))
    headless = nn.Module()
    headless.get_classifier = nn.Identity
    with pytest.raises(UserError, match="none of its layers"):
        head_prefixes(headless)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("tf_eficientnet_lite0", "tf_efficientnet_lite0"),
        ("inception_v33", "inception_v3"),
        ("resnet19", "resnet18"),
    ],
)
def test_an_unknown_name_lists_near_ones(name, near):
    with pytest.raises(UserError) as caught:
        build_network(name, 2, 1.0, 0.0, False, 80)
    assert name in str(caught.value)
    assert near in str(caught.value).split("nearest: ")[1].split(", ")


@pytest.mark.parametrize("name", ["qqqqqqqqqqqq", "hf-hub:timm/resnet18", ""])
def test_a_name_that_resembles_nothing(name):
    with pytest.raises(UserError, match="no network is called"):
        build_network(name, 2, 1.0, 0.0, False, 80)


def test_a_tag_that_timm_does_not_have():
    with pytest.raises(UserError, match=r"resnet18\.no_such_tag"):
        build_network("resnet18.no_such_tag", 2, 1.0, 0.0, False, 80)


def test_a_width_is_for_inception_and_resnets_only():
    with pytest.raises(UserError, match=r"0\.5 is for inception_v3 and ResNets"):
        build_network("tf_efficientnet_lite0", 2, 0.5, 0.0, False, 80)
    half, whole = (build_network("resnet18", 2, width, 0.0, False, 80) for width in (0.5, 1.0))
    assert 2 * half.fc.in_features == whole.fc.in_features


def test_logits_of_both_kinds_of_output():
    main, aux = torch.zeros(2, 3), torch.ones(2, 3)
    assert logits_of(main) == (main, None)
    assert logits_of(InceptionOutputs(main, aux)) == (main, aux)
    assert logits_of(InceptionOutputs(main, None)) == (main, None)


def test_importing_the_module_does_not_import_timm():
    code = "import sys, l2sp_suite.models.classifier, l2sp_suite.pretrained.load; print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
