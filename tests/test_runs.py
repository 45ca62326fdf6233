"""The run directory: identity, state, locks, atomic files."""

import json
import multiprocessing as mp
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l2sp_suite.config.compose import ROOT, compose
from l2sp_suite.runs import RunLocked, Run, run_of
from l2sp_suite.sweeps.plan import Planned, sources_of
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically


def test_path_is_the_identity(smoke, tmp_path: Path) -> None:
    run = run_of(smoke("reg=l2_sp", "reg.alpha=1e-1", "reg.beta=1e-3", "seed=2"))
    assert run.path == tmp_path / "smoke" / "runs" / "dstl_cub200" / "l2_sp-alpha=0.1-beta=0.001" / "seed=2"
    study = run_of(smoke("study='learning_rate/lr=0.1'", "optim.lr=0.1"))
    assert study.path.relative_to(tmp_path).parts[:4] == ("smoke", "studies", "learning_rate", "lr=0.1")


def test_another_configuration_in_the_same_place_is_an_error(smoke) -> None:
    run_of(smoke()).start({"data": "d"})
    assert run_of(smoke()).done is False
    with pytest.raises(UserError, match=r"another configuration \(differs in optim\.momentum\)"):
        _ = run_of(smoke("optim.momentum=0.5")).done


def test_source_run_is_cached_by_content(smoke, artifacts: Path) -> None:
    one, two = (
        run_of(smoke("experiment=source/dstl")),
        run_of(smoke("experiment=source/dstl", "optim.lr=0.01")),
    )
    assert one.path.parent == two.path.parent == artifacts / "smoke" and one.path != two.path


def test_a_start_may_be_pre_trained_for_each_seed(smoke) -> None:
    from l2sp_suite.runs import source_of

    once = [smoke(f"seed={seed}") for seed in (0, 1)]
    each = [smoke(f"seed={seed}", "weights.seed=null") for seed in (0, 1)]
    seeds = [[source_of(cfg)[1].seed for cfg in cfgs] for cfgs in (once, each)]
    assert seeds == [[0, 0], [0, 1]]
    assert run_of(once[0]).fingerprint == run_of(each[0]).fingerprint
    assert run_of(once[1]).fingerprint != run_of(each[1]).fingerprint
    assert len(sources_of(once)) == 1 and len(sources_of(each)) == 2


def test_a_changed_source_makes_another_run(smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    import l2sp_suite.runs as runs

    before = run_of(smoke()).fingerprint
    other = runs.source_of(smoke())[1]
    other.optim.lr = 0.123
    monkeypatch.setattr(runs, "source_of", lambda cfg, key: ((), other))
    assert run_of(smoke()).fingerprint != before


@pytest.mark.parametrize("reg", ["l2", "l2_sp"])
def test_committed_results_are_of_the_runs_that_the_configuration_names(reg: str) -> None:
    """Else every finished run would be refused as one of another configuration."""
    rows = pd.read_csv(ROOT / "results" / "mini" / "rows.csv")
    mine = rows[(rows.experiment == "dstl_cub200") & (rows.reg == reg) & rows.chosen & rows.study.isna()]
    run = run_of(compose(["experiment=dstl_cub200", f"reg={reg}", "seed=0"]))
    assert run.fingerprint[:12] in set(mine[mine.seed == 0].config)


def test_part_of_the_world_is_what_a_run_sees(smoke) -> None:
    one, other = run_of(smoke()), run_of(smoke("data.part=scenes"))
    assert one.content["world_digest"] != other.content["world_digest"] and one.fingerprint != other.fingerprint
    assert {**one.content, "world_digest": 0, "source_run": 0} == {**other.content, "world_digest": 0, "source_run": 0}


def test_config_yaml_holds_identity_row_and_paper(smoke) -> None:
    run = run_of(smoke())
    run.start({"python": "3"})
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    assert config["row"]["number"] == 7 and config["paper"]["l2_sp"] == 89.19
    assert "paths" not in config and "runtime" not in config
    assert json.loads((run.path / "env.json").read_text()) == {"python": "3"}


def test_rewind_drops_later_lines_evaluations_and_broken_ones(tmp_path: Path) -> None:
    run = Run(tmp_path, {}, {})
    for step in (1, 2, 3):
        run.log(step=step, split="fit")
    run.log(step=2, split="test")  # killed between evaluation and done.json
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    run.rewind(2)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
    ]


def _hold(path: Path, ready, release) -> None:
    with Run(path, {}, {}).locked():
        ready.set()
        release.wait()


def test_lock_keeps_a_second_process_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, release))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(RunLocked), Run(tmp_path, {}, {}).locked():
        pass
    holder.kill()
    holder.join()
    with Run(tmp_path, {}, {}).locked():
        pass


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
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_as_config_yaml_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="delete"):
        _ = Run(tmp_path, {"seed": 0}, {}).done


def test_a_half_or_finished_run_on_other_data_is_refused(smoke) -> None:
    run = run_of(smoke())
    run.start({"data": "one"})
    run.start({"data": "two"})  # nothing was trained on the first
    run.checkpoint.touch()
    with pytest.raises(UserError, match=r"other data \(digest two, here one\): choose another folder for results"):
        run.start({"data": "one"})
    run.check_data("two")
    with pytest.raises(UserError, match="other data"):
        Planned((), smoke(), finished(run), data="one").done  # noqa: B018
    assert Planned((), smoke(), run, data="two").done and Planned((), smoke(), run).done


def finished(run: Run) -> Run:
    run.finish({"value": 0.5})
    return run


def test_a_source_is_finished_when_its_weights_are_there(smoke) -> None:
    source = run_of(smoke("experiment=source/dstl", "optim.lr=0.011"))
    source.path.mkdir(parents=True)
    assert not finished(source).done
    source.weights.touch()
    assert source.done


def test_a_new_attempt_sweeps_up_what_a_kill_left(tmp_path: Path) -> None:
    run = Run(tmp_path, {}, {})
    run.fail(ValueError("no"))
    (tmp_path / ".checkpoint.pt.x1.tmp").touch()
    run.attempt()
    assert not list(tmp_path.iterdir())
