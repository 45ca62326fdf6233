"""Paper scale and the presets against the fact sheet: each value beside the words of docs/protocols that it is from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from fact_sheet import section
from torch import Tensor, nn

from l2sp_suite.config import CONFIGS, TrainConfig, compose, fingerprint, identity
from l2sp_suite.tasks import task_class
from l2sp_suite.tasks.video.losses import mask_loss
from l2sp_suite.tasks.video.phases import PhaseSchedule, active_phases
from l2sp_suite.training import build_optimizer, total_steps
from l2sp_suite.training.schedule import lr_factor

RGB = [value / 255 for value in (122.679, 116.669, 104.007)]
IMAGENET = {"task.mean": [0.485, 0.456, 0.406], "task.std": [0.229, 0.224, 0.225]}
ALL_DSTL = ("dstl_aircraft", "dstl_cub200", "dstl_flowers102", "dstl_food101", "dstl_nabirds", "dstl_stanford_cars")
ICML = "experiment=dstl_cub200 +task/classification/preset=icml2018"
PIXELS = 480 * 854

# Overrides of paper scale: what the fact sheet says there, in words that stand in it, and the values that it means.
PROTOCOL: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "experiment=encnet101_pcontext": [
        ("encnet.md#backbone", "`resnet50s` / `resnet101s` (stem_width 64, deep)", {"task.network.name": "resnet101s"}),
        ("encnet.md#backbone", "statistics updated in training (not frozen)", {"task.network.frozen_bn": False}),
        ("encnet.md#head", "Dropout2d(0.1), 1x1 512->59 with bias", {"task.network.dropout": 0.1}),
        ("encnet.md#context-encoding", "K=32", {"task.network.codes": 32}),
        ("encnet.md#losses", "CE(main) + 0.2 CE(aux) + 0.2 BCE(SE)", {"task.aux_weight": 0.2, "task.presence_weight": 0.2}),
        ("encnet.md#augmentation", "h-flip p=.5", {"task.augment.flip": 0.5}),
        ("encnet.md#augmentation", "uniform in [0.5, 2.0] x base 520", {"task.augment.scale": [0.5, 2.0], "task.base_size": 520}),
        ("ambiguities.md#point-1", "v0.5.0 train + its 6-scale eval as default", {"task.augment.edge": "short", "task.augment.blur": 0.5}),
        ("encnet.md#augmentation", "random 480x480 crop", {"task.crop_size": 480}),
        ("encnet.md#augmentation", "mean (.485, .456, .406), std (.229, .224, .225), RGB", IMAGENET),
        ("encnet.md#evaluation", "v0.5.0 [.5,.75,1,1.25,1.5,1.75]", {"task.multi_scale.scales": [0.5, 0.75, 1, 1.25, 1.5, 1.75]}),
        ("encnet.md#evaluation", "Multi-scale + flip", {"task.multi_scale.flip": True}),
        ("encnet.md#evaluation", "stride 320 (`int(480*2/3)`)", {"task.multi_scale.stride": 2 / 3}),
        ("encnet.md#optimisation", "SGD, momentum 0.9, no Nesterov", {"optim.name": "SGD", "optim.kwargs": {"momentum": 0.9}}),
        ("encnet.md#optimisation", "batch 16 (4 GPUs x 4) -> 0.001", {"optim.lr": 0.001, "optim.batch_size": 16}),
        ("encnet.md#optimisation", "head and aux head x10", {"task.head_lr_factor": 10}),
        ("encnet.md#optimisation", "no warm-up", {"optim.schedule.warmup_steps": 0}),
        ("encnet.md#data", "train -> 4,998 images; val -> 5,105 images", {"data.official": {"classes": 59, "train": 4998, "test": 5105}}),
    ],
    "experiment=encnet50_pcontext reg=l2": [
        ("encnet.md#backbone", "`resnet50s` / `resnet101s`", {"task.network.name": "resnet50s"}),
        ("ambiguities.md#table-4", "EncNet-50,L2,1e-4,1e-4", {"reg.alpha": 1e-4, "reg.beta": 1e-4}),
        ("ambiguities.md#point-2", "conv/fc weights only in both arms", {"reg.penalize": "weights"}),
    ],
    "experiment=encnet50_pcontext reg=l2_sp": [
        ("ambiguities.md#table-4", "EncNet-50,L2-SP,1e-4,1e-4,79.20,51.17", {"reg.alpha": 1e-4, "reg.beta": 1e-4}),
    ],
    "experiment=encnet50_pcontext +task/segmentation/preset=v1": [
        ("encnet.md#augmentation", "of the long edge", {"task.augment.edge": "long"}),
        ("encnet.md#augmentation", "| yes | no |", {"task.augment.blur": 0}),
        ("encnet.md#evaluation", "v1.0.0 adds 2.0", {"task.multi_scale.scales": [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]}),
    ],
    "experiment=segflow_davis": [
        ("segflow.md#inputs", "Images resized to 854x480", {"task.input_size": [480, 854]}),
        ("segflow.md#inputs", "RGB->BGR, minus (104.007, 116.669, 122.679)", {"task.mean": RGB, "task.network.flow_mean": RGB}),
        ("segflow.md#inputs", "Batch 1", {"optim.batch_size": 1}),
        ("segflow.md#inputs", "(BGR-mean)/255 of both frames", {"task.network.flow_std": 1.0}),  # of frames on [0, 1]
        ("segflow.md#segmentation-branch", "The original (MSRA) ResNet-101", {"task.network.segmentation": "resnet101_caffe"}),
        ("segflow.md#segmentation-branch", "BatchNorm with frozen global statistics", {"task.network.frozen_bn": True}),
        ("segflow.md#exchange-and-heads", "res4b22 x 0.01 (fixed Scale)", {"task.network.factors": [1e-4, 1e-2, 1.0]}),
        ("segflow.md#exchange-and-heads", "res3b3 x 0.0001 (fixed Scale)", {"task.network.flow_factor": 1.0}),
        ("segflow.md#exchange-and-heads", "the flow head's score", {"task.network.flow_output": "head", "task.network.flow_unit": 1}),
        ("segflow.md#exchange-and-heads", "crop offset 2 to 30x54", {"task.network.head_crops": [2, 2, 8]}),
        ("segflow.md#exchange-and-heads", "bias with lr x2 and no decay", {"task.lr_factors.head_bias": 2}),
        ("ambiguities.md#point-10", "mean-normalised loss", {"task.mask_loss": "mean"}),
        ("ambiguities.md#point-11", "balanced off by default", {"task.balanced": False}),
        ("segflow.md#segmentation-phase", "scale +-5% (resize), translation +-5% W/H, rotation +-5 deg, h-flip p .5",
         {"task.augment.scale": 0.05, "task.augment.shift": 0.05, "task.augment.rotation": 5, "task.augment.flip": 0.5}),
        ("segflow.md#segmentation-phase", "SGD, momentum 0.9", {"optim.name": "SGD", "optim.kwargs": {"momentum": 0.9}}),
        ("segflow.md#segmentation-phase", "lr_mean = 1e-9 x 409,920", {"optim.lr": 1e-9 * PIXELS}),
        ("segflow.md#davis", "train 30 seq / 2,079 frames; val 20 seq / 1,376 frames",
         {"data.official": {"train": 2079, "test": 1376, "train_sequences": 30, "test_sequences": 20, "height": 480, "width": 854}}),
        ("segflow.md#flow-phase", "segmentation branch frozen",
         {"task.phases.0.task": "segmentation", "task.phases.0.data": "data", "task.phases.1.task": "flow",
          "task.phases.1.data": "auxiliary", "task.phases.1.trains": ["flow", "flow_head"]}),
        ("segflow.md#segmentation-phase", "all FlowNetS layers (lr 0, decay 0)",
         {"task.phases.0.trains": ["segmentation", "segmentation_head"]}),
    ],
    "experiment=segflow_davis reg=l2": [("segflow.md#segmentation-phase", "wd 5e-4", {"reg.alpha": 5e-4, "reg.beta": 5e-4})],
    "experiment=segflow_davis +task/video/preset=released": [
        ("segflow.md#segmentation-phase", "sum over 409,920 pixels", {"task.mask_loss": "sum"}),
        ("segflow.md#segmentation-phase", "lr 1e-9", {"optim.lr": 1e-9, "task.lr_factors.segmentation": 1}),
    ],
    **{f"experiment=segflow_{name} reg=l2_sp": [("ambiguities.md#consistency", "Table 5 beta=0.1 row for both subsets",
                                                 {"reg.alpha": 0.1, "reg.beta": 0.1})]
       for name in ("monkaa_clean", "monkaa_final", "driving_clean", "driving_final")},
    "experiment=source/flownet scale=mini reg=l2": [
        ("segflow.md#flow-phase", "Adam(0.9,0.999)", {"optim.name": "Adam", "optim.kwargs.betas": [0.9, 0.999]}),
    ],
    "experiment=dstl_cub200": [
        ("dstl.md#network", "299x299, RGB scaled to [-1, 1]", {"task.input_size": 299, "task.mean": [0.5] * 3, "task.std": [0.5] * 3}),
        ("dstl.md#network", "moving-average decay 0.9997", {"task.network.bn_momentum": 1 - 0.9997, "task.network.frozen_bn": False}),
        ("dstl.md#network", "used in training with loss weight 0.4", {"task.network.aux": True, "task.aux_weight": 0.4}),
        ("dstl.md#network", "keep prob 0.8 before logits", {"task.network.dropout": 0.2}),
        ("dstl.md#network", "flag exists, default 0.0", {"task.label_smoothing": 0}),
        ("dstl.md#fine-tuning", "area in [0.05,1]", {"task.augment.scale": [0.05, 1]}),
        ("dstl.md#fine-tuning", "aspect U[.75,1.33]", {"task.augment.ratio": [0.75, 1.33]}),
        ("dstl.md#fine-tuning", "brightness +-32/255, saturation [.5,1.5]", {"task.augment.brightness": 32 / 255, "task.augment.saturation": 0.5}),
        ("dstl.md#fine-tuning", "central 87.5% crop (both sides), bilinear to 299", {"task.crop": 0.875, "task.interpolation": "bilinear"}),
        ("dstl.md#fine-tuning", "momentum 0.9 SGD", {"optim.name": "SGD", "optim.kwargs": {"momentum": 0.9}}),
        ("dstl.md#fine-tuning", "64 / 2,810 steps = 30 epochs", {"optim.batch_size": 64, "optim.epochs": 30}),
        ("ambiguities.md#point-22", "lr grid {.001,.0045,.01}", {"optim.lr": 0.01}),
        ("ambiguities.md#point-28", "load; TLC behaviour as preset", {"weights.statistics": "load"}),
    ],
    **{f"experiment={name} reg=l2": [("ambiguities.md#table-6", "L2,4e-5,4e-5", {"reg.alpha": 4e-5, "reg.beta": 4e-5})]
       for name in ALL_DSTL},
    **{f"experiment={name} reg=l2_sp": [("ambiguities.md#table-6", "L2-SP,1e-3,1e-3,89.19", {"reg.alpha": 1e-3, "reg.beta": 1e-3})]
       for name in ALL_DSTL},
    f"{ICML} reg=l2_sp": [
        ("l2sp.md#icml-2018-recipe", "ResNet-101 v1", {"task.network.name": "resnet101.tv_in1k", "task.network.dropout": 0}),
        ("l2sp.md#icml-2018-recipe", "resize to 256x256", {"task.augment.scale": [(224 / 256) ** 2] * 2, "task.crop": 224 / 256}),
        ("l2sp.md#icml-2018-recipe", "random 224 crop", {"task.input_size": 224, **IMAGENET}),
        ("l2sp.md#icml-2018-recipe", "brightness +-63/255, saturation .5–1.5", {"task.augment.brightness": 63 / 255, "task.augment.saturation": 0.5}),
        ("l2sp.md#icml-2018-recipe", "momentum .9, batch 64, 9,000 it, lr .01",
         {"optim.kwargs": {"momentum": 0.9}, "optim.batch_size": 64, "optim.steps": 9000, "optim.lr": 0.01}),
        ("l2sp.md#icml-2018-recipe", "moving mean/var NOT loaded", {"weights.statistics": "fresh", "weights.source": "timm"}),
        ("l2sp.md#icml-2018-recipe", "EMA decay .9", {"task.network.bn_momentum": 1 - 0.9, "task.network.frozen_bn": False}),
        ("l2sp.md#baseline", "alpha=0.1, beta=0.01", {"reg.alpha": 0.1, "reg.beta": 0.01}),
        ("l2sp.md#penalised-weights", "conv and fc kernels only", {"reg.penalize": "weights"}),
    ],
    f"{ICML} reg=l2": [("l2sp.md#baseline", "alpha=1e-4 on existing and beta=1e-3 on new layers", {"reg.alpha": 1e-4, "reg.beta": 1e-3})],
}  # fmt: skip
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
        node = node[int(name)] if isinstance(node, list) else node[name] if isinstance(node, dict) else getattr(node, name)
    return node


def rows() -> Iterator[Any]:
    for overrides, facts in PROTOCOL.items():
        for anchor, words, values in facts:
            for key, value in values.items():
                yield pytest.param(overrides, key, value, anchor, words, id=f"{overrides.replace(' ', ',')}-{key}")


@pytest.mark.parametrize(("overrides", "key", "value", "anchor", "words"), list(rows()))
def test_value_is_that_of_the_fact_sheet(overrides: str, key: str, value: Any, anchor: str, words: str) -> None:
    assert words in section(anchor)
    numbers = isinstance(value, int | float) or (isinstance(value, list) and not isinstance(value[0], str))
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


SEGFLOW = [*("segflow_star_davis", "segflow_davis"), *(f"segflow_{s}_{p}" for s in ("monkaa", "driving") for p in ("clean", "final"))]
T = 24_960
RATES = {
    **{f"experiment={name}": ({0: 1, T // 2: 0.5**0.9, T - 1: (1 / T) ** 0.9}, "encnet.md#optimisation", "T = 24,960")
       for name in ("encnet50_pcontext", "encnet101_pcontext")},
    **{f"experiment={name}": (stairs(10 * (int(size.replace(",", "")) // 64), 0.1, 3), "dstl.md#fine-tuning", "x0.1 every 10 epochs")
       for name, size in SIZES.items()},
    "experiment=dstl_cub200 optim.epochs=null optim.steps=2810 optim.schedule.step_unit=steps optim.schedule.step_size=936":
        ({**stairs(936, 0.1, 3), 2809: 0.001}, "dstl.md#fine-tuning", "CUB: 936"),
    **{f"experiment={name}": (stairs(50_000, 0.5, 4), "segflow.md#segmentation-phase", "step x0.5 every 50k, 200k iterations")
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
    assert sum(p.numel() for p in model.parameters()) == 44_549_160 - (1000 - 200) * 2049  # torchvision's, of 1,000 classes


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
