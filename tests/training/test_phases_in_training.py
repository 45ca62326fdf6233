"""Phases that take turns, through the ordinary loop: resume bit for bit, what is left alone, data, starts, errors."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from l2sp_suite.config.schema import DataConfig, TrainConfig
from l2sp_suite.datasets.images import load_image
from l2sp_suite.datasets.layout import find_root
from l2sp_suite.datasets.video import Video, read
from l2sp_suite.datasets.video_transforms import resize_frames
from l2sp_suite.models.flownets import FlowNetS
from l2sp_suite.pretrained.load import save_weights
from l2sp_suite.runs import Run, run_of, source_of
from l2sp_suite.sweeps.plan import sources_of
from l2sp_suite.tasks.video.config import PARTS
from l2sp_suite.tasks.video.task import SegFlowTask
from l2sp_suite.training import checkpoint
from l2sp_suite.training.optimizer import PenalizedOptimizer, build_optimizer
from l2sp_suite.training.trainer import train
from l2sp_suite.utils.errors import UserError
from miniworld import ensure_world

Make = Callable[..., TrainConfig]
TRAINS = [{"segmentation", "segmentation_head"}, {"flow", "flow_head"}]  # of segflow_davis's two phases
NO_START = ("reg=l2", "weights.source=none", "weights.experiment=null", "approach.flow_weights=null")
UNCHANGED = tuple(f"approach.augment.{key}=0" for key in ("scale", "shift", "rotation", "flip"))
# What is tuned for the miniature is another matter than what holds here.
PINNED = (
    "approach.lr_factors={segmentation:1,flow:1,segmentation_head:1,flow_head:1,head_bias:2}",
    "approach.network.factors=[0.5,0.5,0.5]",
    "approach.network.flow_factor=1",
    "approach.network.flow_output=head",
    "approach.flow_loss={final:1,scales:[0.25,0.25,0.25,0.5,1]}",
    "approach.fit_clips=100",
    "reg.alpha=0.5",
    "reg.beta=0.5",
    *("optim.name=sgd", "optim.lr=0.02", "optim.momentum=0.9", "optim.smoothing=null", "optim.eps=null"),
    *("optim.batch_size=2", "optim.epochs=null", "optim.steps=4"),
)


@pytest.fixture
def davis(smoke: Any) -> Make:
    return lambda *overrides: smoke("experiment=segflow_davis", *PINNED, *overrides)


@pytest.fixture
def monkaa(smoke: Any) -> Make:
    return lambda *overrides: smoke("experiment=segflow_monkaa_final", *PINNED, *overrides)


@pytest.fixture(scope="module")
def world(artifacts: Path) -> Path:
    return ensure_world(artifacts, "tiny", "clips")


def phases(*each: str) -> str:
    """An override: `flow partner 2 flow+flow_head` is a phase of two steps."""
    written = []
    for task, data, steps, parts in (phase.split() for phase in each):
        written.append(f"{{task:{task},data:{data},steps:{steps},trains:[{parts.replace('+', ',')}]}}")
    return f"approach.phases=[{','.join(written)}]"


def turns(segmentation: int, flow: int) -> tuple[str, str]:
    """Of a run whose target is a set of masks."""
    return f"approach.turn.target={segmentation}", f"approach.turn.partner={flow}"


def done_of(run: Run) -> dict[str, Any]:
    done = json.loads((run.path / "done.json").read_text())
    return {key: value for key, value in done.items() if key not in ("seconds", "peak_memory_mb")}


def log_of(run: Run) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def env_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "env.json").read_text())
    return found


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[Path, bytes]:
    """The last checkpoint of each run, by its path: finishing a run removes it."""
    files: dict[Path, bytes] = {}
    save = checkpoint.save

    def kept(path: Path, step: int, model: nn.Module, penalized: PenalizedOptimizer) -> None:
        save(path, step, model, penalized)
        files[path] = path.read_bytes()

    monkeypatch.setattr(checkpoint, "save", kept)
    return files


def state_of(run: Run, saved: dict[Path, bytes]) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(saved[run.checkpoint]), weights_only=True)
    return state


# A run that is cut


def cut_at(monkeypatch: pytest.MonkeyPatch, cfg: TrainConfig, at: int) -> None:
    """Trains a run until something stops it before step `at`."""
    batches = SegFlowTask.batches

    def interrupted(task: SegFlowTask, first: int, last: int) -> Iterator[Any]:
        for step, batch in enumerate(batches(task, first, last), start=first):
            if step == at:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SegFlowTask, "batches", interrupted)
        train(cfg)


ADAM = ("optim.name=adam", "optim.smoothing=0.99", "optim.eps=1e-8")


@pytest.mark.parametrize(
    ("optim", "cuts"), [((), [(1, 1), (4, 4), (7, 7), (4, 3)]), (ADAM, [(4, 4)])], ids=["sgd", "adam"]
)
def test_a_run_cut_anywhere_ends_bitwise_where_a_whole_one_does(
    davis: Make, saved: dict[Path, bytes], monkeypatch: pytest.MonkeyPatch, optim: tuple[str, ...], cuts: list[Any]
) -> None:
    """Phases of 3 and 2 steps: 0 0 0 1 1 0 0 0 1; the set of 9 pairs is gone through once in 4 of its own steps."""
    cfg = davis(*turns(3, 2), "optim.steps=9", "runtime.checkpoint_every=100", *optim)
    run = train(cfg)
    whole, log, done = state_of(run, saved), log_of(run), done_of(run)
    assert whole["step"] == 9
    for at, every in cuts:
        shutil.rmtree(run.path)
        cfg.runtime.checkpoint_every = every
        cut_at(monkeypatch, cfg, at)
        assert not run.done and state_of(run, saved)["step"] == at // every * every
        train(cfg)
        assert equal(whole, state_of(run, saved)), (at, every)
        assert (log, done) == (log_of(run), done_of(run))


# What a phase does not train


class Spy:
    """What each step of the last run that was begun had, and left; `states` begins with the start."""

    states: list[dict[str, Tensor]]
    grads: list[dict[str, bool]]
    momentum: list[dict[str, float]]

    def build(self, model: nn.Module, *args: Any) -> PenalizedOptimizer:
        self.states, self.grads, self.momentum = [copied(model.state_dict())], [], []
        penalized = build_optimizer(model, *args)
        optimizer = penalized.optimizer

        def found(*_: Any) -> None:
            self.grads.append({name: p.grad is not None for name, p in model.named_parameters()})
            moments = {name: optimizer.state[p].get("momentum_buffer") for name, p in model.named_parameters()}
            self.momentum.append({name: 0.0 if m is None else float(m.abs().max()) for name, m in moments.items()})

        optimizer.register_step_pre_hook(found)
        optimizer.register_step_post_hook(lambda *_: self.states.append(copied(model.state_dict())))
        return penalized


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def own(part: str, table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name.startswith(f"{part}.")}


MOVING = "frozen_bn=false"


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
@pytest.mark.parametrize("bn", ["frozen_bn=true", MOVING])
def test_a_phase_leaves_bitwise_alone_what_it_does_not_train(
    davis: Make, monkeypatch: pytest.MonkeyPatch, reg: str, bn: str
) -> None:
    """Also where the penalty would pull, and momentum push on."""
    spy = Spy()
    monkeypatch.setattr("l2sp_suite.training.trainer.build_optimizer", spy.build)
    train(davis(f"reg={reg}", f"approach.network.{bn}", *turns(2, 2), "optim.steps=8"))
    assert len(spy.states) == 9
    for step in range(8):
        trains = TRAINS[step // 2 % 2]
        for part in PARTS:
            start, before, after = (own(part, spy.states[k]) for k in (0, step, step + 1))
            assert set(own(part, spy.grads[step]).values()) == {part in trains}
            if part in trains:
                assert step == 0 or not equal(before, after)  # at first the scores are zero, and so is the pull to w0
                continue
            assert equal(before, after)
            if step >= 4:
                assert max(own(part, spy.momentum[step]).values()) > 0 and not equal(before, start)


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_the_penalty_acts_on_a_part_in_its_own_phases(
    davis: Make, saved: dict[Path, bytes], monkeypatch: pytest.MonkeyPatch, reg: str
) -> None:
    """Without a gradient of the loss, each step takes a part nearer to its reference by 1 - rate x alpha."""
    shift, lr, alpha, beta = 0.03, 0.1, 2.0, 3.0
    found: dict[str, dict[str, Tensor]] = {}

    def shifted(model: nn.Module, *args: Any) -> PenalizedOptimizer:
        penalized = build_optimizer(model, *args)
        found["w0"] = copied(dict(model.named_parameters()))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(shift)
        found["before"] = copied(dict(model.named_parameters()))
        return penalized

    loss = SegFlowTask.loss
    common = (f"reg={reg}", f"reg.alpha={alpha}", f"reg.beta={beta}", f"optim.lr={lr}", "optim.momentum=0")
    cfg = davis(*turns(2, 1), "optim.steps=7", "optim.schedule.kind=constant", "approach.lr_factors.flow=0.5", *common)
    for planned in sources_of([cfg]):
        train(planned.cfg)  # as they are, before anything is bent
    monkeypatch.setattr("l2sp_suite.training.trainer.build_optimizer", shifted)
    monkeypatch.setattr(SegFlowTask, "loss", lambda task, batch: 0 * loss(task, batch))
    train(cfg)
    after = state_of(run_of(cfg), saved)["model"]
    steps = {"segmentation": 5, "segmentation_head": 5, "flow": 2, "flow_head": 2}  # 0 0 1 0 0 1 0
    for name, before in found["before"].items():
        part = name.partition(".")[0]
        if before.ndim == 1:
            assert torch.equal(after[name], before), name
            continue
        new = part.endswith("_head")
        rate = lr * (0.5 if part == "flow" else 1) * (beta if new else alpha)
        reference = found["w0"][name] if reg == "l2_sp" and not new else torch.zeros(())
        expected = reference + (before - reference) * (1 - rate) ** steps[part]
        torch.testing.assert_close(after[name], expected, rtol=1e-4, atol=1e-6, msg=name)


# Data


def task_of(cfg: TrainConfig, world: Path) -> SegFlowTask:
    return SegFlowTask(cfg, world, {}, torch.device("cpu"))


def video_of(data: DataConfig, world: Path) -> Video:
    return read(data.reader, find_root(world, data.folders, data.remedy))


def numbers(video: Video, size: tuple[int, int]) -> dict[bytes, int]:
    """Number in the training part of each pair of frames, by its values."""
    pairs = [torch.stack([load_image(first), load_image(second)]) for first, second, _ in video.train.keys]
    return {resize_frames(frames, size).numpy().tobytes(): index for index, frames in enumerate(pairs)}


ORDERS = {
    "as the experiment has it": (turns(2, 1), [0, 0, 1] * 3, ["data", "partner"]),
    "another order": (
        (
            phases(
                "flow partner 1 flow", "segmentation data 2 segmentation+segmentation_head", "flow partner 1 flow_head"
            ),
        ),
        [0, 1, 1, 2] * 2,
        ["partner", "data", "partner"],
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_phases_draw_from_their_own_data_in_the_configured_order(davis: Make, world: Path, order: str) -> None:
    overrides, expected, keys = ORDERS[order]
    cfg: Any = davis(*NO_START, *UNCHANGED, *overrides)
    task, size = task_of(cfg, world), (48, 80)
    tables = {key: numbers(video_of(data, world), size) for key, data in
              (("data", cfg.data), ("partner", cfg.approach.partner))}  # fmt: skip
    assert not set(tables["data"]) & set(tables["partner"])
    seen: dict[int, list[int]] = {number: [] for number in range(len(keys))}
    found = []
    for number, frames, truth in task.batches(0, len(expected)):
        found.append(number)
        assert frames.shape == (2, 2, 3, *size)
        assert truth.shape == ((2, *size) if keys[number] == "data" else (2, 3, *size))
        seen[number] += [tables[keys[number]][pair.numpy().tobytes()] for pair in frames]
    assert found == expected
    for number, items in seen.items():
        full = len(tables[keys[number]]) // 2 * 2  # pairs in the batches of an epoch
        assert len(items) == 2 * expected.count(number)
        assert len(set(items[:full])) == len(items[:full])
    assert seen[0] != list(range(len(seen[0])))  # and not in the order of the files


@pytest.mark.parametrize("order", ORDERS)
def test_batches_are_functions_of_the_step(davis: Make, world: Path, order: str) -> None:
    overrides, expected, _ = ORDERS[order]
    cfg = davis(*NO_START, *overrides)
    straight, resumed = list(task_of(cfg, world).batches(0, len(expected))), task_of(cfg, world)
    for first in range(1, len(expected)):
        assert equal(straight[first:], list(resumed.batches(first, len(expected))))
    other = list(task_of(davis(*NO_START, *overrides, "seed=1"), world).batches(0, len(expected)))
    assert not any(torch.equal(a[1], b[1]) for a, b in zip(straight, other, strict=True))


# Starting points


def test_flow_weights_of_another_scale_are_found(davis: Make) -> None:
    """Of a run that counts as finished; its branch is wider than this scale's own."""
    cfg = davis("reg=l2_sp", "approach.flow_weights.scale=mini", "approach.network.flow_width=0.25", "optim.steps=1")
    usual = davis("reg=l2_sp", "approach.network.flow_width=0.25", "optim.steps=1")
    assert run_of(cfg).fingerprint != run_of(usual).fingerprint
    segmentation, flow = source_of(cfg)[1], source_of(cfg, "flow_weights")[1]
    assert (segmentation.scale.name, flow.scale.name) == ("smoke", "mini")
    listed = [(planned.cfg.experiment, planned.cfg.scale.name, planned.run.path) for planned in sources_of([cfg, cfg])]
    source, branch = run_of(flow), FlowNetS(0.25)
    assert listed == [
        ("source/segflow", "smoke", run_of(segmentation).path),
        ("source/flownet", "mini", source.path),
    ]
    try:
        save_weights(source.weights, {f"flow.{name}": t for name, t in branch.state_dict().items()})
        (source.path / "done.json").write_text(json.dumps({"value": 1.0}))
        (source.path / "env.json").write_text(json.dumps({"clips": {"train": 1000}}))
        env = env_of(train(cfg))
    finally:
        shutil.rmtree(source.path)
    assert env["start"]["flow_weights"]["origin"] == str(source.weights)
    told = {"experiment": "source/flownet", "scale": "mini", "clips": {"train": 1000}}
    assert env["sources"]["flow_weights"] == told
    assert env["start"]["weights"]["origin"] == str(run_of(segmentation).weights)
    learnt = [t for table in (branch, SegFlowTask.outline(cfg).model.segmentation) for t in table.parameters()]
    assert env["partition"]["shared"] == sum(t.numel() for t in learnt if t.ndim == 4)


