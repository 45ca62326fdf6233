"""The penalties against closed forms and against autograd of their formulas."""

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import ALPHA, BETA, PENALISED, SHARED, attached, gap, gradients, net, pretrained_of, run, same, sgd
from torch import Tensor, nn

from l2sp import L2, L2SP, Penalty, StartingPoint
from l2sp.penalty import COUPLED

CHECKSUM = "3526ae7e0e06adc1255fce8f7e009e249d6c43ea3ebeacf0630bbdbd1f6428fb"
DOCS = Path(__file__).parents[2] / "docs"


class SmoothL1SP(Penalty):
    """alpha sum sqrt((w_S - w0)^2 + smooth) + beta/2 ||w_new||^2: a penalty of somebody else's."""

    def __init__(
        self, model, pretrained, alpha: float, beta: float, smooth: float, sign: str = "+", penalize="weights"
    ):
        super().__init__(model, pretrained, penalize=penalize, alpha=alpha, beta=beta, smooth=smooth, sign=sign)

    def coefficients(self):
        return {"shared": 0.0, "new": self.beta}

    def shared_value(self, params, anchors):
        return self.alpha * sum(
            ((p - a) ** 2 + self.smooth).sqrt().sum().item() for p, a in zip(params, anchors, strict=True)
        )

    def add_gradient(self, grads, params, anchors):
        for grad, param, anchor in zip(grads, params, anchors, strict=True):
            away = param - anchor
            grad.add_(away / (away**2 + self.smooth).sqrt(), alpha=self.alpha)


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def l1_sp() -> type[Penalty]:
    names: dict[str, type[Penalty]] = {}
    exec(blocks("extending/penalty.md")[0], names)
    return names["L1SP"]


PENALTIES: dict[str, tuple[Callable[..., Penalty], Callable[[Tensor, Tensor], Tensor]]] = {
    "L2": (L2, lambda w, w0: ALPHA / 2 * (w**2).sum()),
    "L2-SP": (L2SP, lambda w, w0: ALPHA / 2 * ((w - w0) ** 2).sum()),
    "L1-SP of the docs": (lambda *args: l1_sp()(*args), lambda w, w0: ALPHA * (w - w0).abs().sum()),
    "smoothed L1-SP": (SmoothL1SP, lambda w, w0: ALPHA * ((w - w0) ** 2 + 1e-3).sqrt().sum()),
}


