"""Named protocols: each composes as its header says, and is what the fact sheet has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from l2sp_suite.config.compose import CONFIGS, ROOT, compose, fingerprint, identity
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.preflight.describe import describe
from l2sp_suite.tasks.classification.config import DSTLConfig
from l2sp_suite.tasks.video.config import SegFlowConfig
from l2sp_suite.tasks.video.losses import mask_loss
from l2sp_suite.training.loop import total_steps
from l2sp_suite.training.optimizer import build_optimizer
from l2sp_suite.training.schedule import lr_factor

PRESETS = sorted(CONFIGS.glob("approach/*/preset/*.yaml"))
EXPERIMENT = {"dstl": "dstl_cub200", "encnet": "encnet50_pcontext", "segflow": "segflow_davis"}
DAVIS, PIXELS = ("experiment=segflow_davis", "scale=paper"), 480 * 854
ICML = ("experiment=dstl_cub200", "scale=paper", "+approach/dstl/preset=icml2018")


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_every_preset_is_another_run_than_the_protocol(path: Path, reg: str) -> None:
    approach = path.parts[-3]
    base = [f"experiment={EXPERIMENT[approach]}", "scale=paper", f"reg={reg}"]
    preset = f"+approach/{approach}/preset={path.stem}"
    plain, other = (fingerprint(identity(compose([*base, *more]))) for more in ([], [preset]))
    assert plain != other
    header = " ".join(line.strip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    command = re.search(r"\+approach/\w+/preset=\w+( study=[^\s.]+)?", header)
    assert command and command[0].split()[0] == preset
    compose([*base, *command[0].split()])
    assert f"`{preset}`" in (ROOT / "README.md").read_text()


def test_icml2018_is_the_recipe() -> None:
    l2, l2_sp = (compose([*ICML, f"reg={reg}"]) for reg in ("l2", "l2_sp"))
    assert (l2.reg.alpha, l2.reg.beta, l2_sp.reg.alpha, l2_sp.reg.beta) == (1e-4, 1e-3, 0.1, 0.01)
    protocol, optim = cast(DSTLConfig, l2_sp.approach), l2_sp.optim
    assert (optim.name, optim.lr, optim.momentum, optim.batch_size, optim.steps) == ("sgd", 0.01, 0.9, 64, 9000)
    assert (protocol.input_size, protocol.crop, protocol.network.dropout) == (224, 224 / 256, 0)
    assert protocol.augment.brightness == pytest.approx(63 / 255) and protocol.augment.saturation == 0.5
    assert [side**0.5 for side in protocol.augment.scale] == pytest.approx([224 / 256] * 2)
    assert protocol.network.bn_momentum == pytest.approx(1 - 0.9) and not protocol.network.frozen_bn
    assert (l2_sp.weights.source, l2_sp.weights.file, l2_sp.weights.statistics) == ("timm", None, "fresh")
    assert l2_sp.reg.decay_scope == "weights"


def test_icml2018_drops_the_rate_once() -> None:
    optim = compose(ICML).optim
    total = total_steps(optim, 93)
    factors = [lr_factor(optim.schedule, step, total, 93) for step in range(total)]
    assert len(factors) == 9000
    assert factors[:6000] == [1.0] * 6000 and factors[6000:] == pytest.approx([0.1] * 3000)


def test_icml2018_has_a_resnet_101_with_a_new_classifier() -> None:
    found = describe(compose([*ICML, "reg=l2_sp"]), step=False)
    assert found["penalised"]["new_names"] == ["fc.weight"] and found["penalised"]["new"] == 200 * 2048
    assert found["penalised"]["shared"] == 42_394_816  # 104 convolutions
    assert found["parameters"]["all"] == 44_549_160 - (1000 - 200) * 2049  # torchvision's, of 1,000 classes


def stepped(cfg: TrainConfig) -> list[Tensor]:
    """The weights after three steps on frames of the published size, with the run's loss, rate and penalty."""
    torch.manual_seed(0)
    layers = {"segmentation": nn.Conv2d(3, 4, 1), "segmentation_head": nn.Conv2d(4, 2, 1)}
    model, protocol = nn.ModuleDict(layers).double(), cast(SegFlowConfig, cfg.approach)
    start = {"segmentation.weight": torch.ones(4, 3, 1, 1, dtype=torch.float64)}
    optimizer = build_optimizer(model, start, cfg.reg, cfg.optim, {}).optimizer
    for _ in range(3):
        frames = torch.rand(1, 3, *protocol.input_size, dtype=torch.float64)
        logits = model["segmentation_head"](model["segmentation"](frames))
        masks = (frames[:, 0] > 0.7).long()
        loss = mask_loss(logits, masks, 255, summed=protocol.mask_loss == "sum", balanced=protocol.balanced)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_the_released_segmentation_phase_is_that_of_the_mean_at_its_own_rate(reg: str) -> None:
    """Loss and rate cancel to rounding; a penalty on the sum is one 409,920 times weaker on the mean (protocol 2.6)."""
    strength = 1e4
    mean = [*DAVIS, f"reg={reg}", *(f"reg.{key}={strength / PIXELS}" for key in ("alpha", "beta"))]
    summed = [
        *DAVIS,
        "+approach/segflow/preset=released",
        f"reg={reg}",
        f"reg.alpha={strength}",
        f"reg.beta={strength}",
    ]
    ours = stepped(compose(mean))
    for a, b in zip(ours, stepped(compose(summed)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    halved = stepped(compose([*mean, f"reg.alpha={strength / PIXELS / 2}"]))
    assert (halved[0] - ours[0]).abs().max() > 1e-6  # the penalty is seen


def test_a_published_penalty_moves_nothing_at_the_released_rate() -> None:
    base = [*DAVIS, "+approach/segflow/preset=released", "reg=l2_sp"]
    arms = [stepped(compose([*base, *more])) for more in ([], ["reg.alpha=0", "reg.beta=0"])]
    gap = max(float((a - b).abs().max()) for a, b in zip(*arms, strict=True))
    assert 0 < gap < 1e-8
