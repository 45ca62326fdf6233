"""The penalty against closed forms and autograd of equation 3."""

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from l2sp import StartingPoint
from l2sp import penalty as starting_point

ALPHA, BETA = 0.3, 0.05


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


def start_of(model: nn.Module, *shared: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    state = model.state_dict()
    return {n: torch.randn(state[n].shape, generator=generator, dtype=state[n].dtype) for n in shared}


def gradients(model: nn.Module, step: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(step)
    dtype = next(model.parameters()).dtype
    images = torch.randn(4, 3, 8, 8, generator=generator, dtype=dtype)
    labels = torch.randint(0, 5, (4,), generator=generator)
    (scale * nn.functional.cross_entropy(model(images), labels)).backward()


def run(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: range,
    extra: Callable[[], Tensor] | None = None,
) -> None:
    for step in steps:
        optimizer.zero_grad()
        gradients(model, step)
        if extra is not None:
            extra().backward()
        optimizer.step()


def attached(model: nn.Module, start: dict[str, Tensor], alpha: float = ALPHA, beta: float = BETA, **sgd: object):
    sp = StartingPoint(model, start, alpha, beta)
    optimizer = torch.optim.SGD(sp.param_groups(), lr=0.05, momentum=0.9, **sgd)
    sp.attach(optimizer)
    return sp, optimizer


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


SHARED = ("0.weight", "3.weight")


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    "scope,shared",
    [
        *(("weights", each) for each in (("0.weight",), ("3.weight",), ("5.weight",), SHARED, (*SHARED, "5.weight"))),
        *(("all", each) for each in (("1.bias",), SHARED, ("0.weight", "1.weight", "1.bias", "3.bias"))),
    ],
)
def test_trajectory_is_that_of_autograd_of_equation_3(scope: str, shared: tuple[str, ...], fused: bool) -> None:
    ours, theirs = net(0), net(0)
    start = start_of(ours, *shared)
    sp = StartingPoint(ours, start, ALPHA, BETA, scope)
    optimizer = torch.optim.SGD(sp.param_groups(), lr=0.05, momentum=0.9, fused=fused)
    sp.attach(optimizer)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)

    def omega() -> Tensor:
        penalised = (*SHARED, "5.weight") if scope == "weights" else list(dict(theirs.named_parameters()))
        weights = {n: p for n, p in theirs.named_parameters() if n in penalised}
        pulled = sum(((p - start[n]) ** 2).sum() for n, p in weights.items() if n in start)
        shrunk = sum(((p**2).sum() for n, p in weights.items() if n not in start), torch.zeros((), dtype=torch.float64))
        return ALPHA / 2 * pulled + BETA / 2 * shrunk

    run(ours, optimizer, range(20))
    run(theirs, reference, range(20), omega)
    gap = max((a - b).abs().max().item() for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert gap < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_start_is_weight_decay_bitwise(dtype: torch.dtype) -> None:
    ours, theirs = net(0, dtype), net(0, dtype)
    zeros = {n: torch.zeros_like(t) for n, t in start_of(ours, *SHARED).items()}
    with pytest.warns(UserWarning, match="zero throughout"):
        sp, optimizer = attached(ours, zeros, fused=True)
    assert sp.partition.zeros == SHARED
    plain = StartingPoint(theirs, start_of(theirs, *SHARED), ALPHA, BETA)
    run(ours, optimizer, range(10))
    run(theirs, torch.optim.SGD(plain.param_groups(), lr=0.05, momentum=0.9, fused=True), range(10))
    assert same(ours, theirs)


def test_zero_start_of_all_is_weight_decay_of_every_parameter_bitwise() -> None:
    ours, theirs = net(0), net(0)
    zeros = {n: torch.zeros_like(p) for n, p in ours.named_parameters()}
    with pytest.warns(UserWarning, match="zero throughout") as caught:
        sp = StartingPoint(ours, zeros, ALPHA, BETA, "all")
    assert sp.partition.zeros == (*SHARED, "5.weight") and len(caught) == 3  # biases may be zero
    optimizer = torch.optim.SGD(sp.param_groups(), lr=0.05, momentum=0.9, fused=True)
    sp.attach(optimizer)
    run(ours, optimizer, range(10))
    plain = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9, weight_decay=ALPHA, fused=True)
    run(theirs, plain, range(10))
    assert same(ours, theirs)


