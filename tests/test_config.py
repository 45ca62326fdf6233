"""Every configuration found by glob composes; the arms differ in the penalty alone; typos die early."""

import difflib
import itertools
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from l2sp.config import CONFIGS, ROOT, compose, fingerprint, identity, known_keys
from l2sp.errors import UserError

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
SCALES = sorted(path.stem for path in (CONFIGS / "scale").glob("*.yaml"))


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}.{key}".lstrip(".")).items()}


def plain(*overrides: str) -> dict[str, Any]:
    return flat(OmegaConf.to_container(compose(overrides), resolve=True))


@pytest.mark.parametrize("experiment,scale", list(itertools.product(EXPERIMENTS, SCALES)))
def test_arms_differ_only_in_the_penalty(experiment: str, scale: str) -> None:
    l2, l2_sp = (plain(f"experiment={experiment}", f"scale={scale}", f"reg={reg}") for reg in ("l2", "l2_sp"))
    assert l2.keys() == l2_sp.keys()
    differing = {key for key in l2 if l2[key] != l2_sp[key]}
    assert {"reg.name", "reg.reference"} <= differing <= {"reg.name", "reg.reference", "reg.alpha", "reg.beta"}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_row_and_paper_blocks_are_those_of_table_3(experiment: str) -> None:
    cfg = compose([f"experiment={experiment}"])
    table = pd.read_csv(ROOT / "results" / "paper" / "table3.csv").set_index("experiment")
    printed = table.loc[experiment]
    assert (cfg.paper.l2, cfg.paper.l2_sp) == (printed["L2"], printed["L2SP"])
    assert list(table.index).index(experiment) + 1 == cfg.row.number
    assert (cfg.row.target, cfg.row.metric, cfg.row.better) == (
        printed["target"],
        printed["metric"],
        printed["better"],
    )


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_header_has_the_command_and_the_paper_s_values(experiment: str) -> None:
    text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text()
    header = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    cfg = compose([f"experiment={experiment}"])
    assert f"python experiments/train.py experiment={experiment} reg=l2_sp seed=0" in header
    assert str(cfg.paper.l2) in header and str(cfg.paper.l2_sp) in header


def test_paper_scale_is_the_protocol() -> None:
    cfg = compose(["experiment=dstl_cub200", "scale=paper", "reg=l2"])
    assert (cfg.approach.input_size, cfg.approach.crop, cfg.approach.network.width) == (299, 0.875, 1.0)
    assert (cfg.optim.batch_size, cfg.optim.epochs, cfg.optim.momentum) == (64, 30, 0.9)
    assert (cfg.optim.schedule.kind, cfg.optim.schedule.every_epochs, cfg.optim.schedule.factor) == (
        "staircase",
        10,
        0.1,
    )
    assert cfg.approach.augment.brightness == pytest.approx(32 / 255)
    assert (cfg.approach.aux_weight, cfg.approach.network.dropout, cfg.approach.label_smoothing) == (
        0.4,
        0.2,
        0.0,
    )
    assert (cfg.reg.alpha, cfg.reg.beta) == (4e-5, 4e-5)


@pytest.mark.parametrize(
    "override,nearest",
    [
        ("optim.lrr=1", "'optim.lr'"),
        ("+optim.lrr=1", "'optim.lr'"),
        ("approach.network.wdth=1", "'approach.network.width'"),
        ("reg.alpa=1", "'reg.alpha'"),
        ("reg=l2sp", "'l2_sp'"),
        ("experiment=dstl_cub", "'dstl_cub200'"),
        ("scale=papr", "'paper'"),
    ],
)
def test_misspelt_keys_and_options_name_the_nearest(override: str, nearest: str) -> None:
    base = [] if override.startswith("experiment") else ["experiment=dstl_cub200"]
    with pytest.raises(UserError, match=re.escape(nearest)) as caught:
        compose([*base, override])
    assert "\n" not in str(caught.value)


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_any_unknown_key_is_refused(name: str) -> None:
    if f"optim.{name}" in known_keys():
        return
    with pytest.raises(UserError, match="nearest"):
        compose(["experiment=dstl_cub200", f"optim.{name}=1"])


@pytest.mark.parametrize(
    "override,words",
    [
        ("optim.lr=fast", "optim.lr"),
        ("optim.epochs=3", "optim.epochs or as optim.steps"),
        ("reg.reference=w0", "start (L2-SP) or origin"),
        ("evaluate.split=train", "test or val"),
    ],
)
def test_wrong_values_say_what_is_right(override: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        compose(["experiment=dstl_cub200", override])


def test_no_schema_has_a_default() -> None:
    """A value that stands in no YAML is a missing value, never a silent one."""
    with pytest.raises(UserError, match="experiment"):
        compose([])
    for path in (CONFIGS / "approach").rglob("paper.yaml"):
        assert yaml.safe_load(path.read_text())["optim"]["lr"] > 0


def test_identity_ignores_where_and_how_a_run_happens() -> None:
    one = compose(["experiment=dstl_cub200"])
    two = compose(["experiment=dstl_cub200", "paths.data=/elsewhere", "runtime.workers=7"])
    other = compose(["experiment=dstl_cub200", "seed=1"])
    assert fingerprint(identity(one)) == fingerprint(identity(two)) != fingerprint(identity(other))


def test_frozen_set_of_keys() -> None:
    """Adding or renaming a key is a decision: write it here too."""
    frozen = (Path(__file__).parent / "golden" / "config_keys.txt").read_text().split()
    difference = "\n".join(difflib.unified_diff(frozen, sorted(known_keys()), lineterm="", n=0))
    assert not difference
