"""Plans: every one found by glob expands at every scale, in an order that gives a whole table early."""

import itertools

import pandas as pd
import pytest

from l2sp_suite.config import CONFIGS, ROOT, RunSpec, compose
from l2sp_suite.sweeps import expand, load_plan, plan_names, pretraining_of
from l2sp_suite.sweeps.plan import reproduction
from l2sp_suite.utils.errors import UserError


def setting(spec: RunSpec) -> tuple[str, float, float]:
    return spec.arm.name, spec.arm.hyperparameters["alpha"], spec.arm.hyperparameters["beta"]


NAMES = sorted(path.stem for path in (CONFIGS / "sweep").glob("*.yaml"))
CASES = [
    pytest.param(name, scale, marks=[] if (name, scale) == ("table6", "mini") else pytest.mark.slow)
    for name in NAMES
    for scale in load_plan(name).scales
]


def test_every_file_is_a_plan() -> None:
    assert plan_names() == NAMES and all(load_plan(name).name == name for name in NAMES)


@pytest.mark.parametrize("name,scale", CASES)
def test_runs_are_distinct_and_seed_0_of_every_point_comes_first(name: str, scale: str) -> None:
    specs = expand([load_plan(name)], scale, seeds=3)
    paths = [p.path for p in specs]
    seeds = [p.config.seed for p in specs]
    assert len(paths) == len(set(paths)) and seeds == sorted(seeds)
    first = {p.path.parent for p in specs if p.config.seed == 0}
    assert {p.path.parent for p in specs} == first
    assert all((p.config.study is None) == (load_plan(name).study is None) for p in specs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table4", "table6"])
@pytest.mark.parametrize("scale", ["mini", "small", "paper"])
def test_tables_of_settings_have_the_paper_s(name: str, scale: str) -> None:
    experiments = {"EncNet-50": "encnet50_pcontext", "EncNet-101": "encnet101_pcontext", "DSTL": "dstl_cub200"}
    printed = pd.read_csv(ROOT / "results" / "paper" / f"{name}.csv").to_dict("records")
    wanted = {
        (experiments[line.get("approach", "DSTL")], line["reg"].lower().replace("-", "_"), line["alpha"], line["beta"])
        for line in printed
    }
    specs = expand([load_plan(name)], scale, 1)
    if (name, scale) == ("table4", "small"):
        assert not specs  # PASCAL-Context has no counterpart there; CamVid stands in tables of its own
    else:
        ours = {(p.config.experiment, *setting(p)) for p in specs}
        assert ours == wanted


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_table_5_has_the_paper_s_settings_of_every_flow_set(scale: str) -> None:
    printed = pd.read_csv(ROOT / "results" / "paper" / "table5.csv")
    betas = {float(beta) for beta in printed.beta.dropna()}
    specs = expand([load_plan("table5")], scale, 1)
    for experiment in (f"segflow_{column}" for column in printed.columns if column.startswith(("monkaa", "driving"))):
        own = {setting(p) for p in specs if p.config.experiment == experiment}
        l2 = compose([f"experiment={experiment}", "reg=l2", f"scale={scale}"]).arm.hyperparameters
        assert own == {("l2_sp", 0.1, beta) for beta in betas} | {("l2", l2["alpha"], l2["beta"])}


@pytest.mark.slow
def test_camvid_has_table_4_s_settings() -> None:
    printed = pd.read_csv(ROOT / "results" / "paper" / "table4.csv")
    wanted = {(r.alpha, r.beta) for r in printed.itertuples() if r.reg == "L2-SP"}
    camvid = [p for p in expand(reproduction("small"), "small", 1) if p.config.experiment == "encnet_camvid"]
    assert {setting(p)[1:] for p in camvid if p.arm.name == "l2_sp"} == wanted


@pytest.mark.slow
def test_table_3_has_both_arms_of_every_experiment() -> None:
    specs = expand([load_plan("table3")], "paper", 1)
    files = (CONFIGS / "experiment").glob("*.yaml")
    texts = {path.stem: path.read_text() for path in files}
    experiments = [name for name, text in texts.items() if "row: {table: 3" in text and "\npaper:" in text]
    assert len(experiments) == 12
    found = {(p.config.experiment, p.arm.name) for p in specs if p.config.paper is not None}
    assert found == set(itertools.product(experiments, ["l2", "l2_sp"]))


@pytest.mark.slow
def test_reproduction_shares_what_tables_share() -> None:
    apart = sum(len(expand([plan], "mini", 3)) for plan in reproduction("mini"))
    together = expand(reproduction("mini"), "mini", 3)
    assert len(together) < apart
    sources = pretraining_of(together)
    assert {s.config.experiment for s in sources} == {
        "source/dstl", "source/encnet50", "source/encnet101", "source/segflow", "source/flownet"
    }  # fmt: skip
    assert all(s.makes_weights for s in sources)


def test_reproduction_leaves_out_blocks_on_demand() -> None:
    asked = {plan.name for plan in reproduction("mini")}
    assert "table3" in asked and "selection" not in asked
    assert all(block.reproduce for plan in reproduction("mini") for block in plan.scales["mini"])


@pytest.mark.slow
def test_ladder_has_at_least_five_rungs_a_factor_of_two_apart() -> None:
    for scale in ("mini", "small"):
        specs = expand([load_plan("learning_rate")], scale, 1)
        for arm in ("l2", "l2_sp"):
            rates = {p.config.optim.lr for p in specs if p.arm.name == arm}
            chosen = compose(["experiment=dstl_cub200", f"scale={scale}"]).optim.lr
            assert chosen not in rates  # Table 3 has that rung
            rates = sorted({chosen, *rates})
            assert len(rates) >= 5 and rates[0] < chosen < rates[-1]
            assert all(b / a == pytest.approx(2) for a, b in itertools.pairwise(rates))


@pytest.mark.parametrize(
    "text,words",
    [
        ("nmae: x", "name"),
        ("name: [1]", "name"),
        ("{name: x, scales: {mini: [{seeds: x}]}}", "seeds"),
        ("{name: x, scales: {mini: [{experimnets: [x]}]}}", "experiments"),
        ("{nmae: x, scales: {}}", "nmae.*nearest: 'name'"),
        ("{name: x, scales: {mini: [3]}}", "Invalid input"),
        ("{name: x, scales: {mini: {seeds: 1}}}", "list of blocks"),
        ("{name: x, scales: 3}", "list of blocks"),
        ("name: x", "list of blocks"),
        ("{name: x, study: null, arms: [l2], baseline: l2_sp, scales: {}}", "baseline l2_sp is none of its arms, l2"),
        ("{name: x, scales: {}}", "study"),
        ("[1, 2]", "list of blocks"),
        ("scales: [", "configuration"),
    ],
)
def test_a_damaged_plan_names_its_file(text: str, words: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "x.yaml").write_text(text)
    monkeypatch.setattr("l2sp_suite.sweeps.plan.CONFIGS", tmp_path)
    with pytest.raises(UserError, match=rf"x\.yaml.*{words}"):
        load_plan("x")


def test_unknown_plan_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"no plan 'table7'.*table3"):
        load_plan("table7")


def test_two_settings_in_one_directory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = load_plan("table3")
    plan.scales["mini"][0].experiments, plan.arms = ["dstl_cub200"], ["l2"]
    plan.scales["mini"][0].points = [["optim.lr=0.1"], ["optim.lr=0.2"]]
    with pytest.raises(UserError, match=r"two points claim .*seed=0 with different settings"):
        expand([plan], "mini", 1)


def test_a_point_that_names_no_arm_is_run_with_every_arm_of_the_plan() -> None:
    plan = load_plan("table3")
    plan.scales["mini"][0].experiments, plan.arms = ["dstl_cub200"], ["l2_sp", "l2"]
    assert [spec.arm.name for spec in expand([plan], "mini", 1)] == ["l2_sp", "l2"]