FLOW_ALONE = ("approach.network.segmentation=null", "weights.source=none", "approach.partner=null")


def larger(field: Tensor, size: tuple[int, int]) -> Tensor:
    """A field (2, h, w) at another size, in pixels of that size."""
    factors = torch.tensor([size[1] / field.shape[-1], size[0] / field.shape[-2]])[:, None, None]
    return factors * F.interpolate(field[None], size, mode="bilinear", align_corners=False)[0]


def errors_of_the_start(cfg: Any, video: Video) -> tuple[float, float]:
    """Mean end-point errors over the test part of the source run's network, step by step, and of no motion."""
    branch, found, none = FlowNetS(cfg.approach.network.flow_width), [], []
    tensors = load_file(run_of(source_of(cfg, "flow_weights")[1]).weights)
    branch.load_state_dict({name.removeprefix("flow."): tensor for name, tensor in tensors.items()})
    mean, std = torch.tensor(list(cfg.approach.network.flow_mean))[:, None, None], cfg.approach.network.flow_std
    for first, second, file in video.test.keys:
        truth = video.decode(file)
        pair = [(resize_frames(load_image(path), (32, 80)) - mean) / std for path in (first, second)]
        seen = F.interpolate(torch.cat(pair)[None], (64, 128), mode="bilinear", align_corners=False)
        with torch.no_grad():
            cells = 20 / 4 * branch(seen).flows[-1][0]  # from units of 20 pixels to its own cells of 4
        flow = larger(larger(cells, (32, 80)), (truth.shape[-2], truth.shape[-1]))
        for vectors, kept in ((flow, found), (torch.zeros(()), none)):
            kept.append((vectors - truth[:2]).square().sum(0).sqrt()[truth[2] == 1])
    return tuple(float(torch.cat(each).mean()) for each in (found, none))  # type: ignore[return-value]


