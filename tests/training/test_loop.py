"""The loop: resume bit for bit after kill -9, NaN, schedules, and what both arms share."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from l2sp_suite.config.compose import compose
from l2sp_suite.config.schema import ScheduleConfig
from l2sp_suite.runs import run_of, source_of
from l2sp_suite.tasks.classification.task import DSTL
from l2sp_suite.training.loop import total_steps
from l2sp_suite.training.optimizer import build_optimizer
from l2sp_suite.training.schedule import lr_factor
from l2sp_suite.training.trainer import train
from l2sp_suite.utils.errors import Diverged, UserError

KILLED = """
import os, signal, sys
from l2sp_suite.tasks.classification.task import DSTL
from l2sp_suite.config.compose import compose
from l2sp_suite.training.trainer import train

batches = DSTL.batches
def cut(self, first, last):
    for step, batch in enumerate(batches(self, first, last), start=first):
        if step == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
cfg = compose(sys.argv[1:])
train(compose([*sys.argv[1:], "reg=l2"]))
DSTL.batches = cut
train(cfg)
"""


def final_state(cfg) -> dict:
    """Trains a run and keeps its last checkpoint, which finishing would remove."""
    run = run_of(cfg)
    run.path.mkdir(parents=True, exist_ok=True)
    kept = run.path / "kept.pt"
    unlink = Path.unlink
    try:
        Path.unlink = lambda self, **kw: self.rename(kept) if self == run.checkpoint else unlink(self, **kw)  # type: ignore
        train(cfg)
    finally:
        Path.unlink = unlink  # type: ignore[method-assign]
    return torch.load(kept, weights_only=True)


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def log_of(cfg) -> list[dict]:
    lines = [json.loads(line) for line in (run_of(cfg).path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def fits_of(cfg) -> list[dict]:
    return [line for line in log_of(cfg) if line["split"] == "fit"]


def done_of(cfg) -> dict:
    done = json.loads((run_of(cfg).path / "done.json").read_text())
    return {key: value for key, value in done.items() if key not in ("seconds", "peak_memory_mb")}


def test_ten_steps_equal_four_kill_nine_and_six(smoke, tmp_path: Path, artifacts: Path) -> None:
    # Dropout draws from the global generator, so that its state must be restored too.
    overrides = ["optim.steps=10", "runtime.checkpoint_every=4", "approach.network.dropout=0.5"]
    whole = smoke(*overrides, f"paths.results='{tmp_path}/whole'")
    cut = [f"paths.results='{tmp_path}/cut'", f"paths.artifacts='{artifacts}'", "runtime.threads=1"]
    cut = ["experiment=dstl_cub200", "scale=smoke", *cut, *overrides]
    process = subprocess.run([sys.executable, "-c", KILLED, *cut], capture_output=True, text=True, check=False)
    assert process.returncode == -9, process.stderr
    half = run_of(compose(cut))
    assert torch.load(half.checkpoint, weights_only=True)["step"] == 4
    assert not half.done
    assert equal(final_state(whole), final_state(compose(cut)))
    assert log_of(whole) == log_of(compose(cut))
    assert done_of(whole) == done_of(compose(cut))


def test_finished_run_is_not_trained_again(smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    train(smoke())
    monkeypatch.setattr("l2sp_suite.training.trainer.fit", None)
    assert train(smoke()).done


def test_both_arms_see_the_same_and_differ_in_the_pull(smoke, artifacts: Path) -> None:
    """alpha = beta = 0 makes the arms one and the same run; the usual setting does not."""
    logs = []
    for reg in ("l2", "l2_sp"):
        cfg = smoke(f"reg={reg}", "reg.alpha=0", "reg.beta=0")
        train(cfg)
        logs.append(log_of(cfg))
    assert logs[0] == logs[1]
    train(smoke("reg=l2", "reg.alpha=5"))
    train(smoke("reg=l2_sp", "reg.alpha=5"))
    apart = [fits_of(smoke(f"reg={reg}", "reg.alpha=5"))[-1] for reg in ("l2", "l2_sp")]
    assert apart[1]["distance_w0"] < apart[0]["distance_w0"] and apart[0]["distance_zero"] < apart[1]["distance_zero"]


def test_nan_loss_stops_with_step_and_learning_rate(smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    train(smoke("reg=l2"))  # makes the source run first
    loss = DSTL.loss
    calls = iter([1.0, 1.0, math.nan])
    monkeypatch.setattr(DSTL, "loss", lambda self, batch: loss(self, batch) * next(calls))
    run = run_of(smoke())
    with pytest.raises(UserError, match=r"the loss is nan at step 2 with learning rate [\d.e-]+: lower optim\.lr"):
        train(smoke())
    assert "nan at step 2" in json.loads((run.path / "failed.json").read_text())["error"]
    done = json.loads((run.path / "done.json").read_text())
    assert run.done and math.isnan(done["value"]) and done["steps"] == 4 and done["lost_step"] == 2  # counted as lost
    with pytest.raises(Diverged, match="nan at step 2"):  # said again, not tried again
        train(smoke())


def test_a_source_has_threads_of_its_own_whoever_starts_it(smoke) -> None:
    cfg = smoke("reg=l2", "runtime.threads=2", "seed=3")
    shutil.rmtree(run_of(source_of(cfg)[1]).path, ignore_errors=True)
    run = train(cfg)
    found = [json.loads((r.path / "env.json").read_text())["threads"] for r in (run_of(source_of(cfg)[1]), run)]
    assert found == [1, 2]  # so that its weights are the same as in a campaign


def test_weights_lost_in_the_last_step_are_noticed(smoke) -> None:
    with pytest.raises(Diverged, match="a weight is not finite after the last step, 1"):
        train(smoke("optim.lr=1e38", "optim.steps=1", "reg.alpha=1e30", "reg.beta=1e30"))


def test_a_source_that_diverges_is_not_finished(smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DSTL, "loss", lambda self, batch: torch.tensor(math.inf))
    cfg = smoke("experiment=source/dstl", "reg=l2", "optim.lr=0.012")
    with pytest.raises(Diverged, match=run_of(cfg).path.name):
        train(cfg)
    assert not (run_of(cfg).path / "done.json").exists()


def test_source_run_keeps_its_weights_and_the_target_starts_from_them(smoke) -> None:
    source = train(smoke("experiment=source/dstl", "reg=l2"))
    weights = load_file(source.weights)
    run = train(smoke())
    env = json.loads((run.path / "env.json").read_text())
    assert (
        env["start"]["origin"].endswith("model.safetensors")
        and env["partition"]["shared"] > env["partition"]["new"] > 0
    )
    assert sum(w.numel() for n, w in weights.items() if w.ndim == 4) == env["partition"]["shared"]
    trained_on = json.loads((source.path / "env.json").read_text())
    told = env["sources"]["weights"]
    assert told == {"experiment": "source/dstl", "scale": "smoke", **{k: trained_on[k] for k in ("classes", "images")}}


def test_from_scratch_decays_the_same_weights(smoke) -> None:
    run = train(smoke("reg=l2", "weights.source=none", "weights.experiment=null", "study='from_scratch/x'"))
    assert json.loads((run.path / "done.json").read_text())["distance"] == {}


def test_what_each_layer_moved_is_logged_at_the_end(smoke) -> None:
    run = train(smoke())
    last, layers = fits_of(smoke())[-1], log_of(smoke())[-1]["layers"]
    assert len(layers) > 10 and last["distance_w0"] > 0
    moved, lengths, _ = (math.hypot(*column) for column in zip(*layers.values(), strict=True))
    assert (moved, lengths) == pytest.approx((last["distance_w0"], last["distance_zero"]), rel=1e-4)
    assert all(name.endswith("weight") for name in layers) and run.done


def test_checkpoint_of_another_start_is_refused(smoke, artifacts: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    cfg = smoke("reg=l2_sp")
    one = build_optimizer(model, {"0.weight": torch.ones(4, 3, 3, 3)}, cfg.reg, cfg.optim, {})
    two = build_optimizer(model, {"0.weight": torch.full((4, 3, 3, 3), 2.0)}, cfg.reg, cfg.optim, {})
    with pytest.raises(UserError, match="checksum"):
        two.load_state_dict(one.state_dict())


def test_damaged_checkpoint_names_the_file(smoke) -> None:
    run = run_of(smoke())
    run.path.mkdir(parents=True)
    run.checkpoint.write_bytes(os.urandom(64))
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot resume"):
        train(smoke())


def test_schedules_in_closed_form(smoke) -> None:
    schedule = compose(["experiment=dstl_cub200", "scale=paper"]).optim.schedule
    # CUB: 5,994 images in batches of 64 are 93 full steps an epoch; x0.1 every 10 epochs.
    factors = [lr_factor(schedule, step, 2790, 93) for step in (0, 929, 930, 1859, 1860, 2789)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    schedule.every_epochs, schedule.every_steps = None, 5
    assert [lr_factor(schedule, step, 2790, 93) for step in (4, 5, 10)] == pytest.approx([1, 0.1, 0.01])
    schedule.kind = "cosine"
    assert lr_factor(schedule, 0, 100, 1) == 1 and lr_factor(schedule, 50, 100, 1) == pytest.approx(0.5)
    schedule.kind, schedule.power = "poly", 0.9
    assert lr_factor(schedule, 24_959, 24_960, 312) == pytest.approx((1 / 24_960) ** 0.9)
    schedule.kind, schedule.warmup_steps = "constant", 9
    assert [lr_factor(schedule, s, 100, 1) for s in (0, 4, 9, 50)] == pytest.approx([0.1, 0.5, 1, 1])
    schedule.kind = "step"
    with pytest.raises(UserError, match="staircase, cosine, poly or constant"):
        lr_factor(schedule, 0, 1, 1)


@given(st.sampled_from(["staircase", "cosine", "poly", "constant"]), st.integers(1, 500), st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_factor_lies_in_0_1_and_never_rises_after_warm_up(kind: str, total: int, warmup: int) -> None:
    schedule = ScheduleConfig(kind=kind, warmup_steps=warmup, every_epochs=10, every_steps=None, factor=0.1, power=0.9)
    factors = [lr_factor(schedule, step, total, 3) for step in range(total)]
    assert all(0 < f <= 1 for f in factors)
    assert all(a >= b - 1e-12 for a, b in zip(factors[warmup:], factors[warmup + 1 :], strict=False))


def test_length_in_steps_or_epochs() -> None:
    paper, mini = (compose(["experiment=dstl_cub200", f"scale={scale}"]).optim for scale in ("paper", "mini"))
    assert total_steps(paper, 93) == 2790 and total_steps(mini, 93) == mini.steps