def test_zero_coefficients_are_no_decay_bitwise() -> None:
    ours, theirs = net(0), net(0)
    sp, optimizer = attached(ours, start_of(ours, *SHARED), alpha=0.0, beta=0.0)
    run(ours, optimizer, range(10))
    run(theirs, torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9), range(10))
    assert same(ours, theirs) and sp.penalty() == 0.0


def test_hook_is_one_foreach_add_and_allocates_nothing() -> None:
    model = net(0, torch.float32)
    sp, _ = attached(model, start_of(model, *SHARED))
    gradients(model, 0)
    with torch.profiler.profile(profile_memory=True) as profile:
        sp._pull()
    events = {e.key: e for e in profile.key_averages()}
    assert events["aten::_foreach_add_"].count == 1
    assert set(events) <= {"aten::_foreach_add_", "aten::add_", "[memory]"}  # add_ is its inside on the CPU
    assert sum(e.self_cpu_memory_usage for e in events.values()) == 0


@pytest.mark.parametrize("attach", [True, False])
def test_parameters_without_gradient_are_left_alone(attach: bool) -> None:
    model = net(0)
    sp = StartingPoint(model, start_of(model, *SHARED), ALPHA, BETA)
    optimizer = torch.optim.SGD(sp.param_groups(), lr=0.05, momentum=0.9)
    if attach:
        sp.attach(optimizer)
    model[0].requires_grad_(False)
    model[5].requires_grad_(False)
    frozen = [model[0].weight.clone(), model[5].weight.clone()]
    moving = model[3].weight.clone()
    run(model, optimizer, range(3))
    assert torch.equal(frozen[0], model[0].weight) and torch.equal(frozen[1], model[5].weight)
    assert not torch.equal(moving, model[3].weight)


def test_mixed_dtypes_are_pulled_once_each() -> None:
    model = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3).to(torch.bfloat16), nn.Linear(3, 3).to(torch.float64)])
    start = {n: torch.ones_like(p) for n, p in model.named_parameters() if n.endswith("weight")}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    sp = StartingPoint(model, start, alpha=0.5, beta=0.0)
    optimizer = torch.optim.SGD(sp.param_groups(), lr=1.0)
    sp.attach(optimizer)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        wanted = before[name] - 0.5 * (before[name] - 1) if name in start else before[name]
        torch.testing.assert_close(p.detach(), wanted, atol=2e-2 if p.dtype == torch.bfloat16 else 1e-6, rtol=0)


def test_state_dict_round_trip_resumes_bitwise_and_keeps_the_anchor() -> None:
    whole, half = net(0), net(0)
    start = start_of(whole, *SHARED)
    _, optimizer = attached(whole, start)
    run(whole, optimizer, range(10))
    sp, optimizer = attached(half, start)
    run(half, optimizer, range(4))
    state = copy.deepcopy((half.state_dict(), optimizer.state_dict(), sp.state_dict()))
    resumed = net(3)
    resumed.load_state_dict(state[0])
    sp, optimizer = attached(resumed, start)
    optimizer.load_state_dict(state[1])
    sp.load_state_dict(state[2])
    run(resumed, optimizer, range(4, 10))
    assert same(whole, resumed)


def test_another_anchor_or_coefficient_is_refused_at_resume() -> None:
    model = net(0)
    state = StartingPoint(model, start_of(model, *SHARED), ALPHA, BETA).state_dict()
    moved = {n: t + 1e-6 for n, t in start_of(model, *SHARED).items()}
    with pytest.raises(ValueError, match="checksum"):
        StartingPoint(model, moved, ALPHA, BETA).load_state_dict(state)
    with pytest.raises(ValueError, match="alpha"):
        StartingPoint(model, start_of(model, *SHARED), 2 * ALPHA, BETA).load_state_dict(state)