@pytest.mark.parametrize(
    "name,penalize,shared,fused",
    [
        *((name, "weights", SHARED, fused) for name in PENALTIES for fused in (True, False)),
        *(("L2-SP", "weights", shared, True) for shared in (("0.weight",), ("3.weight",), ("5.weight",), PENALISED)),
        *(("L2-SP", "all", shared, True) for shared in (("1.bias",), SHARED, ("0.weight", "1.weight", "3.bias"))),
    ],
)
def test_steps_and_value_are_those_of_autograd_of_the_formula(
    name: str, penalize: str, shared: tuple[str, ...], fused: bool
) -> None:
    make, formula = PENALTIES[name]
    ours, theirs = net(0), net(0)
    w0 = pretrained_of(ours, *shared)
    penalty = make(ours, w0, ALPHA, BETA, *([1e-3, "+"] if make is SmoothL1SP else []), penalize)
    optimizer = sgd(penalty.param_groups(), fused=fused)
    penalty.attach(optimizer)
    weights = {n: p for n, p in theirs.named_parameters() if penalize == "all" or n in PENALISED}

    def omega() -> Tensor:
        pulled = sum(formula(p, w0[n]) for n, p in weights.items() if n in w0)
        return pulled + BETA / 2 * sum(((p**2).sum() for n, p in weights.items() if n not in w0), torch.zeros(()))

    assert penalty.value() == pytest.approx(omega().item(), rel=1e-12)
    run(ours, optimizer, range(20))
    run(theirs, sgd(theirs.parameters()), range(20), omega)
    assert gap(ours, theirs) < 1e-12
    assert penalty.value() == pytest.approx(omega().item(), rel=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_anchor_is_l2_bitwise(dtype: torch.dtype) -> None:
    ours, theirs = net(0, dtype), net(0, dtype)
    with pytest.warns(UserWarning, match="all zero"):
        penalty, optimizer = attached(ours, {n: torch.zeros_like(t) for n, t in pretrained_of(ours, *SHARED).items()})
    assert penalty.partition.zeros == SHARED
    plain = L2(theirs, pretrained_of(theirs, *SHARED), ALPHA, BETA)
    theirs_optimizer = sgd(plain.param_groups(), fused=True)
    plain.attach(theirs_optimizer)
    assert not theirs_optimizer._optimizer_step_pre_hooks  # L2 is the optimiser's own decay and nothing else
    run(ours, optimizer, range(10))
    run(theirs, theirs_optimizer, range(10))
    assert same(ours, theirs)


def test_zero_anchor_of_all_parameters_is_torch_s_weight_decay_bitwise() -> None:
    ours, theirs = net(0), net(0)
    with pytest.warns(UserWarning, match="all zero"):
        penalty = L2SP(ours, {n: torch.zeros_like(p) for n, p in ours.named_parameters()}, ALPHA, BETA, "all")
    optimizer = sgd(penalty.param_groups(), fused=True)
    penalty.attach(optimizer)
    run(ours, optimizer, range(10))
    run(theirs, sgd(theirs.parameters(), weight_decay=ALPHA, fused=True), range(10))
    assert same(ours, theirs)


def test_zero_coefficients_are_no_decay_bitwise() -> None:
    ours, theirs = net(0), net(0)
    penalty, optimizer = attached(ours, pretrained_of(ours, *SHARED), alpha=0.0, beta=0.0)
    run(ours, optimizer, range(10))
    run(theirs, sgd(theirs.parameters(), fused=True), range(10))
    assert same(ours, theirs) and penalty.value() == 0.0


def test_detached_l2sp_is_l2_bitwise_and_can_be_attached_anew() -> None:
    ours, theirs = net(0), net(0)
    penalty, optimizer = attached(ours, pretrained_of(ours, *SHARED))
    penalty.detach()
    penalty.detach()
    run(ours, optimizer, range(3))
    run(theirs, sgd(L2(theirs, pretrained_of(theirs, *SHARED), ALPHA, BETA).param_groups(), fused=True), range(3))
    assert same(ours, theirs)
    penalty.attach(optimizer)
    assert len(optimizer._optimizer_step_pre_hooks) == 1


@pytest.mark.parametrize("pretrained", [None, {}])
def test_l2_trains_from_scratch_as_torch_s_weight_decay_bitwise(pretrained: dict[str, Tensor] | None) -> None:
    ours, theirs = net(0), net(0)
    penalty = L2(ours, pretrained, alpha=9.0, beta=BETA, penalize="all")
    optimizer = sgd(penalty.param_groups())
    penalty.attach(optimizer)
    run(ours, optimizer, range(5))
    run(theirs, sgd(theirs.parameters(), weight_decay=BETA), range(5))
    assert same(ours, theirs)
    assert penalty.checksum is None and not penalty.partition.shared and not penalty.by_layer()
    assert penalty.distance_to_pretrained() == penalty.norm() == 0.0
    assert penalty.value() == pytest.approx(BETA / 2 * sum((p**2).sum().item() for p in ours.parameters()))
    with pytest.raises(
        ValueError, match=r"^L2SP pulls to pre-trained weights and got none: use L2 to train from scratch$"
    ):
        L2SP(ours, pretrained, ALPHA, BETA)


def test_hook_is_one_foreach_add_and_allocates_nothing() -> None:
    model = net(0, torch.float32)
    penalty, _ = attached(model, pretrained_of(model, *SHARED))
    gradients(model, 0)
    with torch.profiler.profile(profile_memory=True) as profile:
        penalty._add_gradients()
    events = {e.key: e for e in profile.key_averages()}
    assert events["aten::_foreach_add_"].count == 1
    assert set(events) <= {"aten::_foreach_add_", "aten::add_", "[memory]"}  # add_ is its inside on the CPU
    assert sum(e.self_cpu_memory_usage for e in events.values()) == 0


@pytest.mark.parametrize("kind", [L2, L2SP])
def test_parameters_without_gradient_are_left_alone(kind: type[Penalty]) -> None:
    model = net(0)
    penalty = kind(model, pretrained_of(model, *SHARED), alpha=ALPHA, beta=BETA)
    optimizer = sgd(penalty.param_groups())
    penalty.attach(optimizer)
    model[0].requires_grad_(False)
    model[5].requires_grad_(False)
    before = {name: p.clone() for name, p in model.named_parameters()}
    run(model, optimizer, range(3))
    unchanged = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert unchanged == {"0.weight", "5.weight", "5.bias"}


def test_mixed_dtypes_are_pulled_once_each() -> None:
    model = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3).to(torch.bfloat16), nn.Linear(3, 3).to(torch.float64)])
    pretrained = {n: torch.ones_like(p) for n, p in model.named_parameters() if n.endswith("weight")}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    penalty = L2SP(model, pretrained, alpha=0.5, beta=0.0)
    optimizer = torch.optim.SGD(penalty.param_groups(), lr=1.0)
    penalty.attach(optimizer)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        expected = before[name] - 0.5 * (before[name] - 1) if name in pretrained else before[name]
        torch.testing.assert_close(p.detach(), expected, atol=2e-2 if p.dtype == torch.bfloat16 else 1e-6, rtol=0)


