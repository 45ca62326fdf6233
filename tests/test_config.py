"""Every configuration found by glob composes; the arms differ in the penalty alone; typos die early."""

import dataclasses
import difflib
import itertools
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import MISSING, OmegaConf

from l2sp_suite.config import limits
from l2sp_suite.config.compose import CONFIGS, ROOT, SINCE, compose, fingerprint, identity, known_keys, override
from l2sp_suite.config.schema import TrainConfig
from l2sp_suite.runs import run_of
from l2sp_suite.tasks.registry import approach_names, limits_of, schema_of
from l2sp_suite.utils.errors import UserError

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
TEXTS = {name: (CONFIGS / f"experiment/{name}.yaml").read_text() for name in EXPERIMENTS}
PRINTED = [name for name in EXPERIMENTS if "paper: null" not in TEXTS[name]]
PRINTED_ROWS = [name for name in PRINTED if "row: {table: 3" in TEXTS[name]]
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


@pytest.mark.parametrize("experiment", PRINTED_ROWS)
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


@pytest.mark.parametrize("experiment", sorted(set(PRINTED) - set(PRINTED_ROWS)))
def test_other_rows_are_those_of_table_5(experiment: str) -> None:
    cfg = compose([f"experiment={experiment}", "scale=paper"])
    table = pd.read_csv(ROOT / "results" / "paper" / "table5.csv")
    column = experiment.removeprefix("segflow_")
    l2, l2_sp = table[table.reg == "L2"][column], table[table.beta.astype(float) == cfg.reg.beta][column]
    assert ([cfg.paper.l2], [cfg.paper.l2_sp]) == (l2.tolist(), l2_sp.tolist())
    assert (cfg.row.table, cfg.row.metric, cfg.row.better, cfg.reg.beta) == (5, "EPE", "lower", 0.1)


@pytest.mark.parametrize("experiment", PRINTED)
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
    assert cfg.approach.network.bn_momentum == pytest.approx(1 - 0.9997)
    assert (cfg.reg.alpha, cfg.reg.beta) == (4e-5, 4e-5)


