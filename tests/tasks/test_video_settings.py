"""Settings of the video task: what differs between rows and scales, and what wrong ones say."""

from __future__ import annotations

from typing import Any

import pytest

from l2sp_suite.config import compose
from l2sp_suite.utils.errors import UserError


@pytest.mark.parametrize("scale", ["smoke", "mini", "small", "paper"])
def test_both_davis_rows_have_as_many_segmentation_steps(scale: str) -> None:
    steps = []
    for experiment in ("segflow_star_davis", "segflow_davis"):
        cfg: Any = compose([f"experiment={experiment}", f"scale={scale}"])
        steps.append((cfg.optim.epochs, [p.steps for p in cfg.task.phases if p.task == "segmentation"]))
    assert steps[0] == steps[1]


def test_small_has_the_segmentation_phase_alone_and_the_miniature_s_flow_branch() -> None:
    cfg: Any = compose(["experiment=segflow_davis", "scale=small", "reg=l2"])
    assert [(phase.task, phase.steps > 0) for phase in cfg.task.phases] == [("segmentation", True), ("flow", False)]
    weights = cfg.pretrained()
    assert (weights["weights"].source, weights["flow_weights"].experiment) == ("efficientnet_lite0", "source/flownet")
    assert weights["flow_weights"].scale == "mini"


def test_table_5_differs_from_table_3_in_the_pass_alone() -> None:
    for name in ("monkaa", "driving"):
        clean, final = (compose([f"experiment=segflow_{name}_{which}", "scale=paper"]) for which in ("clean", "final"))
        assert (clean.data.reader, final.data.reader) == (f"{name}_clean", f"{name}_final")
        assert clean.task == final.task and clean.optim == final.optim


def test_timm_s_resnet_has_its_own_normalisation_and_the_flow_branch_keeps_caffe_s() -> None:
    plain, timm = (
        compose(["experiment=segflow_davis", "scale=paper", *more]) for more in ([], ["+task/video/preset=timm"])
    )
    assert (timm.task.network.segmentation, timm.weights.source, timm.weights.file) == ("resnet101", "timm", None)
    assert timm.task.std == pytest.approx([0.229, 0.224, 0.225])
    assert timm.task.network.flow_mean == pytest.approx(plain.task.network.flow_mean)


def phase(task: str = "flow", data: str = "data", steps: str = "steps: 1", trains: str = "[flow]") -> str:
    return f"task.phases=[{{task: {task}, data: {data}, {steps}, trains: {trains}}}]"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("task.phases=[]", r"task\.phases=\[\]: give at least one"),
        (phase(task="depth"), "task: segmentation or flow"),
        (phase(data="other"), "data: data or auxiliary"),
        (phase(steps="steps: 0"), "steps: 1 or more"),
        (phase(steps="stps: 1"), "steps|stps"),
        (phase(trains="[head]"), "trains: some of segmentation, flow, segmentation_head"),
        (phase(trains="[]"), "trains: some of"),
        ("task.input_size=[480]", "height and width"),
        ("task.flow_loss.scales=[1.0]", "five"),
        ("task.mask_loss=median", "mean, sum"),
        ("task.network.flow_output=branch", "head, residual"),
        ("task.network.head_crops=[2,2,9]", "up to 2, 2 and 8"),
        ("task.lr_factors.flow=0", "above 0|0"),
        ("task.flow_weights.sorce=file", "task.flow_weights.source"),
        ("task.auxiliary_data.readr=x", "task.auxiliary_data.reader"),
        ("task.auxiliary_data.part=views", "one part of the world"),
    ],
)
def test_wrong_settings_say_what_is_right(override: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        compose(["experiment=segflow_davis", "scale=paper", "reg=l2", override])
    assert "\n" not in str(error.value)