def test_state_dict_round_trip_resumes_bitwise_and_keeps_the_anchor() -> None:
    whole, half = net(0), net(0)
    pretrained = pretrained_of(whole, *SHARED)
    _, optimizer = attached(whole, pretrained)
    run(whole, optimizer, range(10))
    penalty, optimizer = attached(half, pretrained)
    run(half, optimizer, range(4))
    state = copy.deepcopy((half.state_dict(), optimizer.state_dict(), penalty.state_dict()))
    resumed = net(3)
    resumed.load_state_dict(state[0])
    penalty, optimizer = attached(resumed, pretrained)
    optimizer.load_state_dict(state[1])
    penalty.load_state_dict(state[2])
    run(resumed, optimizer, range(4, 10))
    assert same(whole, resumed)


@pytest.mark.parametrize(
    "named,resumed",
    [
        ("checksum", lambda m, w: L2SP(m, {n: t + 1e-6 for n, t in w.items()}, ALPHA, BETA)),
        ("alpha=0.3, this", lambda m, w: L2SP(m, w, 2 * ALPHA, BETA)),
        ("beta", lambda m, w: L2SP(m, w, ALPHA, 2 * BETA)),
        ("penalty=L2SP, this", lambda m, w: L2(m, w, ALPHA, BETA)),
        ("penalize", lambda m, w: L2SP(m, w, ALPHA, BETA, "all")),
        ("smooth=None", lambda m, w: type("L2SP", (SmoothL1SP,), {})(m, w, ALPHA, BETA, smooth=0.1)),
    ],
)
def test_another_penalty_is_refused_at_resume(named: str, resumed: Callable[..., Penalty]) -> None:
    model = net(0)
    pretrained = pretrained_of(model, *SHARED)
    state = L2SP(model, pretrained, ALPHA, BETA).state_dict()
    L2SP(model, pretrained, ALPHA, BETA).load_state_dict(state)
    with pytest.raises(ValueError, match=named):
        resumed(model, pretrained).load_state_dict(state)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_checksum_of_the_anchor_never_changes(layout: torch.memory_format) -> None:
    """Checkpoints and committed runs hold it."""
    model = nn.Sequential(nn.Conv2d(3, 2, 2)).to(memory_format=layout)
    pretrained = {"0.weight": torch.arange(1.0, 25.0).view(2, 3, 2, 2)}
    for kind in (L2, L2SP):
        assert kind(model, pretrained, alpha=0, beta=0).checksum == CHECKSUM