@pytest.mark.parametrize(
    "typed,nearest",
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
def test_misspelt_keys_and_options_name_the_nearest(typed: str, nearest: str) -> None:
    base = [] if typed.startswith("experiment") else ["experiment=dstl_cub200"]
    with pytest.raises(UserError, match=re.escape(nearest)) as caught:
        compose([*base, typed])
    assert "\n" not in str(caught.value)


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_any_unknown_key_is_refused(name: str) -> None:
    if f"optim.{name}" in known_keys():
        return
    with pytest.raises(UserError, match="nearest"):
        compose(["experiment=dstl_cub200", f"optim.{name}=1"])


@pytest.mark.parametrize(
    "typed,words",
    [
        ("optim.lr=fast", "optim.lr"),
        ("optim.epochs=3", "optim.epochs or as optim.steps"),
        ("optim.schedule.every_steps=6000", "optim.schedule.every_epochs or optim.schedule.every_steps"),
        ("optim.schedule.every_epochs=null", "optim.schedule.every_epochs or optim.schedule.every_steps"),
        ("reg.reference=w0", "one of start, origin"),
        ("reg.reference=origin", "reg.reference=origin is not that of reg=l2_sp"),
        ("evaluate.split=train", "one of test, val"),
        ("optim.lr=0", "optim.lr=0.0: give a number above 0"),
        ("optim.lr=nan", "optim.lr=nan"),
        ("optim.momentum=1", "a number in [0, 1)"),
        ("optim.batch_size=0", "1 or more"),
        ("optim.steps=-1", "optim.steps=-1"),
        ("optim.schedule.warmup_steps=-1", "0 or more"),
        ("reg.alpha=-1", "reg.alpha=-1.0"),
        ("reg.decay_scope=biases", "one of weights, all"),
        ("weights.statistics=none", "one of load, fresh"),
        ("seed=-1", "seed=-1"),
        ("runtime.threads=0", "runtime.threads=0"),
        ("runtime.log_every=0", "runtime.log_every=0"),
        ("study=mine", "<name>/<point>"),
        ("study=../mine", "<name>/<point>"),
        ("study=/a/b", "<name>/<point>"),
        ("approach.network.dropout=2", "approach.network.dropout=2.0: give a number in [0, 1)"),
        ("approach.augment.scale=[0.5]", "two numbers"),
        ("approach.augment.flip=3", "a number in [0, 1]"),
        ("approach.std=[1.0,1.0]", "three numbers above 0"),
        ("approach.label_smoothing=1", "approach.label_smoothing"),
    ],
)
def test_wrong_values_say_what_is_right(typed: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        compose(["experiment=dstl_cub200", typed])


def test_no_schema_has_a_default() -> None:
    """A value that stands in no YAML is a missing value, never a silent one."""
    schemas = [TrainConfig, *map(schema_of, approach_names())]
    for schema in schemas:
        for field in dataclasses.fields(schema):
            assert field.default == MISSING, f"{schema.__name__}.{field.name}"
            schemas += [kind for kind in (field_type(schema, field.name)) if kind not in schemas]
    assert len(schemas) > 15  # it did go into the nested ones
    with pytest.raises(UserError, match="experiment"):
        compose([])


def field_type(schema: type, name: str) -> list[type]:
    """The dataclasses in a field's type, `X | None` included."""
    hint = get_type_hints(schema)[name]
    return [kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0${}"), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_text_survives_as_an_override(text: str) -> None:
    parsed = OverridesParser.create().parse_override(override("paths.data", text))
    assert parsed.value() == text


def test_every_limit_is_of_a_key_and_every_approach_has_some() -> None:
    assert set(limits.GENERAL) <= known_keys()
    for name in approach_names():
        assert {f"approach.{key}" for key in limits_of(name)} <= known_keys() and limits_of(name)


@given(st.floats(), st.floats(0, 10), st.floats(0, 10), st.sampled_from(["[]", "(]", "[)", "()"]))
def test_span_is_the_interval_it_prints(value: float, low: float, width: float, ends: str) -> None:
    high = low + width
    holds, words = limits.span(low, high, ends)
    inside = low < value < high or (value == low and ends[0] == "[") or (value == high and ends[1] == "]")
    if value in (low, high) and low == high:  # half open and empty
        inside = ends == "[]"
    assert holds(value) == inside and words.startswith(f"a number in {ends[0]}{low:g}")


def test_identity_ignores_where_and_how_a_run_happens() -> None:
    one = compose(["experiment=dstl_cub200"])
    two = compose(["experiment=dstl_cub200", "paths.data=/elsewhere", "runtime.workers=7"])
    assert fingerprint(identity(one)) == fingerprint(identity(two))
    for other in ("seed=1", "optim.bf16=true"):
        assert fingerprint(identity(one)) != fingerprint(identity(compose(["experiment=dstl_cub200", other])))
    reworded = compose(["experiment=dstl_cub200", "data.remedy='look elsewhere'"])
    assert fingerprint(identity(one)) == fingerprint(identity(reworded))


LATER = {  # overrides that set it otherwise
    "reg.decay_scope": ["reg.decay_scope=all"],
    "optim.schedule.every_steps": ["optim.schedule.every_epochs=null", "optim.schedule.every_steps=6000"],
    "weights.statistics": ["weights.statistics=fresh"],
    "approach.flow_weights.statistics": ["approach.flow_weights.statistics=fresh"],
}


@pytest.mark.parametrize("key", LATER)
def test_a_key_that_came_later_is_no_part_of_what_a_run_was(key: str) -> None:
    base = ["experiment=segflow_davis", "scale=paper"]
    before, changed = (flat(identity(compose([*base, *more]))) for more in ([], LATER[key]))
    assert key in changed and before.keys() == changed.keys() - {key}
    assert fingerprint(before) != fingerprint(changed)


def test_every_later_key_is_tested() -> None:
    assert {key.rpartition(".")[2] for key in LATER} == {key for later in SINCE.values() for key in later}


@pytest.mark.parametrize("scale", ["mini", "pocket"])
def test_committed_results_are_still_recognised(scale: str) -> None:
    rows = pd.read_csv(ROOT / "results" / scale / "rows.csv", dtype=str)
    rows = rows[rows.study.isna()].drop_duplicates(["experiment", "reg"])
    assert len(rows) >= 14 and {name.split("_")[0] for name in rows.experiment} >= {"dstl", "segflow"}
    for row in rows.itertuples():
        values = (f"{key}={getattr(row, key)}" for key in ("experiment", "seed", "reg"))
        coefficients = (f"reg.{key}={getattr(row, key)}" for key in ("alpha", "beta"))
        run = run_of(compose([f"scale={scale}", *values, *coefficients]))
        assert run.fingerprint[: len(row.config)] == row.config, (row.experiment, row.reg)


def test_frozen_set_of_keys() -> None:
    """Adding or renaming a key is a decision: write it here too."""
    frozen = (Path(__file__).parent / "golden" / "config_keys.txt").read_text().split()
    difference = "\n".join(difflib.unified_diff(frozen, sorted(known_keys()), lineterm="", n=0))
    assert not difference


@pytest.mark.parametrize("experiment", ["encnet50_pcontext", "segflow_davis"])
@pytest.mark.parametrize(("source", "scale"), [("selected", "mini"), ("subset_b", "paper")])
def test_sources_of_dstl_are_refused_elsewhere(experiment: str, source: str, scale: str) -> None:
    with pytest.raises(UserError, match="is of another approach than this experiment's"):
        compose([f"experiment={experiment}", f"source={source}", f"scale={scale}"])


def test_a_source_that_a_scale_has_not_is_said() -> None:
    with pytest.raises(UserError, match="'approach/dstl/light/pocket': scale=pocket has none, only mini, smoke"):
        compose(["experiment=dstl_cub200", "source=selected", "scale=pocket"])
