"""Phases that alternate, through the ordinary loop: resume bit for bit, what is left alone, data, weights, errors."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from run_files import done_of, env_of, equal, log_of, trained
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.config import TrainConfig, resolve
from l2sp_suite.datasets import load_image, resize_frames
from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.pretrained import save_weights
from l2sp_suite.runs import Run
from l2sp_suite.sweeps import pretraining_of
from l2sp_suite.tasks.video.config import PARTS
from l2sp_suite.tasks.video.task import Task
from l2sp_suite.training import build_optimizer, checkpoint, data_root, train
from l2sp_suite.training.optimizer import PenalizedOptimizer
from l2sp_suite.utils.errors import UserError

pytestmark = pytest.mark.slow
Make = Callable[..., TrainConfig]
TRAINS = [{"segmentation", "segmentation_head"}, {"flow", "flow_head"}]  # of segflow_davis's two phases
SCRATCH = ("reg=l2", "weights.source=none", "weights.experiment=null", "task.flow_weights=null")
UNCHANGED = tuple(f"task.augment.{key}=0" for key in ("scale", "shift", "rotation", "flip"))
# What is tuned for the miniature is another matter than what holds here.
PINNED = (
    "task.lr_factors={segmentation:1,flow:1,segmentation_head:1,flow_head:1,head_bias:2}",
    "task.network.factors=[0.5,0.5,0.5]",
    "task.network.flow_factor=1",
    "task.network.flow_output=head",
    "task.flow_loss={final:1,scales:[0.25,0.25,0.25,0.5,1]}",
    "task.fit_clips=100",
    "reg.alpha=0.5",
    "reg.beta=0.5",
    *("optim.name=SGD", "optim.lr=0.02", "optim.kwargs={momentum:0.9,betas:null,eps:null}"),
    *("optim.batch_size=2", "optim.epochs=null", "optim.steps=4"),
)
ADAM = ("optim.name=Adam", "optim.kwargs={momentum:null,betas:[0.9,0.99],eps:1e-8}")


@pytest.fixture
def davis(smoke: Any) -> Make:
    return lambda *overrides: smoke("experiment=segflow_davis", *PINNED, *overrides)


@pytest.fixture
def monkaa(smoke: Any) -> Make:
    return lambda *overrides: smoke("experiment=segflow_monkaa_final", *PINNED, *overrides)


def phases(*each: str) -> str:
    """An override: `flow auxiliary 2 flow+flow_head` is a phase of two steps."""
    written = []
    for task, data, steps, parts in (phase.split() for phase in each):
        written.append(f"{{task:{task},data:{data},steps:{steps},trains:[{parts.replace('+', ',')}]}}")
    return f"task.phases=[{','.join(written)}]"


def steps(segmentation: int, flow: int) -> tuple[str, str]:
    """Of the phases of a run whose target is a set of masks."""
    return f"task.steps_per_phase.target={segmentation}", f"task.steps_per_phase.auxiliary={flow}"


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[Path, bytes]:
    """The last checkpoint of each run, by its path: finishing a run removes it."""
    files: dict[Path, bytes] = {}
    save = checkpoint.save

    def kept(path: Path, *args: Any) -> None:
        save(path, *args)
        files[path] = path.read_bytes()

    monkeypatch.setattr(checkpoint, "save", kept)
    return files


def state_of(run: Run, saved: dict[Path, bytes]) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(saved[run.checkpoint]), weights_only=True)
    return state


# A run that is cut


def cut_at(monkeypatch: pytest.MonkeyPatch, cfg: TrainConfig, at: int) -> None:
    """Trains a run until something stops it before step `at`."""
    batches = Task.batches

    def interrupted(task: Task, first: int, last: int) -> Iterator[Any]:
        for step, batch in enumerate(batches(task, first, last), start=first):
            if step == at:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Task, "batches", interrupted)
        trained(cfg)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("optim", "cuts"), [((), [(4, 4), (7, 7), (4, 3)]), (ADAM, [(4, 4)])], ids=["SGD", "Adam"])
def test_a_run_cut_anywhere_ends_bitwise_where_a_whole_one_does(
    davis: Make, saved: dict[Path, bytes], monkeypatch: pytest.MonkeyPatch, optim: tuple[str, ...], cuts: list[Any]
) -> None:
    """Phases of 3 and 2 steps: 0 0 0 1 1 0 0 0 1; the set of 9 pairs is gone through once in 4 of its own steps."""
    cfg = davis(*steps(3, 2), "optim.steps=9", "runtime.checkpoint_every=100", *optim)
    run = trained(cfg)
    whole, log, done = state_of(run, saved), log_of(run), done_of(run)
    assert whole["step"] == 9
    for at, every in cuts:
        shutil.rmtree(run.path)
        cfg = replace(cfg, runtime=replace(cfg.runtime, checkpoint_every=every))
        cut_at(monkeypatch, cfg, at)
        assert not run.done and state_of(run, saved)["step"] == at // every * every
        trained(cfg)
        assert equal(whole, state_of(run, saved)), (at, every)
        assert (log, done) == (log_of(run), done_of(run))


# What a phase does not train


class Spy:
    """What each step of the last run that was begun had, and left; `states` begins with the initial one."""

    states: list[dict[str, Tensor]]
    grads: list[dict[str, bool]]
    momentum: list[dict[str, float]]

    def build(self, model: nn.Module, *args: Any) -> PenalizedOptimizer:
        self.states, self.grads, self.momentum = [copied(model.state_dict())], [], []
        penalized = build_optimizer(model, *args)
        optimizer = penalized.optimizer

        def note(*_: Any) -> None:
            self.grads.append({name: p.grad is not None for name, p in model.named_parameters()})
            moments = {name: optimizer.state[p].get("momentum_buffer") for name, p in model.named_parameters()}
            self.momentum.append({name: 0.0 if m is None else float(m.abs().max()) for name, m in moments.items()})

        optimizer.register_step_pre_hook(note)
        optimizer.register_step_post_hook(lambda *_: self.states.append(copied(model.state_dict())))
        return penalized


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def of_part(part: str, table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name.startswith(f"{part}.")}


@pytest.mark.parametrize(("reg", "frozen"), [("l2", "false"), ("l2_sp", "true"), ("l2_sp", "false")])
def test_a_phase_leaves_bitwise_alone_what_it_does_not_train(
    davis: Make, monkeypatch: pytest.MonkeyPatch, reg: str, frozen: str
) -> None:
    """Also where the penalty would pull, and momentum push on."""
    spy = Spy()
    monkeypatch.setattr("l2sp_suite.training.trainer.build_optimizer", spy.build)
    trained(davis(f"reg={reg}", f"task.network.frozen_bn={frozen}", *steps(2, 2), "optim.steps=8"))
    assert len(spy.states) == 9
    for step in range(8):
        trains = TRAINS[step // 2 % 2]
        for part in PARTS:
            first, before, after = (of_part(part, spy.states[k]) for k in (0, step, step + 1))
            assert set(of_part(part, spy.grads[step]).values()) == {part in trains}
            if part in trains:
                assert step == 0 or not equal(before, after)  # at first the scores are zero, and so is the pull to w0
                continue
            assert equal(before, after)
            if step >= 4:
                assert max(of_part(part, spy.momentum[step]).values()) > 0 and not equal(before, first)


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_the_penalty_acts_on_a_part_in_its_own_phases(
    davis: Make, saved: dict[Path, bytes], monkeypatch: pytest.MonkeyPatch, reg: str
) -> None:
    """Without a gradient of the loss, each step takes a part nearer to its anchor by 1 - rate x alpha."""
    lr, alpha, beta = 0.1, 2.0, 3.0
    points: dict[str, dict[str, Tensor]] = {}

    def shifted(model: nn.Module, *args: Any) -> PenalizedOptimizer:
        penalized = build_optimizer(model, *args)
        points["w0"] = copied(dict(model.named_parameters()))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.03)
        points["before"] = copied(dict(model.named_parameters()))
        return penalized

    loss = Task.loss
    common = (f"reg={reg}", f"reg.alpha={alpha}", f"reg.beta={beta}", f"optim.lr={lr}", "optim.kwargs.momentum=0")
    cfg = davis(*steps(2, 1), "optim.steps=7", "optim.schedule.kind=constant", "task.lr_factors.flow=0.5", *common)
    for source in resolve(cfg).pretraining.values():
        train(source)  # as they are, before anything is bent
    monkeypatch.setattr("l2sp_suite.training.trainer.build_optimizer", shifted)
    monkeypatch.setattr(Task, "loss", lambda task, model, batch: 0 * loss(task, model, batch))
    after = state_of(trained(cfg), saved)["model"]
    count = {"segmentation": 5, "segmentation_head": 5, "flow": 2, "flow_head": 2}  # 0 0 1 0 0 1 0
    for name, before in points["before"].items():
        part = name.partition(".")[0]
        if before.ndim == 1:
            assert torch.equal(after[name], before), name
            continue
        new = part.endswith("_head")
        rate = lr * (0.5 if part == "flow" else 1) * (beta if new else alpha)
        anchor = points["w0"][name] if reg == "l2_sp" and not new else torch.zeros(())
        expected = anchor + (before - anchor) * (1 - rate) ** count[part]
        torch.testing.assert_close(after[name], expected, rtol=1e-4, atol=1e-6, msg=name)


# Data


def task_of(cfg: TrainConfig) -> Task:
    task = Task(cfg, data_root(cfg))
    task.prepare({}, torch.device("cpu"))
    return task


def numbers(pairs: Any, size: tuple[int, int]) -> dict[bytes, int]:
    """Number of each pair of frames, by its values."""
    frames = [torch.stack([load_image(path) for path in pair]) for pair in zip(pairs.first, pairs.second, strict=True)]
    return {resize_frames(pair, size).numpy().tobytes(): index for index, pair in enumerate(frames)}


ORDERS = {
    "as the experiment has it": (steps(2, 1), [0, 0, 1] * 3, ["data", "auxiliary_data"]),
    "another order": (
        (phases("flow auxiliary 1 flow", "segmentation data 2 segmentation_head", "flow auxiliary 1 flow_head"),),
        [0, 1, 1, 2] * 2,
        ["auxiliary_data", "data", "auxiliary_data"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_phases_draw_from_their_own_data_in_the_configured_order(davis: Make, order: str) -> None:
    overrides, expected, keys = ORDERS[order]
    task, size = task_of(davis(*SCRATCH, *UNCHANGED, *overrides)), (48, 80)
    tables = {key: numbers(video.train, size) for key, video in task.sets.items()}
    assert set(tables) == {"data", "auxiliary_data"} and not set(tables["data"]) & set(tables["auxiliary_data"])
    drawn: dict[int, list[int]] = {number: [] for number in range(len(keys))}
    order_of_phases = []
    for number, frames, truth in task.batches(0, len(expected)):
        order_of_phases.append(number)
        assert frames.shape == (2, 2, 3, *size)
        assert truth.shape == ((2, *size) if keys[number] == "data" else (2, 3, *size))
        drawn[number] += [tables[keys[number]][pair.numpy().tobytes()] for pair in frames]
    assert order_of_phases == expected
    for number, items in drawn.items():
        full = len(tables[keys[number]]) // 2 * 2  # pairs in the batches of an epoch
        assert len(items) == 2 * expected.count(number)
        assert len(set(items[:full])) == len(items[:full])
    assert drawn[0] != list(range(len(drawn[0])))  # and not in the order of the files


@pytest.mark.parametrize("order", ORDERS)
def test_batches_are_functions_of_the_step(davis: Make, order: str) -> None:
    overrides, expected, _ = ORDERS[order]
    cfg = davis(*SCRATCH, *overrides)
    straight, resumed = list(task_of(cfg).batches(0, len(expected))), task_of(cfg)
    for first in range(1, len(expected)):
        assert equal(straight[first:], list(resumed.batches(first, len(expected))))
    other = list(task_of(davis(*SCRATCH, *overrides, "seed=1")).batches(0, len(expected)))
    assert not any(torch.equal(a[1], b[1]) for a, b in zip(straight, other, strict=True))


# Pre-trained weights


def test_flow_weights_of_another_scale_are_taken(davis: Make) -> None:
    """Of a run that counts as finished; its branch is wider than this scale's own."""
    cfg = davis("reg=l2_sp", "task.flow_weights.scale=mini", "task.network.flow_width=0.25", "optim.steps=1")
    usual = davis("reg=l2_sp", "task.network.flow_width=0.25", "optim.steps=1")
    spec = resolve(cfg)
    assert spec.fingerprint != resolve(usual).fingerprint
    sources = pretraining_of([spec, spec])
    listed = [(source.config.experiment, source.config.scale.name) for source in sources]
    assert listed == [("source/segflow", "smoke"), ("source/flownet", "mini")]
    segmentation, flow = map(Run, sources)
    branch = FlowNetS(0.25)
    try:
        save_weights(flow.weights, {f"flow.{name}": t for name, t in branch.state_dict().items()})
        (flow.path / "done.json").write_text(json.dumps({"value": 1.0}))
        (flow.path / "env.json").write_text(json.dumps({"clips": {"train": 1000}}))
        env = env_of(trained(cfg))
    finally:
        shutil.rmtree(flow.path)
    origins = {key: part["origin"] for key, part in env["pretrained"].items()}
    assert origins == {"weights": str(segmentation.weights), "flow_weights": str(flow.weights)}
    described = {"experiment": "source/flownet", "scale": "mini", "clips": {"train": 1000}}
    assert env["pretrained_runs"]["flow_weights"] == described
    learnt = [t for module in (branch, Task.summary(cfg).model.segmentation) for t in module.parameters()]  # type: ignore[union-attr]
    assert env["partition"]["shared"] == sum(t.numel() for t in learnt if t.ndim == 4)