def test_anchor_is_a_copy_of_the_start() -> None:
    model = net(0)
    sp, optimizer = attached(model, dict(model.state_dict()))
    run(model, optimizer, range(3))
    assert sp.distance_to_start() > 0
    assert sp.penalty() == pytest.approx(ALPHA / 2 * sp.distance_to_start() ** 2)


def test_distances_by_layer_are_those_of_the_whole() -> None:
    model = net(0)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sp, optimizer = attached(model, start)
    run(model, optimizer, range(3))
    layers = sp.by_layer()
    assert list(layers) == list(sp.partition.shared)
    moved, lengths, starts = (math.hypot(*column) for column in zip(*layers.values(), strict=True))
    assert moved == pytest.approx(sp.distance_to_start()) and lengths == pytest.approx(sp.norm())
    assert starts == pytest.approx(math.hypot(*(float(start[name].norm()) for name in layers)))


def test_deepcopy_of_model_optimizer_and_penalty_trains_alike() -> None:
    model = net(0)
    sp, optimizer = attached(model, start_of(model, *SHARED))
    run(model, optimizer, range(2))
    twin, twin_optimizer, twin_sp = copy.deepcopy((model, optimizer, sp))
    run(model, optimizer, range(2, 6))
    run(twin, twin_optimizer, range(2, 6))
    assert same(model, twin) and twin[0].weight is not model[0].weight
    assert twin_sp.penalty() == sp.penalty()


def test_gradient_accumulation_pulls_once_a_step() -> None:
    once, twice = net(0), net(0)
    start = start_of(once, *SHARED)
    for model, parts in ((once, 1), (twice, 2)):
        model.eval()  # batch statistics would see the parts
        _, optimizer = attached(model, start)
        for step in range(4):
            optimizer.zero_grad()
            for _ in range(parts):
                gradients(model, step, scale=1 / parts)
            optimizer.step()
    gap = max((a - b).abs().max().item() for a, b in zip(once.parameters(), twice.parameters(), strict=True))
    assert gap < 1e-14


def test_penalty_is_equation_3() -> None:
    model = net(0)
    start = start_of(model, *SHARED)
    sp = StartingPoint(model, start, ALPHA, BETA)
    weights = dict(model.named_parameters())
    wanted = (
        ALPHA / 2 * sum((weights[n] - start[n]).pow(2).sum() for n in SHARED)
        + BETA / 2 * weights["5.weight"].pow(2).sum()
    )
    assert sp.penalty() == pytest.approx(wanted.item(), rel=1e-12)


def test_partition_by_kind_name_and_shape() -> None:
    model = net(0)
    start = {**model.state_dict(), "5.weight": torch.ones(7, 576)}
    with pytest.warns(UserWarning, match=r"5\.weight: shape \(7, 576\)"):
        partition = StartingPoint(model, start, ALPHA, BETA).partition
    assert tuple(partition.shared) == SHARED and tuple(partition.new) == ("5.weight",)
    assert set(partition.exempt) == {"1.weight", "1.bias", "3.bias", "5.bias"}
    assert partition.counts() == {"shared": 162 + 96, "new": 2880, "exempt": 6 + 6 + 4 + 5}
    assert "5.weight: shape (7, 576) in the start" in str(partition)


def test_partition_of_all_exempts_nothing() -> None:
    model = net(0)
    start = {**model.state_dict(), "3.bias": torch.ones(5)}
    del start["5.bias"]
    with pytest.warns(UserWarning, match=r"3\.bias: shape \(5,\)"):
        partition = StartingPoint(model, start, ALPHA, BETA, "all").partition
    assert set(partition.shared) == {*SHARED, "5.weight", "1.weight", "1.bias"}
    assert set(partition.new) == {"3.bias", "5.bias"} and not partition.exempt and not partition.zeros
    start["1.bias"][0] = math.nan
    with pytest.raises(ValueError, match=r"1\.bias holds NaN"):
        StartingPoint(model, start, ALPHA, BETA, "all")
    with pytest.raises(ValueError, match="weights, all, got 'biases'"):
        StartingPoint(model, start, ALPHA, BETA, "biases")


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_damaged_start_is_refused_by_name(damage: float) -> None:
    model = net(0)
    start = start_of(model, *SHARED)
    start["3.weight"][0, 0, 0, 0] = damage
    with pytest.raises(ValueError, match=r"3\.weight holds NaN"):
        StartingPoint(model, start, ALPHA, BETA)


