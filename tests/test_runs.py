"""The run directory: identity, state, locks, atomic files."""

import json
import multiprocessing as mp
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l2sp_suite.config import RunSpec, TrainConfig, compose, resolve
from l2sp_suite.runs import Run
from l2sp_suite.sweeps import pretraining_of
from l2sp_suite.utils.errors import RunLocked, UserError
from l2sp_suite.utils.files import write_atomically


def run_of(cfg: TrainConfig) -> Run:
    return Run(resolve(cfg))


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    return compose(["experiment=dstl_cub200", "scale=smoke"])


def bare(config: TrainConfig, path: Path, **identity: int) -> Run:
    """A run at `path`, whatever its configuration."""
    return Run(RunSpec(config, identity, path))


def test_path_is_the_identity(smoke, tmp_path: Path) -> None:
    run = run_of(smoke("reg=l2_sp", "reg.alpha=1e-1", "reg.beta=1e-3", "seed=2"))
    assert run.path == tmp_path / "smoke" / "runs" / "dstl_cub200" / "l2_sp-alpha=0.1-beta=0.001" / "seed=2"
    study = run_of(smoke("study='learning_rate/lr=0.1'", "optim.lr=0.1"))
    assert study.path.relative_to(tmp_path).parts[:4] == ("smoke", "studies", "learning_rate", "lr=0.1")


def test_another_configuration_in_the_same_place_is_an_error(smoke) -> None:
    run_of(smoke()).begin({"data": "d"})
    assert run_of(smoke()).done is False
    with pytest.raises(UserError, match=r"another configuration \(differs in optim\.kwargs\.momentum\)"):
        _ = run_of(smoke("optim.kwargs.momentum=0.5")).done


def test_a_pre_training_run_is_cached_by_content(smoke, artifacts: Path) -> None:
    one, two = (
        run_of(smoke("experiment=source/dstl")),
        run_of(smoke("experiment=source/dstl", "optim.lr=0.01")),
    )
    assert one.path.parent == two.path.parent == artifacts / "smoke" and one.path != two.path


def test_weights_may_be_pre_trained_for_each_seed(smoke) -> None:
    once = [resolve(smoke(f"seed={seed}")) for seed in (0, 1)]
    each = [resolve(smoke(f"seed={seed}", "weights.seed=null")) for seed in (0, 1)]
    seeds = [[spec.pretraining["weights"].config.seed for spec in specs] for specs in (once, each)]
    assert seeds == [[0, 0], [0, 1]]
    assert once[0].fingerprint == each[0].fingerprint and once[1].fingerprint != each[1].fingerprint
    assert len(pretraining_of(once)) == 1 and len(pretraining_of(each)) == 2


def test_another_pre_training_run_makes_another_run(smoke) -> None:
    spec = resolve(smoke())
    other = resolve(smoke("weights.experiment=source/encnet50"))
    identities = [{**s.identity, "weights": 0} for s in (spec, other)]
    assert {key for key in identities[0] if identities[0][key] != identities[1][key]} == {"source_run"}


def test_part_of_the_world_is_what_a_run_sees(smoke) -> None:
    one, other = resolve(smoke()), resolve(smoke("data.part=scenes"))
    assert one.identity["world_digest"] != other.identity["world_digest"] and one.fingerprint != other.fingerprint
    assert {**one.identity, "world_digest": 0, "source_run": 0} == {
        **other.identity,
        "world_digest": 0,
        "source_run": 0,
    }


def test_config_yaml_holds_the_identity_and_what_the_report_prints(smoke) -> None:
    run = run_of(smoke())
    run.begin({"python": "3"})
    content = yaml.safe_load((run.path / "config.yaml").read_text())
    assert content["row"]["number"] == 7 and content["paper"]["l2_sp"] == 89.19
    assert content["arm"] == {"label": "L2-SP", "selected": True}
    assert "paths" not in content and "runtime" not in content
    assert json.loads((run.path / "env.json").read_text()) == {"python": "3"}


def test_a_truncated_log_has_no_later_line_no_evaluation_and_no_broken_one(config: TrainConfig, tmp_path: Path) -> None:
    run = bare(config, tmp_path)
    for step in (1, 2, 3):
        run.log(step=step, split="fit")
    run.log(step=2, split="test")  # killed between evaluation and done.json
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    run.truncate_log(2)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
    ]


def _hold(run: Run, ready, release) -> None:
    with run.locked():
        ready.set()
        release.wait()


@pytest.mark.slow
def test_lock_keeps_a_second_process_out_and_dies_with_its_holder(config: TrainConfig, tmp_path: Path) -> None:
    run = bare(config, tmp_path)
    context = mp.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(run, ready, release))
    holder.start()
    assert ready.wait(60)
    assert run.is_locked
    with pytest.raises(RunLocked), run.locked():
        pass
    holder.kill()
    holder.join()
    assert not run.is_locked


def test_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_as_config_yaml_is_one_clear_error(config: TrainConfig, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="delete"):
        _ = bare(config, tmp_path, seed=0).done


def test_a_half_or_finished_run_on_other_data_is_refused(smoke) -> None:
    run = run_of(smoke())
    run.begin({"data": "one"})
    run.begin({"data": "two"})  # nothing was trained on the first
    run.checkpoint.touch()
    with pytest.raises(UserError, match=r"other data \(digest two, here one\): choose another folder for results"):
        run.begin({"data": "one"})
    run.check_data("two")
    with pytest.raises(UserError, match="other data"):
        finished(run).done_on("one")
    assert run.done_on("two") and run.done_on(None)


def finished(run: Run) -> Run:
    run.mark_done({"value": 0.5})
    return run


def test_a_pre_training_run_is_finished_when_its_weights_are_there(smoke) -> None:
    source = run_of(smoke("experiment=source/dstl", "optim.lr=0.011"))
    source.path.mkdir(parents=True)
    assert not finished(source).done
    source.weights.touch()
    assert source.done


def test_a_new_attempt_sweeps_up_what_a_kill_left(config: TrainConfig, tmp_path: Path) -> None:
    run = bare(config, tmp_path)
    run.mark_failed(ValueError("no"))
    (tmp_path / ".checkpoint.pt.x1.tmp").touch()
    run.clear_failure()
    assert not list(tmp_path.iterdir())


def test_own_images_need_no_row_and_are_no_hidden_pre_training_run(smoke, tmp_path: Path) -> None:
    """`kind` is said: a run without a row stays a run of its own directory, with its labels."""
    spec = resolve(smoke("row=null", "paper=null"))
    assert spec.path == resolve(smoke()).path and not spec.makes_weights
    assert spec.labels == {"row": None, "paper": None, "arm": {"label": "L2-SP", "selected": True}}


def test_hyper_parameters_other_than_the_reported_ones_are_not_selected(smoke) -> None:
    assert resolve(smoke("reg.alpha=0.5")).labels["arm"] == {"label": "L2-SP", "selected": False}