def larger(field: Tensor, size: tuple[int, int]) -> Tensor:
    """A field (2, h, w) at another size, in pixels of that size."""
    factors = torch.tensor([size[1] / field.shape[-1], size[0] / field.shape[-2]])[:, None, None]
    return factors * F.interpolate(field[None], size, mode="bilinear", align_corners=False)[0]


def errors_of_the_pretrained(cfg: Any) -> tuple[float, float]:
    """Mean end-point errors over the test part of the pre-trained flow branch, step by step, and of no motion."""
    video = Task.read_data(cfg, data_root(cfg))[0]["data"]
    branch, errors, still = FlowNetS(cfg.task.network.flow_width), [], []
    tensors = load_file(Run(resolve(cfg).pretraining["flow_weights"]).weights)
    branch.load_state_dict({name.removeprefix("flow."): tensor for name, tensor in tensors.items()})
    mean, std = torch.tensor(cfg.task.network.flow_mean)[:, None, None], cfg.task.network.flow_std
    for first, second, file in zip(video.test.first, video.test.second, video.test.truth, strict=True):
        truth = video.decode(file)
        pair = [(resize_frames(load_image(path), (32, 80)) - mean) / std for path in (first, second)]
        seen = F.interpolate(torch.cat(pair)[None], (64, 128), mode="bilinear", align_corners=False)
        with torch.no_grad():
            cells = 20 / 4 * branch(seen).flows[-1][0]  # from units of 20 pixels to its own cells of 4
        flow = larger(larger(cells, (32, 80)), (truth.shape[-2], truth.shape[-1]))
        for vectors, kept in ((flow, errors), (torch.zeros(()), still)):
            kept.append((vectors - truth[:2]).square().sum(0).sqrt()[truth[2] == 1])
    return float(torch.cat(errors).mean()), float(torch.cat(still).mean())


