"""Paper scale and the presets against the fact sheet: each value beside the words of docs/protocols that it is from."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fact_sheet import section
from torch import Tensor, nn

from l2sp_suite.config import CONFIGS, TrainConfig, compose, fingerprint, identity
from l2sp_suite.tasks import task_class
from l2sp_suite.tasks.video.losses import mask_loss
from l2sp_suite.tasks.video.phases import PhaseSchedule, active_phases
from l2sp_suite.training import build_optimizer, total_steps
from l2sp_suite.training.schedule import lr_factor

PROTOCOL = yaml.safe_load((Path(__file__).parent / "protocol.yaml").read_text())
ICML = "experiment=dstl_cub200 +task/classification/preset=icml2018"
PIXELS = 480 * 854
SIZES = {  # of training sets, docs/protocols/dstl.md#data-sets
    "dstl_cub200": "5,994",
    "dstl_flowers102": "2,040",
    "dstl_stanford_cars": "8,144",
    "dstl_aircraft": "6,667",
    "dstl_food101": "75,750",
    "dstl_nabirds": "23,929",
}


@cache
def paper(overrides: str) -> TrainConfig:
    words = overrides.split()
    return compose([*([] if "scale=" in overrides else ["scale=paper"]), *words])


def value_of(node: Any, key: str) -> Any:
    for name in key.split("."):
        inside = node.__getitem__ if isinstance(node, dict | list) else partial(getattr, node)
        node = inside(int(name) if isinstance(node, list) else name)
    return node


ROWS = [
    pytest.param(overrides, fact["at"], fact["words"], key, value, id=f"{overrides.replace(' ', ',')}-{key}")
    for overrides, facts in PROTOCOL.items()
    for fact in facts
    for key, value in fact["values"].items()
]


@pytest.mark.parametrize(("overrides", "anchor", "words", "key", "value"), ROWS)
def test_value_is_that_of_the_fact_sheet(overrides: str, anchor: str, words: str, key: str, value: Any) -> None:
    assert words in section(anchor)
    numbers = type(value) in (int, float) or (isinstance(value, list) and not isinstance(value[0], str))
    assert value_of(paper(overrides), key) == (pytest.approx(value, rel=1e-5) if numbers else value)


@pytest.mark.parametrize("experiment", SIZES)
def test_official_sizes_are_those_of_the_fact_sheet(experiment: str) -> None:
    official = paper(f"experiment={experiment}").data.official
    assert official is not None and f"{official['train']:,}" == SIZES[experiment]
    (row,) = (line for line in section("dstl.md#data-sets").splitlines() if f"| {SIZES[experiment]} " in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == str(official["classes"]) and cells[4] == f"{official['test']:,}"


# Learning rates at every boundary, for the numbers of steps of the official sets


def rate(cfg: TrainConfig, step: int) -> float:
    """Relative to the base rate, at a step; of a run with phases, at that step of its segmentation phase."""
    if cfg.task.name != "video":
        train = (cfg.data.official or {})["train"]
        return lr_factor(cfg.optim.schedule, step, total_steps(cfg.optim, train // cfg.optim.batch_size), train // 64)
    phases = active_phases(cfg.task)
    number = [phase.task for phase in phases].index("segmentation")
    schedule, steps = PhaseSchedule([phase.steps for phase in phases]), phases[number].steps
    everywhere = step // steps * schedule.round + sum(phase.steps for phase in phases[:number]) + step % steps
    assert (schedule.phase(everywhere), schedule.done(everywhere, number)) == (number, step)
    return lr_factor(cfg.optim.schedule, everywhere, total_steps(cfg.optim, schedule.round), schedule.round)


def stairs(length: int, factor: float, count: int) -> dict[int, float]:
    """The rate at the first and the last step of each stair."""
    return {k * length + side: factor**k for k in range(count) for side in (0, length - 1)}


SEGFLOW = ("star_davis", "davis", "monkaa_clean", "monkaa_final", "driving_clean", "driving_final")
T = 24_960
RATES = {
    **{f"experiment={name}": ({0: 1, T // 2: 0.5**0.9, T - 1: (1 / T) ** 0.9}, "encnet.md#optimisation", "T = 24,960")
       for name in ("encnet50_pcontext", "encnet101_pcontext")},
    **{f"experiment={name}":
       (stairs(10 * (int(size.replace(",", "")) // 64), 0.1, 3), "dstl.md#fine-tuning", "x0.1 every 10 epochs")
       for name, size in SIZES.items()},
    "experiment=dstl_cub200 optim.epochs=null optim.steps=2810 optim.schedule.step_unit=steps "
    "optim.schedule.step_size=936": ({**stairs(936, 0.1, 3), 2809: 0.001}, "dstl.md#fine-tuning", "CUB: 936"),
    **{f"experiment=segflow_{name}":
       (stairs(50_000, 0.5, 4), "segflow.md#segmentation-phase", "step x0.5 every 50k, 200k iterations")
       for name in SEGFLOW},
    ICML: ({0: 1, 5999: 1, 6000: 0.1, 8999: 0.1}, "l2sp.md#icml-2018-recipe", "/10 at 6,000"),
}  # fmt: skip


@pytest.mark.parametrize("overrides", RATES)
def test_rate_is_that_of_the_fact_sheet_at_every_boundary(overrides: str) -> None:
    boundaries, anchor, words = RATES[overrides]
    cfg = paper(overrides)
    assert words in section(anchor)
    assert {step: rate(cfg, step) for step in boundaries} == pytest.approx(boundaries)
    if cfg.task.name == "video":
        segmentation = next(phase for phase in cfg.task.phases if phase.task == "segmentation")
        assert (cfg.optim.epochs or 0) * segmentation.steps == 200_000  # an epoch is a round of the phases
    elif cfg.task.name == "segmentation":
        assert total_steps(cfg.optim, 4998 // 16) == T


def test_every_row_of_the_paper_is_looked_at() -> None:
    printed = {path.stem for path in CONFIGS.glob("experiment/*.yaml") if "\npaper: {" in path.read_text()}
    assert len(printed) == 14 and {f"experiment={name}" for name in printed} <= set(RATES)


# Presets


PRESETS = sorted(CONFIGS.glob("task/*/preset/*.yaml"))
EXPERIMENT = {"classification": "dstl_cub200", "segmentation": "encnet50_pcontext", "video": "segflow_davis"}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_every_preset_composes_as_its_header_says_and_is_another_run(path: Path, reg: str) -> None:
    task = path.parts[-3]
    base, preset = f"experiment={EXPERIMENT[task]} reg={reg}", f"+task/{task}/preset={path.stem}"
    assert fingerprint(identity(paper(base))) != fingerprint(identity(paper(f"{base} {preset}")))
    header = " ".join(line.strip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    command = re.search(r"\+task/\w+/preset=\w+( study=[^\s.]+)?", header)
    assert command and command[0].split()[0] == preset
    paper(f"{base} {command[0]}")


@pytest.mark.slow
def test_icml2018_has_a_resnet_101_with_a_new_classifier() -> None:
    cfg = paper(f"{ICML} reg=l2_sp")
    model = task_class(cfg).summary(cfg).model
    w0 = {name: p + 1 for name, p in model.named_parameters() if not name.startswith("fc.")}
    split = build_optimizer(model, w0, cfg.arm, cfg.optim, {}).penalty.partition
    assert list(split.new) == ["fc.weight"] and split.counts()["new"] == 200 * 2048
    assert split.counts()["shared"] == 42_394_816  # 104 convolutions
    assert (
        sum(p.numel() for p in model.parameters()) == 44_549_160 - (1000 - 200) * 2049
    )  # torchvision's, of 1,000 classes


def test_the_released_loss_leaves_the_flow_phase_alone() -> None:
    mean, released = paper("experiment=segflow_davis"), paper("experiment=segflow_davis +task/video/preset=released")
    for part in ("flow", "flow_head"):
        rates = [getattr(cfg.task.lr_factors, part) * cfg.optim.lr for cfg in (mean, released)]
        assert rates[0] == pytest.approx(rates[1])


def stepped(overrides: str) -> list[Tensor]:
    """The weights after three steps on frames of the published size, with the run's loss, rate and penalty."""
    cfg = paper(f"experiment=segflow_davis {overrides}")
    torch.manual_seed(0)
    layers = {"segmentation": nn.Conv2d(3, 4, 1), "segmentation_head": nn.Conv2d(4, 2, 1)}
    model = nn.ModuleDict(layers).double()
    w0 = {"segmentation.weight": torch.ones(4, 3, 1, 1, dtype=torch.float64)}
    optimizer = build_optimizer(model, w0, cfg.arm, cfg.optim, {}).optimizer
    for _ in range(3):
        frames = torch.rand(1, 3, *cfg.task.input_size, dtype=torch.float64)
        logits = model["segmentation_head"](model["segmentation"](frames))
        masks = (frames[:, 0] > 0.7).long()
        loss = mask_loss(logits, masks, 255, summed=cfg.task.mask_loss == "sum", balanced=cfg.task.balanced)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