def test_no_match_lists_near_misses() -> None:
    with pytest.raises(ValueError, match=r"0\.weight \(nearest in the start: module\.0\.weight\)"):
        StartingPoint(net(0), {"module.0.weight": torch.ones(6, 3, 3, 3)}, ALPHA, BETA)


@given(value=st.one_of(st.floats(max_value=-1e-30), st.sampled_from([float("nan"), float("inf")])))
@settings(max_examples=20, deadline=None)
def test_bad_coefficients_are_refused(value: float) -> None:
    model = nn.Linear(2, 2)
    for pair in ((value, 0.0), (0.0, value)):
        with pytest.raises(ValueError, match="must be a finite number"):
            StartingPoint(model, {"weight": torch.ones(2, 2)}, *pair)


def test_wrong_optimizers_are_refused() -> None:
    model = net(0)
    sp = StartingPoint(model, start_of(model, *SHARED), ALPHA, BETA)
    with pytest.raises(ValueError, match="param_groups"):
        sp.attach(torch.optim.SGD(model.parameters(), lr=0.1))
    adam_w = (
        torch.optim.AdamW(sp.param_groups(), lr=0.1),
        torch.optim.Adam(sp.param_groups(), lr=0.1, decoupled_weight_decay=True),
        torch.optim.Adafactor(sp.param_groups()),
        torch.optim.Rprop(model.parameters()),
    )
    for optimizer in adam_w[:3]:
        with pytest.raises(ValueError, match="does not decay through the gradient"):
            sp.attach(optimizer)
    with pytest.raises(ValueError, match="param_groups"):
        sp.attach(adam_w[3])
    with pytest.raises(ValueError, match="sign"):
        sp.attach(torch.optim.SGD(sp.param_groups(), lr=0.1, maximize=True))
    optimizer = torch.optim.Adam(sp.param_groups(), lr=0.1)
    sp.attach(optimizer)
    with pytest.raises(ValueError, match="attached"):
        sp.attach(optimizer)


@pytest.mark.parametrize("kind", starting_point.COUPLED)
def test_every_optimizer_that_is_accepted_takes_the_gradient_of_equation_3(kind: type[torch.optim.Optimizer]) -> None:
    ours, theirs = net(0).double(), net(0).double()
    start = {name: torch.full_like(p, 0.3) for name, p in ours.named_parameters()}
    sp = StartingPoint(ours, start, ALPHA, BETA)
    optimizer = kind(sp.param_groups(), lr=0.01)
    sp.attach(optimizer)
    plain = kind(theirs.parameters(), lr=0.01)
    for _ in range(3):
        for model in (ours, theirs):
            model.zero_grad()
            for p in model.parameters():
                p.grad = torch.cos(p.detach() * 3)  # any gradient that depends on the weights
        for name, p in theirs.named_parameters():
            if name in sp.partition.shared:
                p.grad += ALPHA * (p.detach() - start[name])
        optimizer.step()
        plain.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_closure_is_refused() -> None:
    model = net(0)
    _, optimizer = attached(model, start_of(model, *SHARED))
    with pytest.raises(RuntimeError, match="call backward, then step"):
        optimizer.step(lambda: torch.zeros(()))
    optimizer.step(None)


def test_module_imports_torch_alone_and_can_be_copied_out(tmp_path) -> None:
    source = starting_point.__file__
    (tmp_path / "copied.py").write_text(Path(source).read_text())
    code = (
        "import sys; before = set(sys.modules); import torch; torch_only = set(sys.modules); import copied;"
        "print([m for m in set(sys.modules) - torch_only if m.split('.')[0] not in sys.stdlib_module_names])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['copied']"