def test_no_step_evaluates_the_pretrained_network(monkaa: Make) -> None:
    """Alone the flow branch is what it was; a head of zeros sees no motion, or adds nothing to what the branch sees."""
    none = ("optim.steps=0", "task.input_size=[32,80]")  # of which the branch sees 64x128 alone or not
    flow_alone = ("task.network.segmentation=null", "weights.source=none", "task.auxiliary_data=null")
    alone = done_of(trained(monkaa(*flow_alone, *none, "study=test/alone", phases("flow data 1 flow"))))
    residual = done_of(trained(monkaa(*none, "study=test/residual", "task.network.flow_output=residual")))
    cfg = monkaa(*none)
    run = trained(cfg)
    head = done_of(run)
    assert alone["steps"] == residual["steps"] == head["steps"] == 0 and head["distance"]["w0"] == 0
    for split in ("train", "test"):
        results = [done["results"][split] for done in (alone, residual, head)]
        own, zero = ([result[name] for result in results] for name in ("EPE_start", "EPE_zero"))
        assert [result["EPE"] for result in results] == pytest.approx([own[0], own[0], zero[0]], rel=1e-6)
        assert own == pytest.approx([own[0]] * 3, rel=1e-6) and zero == [zero[0]] * 3
        assert own[0] != pytest.approx(zero[0], rel=1e-2)
    assert (alone["value"], head["value"]) == pytest.approx(errors_of_the_pretrained(cfg), rel=1e-4)
    assert head["metric"] == "EPE" and head["better"] == "lower"
    names = {path.name.partition("-")[::2] for path in (run.path / "samples").iterdir()}
    kinds = ("image.png", "truth.png", "prediction.png")
    assert names == {(item, kind) for item in ("6", "clip00", "clip01") for kind in kinds}  # of 12 pairs the middle one