def test_anchor_is_a_copy_and_distances_by_layer_are_those_of_the_whole() -> None:
    model = net(0)
    pretrained = dict(model.state_dict())  # the live tensors
    lengths = {name: float(tensor.norm()) for name, tensor in pretrained.items() if tensor.ndim}
    penalty, optimizer = attached(model, pretrained)
    assert penalty.distance_to_pretrained() == 0.0
    run(model, optimizer, range(3))
    layers = penalty.by_layer()
    assert list(layers) == list(penalty.partition.shared)
    moved, norms, anchors = (math.hypot(*column) for column in zip(*layers.values(), strict=True))
    assert moved == pytest.approx(penalty.distance_to_pretrained()) and moved > 0
    assert norms == pytest.approx(penalty.norm())
    assert anchors == pytest.approx(math.hypot(*(lengths[name] for name in layers)))
    assert penalty.value() == pytest.approx(ALPHA / 2 * penalty.distance_to_pretrained() ** 2)


def test_deepcopy_of_model_optimizer_and_penalty_trains_alike() -> None:
    model = net(0)
    penalty, optimizer = attached(model, pretrained_of(model, *SHARED))
    run(model, optimizer, range(2))
    twin, twin_optimizer, twin_penalty = copy.deepcopy((model, optimizer, penalty))
    run(model, optimizer, range(2, 6))
    run(twin, twin_optimizer, range(2, 6))
    assert same(model, twin) and twin[0].weight is not model[0].weight
    assert twin_penalty.value() == penalty.value()
    twin_penalty.detach()
    assert not twin_optimizer._optimizer_step_pre_hooks and optimizer._optimizer_step_pre_hooks


def test_gradient_accumulation_pulls_once_a_step() -> None:
    once, twice = net(0), net(0)
    pretrained = pretrained_of(once, *SHARED)
    for model, parts in ((once, 1), (twice, 2)):
        model.eval()  # batch statistics would see the parts
        _, optimizer = attached(model, pretrained)
        for step in range(4):
            optimizer.zero_grad()
            for _ in range(parts):
                gradients(model, step, scale=1 / parts)
            optimizer.step()
    assert gap(once, twice) < 1e-14


def test_clipping_does_not_touch_the_penalty() -> None:
    model = net(0)
    penalty, _ = attached(model, pretrained_of(model, *SHARED))
    penalty.detach()
    optimizer = torch.optim.SGD(penalty.param_groups(), lr=1.0)
    penalty.attach(optimizer)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    gradients(model, 0)
    nn.utils.clip_grad_norm_(model.parameters(), 1e-30)
    optimizer.step()
    for name, anchor in pretrained_of(model, *SHARED).items():
        expected = before[name] - ALPHA * (before[name] - anchor)
        torch.testing.assert_close(dict(model.named_parameters())[name].detach(), expected, rtol=1e-12, atol=1e-14)


@given(value=st.one_of(st.floats(max_value=-1e-30), st.sampled_from([float("nan"), float("inf")])))
def test_bad_hyperparameters_are_refused_by_name(value: float) -> None:
    model, pretrained = nn.Linear(2, 2), {"weight": torch.ones(2, 2)}
    for kind, good in ((L2, {"alpha": 0, "beta": 0}), (SmoothL1SP, {"alpha": 0, "beta": 0, "smooth": 1})):
        for name in good:
            with pytest.raises(ValueError, match=f"{name} must be a finite number"):
                kind(model, pretrained, **{**good, name: value})


