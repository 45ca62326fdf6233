"""The runner as a person meets it: a campaign on the smallest world, killed, doubled, failing, repeated."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import l2sp_suite.sweeps.reproduce as module
from l2sp_suite.config import ROOT, RunSpec, compose
from l2sp_suite.runs import Run
from l2sp_suite.sweeps import Reproduction, expand, load_plan, pretraining_of
from l2sp_suite.sweeps.executor import Outcome, check_jobs
from l2sp_suite.utils.errors import UserError

pytestmark = pytest.mark.slow  # each makes runs in processes of their own

PLAN = """
name: few
study: null
arms: [l2, l2_sp]
baseline: l2
scales:
  smoke:
    - experiments: [dstl_cub200, dstl_nabirds]
      points: [[reg=l2, reg.alpha=4e-5, reg.beta=4e-5], [reg=l2_sp, reg.alpha=1e-3, reg.beta=1e-3]]
"""


@pytest.fixture
def checkout(tmp_path: Path, artifacts: Path) -> Path:
    """A checkout with one small plan, and the tiny world in place."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("src", "experiments", "results"):
        (root / name).symlink_to(ROOT / name)
    subprocess.run(["cp", "-r", ROOT / "configs", root / "configs"], check=True)
    (root / "configs" / "sweep" / "few.yaml").write_text(PLAN)
    subprocess.run(["cp", "-r", artifacts, root / "artifacts"], check=True)
    return root