def test_no_step_evaluates_the_start(monkaa: Make, world: Path) -> None:
    """Alone the flow branch is what it was; a head of zeros sees no motion, or adds nothing to what the branch sees."""
    start = ("optim.steps=0", "approach.input_size=[32,80]")  # of which the branch sees 64x128 alone or not
    alone = done_of(train(monkaa(*FLOW_ALONE, *start, "study=test/alone", phases("flow data 1 flow"))))
    residual = done_of(train(monkaa(*start, "study=test/residual", "approach.network.flow_output=residual")))
    cfg = monkaa(*start)
    run = train(cfg)
    head = done_of(run)
    assert alone["steps"] == residual["steps"] == head["steps"] == 0 and head["distance"]["w0"] == 0
    for split in ("train", "test"):
        results = [done["results"][split] for done in (alone, residual, head)]
        own = [found["EPE_start"] for found in results]
        zero = [found["EPE_zero"] for found in results]
        assert [found["EPE"] for found in results] == pytest.approx([own[0], own[0], zero[0]], rel=1e-6)
        assert own == pytest.approx([own[0]] * 3, rel=1e-6) and zero == [zero[0]] * 3
        assert own[0] != pytest.approx(zero[0], rel=1e-2)
    expected = errors_of_the_start(cfg, video_of(cfg.data, world))
    assert (alone["value"], head["value"]) == pytest.approx(expected, rel=1e-4)
    names = {path.name for path in (run.path / "samples").iterdir()}
    assert {name.partition("-")[2] for name in names} == {"image.png", "truth.png", "prediction.png"}
    assert {name.partition("-")[0] for name in names} == {"6", "clip00", "clip01"}  # of 12 pairs the middle one