def test_segflow_without_flow_runs(smoke: Any) -> None:
    run = trained(smoke("experiment=segflow_star_davis", "reg=l2_sp"))
    done, env = done_of(run), env_of(run)
    assert done["metric"] == "IoU" and done["better"] == "higher"
    assert 0 <= done["value"] == done["results"]["test"]["IoU"] <= 1
    assert env["partition"]["new_names"] == [f"segmentation_head.score{k}.weight" for k in (3, 4, 5)]
    assert set(env["pretrained"]) == {"weights"}
    clips = log_of(run, "test")[0]["IoU_by_sequence"]
    assert done["value"] == pytest.approx(sum(clips.values()) / len(clips)) and len(clips) == env["clips"]["test"]


# What cannot be


NO_FLOW = "task.network.flow=false"


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        ("segflow_davis", [phases("flow data 1 flow")], "flow cannot be trained on davis2016, a set of masks"),
        ("segflow_davis", [phases("segmentation auxiliary 1 segmentation")],
         "segmentation cannot be trained on monkaa_final, a set of flows"),
        ("segflow_star_davis", [phases("segmentation data 1 segmentation+flow+flow_head")],
         r"task\.phases: this network has no flow and no flow_head to train"),
        ("segflow_davis", ["task.auxiliary_data=null"], r"the flow phase needs task\.auxiliary_data, a data set"),
        ("segflow_davis", ["task.network.segmentation=null", NO_FLOW],
         r"task\.network: give a segmentation backbone, flow: true, or both"),
        ("segflow_davis", ["task.flow_weights.experiment=null"], r"flow_weights\.source=source_run needs"),
        ("segflow_davis", [phases("segmentation data 1 flow_head")],
         r"the loss of the segmentation phase does not reach flow_head: .*task\.flow_loss"),
        ("segflow_monkaa_final", [phases("flow data 1 flow"), "task.flow_loss={final:0,scales:[]}"],
         "the loss of the flow phase does not reach flow"),
        ("segflow_monkaa_final", [NO_FLOW, phases("flow data 1 segmentation")],
         r"task\.network: monkaa_final is a set of flows, which need the flow branch"),
        ("segflow_monkaa_final", [NO_FLOW, phases("segmentation auxiliary 1 segmentation")], "need the flow branch"),
        ("segflow_star_davis", ["task.input_size=[49,80]"], "do not cover frames of 49x80"),
    ],
)  # fmt: skip
def test_what_does_not_fit_ends_in_one_line(
    smoke: Any, artifacts: Path, experiment: str, overrides: list[str], message: str
) -> None:
    results = f"paths.results='{artifacts}/refused'"  # of all cases, so that their sources are composed once
    with pytest.raises(UserError, match=message) as caught:
        trained(smoke(f"experiment={experiment}", results, *overrides))
    assert "\n" not in str(caught.value)
