"""Plans: every one found by glob expands at every scale, in an order that gives a whole table early."""

import itertools

import pandas as pd
import pytest

from l2sp_suite.config.compose import CONFIGS, ROOT, compose
from l2sp_suite.sweeps.plan import expand, load_plan, plan_names, reproduction, sources_of
from l2sp_suite.utils.errors import UserError

NAMES = sorted(path.stem for path in (CONFIGS / "sweep").glob("*.yaml"))
CASES = [(name, scale) for name in NAMES for scale in load_plan(name).scales]


def test_every_file_is_a_plan() -> None:
    assert plan_names() == NAMES and all(load_plan(name).name == name for name in NAMES)


@pytest.mark.parametrize("name,scale", CASES)
def test_runs_are_distinct_and_seed_0_of_every_point_comes_first(name: str, scale: str) -> None:
    planned = expand([load_plan(name)], scale, seeds=3)
    paths = [p.run.path for p in planned]
    seeds = [p.cfg.seed for p in planned]
    assert len(paths) == len(set(paths)) and seeds == sorted(seeds)
    first = {p.run.path.parent for p in planned if p.cfg.seed == 0}
    assert {p.run.path.parent for p in planned} == first
    assert all((p.cfg.study is None) == (load_plan(name).study is None) for p in planned)


@pytest.mark.parametrize("name", ["table4", "table6"])
@pytest.mark.parametrize("scale", ["mini", "pocket", "paper"])
def test_tables_of_settings_have_the_paper_s(name: str, scale: str) -> None:
    experiments = {"EncNet-50": "encnet50_pcontext", "EncNet-101": "encnet101_pcontext", "DSTL": "dstl_cub200"}
    printed = pd.read_csv(ROOT / "results" / "paper" / f"{name}.csv").to_dict("records")
    wanted = {
        (experiments[line.get("approach", "DSTL")], line["reg"].lower().replace("-", "_"), line["alpha"], line["beta"])
        for line in printed
    }
    planned = expand([load_plan(name)], scale, 1)
    if (name, scale) == ("table4", "pocket"):
        assert not planned  # PASCAL-Context has no counterpart there; CamVid stands in tables of its own
    else:
        ours = {(p.cfg.experiment, p.cfg.reg.name, p.cfg.reg.alpha, p.cfg.reg.beta) for p in planned}
        assert ours == wanted


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_table_5_has_the_paper_s_settings_of_every_flow_set(scale: str) -> None:
    printed = pd.read_csv(ROOT / "results" / "paper" / "table5.csv")
    betas = {float(beta) for beta in printed.beta.dropna()}
    planned = expand([load_plan("table5")], scale, 1)
    for experiment in (f"segflow_{column}" for column in printed.columns if column.startswith(("monkaa", "driving"))):
        own = {(p.cfg.reg.name, p.cfg.reg.alpha, p.cfg.reg.beta) for p in planned if p.cfg.experiment == experiment}
        l2 = compose([f"experiment={experiment}", "reg=l2", f"scale={scale}"]).reg
        assert own == {("l2_sp", 0.1, beta) for beta in betas} | {("l2", l2.alpha, l2.beta)}


def test_camvid_has_table_4_s_settings() -> None:
    printed = pd.read_csv(ROOT / "results" / "paper" / "table4.csv")
    wanted = {(r.alpha, r.beta) for r in printed.itertuples() if r.reg == "L2-SP"}
    camvid = [p.cfg for p in expand(reproduction("pocket"), "pocket", 1) if p.cfg.experiment == "encnet_camvid"]
    assert {(c.reg.alpha, c.reg.beta) for c in camvid if c.reg.name == "l2_sp"} == wanted


def test_table_3_has_both_arms_of_every_experiment() -> None:
    planned = expand([load_plan("table3")], "paper", 1)
    files = (CONFIGS / "experiment").glob("*.yaml")
    texts = {path.stem: path.read_text() for path in files}
    experiments = [name for name, text in texts.items() if "row: {table: 3" in text and "paper: null" not in text]
    assert len(experiments) == 12
    found = {(p.cfg.experiment, p.cfg.reg.name) for p in planned if p.cfg.paper is not None}
    assert found == set(itertools.product(experiments, ["l2", "l2_sp"]))


def test_reproduction_shares_what_tables_share() -> None:
    apart = sum(len(expand([plan], "mini", 3)) for plan in reproduction("mini"))
    together = expand(reproduction("mini"), "mini", 3)
    assert len(together) < apart
    sources = sources_of([p.cfg for p in together])
    assert {s.cfg.experiment for s in sources} == {
        "source/dstl", "source/encnet50", "source/encnet101", "source/segflow", "source/flownet"
    }  # fmt: skip
    assert all(s.cfg.row is None for s in sources)


def test_reproduction_leaves_out_blocks_on_demand() -> None:
    asked = {plan.name for plan in reproduction("mini")}
    assert "table3" in asked and "selection" not in asked
    assert all(block.reproduce for plan in reproduction("mini") for block in plan.scales["mini"])


def test_ladder_has_at_least_five_rungs_a_factor_of_two_apart() -> None:
    for scale in ("mini", "pocket"):
        planned = expand([load_plan("learning_rate")], scale, 1)
        for arm in ("l2", "l2_sp"):
            rates = {p.cfg.optim.lr for p in planned if p.cfg.reg.name == arm}
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
    plan.scales["mini"][0].points = [["optim.lr=0.1"], ["optim.lr=0.2"]]
    with pytest.raises(UserError, match=r"two points claim .*seed=0 with different settings"):
        expand([plan], "mini", 1)
