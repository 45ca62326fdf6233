"""A run through the loop: resume bit for bit after kill -9, NaN, pre-training, and what both arms share."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_files import done_of, env_of, equal, log_of, run_of, trained
from safetensors.torch import load_file

from l2sp_suite.config import RunSpec, TrainConfig, compose, resolve
from l2sp_suite.runs import Run
from l2sp_suite.tasks.classification.task import Task
from l2sp_suite.training import checkpoint
from l2sp_suite.utils.errors import Diverged, UserError

pytestmark = pytest.mark.slow
KILLED = """
import os, signal, sys
from l2sp_suite.config import spec_of
from l2sp_suite.tasks.classification.task import Task
from l2sp_suite.training import train

batches = Task.batches
def cut(self, first, last):
    for step, batch in enumerate(batches(self, first, last), start=first):
        if step == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
for source in spec_of(sys.argv[1:]).pretraining.values():
    train(source)
Task.batches = cut
train(spec_of(sys.argv[1:]))
"""


@pytest.fixture
def last_state(monkeypatch: pytest.MonkeyPatch) -> Callable[[TrainConfig], dict[str, Any]]:
    """Trains a run and gives its last checkpoint, which finishing removes."""
    save, files = checkpoint.save, dict[Path, Path]()

    def kept(path: Path, *args: Any) -> None:
        save(path, *args)
        files[path] = path.with_name("kept.pt")
        files[path].write_bytes(path.read_bytes())

    monkeypatch.setattr(checkpoint, "save", kept)
    return lambda cfg: torch.load(files[trained(cfg).checkpoint], weights_only=True)


def test_ten_steps_equal_four_kill_nine_and_six(smoke: Any, last_state: Any, tmp_path: Path, artifacts: Path) -> None:
    # Dropout draws from the global generator, so that its state must be restored too.
    overrides = ["optim.steps=10", "runtime.checkpoint_every=4", "task.network.dropout=0.5"]
    whole = smoke(*overrides, f"paths.results='{tmp_path}/whole'")
    cut = ["experiment=dstl_cub200", "scale=smoke", f"paths.results='{tmp_path}/cut'", f"paths.artifacts='{artifacts}'"]
    cut += ["runtime.threads=1", *overrides]
    process = subprocess.run([sys.executable, "-c", KILLED, *cut], capture_output=True, text=True, check=False)
    assert process.returncode == -9, process.stderr
    half = run_of(compose(cut))
    assert torch.load(half.checkpoint, weights_only=True)["step"] == 4 and not half.done
    assert [line["step"] for line in log_of(half)] == [1, 2, 3, 4, 5, 6]  # two of which are done again
    assert equal(last_state(whole), last_state(compose(cut)))
    assert log_of(run_of(whole)) == log_of(half) and done_of(run_of(whole)) == done_of(half)
    assert half.done and not half.checkpoint.exists()


def test_a_finished_run_is_not_trained_again(
    finished: Callable[[str, str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished("dstl_cub200", "l2_sp")
    monkeypatch.setattr("l2sp_suite.training.trainer.fit", None)
    assert trained(run.spec.config).done


def test_both_arms_see_the_same_and_differ_in_the_pull(smoke: Any) -> None:
    """alpha = beta = 0 makes the arms one and the same run; the usual setting does not."""

    def arms(*overrides: str) -> list[Run]:
        return [trained(smoke(f"reg={reg}", *overrides)) for reg in ("l2", "l2_sp")]

    logs = [log_of(run) for run in arms("reg.alpha=0", "reg.beta=0")]
    assert logs[0] == logs[1]
    l2, l2_sp = (log_of(run, "fit")[-1] for run in arms("reg.alpha=5"))
    assert l2_sp["distance_w0"] < l2["distance_w0"] and l2["distance_zero"] < l2_sp["distance_zero"]


def test_the_target_starts_from_its_pre_training_run(finished: Callable[[str, str], Run]) -> None:
    run = finished("dstl_cub200", "l2_sp")
    source = Run(run.spec.pretraining["weights"])
    weights, env, made = load_file(source.weights), env_of(run), env_of(source)
    assert env["pretrained"]["weights"]["origin"] == str(source.weights)
    assert env["partition"]["shared"] > env["partition"]["new"] > 0
    assert sum(w.numel() for w in weights.values() if w.ndim == 4) == env["partition"]["shared"]
    described = {"experiment": "source/dstl", "scale": "smoke", "classes": made["classes"], "images": made["images"]}
    assert env["pretrained_runs"]["weights"] == described
    assert source.spec.makes_weights and source.spec.labels == {} and not run.weights.exists()


def test_what_each_layer_moved_is_logged_at_the_end(finished: Callable[[str, str], Run]) -> None:
    run = finished("dstl_cub200", "l2_sp")
    last, layers = log_of(run, "fit")[-1], log_of(run)[-1]["layers"]
    assert len(layers) > 10 and last["distance_w0"] > 0 and all(name.endswith("weight") for name in layers)
    moved, lengths, _ = (math.hypot(*column) for column in zip(*layers.values(), strict=True))
    assert (moved, lengths) == pytest.approx((last["distance_w0"], last["distance_zero"]), rel=1e-4)
    assert done_of(run)["distance"] == {"w0": last["distance_w0"], "zero": last["distance_zero"]}


def test_evaluations_stand_in_the_log_and_the_result(finished: Callable[[str, str], Run]) -> None:
    run = finished("dstl_cub200", "l2")
    done = done_of(run)
    assert (done["metric"], done["better"], done["steps"]) == ("accuracy", "higher", 4)
    assert done["value"] == done["results"]["test"]["accuracy"] and done["train_metric"] == "accuracy"
    for split, result in done["results"].items():
        (line,) = log_of(run, split)
        assert {"accuracy": line["accuracy"], "n": line["n"]} == result


def test_from_scratch_there_is_no_anchor(smoke: Any) -> None:
    run = trained(smoke("reg=l2", "weights.source=none", "weights.experiment=null", "study='from_scratch/x'"))
    assert done_of(run)["distance"] == {} and env_of(run)["partition"] is None and not log_of(run, "layers")


def test_a_pre_training_run_has_its_own_threads_whoever_starts_it(smoke: Any, tmp_path: Path) -> None:
    spec = resolve(smoke("reg=l2", "runtime.threads=2", "seed=3", "weights.seed=3"))
    run = trained(spec.config)
    assert [env_of(r)["threads"] for r in (Run(spec.pretraining["weights"]), run)] == [1, 2]  # as in a campaign


# Losses that are not finite


def test_nan_loss_stops_with_step_and_learning_rate(smoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec: RunSpec = resolve(smoke())
    for source in spec.pretraining.values():
        trained(source.config)
    loss, calls = Task.loss, iter([1.0, 1.0, math.nan])
    monkeypatch.setattr(Task, "loss", lambda self, model, batch: loss(self, model, batch) * next(calls))
    run = Run(spec)
    with pytest.raises(UserError, match=r"the loss is nan at step 2 with learning rate [\d.e-]+: lower optim\.lr"):
        trained(spec.config)
    assert "nan at step 2" in json.loads((run.path / "failed.json").read_text())["error"]
    done = done_of(run)
    assert run.done and math.isnan(done["value"]) and done["steps"] == 4 and done["diverged_at"] == 2
    with pytest.raises(Diverged, match="nan at step 2"):  # said again, not tried again
        trained(spec.config)


def test_weights_lost_in_the_last_step_are_noticed(smoke: Any) -> None:
    with pytest.raises(Diverged, match="a weight is not finite after the last step, 1"):
        trained(smoke("optim.lr=1e38", "optim.steps=1", "reg.alpha=1e30", "reg.beta=1e30"))


def test_a_pre_training_run_that_diverges_is_not_finished(smoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Task, "loss", lambda self, model, batch: torch.tensor(math.inf))
    cfg = smoke("experiment=source/dstl", "reg=l2", "optim.lr=0.012")
    with pytest.raises(Diverged, match=run_of(cfg).path.name):
        trained(cfg)
    assert not (run_of(cfg).path / "done.json").exists()


def test_a_damaged_checkpoint_names_the_file(smoke: Any) -> None:
    run = run_of(smoke())
    run.path.mkdir(parents=True)
    run.checkpoint.write_bytes(os.urandom(64))
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot resume"):
        trained(smoke())


def test_a_device_that_is_not_there_is_said_in_one_line(smoke: Any) -> None:
    with pytest.raises(UserError, match=r"runtime\.device=abacus: not usable here; use auto, cpu or cuda"):
        trained(smoke("runtime.device=abacus"))
