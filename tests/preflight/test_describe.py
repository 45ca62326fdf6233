"""What a run would penalise, for every experiment, and the published counts."""

from __future__ import annotations

import json

import pytest
import yaml

from l2sp_suite.config import CONFIGS, compose
from l2sp_suite.preflight import describe

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
SCRIPT = "scripts/describe.py"


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_parameter_is_in_one_part_one_set_and_one_group(experiment: str) -> None:
    described = describe(compose([f"experiment={experiment}", "scale=paper", "reg=l2_sp"]), step=False)
    total, weights, penalised = described["parameters"]["all"], described["weights"], described["penalised"]
    assert total == sum(count for part, count in described["parameters"].items() if part != "all")
    assert total == sum(penalised[name] for name in ("shared", "new", "exempt"))
    assert total == sum(group["scalars"] for group in described["groups"])
    pretrained = sum(count for part, count in weights.items() if part in ("backbone", "segmentation", "flow"))
    assert (penalised["shared"], penalised["new"]) == (pretrained, weights["all"] - pretrained)


@pytest.mark.slow
def test_published_counts_and_rates_of_encnet(run_script) -> None:
    arguments = ("experiment=encnet101_pcontext", "scale=paper", "reg=l2_sp", "format=json")
    described = json.loads(run_script(SCRIPT, *arguments)[1])
    assert described["parameters"]["head"] == 17_908_438 and described["parameters"]["aux"] == 2_374_971
    assert described["penalised"]["shared"] == 42_518_208 and described["classes"] == 59
    rates = {(group["name"], group["lr"]) for group in described["groups"]}
    assert rates == {("shared", 0.001), ("new", 0.01), ("exempt", 0.001), ("exempt", 0.01)}
    assert {group["decay"] for group in described["groups"] if group["name"] == "exempt"} == {0.0}


@pytest.mark.slow
def test_a_penalty_on_all_parameters_exempts_none() -> None:
    cfg = ["experiment=encnet50_pcontext", "scale=paper", "reg=l2"]
    some, every = (describe(compose([*cfg, f"reg.penalize={scope}"]), step=False) for scope in ("weights", "all"))
    counts = every["parameters"]
    assert counts == some["parameters"]
    assert every["penalised"]["new"] == counts["head"] + counts["aux"] == 17_908_438 + 2_374_971
    assert every["penalised"]["shared"] == counts["backbone"] > some["penalised"]["shared"] == 23_578_304
    assert every["penalised"]["exempt"] == 0 and {group["decay"] for group in every["groups"]} == {1e-4}


@pytest.mark.slow
def test_published_counts_and_rates_of_segflow() -> None:
    described = describe(compose(["experiment=segflow_davis", "scale=paper", "reg=l2_sp"]), step=False)
    parts = {"segmentation": 42_500_160, "flow": 38_676_514, "segmentation_head": 9_874, "flow_head": 9_874}
    assert described["parameters"] == {**parts, "all": sum(parts.values())}
    assert described["penalised"]["new"] == 2 * 2 * (2818 + 1410 + 706)
    alone = describe(compose(["experiment=segflow_star_davis", "scale=paper", "reg=l2_sp"]), step=False)
    assert alone["parameters"] == {"segmentation": 42_500_160, "segmentation_head": 7_174, "all": 42_507_334}
    rate = 1e-9 * 480 * 854  # released, on a sum over the pixels
    factors = {(group["name"], round(group["lr"] / rate, 4)) for group in described["groups"]}
    assert factors == {("shared", 0.1), ("shared", 1), ("new", 1), ("exempt", 0.1), ("exempt", 1), ("exempt", 2)}


def test_step_measures_and_text_is_yaml(run_script) -> None:
    status, out, _ = run_script(SCRIPT, "experiment=dstl_cub200", "scale=smoke", "step=true")
    described = yaml.safe_load(out)
    assert status == 0 and described["classes"] == 200
    assert set(described["step"]["train"]) == set(described["step"]["evaluate"]) == {"seconds", "peak_memory_so_far_mb"}
    assert "two training images" in described["step"]["items"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("experiment=source/dstl", "reg=l2"), "no official number of classes"),
        (("experiment=dstl_cub200", "format=xml"), "format=xml: use text or json"),
        (("experiment=dstl_cub200", "step=maybe"), "step"),
        (("experiment=dstl_cub20",), "nearest: 'dstl_cub200'"),
    ],
)
def test_errors_are_one_line(run_script, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = run_script(SCRIPT, *arguments)
    assert status == 2 and err.count("\n") == 1 and message in err


def test_help(run_script) -> None:
    assert "python scripts/describe.py" in run_script(SCRIPT, "--help")[1]
