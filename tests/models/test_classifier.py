"""Classifiers by name, the names of their heads, and their outputs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.inception import InceptionOutputs

from l2sp_suite.models.classifier import build_network, head_prefixes, logits_of, without_head, zero_head
from l2sp_suite.utils.errors import UserError

THIN = 1 / 16


def test_a_timm_network_by_name() -> None:
    net = build_network("tf_efficientnet_lite0", 6, 1.0, 0.3, True, 64)
    assert net.drop_rate == 0.3
    with torch.no_grad():
        logits, aux = logits_of(net.eval()(torch.zeros(1, 3, 64, 64)))
    assert logits.shape == (1, 6) and aux is None


@pytest.mark.parametrize(
    ("name", "head"),
    [("tf_efficientnet_lite0", "classifier."), ("resnet18", "fc."), ("convnext_atto", "head.fc.")],
)
def test_heads_are_what_timm_calls_the_classifier(name: str, head: str) -> None:
    net = build_network(name, 3, 1.0, 0.0, False, 64)
    assert head_prefixes(net) == (head,)
    assert net.get_parameter(f"{head}weight").shape[0] == 3
    assert net.default_cfg["classifier"] + "." == head  # timm's own table as the oracle


@pytest.mark.slow
def test_a_distilled_network_has_two_heads() -> None:
    net = build_network("deit_tiny_distilled_patch16_224", 3, 1.0, 0.0, False, 224)
    assert head_prefixes(net) == ("head.", "head_dist.")


def test_the_head_of_inception_is_what_the_published_code_does_not_restore() -> None:
    """docs/protocols/dstl.md#fine-tuning: every variable without "Logits" in its name is restored."""
    net = build_network("inception_v3", 6, THIN, 0.2, True, 299)
    assert type(net).__name__ == "Inception3" and net.fc.out_features == 6
    assert head_prefixes(net) == ("fc.", "AuxLogits.")
    new = [n for n, _ in net.named_parameters() if n.startswith(head_prefixes(net))]
    assert len(new) == 2 + 2 * 3 + 2  # classifier; two convolutions with batch norm; auxiliary classifier


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 299), ("tf_efficientnet_lite0", 64)])
def test_a_zero_head_gives_every_class_the_same_logit_and_still_learns(name: str, size: int) -> None:
    net = build_network(name, 6, THIN if name == "inception_v3" else 1.0, 0.0, True, size)
    zero_head(net)
    logits, aux = logits_of(net(torch.randn(2, 3, size, size)))
    for output in (logits, aux) if name == "inception_v3" else (logits,):
        assert not output.any()
        F.cross_entropy(output, torch.tensor([0, 1])).backward(retain_graph=True)
    changed = [n for n, p in net.named_parameters() if p.grad is not None and p.grad.any()]
    assert {n.rsplit(".", 1)[0] for n in changed} == ({"fc", "AuxLogits.fc"} if aux is not None else {"classifier"})


@pytest.mark.parametrize(("name", "width", "features"), [("inception_v3", THIN, 128), ("resnet18", 0.25, 128)])
def test_without_its_head_a_network_gives_features(name: str, width: float, features: int) -> None:
    net = without_head(build_network(name, 6, width, 0.0, True, 299)).eval()
    with torch.no_grad():
        assert logits_of(net(torch.zeros(1, 3, 96, 96)))[0].shape == (1, features)


@pytest.mark.parametrize("refused", [head_prefixes, zero_head, without_head])
def test_a_network_that_does_not_say_its_classifier_is_refused(refused) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="Linear does not say"):
        refused(nn.Linear(2, 2))


def test_a_classifier_that_is_no_layer_is_refused() -> None:
    headless = nn.Module()
    headless.get_classifier = nn.Identity
    with pytest.raises(UserError, match="none of its layers"):
        head_prefixes(headless)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_eficientnet_lite0", "'tf_eficientnet_lite0'; nearest: .*tf_efficientnet_lite0"),
        ("inception_v33", r"'inception_v33'; nearest: (.*, )?inception_v3(,|$)"),
        ("resnet19", r"'resnet19'; nearest: .*resnet18"),
        ("qqqqqqqqqqqq", "no network is called"),
        ("hf-hub:timm/resnet18", "no network is called"),
        ("", "no network is called"),
        ("resnet18.no_such_tag", r"resnet18\.no_such_tag"),
        ("vit_tiny_patch16_224", "does not take images of 80 px"),
    ],
)
def test_names_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network(name, 2, 1.0, 0.0, False, 80)


def test_a_width_is_for_inception_and_resnets_only() -> None:
    with pytest.raises(UserError, match=r"0\.5 is for inception_v3 and ResNets"):
        build_network("tf_efficientnet_lite0", 2, 0.5, 0.0, False, 80)
    half, whole = (build_network("resnet18", 2, width, 0.0, False, 80) for width in (0.5, 1.0))
    assert 2 * half.fc.in_features == whole.fc.in_features


def test_logits_of_both_kinds_of_output() -> None:
    main, aux = torch.zeros(2, 3), torch.ones(2, 3)
    assert logits_of(main) == (main, None)
    assert logits_of(InceptionOutputs(main, aux)) == (main, aux)
    assert logits_of(InceptionOutputs(main, None)) == (main, None)


@pytest.mark.slow
def test_importing_the_module_does_not_import_timm() -> None:
    code = "import sys, l2sp_suite.models.classifier, l2sp_suite.pretrained.load; print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