def start(root: Path, results: str, *more: str, seeds: int = 1) -> subprocess.Popen:
    command = ["experiments/reproduce.py", "scale=smoke", "plan=[few]", f"seeds={seeds}", "jobs=2"]
    environment = {**os.environ, "L2SP_CONFIGS": str(root / "configs")}
    return subprocess.Popen(
        [sys.executable, *command, f"results={root / results}", *more],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> str:
    out, _ = process.communicate(timeout=200)
    return out


def rows(root: Path, results: str) -> str:
    return (root / results / "smoke" / "rows.csv").read_text()


def test_campaign_killed_doubled_and_repeated(checkout: Path) -> None:
    undisturbed = start(checkout, "whole")
    text = finish(undisturbed)
    assert undisturbed.returncode == 0, text
    assert "[4/4, 0:00 left]" in text and "Table 3" in text

    shutil.rmtree(checkout / "artifacts")
    for sign in (
        "artifacts/world/.*.building-*",
        "artifacts/smoke/*/.lock",
        "cut/**/checkpoint.pt",
        "cut/**/done.json",
    ):
        process = start(checkout, "cut")  # killed while it makes the world, pre-trains, trains, has results
        await_that(lambda sign=sign: next(checkout.glob(sign), None))
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    both = [start(checkout, "cut") for _ in range(2)]  # two at once
    assert [finish(p) and p.returncode for p in both] == [0, 0]
    assert rows(checkout, "cut") == rows(checkout, "whole")

    repeated = start(checkout, "cut")
    assert "0 runs done" in finish(repeated) and repeated.returncode == 0


def test_failing_run_is_named_and_the_others_go_on(checkout: Path) -> None:
    broken = checkout / "out/smoke/runs/dstl_cub200/l2-alpha=4e-05-beta=4e-05/seed=0"
    broken.mkdir(parents=True)
    (broken / "checkpoint.pt").write_bytes(b"not a checkpoint")
    process = start(checkout, "out")
    text = finish(process)
    assert process.returncode == 1
    assert "FAILED dstl_cub200 l2-alpha=4e-05-beta=4e-05 seed 0" in text and "checkpoint.pt: cannot resume" in text
    assert str(broken / "log.txt") in text
    assert rows(checkout, "out").count("\n") == 1 + 3


def await_that(condition: Callable[[], object], seconds: float = 100) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_workers_die_with_their_runner(checkout: Path) -> None:
    plan = checkout / "configs" / "sweep" / "few.yaml"
    plan.write_text(PLAN.replace("[reg=l2,", "[optim.steps=100000, reg=l2,"))  # would go on for an hour
    process = start(checkout, "orphans")
    folder = checkout / "orphans/smoke/runs/dstl_cub200/l2-alpha=4e-05-beta=4e-05/seed=0"
    try:
        await_that((folder / "checkpoint.pt").exists)
        run = Run(RunSpec(compose(["experiment=dstl_cub200"]), {}, folder))
        assert run.is_locked
        process.kill()  # the runner alone, not its group
        await_that(lambda: not run.is_locked, seconds=30)
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_diverged_run_fails_each_time_and_a_multirun_goes_on(checkout: Path) -> None:
    words = ["experiment=dstl_cub200", "scale=smoke", "reg=l2", "reg.alpha=0", "reg.beta=0", "runtime.threads=1"]
    words += ["paths.results=out", "optim.schedule.kind=constant", "optim.lr=3e38,0.01", "study='lr/${optim.lr}'"]
    command = [sys.executable, "experiments/train.py", "-m", *words]
    for _ in range(2):
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr.count("lower optim.lr") == 1, done.stderr
        assert done.stdout.count("accuracy") == 1 and "Traceback" not in done.stderr


def test_dry_run_lists_and_does_nothing(checkout: Path) -> None:
    text = finish(start(checkout, "dry", "dry=true"))
    assert text.count("to do  ") == 4 and "4 runs, 4 to do" in text
    assert not (checkout / "dry").exists()


def campaign(*words: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "experiments" / "reproduce.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_what_would_run_is_listed_without_data_too(tmp_path: Path) -> None:
    text = campaign(f"results={tmp_path}", "scale=small", "dry=true", cwd=tmp_path).stdout
    assert "no data dstl_cub200 " in text and "no data: dstl_cub200: no folder CUB_200_2011" in text
    runs = sum(line.startswith("no data ") for line in text.splitlines())
    assert f"{runs} runs, {runs} to do, of which {runs} lack data (data=<folder> says where it is)" in text


@pytest.mark.parametrize(
    "words,message",
    [
        ("scale=papr", "scale=papr: use one of mini, paper"),
        ("scale=paper plan=[learning_rate]", "has no runs at scale=paper"),
        ("scale=small data=nowhere", "data=nowhere: no such folder"),
        (f"scale=small data={ROOT / 'src'}", "no row can run: dstl_cub200: "),
        ("scale=small", "no row can run (data=<folder> says where data sets are): dstl_cub200: no folder"),
        ("plan=[table7]", "no plan 'table7'"),
        ("seeds=0", "seeds=0"),
        ("sedes=1", "nearest: 'seeds'"),
        ("seeds=many", "seeds"),
        ("--seeds 1", "cannot read --seeds: write key=value"),
        ("arms=[l3]", "no configuration 'reg/l3'"),
    ],
)
def test_a_campaign_that_cannot_be_says_so(words: str, message: str, tmp_path: Path) -> None:
    done = campaign(f"results={tmp_path}", *words.split())
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_directory_of_another_configuration_does_not_stop_the_others(checkout: Path) -> None:
    taken = checkout / "out/smoke/runs/dstl_cub200/l2-alpha=4e-05-beta=4e-05/seed=0"
    taken.mkdir(parents=True)
    (taken / "config.yaml").write_text("{optim: {lr: 7}}\n")
    process = start(checkout, "out")
    text = finish(process)
    assert process.returncode == 1 and "holds a run of another configuration" in text
    assert rows(checkout, "out").count("\n") == 1 + 3


def test_pre_training_without_a_number_of_threads_has_all_cores_and_the_others_share_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = pretraining_of(expand([load_plan("table3")], "mini", 1))
    asked: dict[tuple[int, int], list[str]] = {}

    def run_all(specs: list[RunSpec], jobs: int, threads: int, after_each: Callable[[], None]) -> Outcome:
        asked[jobs, threads] = [spec.config.experiment for spec in specs]
        return Outcome(failed={spec.name: "as it happens" for spec in specs})

    monkeypatch.setattr(module, "run_all", run_all)
    failed = module._pre_train(sources, jobs=4, threads=2)
    shared = ["source/encnet50", "source/encnet101", "source/segflow", "source/flownet"]
    assert asked == {(1, 8): ["source/dstl"], (4, 1): shared}
    assert len(failed) == 5


def test_pre_training_that_fails_stops_only_what_starts_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    specs = expand([load_plan("table3")], "mini", 1, [f"paths.results='{tmp_path}'", f"paths.artifacts='{tmp_path}'"])
    trained: list[str] = []

    def run_all(specs: list[RunSpec], jobs: int, threads: int, after_each: Callable[[], None]) -> Outcome:
        trained.extend(spec.config.experiment for spec in specs if not spec.makes_weights)
        return Outcome(failed={spec.name: "no" for spec in specs if spec.config.experiment == "source/encnet101"})

    monkeypatch.setattr(module, "run_all", run_all)
    failed = module._do(specs, Reproduction(seeds=1, jobs=1, results=str(tmp_path)), lambda: None)
    assert len(failed) == 1 and "encnet101" in next(iter(failed))
    assert set(trained) == {spec.config.experiment for spec in specs} - {"encnet101_pcontext"}


def test_jobs_divide_the_cores() -> None:
    jobs, threads = check_jobs(None)
    assert threads == 1 and jobs >= 1
    assert check_jobs(1) == (1, jobs)
    with pytest.raises(UserError, match="jobs=0"):
        check_jobs(0)