def penalised(reg: str, alpha: float, beta: float) -> str:
    return f"reg={reg} reg.alpha={alpha!r} reg.beta={beta!r}"


@pytest.mark.slow
@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_the_released_segmentation_phase_is_that_of_the_mean_at_its_own_rate(reg: str) -> None:
    """Loss and rate cancel to rounding; a penalty on the sum is one 409,920 times weaker on the mean."""
    assert "5e-4 equals 1.2e-9" in section("segflow.md#segmentation-phase")
    strength = 1e4
    ours = stepped(penalised(reg, strength / PIXELS, strength / PIXELS))
    for a, b in zip(ours, stepped(f"+task/video/preset=released {penalised(reg, strength, strength)}"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    halved = stepped(penalised(reg, strength / PIXELS / 2, strength / PIXELS))
    assert (halved[0] - ours[0]).abs().max() > 1e-6  # the penalty is seen


@pytest.mark.slow
def test_a_published_penalty_moves_nothing_at_the_released_rate() -> None:
    released = "+task/video/preset=released"
    arms = [stepped(f"{released} {more}") for more in ("reg=l2_sp", penalised("l2_sp", 0.0, 0.0))]
    gap = max(float((a - b).abs().max()) for a, b in zip(*arms, strict=True))
    assert 0 < gap < 1e-8