def test_segflow_without_flow_runs(smoke: Any) -> None:
    run = train(smoke("experiment=segflow_star_davis", "reg=l2_sp"))
    done, env = done_of(run), env_of(run)
    assert done["metric"] == "IoU" and 0 <= done["value"] == done["results"]["test"]["IoU"] <= 1
    assert env["partition"]["new_names"] == [f"segmentation_head.score{k}.weight" for k in (3, 4, 5)]
    assert set(env["start"]) == {"weights"}
    clips = next(line for line in log_of(run) if line["split"] == "test")["IoU_by_sequence"]
    assert done["value"] == pytest.approx(sum(clips.values()) / len(clips)) and len(clips) == env["clips"]["test"]


# What cannot be


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        ("segflow_davis", [phases("flow data 1 flow")], r"flow cannot be trained on davis2016, a set of masks"),
        (
            "segflow_davis",
            [phases("segmentation partner 1 segmentation")],
            r"segmentation cannot be trained on monkaa_final, a set of flows",
        ),
        (
            "segflow_star_davis",
            [phases("segmentation data 1 segmentation+flow+flow_head")],
            r"approach\.phases: this network has no flow and no flow_head to train",
        ),
        ("segflow_davis", ["approach.partner=null"], r"the flow phase needs approach\.partner, a data set"),
        (
            "segflow_davis",
            ["approach.network.segmentation=null", "approach.network.flow=false"],
            r"approach\.network: give a segmentation backbone, flow: true, or both",
        ),
        ("segflow_davis", [phases("stereo data 1 flow")], r"approach\.phases=.*stereo.*task: segmentation or flow"),
        ("segflow_davis", [phases("flow test 1 flow")], r"approach\.phases=.*test.*data: data or partner"),
        ("segflow_davis", [phases("flow data 0 flow")], r"approach\.phases=.*steps: 1 or more"),
        ("segflow_davis", [phases("flow data 1 head")], r"approach\.phases=.*head.*trains: some of segmentation, flow"),
        ("segflow_davis", ["approach.phases=[]"], r"approach\.phases=\[\]: give at least one"),
        ("segflow_davis", ["approach.flow_weights.experiment=null"], r"flow_weights\.source=source_run needs"),
    ],
)
def test_what_does_not_fit_ends_in_one_line(
    smoke: Any, artifacts: Path, experiment: str, overrides: list[str], message: str
) -> None:
    results = f"paths.results='{artifacts}/refused'"  # of all cases, so that their sources are composed once
    with pytest.raises(UserError, match=message) as caught:
        train(smoke(f"experiment={experiment}", results, *overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("experiment", "overrides"),
    [
        ("segflow_davis", [phases("segmentation data 1 flow_head")]),  # its loss does not reach what it trains
        ("segflow_monkaa_final", [phases("flow data 1 flow"), "approach.flow_loss={final:0,scales:[]}"]),
        ("segflow_monkaa_final", ["approach.network.flow=false", phases("flow data 1 segmentation")]),
        ("segflow_monkaa_final", ["approach.network.flow=false", phases("segmentation partner 1 segmentation")]),
        ("segflow_star_davis", ["approach.input_size=[49,80]"]),
    ],
    ids=["no gradient", "no loss", "no flow head to train", "no flow head to test", "size"],
)
def test_what_does_not_fit_is_said_beforehand(smoke: Any, experiment: str, overrides: list[str]) -> None:
    with pytest.raises(UserError):
        train(smoke(f"experiment={experiment}", *overrides))
