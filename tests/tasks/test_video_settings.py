"""SegFlow's configurations: the published protocol, its preset, and what they say when put together wrongly."""

from __future__ import annotations

from typing import cast

import pytest

from l2sp_suite.config.compose import compose
from l2sp_suite.tasks.registry import starts_of
from l2sp_suite.tasks.video.config import SegFlowConfig
from l2sp_suite.utils.errors import UserError

PAPER = ["experiment=segflow_davis", "scale=paper", "reg=l2"]


def _protocol(*overrides: str) -> SegFlowConfig:
    return cast(SegFlowConfig, compose([*PAPER, *overrides]).approach)


def test_paper_scale_is_the_protocol() -> None:
    cfg, own = compose(PAPER), _protocol()
    assert list(own.input_size) == [480, 854] and own.mask_loss == "mean" and not own.balanced
    assert (own.network.segmentation, own.network.width, own.network.flow_width) == ("resnet101_caffe", 1.0, 1.0)
    assert list(own.network.factors) == [1e-4, 1e-2, 1.0] and own.network.frozen_bn
    assert (own.network.flow_factor, own.network.flow_unit, own.network.flow_output) == (1.0, 1.0, "head")
    assert [255 * value for value in own.mean] == pytest.approx([122.679, 116.669, 104.007])  # RGB
    assert [1 / value for value in own.std] == pytest.approx([255] * 3, rel=1e-5)
    augment = own.augment
    assert (augment.scale, augment.shift, augment.rotation, augment.flip) == (0.05, 0.05, 5.0, 0.5)
    assert (cfg.optim.name, cfg.optim.momentum, cfg.optim.batch_size) == ("sgd", 0.9, 1)
    assert cfg.optim.lr == pytest.approx(1e-9 * 480 * 854)
    assert (cfg.reg.alpha, cfg.reg.beta) == (5e-4, 5e-4)


def test_segmentation_is_trained_for_200_000_steps_and_the_rate_halved_every_50_000() -> None:
    for experiment in ("segflow_star_davis", "segflow_davis", "segflow_monkaa_final", "segflow_driving_clean"):
        cfg = compose([f"experiment={experiment}", "scale=paper", "reg=l2"])
        first = cast(SegFlowConfig, cfg.approach).phases[0]
        assert first.task == "segmentation" and cfg.optim.epochs is not None  # an epoch is a round of the phases
        assert cfg.optim.epochs * first.steps == 200_000
        assert cfg.optim.schedule.every_epochs * first.steps == 50_000 and cfg.optim.schedule.factor == 0.5


def test_phases_freeze_the_other_branch() -> None:
    phases = _protocol().phases
    assert [(p.task, p.data, set(p.trains)) for p in phases] == [
        ("segmentation", "data", {"segmentation", "segmentation_head"}),
        ("flow", "partner", {"flow", "flow_head"}),
    ]


def test_the_released_loss_is_a_preset_that_leaves_the_flow_phase_alone() -> None:
    plain, cfg = compose(PAPER), compose([*PAPER, "+approach/segflow/preset=released"])
    before, own = cast(SegFlowConfig, plain.approach), cast(SegFlowConfig, cfg.approach)
    assert (own.mask_loss, cfg.optim.lr, own.lr_factors.segmentation) == ("sum", 1e-9, 1.0)
    for part in ("flow", "flow_head"):
        assert own.lr_factors[part] * cfg.optim.lr == pytest.approx(before.lr_factors[part] * plain.optim.lr)


def test_timm_s_resnet_is_a_preset_with_its_own_normalisation() -> None:
    cfg = compose([*PAPER, "+approach/segflow/preset=timm"])
    own = cast(SegFlowConfig, cfg.approach)
    assert (own.network.segmentation, cfg.weights.source, cfg.weights.file) == ("resnet101", "timm", None)
    assert list(own.std) == [0.229, 0.224, 0.225] and list(own.network.flow_mean) == list(_protocol().mean)


@pytest.mark.parametrize("scale", ["smoke", "mini", "pocket", "paper"])
def test_both_davis_rows_have_as_many_segmentation_steps(scale: str) -> None:
    steps = []
    for experiment in ("segflow_star_davis", "segflow_davis"):
        cfg = compose([f"experiment={experiment}", f"scale={scale}"])
        phases = cast(SegFlowConfig, cfg.approach).phases
        steps.append((cfg.optim.epochs, [p.steps for p in phases if p.task == "segmentation"]))
    assert steps[0] == steps[1]


def test_pocket_has_the_segmentation_phase_alone_and_the_miniature_s_flow_branch() -> None:
    cfg = compose(["experiment=segflow_davis", "scale=pocket", "reg=l2"])
    own = cast(SegFlowConfig, cfg.approach)
    assert [(phase.task, phase.steps > 0) for phase in own.phases] == [("segmentation", True), ("flow", False)]
    starts = starts_of(cfg)
    assert (starts["weights"].source, starts["flow_weights"].experiment) == ("efficientnet_lite0", "source/flownet")
    assert starts["flow_weights"].scale == "mini"


def test_table_5_differs_from_table_3_in_the_pass_alone() -> None:
    for name in ("monkaa", "driving"):
        clean, final = (compose([f"experiment=segflow_{name}_{which}", "scale=paper"]) for which in ("clean", "final"))
        assert (clean.data.reader, final.data.reader) == (f"{name}_clean", f"{name}_final")
        assert clean.approach == final.approach and clean.optim == final.optim


@pytest.mark.parametrize(
    "override,words",
    [
        ("approach.phases=[]", "at least one"),
        ("approach.phases=[{task: depth, data: data, steps: 1, trains: [flow]}]", "segmentation or flow"),
        ("approach.phases=[{task: flow, data: other, steps: 1, trains: [flow]}]", "data or partner"),
        ("approach.phases=[{task: flow, data: data, steps: 0, trains: [flow]}]", "1 or more"),
        ("approach.phases=[{task: flow, data: data, steps: 1, trains: [head]}]", "segmentation_head"),
        ("approach.phases=[{task: flow, data: data, steps: 1, trains: []}]", "some of"),
        ("approach.phases=[{task: flow, data: data, stps: 1, trains: [flow]}]", "steps|stps"),
        ("approach.input_size=[480]", "height and width"),
        ("approach.flow_loss.scales=[1.0]", "five"),
        ("approach.mask_loss=median", "mean, sum"),
        ("approach.network.flow_output=branch", "head, residual"),
        ("approach.lr_factors.flow=0", "above 0|0"),
        ("approach.flow_weights.sorce=file", "approach.flow_weights.source"),
        ("approach.partner.readr=x", "approach.partner.reader"),
        ("approach.partner.part=views", "one part of the miniature"),
    ],
)
def test_wrong_settings_say_what_is_right(override: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        _protocol(override)
    assert "\n" not in str(error.value)