def test_hyperparameters_come_from_the_signature() -> None:
    assert L2.hyperparameter_names() == L2SP.hyperparameter_names() == ("alpha", "beta")
    assert SmoothL1SP.hyperparameter_names() == ("alpha", "beta", "smooth", "sign")
    penalty = SmoothL1SP(nn.Linear(2, 2), {"weight": torch.ones(2, 2)}, 1, 0, smooth=2, sign="-")
    assert penalty.hyperparameters == {"alpha": 1.0, "beta": 0.0, "smooth": 2.0, "sign": "-"}
    assert (penalty.alpha, penalty.sign) == (1.0, "-")
    assert StartingPoint is L2SP


@pytest.mark.parametrize("kind", [L2, L2SP])
def test_wrong_optimizers_are_refused(kind: type[Penalty]) -> None:
    model = net(0)
    penalty = kind(model, pretrained_of(model, *SHARED), alpha=ALPHA, beta=BETA)
    groups = penalty.param_groups
    head, exempt = groups()[1]["params"], groups()[2]["params"]
    for optimizer, reason in (
        (sgd(model.parameters()), "param_groups"),
        (sgd(groups()[1:]), r"0\.weight is not in the optimiser: build .* param_groups"),
        (sgd([groups()[0], {"params": head, "weight_decay": 1.0}]), r"5\.weight decays by 1\.0, not 0\.05"),
        (sgd([groups()[0], {"params": exempt, "weight_decay": 1.0}]), r"1\.weight decays by 1\.0, not 0\.0"),
        (torch.optim.Rprop(model.parameters()), "param_groups"),
        (torch.optim.AdamW(groups(), lr=0.1), "AdamW does not decay through the gradient"),
        (torch.optim.Adam(groups(), lr=0.1, decoupled_weight_decay=True), "does not decay through the gradient"),
        (torch.optim.Adafactor(groups()), "does not decay through the gradient"),
        (sgd(groups(), maximize=True), "sign"),
    ):
        with pytest.raises(ValueError, match=reason):
            penalty.attach(optimizer)
    optimizer = torch.optim.Adam(groups()[:2], lr=0.1)  # what is exempt may be left out
    penalty.attach(optimizer)
    with pytest.raises(ValueError, match="attached"):
        penalty.attach(optimizer)


@pytest.mark.parametrize("kind", COUPLED)
def test_every_optimizer_that_is_accepted_takes_the_gradient_of_equation_3(kind: type[torch.optim.Optimizer]) -> None:
    ours, theirs = net(0), net(0)
    pretrained = {name: torch.full_like(p, 0.3) for name, p in ours.named_parameters()}
    penalty = L2SP(ours, pretrained, ALPHA, BETA)
    optimizer = kind(penalty.param_groups(), lr=0.01)
    penalty.attach(optimizer)
    plain = kind(theirs.parameters(), lr=0.01)
    for _ in range(3):
        for model in (ours, theirs):
            model.zero_grad()
            for p in model.parameters():
                p.grad = torch.cos(p.detach() * 3)  # any gradient that depends on the weights
        for name, p in theirs.named_parameters():
            if name in penalty.partition.shared:
                p.grad += ALPHA * (p.detach() - pretrained[name])
        optimizer.step()
        plain.step()
    assert gap(ours, theirs) < 1e-10


def test_a_closure_is_refused() -> None:
    model = net(0)
    _, optimizer = attached(model, pretrained_of(model, *SHARED))
    with pytest.raises(RuntimeError, match="call backward, then step"):
        optimizer.step(lambda: torch.zeros(()))
    optimizer.step(None)


def test_the_documented_use_and_resume_work() -> None:
    use, resume = blocks("penalty.md")
    model = net(0)
    names = {"model": model, "pretrained": pretrained_of(model, *SHARED)}
    exec(use, names)
    run(model, names["optimizer"], range(2))
    names["checkpoint"] = {key: names[key].state_dict() for key in ("optimizer", "penalty")}
    names["penalty"].detach()
    exec(resume, names)
    assert names["penalty"].value() > 0
