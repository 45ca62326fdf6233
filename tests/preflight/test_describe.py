"""What a run would penalise, for every experiment, and the published counts, through the script that prints them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from l2sp_suite.config.compose import CONFIGS, ROOT, compose
from l2sp_suite.preflight.describe import describe
from l2sp_suite.utils.errors import UserError

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, str(ROOT / "scripts" / "describe.py"), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_parameter_is_in_one_part_one_set_and_one_group(experiment: str) -> None:
    found = describe(compose([f"experiment={experiment}", "scale=paper", "reg=l2_sp"]), step=False)
    total = found["parameters"]["all"]
    assert total == sum(count for part, count in found["parameters"].items() if part != "all")
    assert total == sum(found["penalised"][name] for name in ("shared", "new", "exempt"))
    assert total == sum(group["scalars"] for group in found["groups"])
    old = sum(count for part, count in found["weights"].items() if part in ("backbone", "segmentation", "flow"))
    assert found["penalised"]["shared"] == old
    assert found["penalised"]["new"] == found["weights"]["all"] - old


def test_published_counts_and_rates_of_encnet() -> None:
    done = script("experiment=encnet101_pcontext", "scale=paper", "reg=l2_sp", "format=json")
    found = json.loads(done.stdout)
    assert found["parameters"]["head"] == 17_908_438 and found["parameters"]["aux"] == 2_374_971
    assert found["penalised"]["shared"] == 42_518_208 and found["classes"] == 59
    rates = {(group["name"], group["lr"]) for group in found["groups"]}
    assert rates == {("shared", 0.001), ("new", 0.01), ("exempt", 0.001), ("exempt", 0.01)}
    assert {group["decay"] for group in found["groups"] if group["name"] == "exempt"} == {0.0}


def test_decay_of_every_parameter_exempts_none() -> None:
    cfg = ["experiment=encnet50_pcontext", "scale=paper", "reg=l2"]
    some, every = (describe(compose([*cfg, f"reg.decay_scope={scope}"]), step=False) for scope in ("weights", "all"))
    counts = every["parameters"]
    assert counts == some["parameters"]
    assert every["penalised"]["new"] == counts["head"] + counts["aux"] == 17_908_438 + 2_374_971
    assert every["penalised"]["shared"] == counts["backbone"] > some["penalised"]["shared"] == 23_578_304
    assert every["penalised"]["exempt"] == 0 and {group["decay"] for group in every["groups"]} == {1e-4}


def test_published_counts_and_rates_of_segflow() -> None:
    found = describe(compose(["experiment=segflow_davis", "scale=paper", "reg=l2_sp"]), step=False)
    parts = {"segmentation": 42_500_160, "flow": 38_676_514, "segmentation_head": 9_874, "flow_head": 9_874}
    assert found["parameters"] == {**parts, "all": sum(parts.values())}
    assert found["penalised"]["new"] == 2 * 2 * (2818 + 1410 + 706)
    alone = describe(compose(["experiment=segflow_star_davis", "scale=paper", "reg=l2_sp"]), step=False)
    assert alone["parameters"] == {"segmentation": 42_500_160, "segmentation_head": 7_174, "all": 42_507_334}
    rate = 1e-9 * 480 * 854  # released, on a sum over the pixels
    factors = {(group["name"], round(group["lr"] / rate, 4)) for group in found["groups"]}
    assert factors == {("shared", 0.1), ("shared", 1), ("new", 1), ("exempt", 0.1), ("exempt", 1), ("exempt", 2)}


def test_step_measures_and_text_is_yaml() -> None:
    done = script("experiment=dstl_cub200", "scale=smoke", "step=true")
    found = yaml.safe_load(done.stdout)
    assert done.returncode == 0 and found["classes"] == 200
    for part in ("train", "evaluate"):
        assert found["step"][part]["seconds"] >= 0 and found["step"][part]["peak_memory_so_far_mb"] > 50


def test_errors_are_one_line() -> None:
    with pytest.raises(UserError, match="no official number of classes"):
        describe(compose(["experiment=source/dstl", "reg=l2"]), step=False)
    bad = script("experiment=dstl_cub200", "format=xml")
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1 and "format=text or json" in bad.stderr
    assert "python scripts/describe.py" in script("--help").stdout
