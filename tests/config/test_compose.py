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
from omegaconf import MISSING

from l2sp_suite.config import (
    CONFIGS,
    ROOT,
    TrainConfig,
    compose,
    fingerprint,
    identity,
    known_keys,
    override,
    spec_of,
    task_schemas,
)
from l2sp_suite.config.fields import span
from l2sp_suite.utils.errors import UserError

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
TEXTS = {name: (CONFIGS / f"experiment/{name}.yaml").read_text() for name in EXPERIMENTS}
PRINTED = [name for name in EXPERIMENTS if "\npaper:" in TEXTS[name]]
PRINTED_ROWS = [name for name in PRINTED if "row: {table: 3" in TEXTS[name]]
SCALES = sorted(path.stem for path in (CONFIGS / "scale").glob("*.yaml"))


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}.{key}".lstrip(".")).items()}


def plain(*overrides: str) -> dict[str, Any]:
    return flat(dataclasses.asdict(compose(overrides)))


NO_COUNTERPART = {("encnet_camvid", "mini"), ("encnet_camvid", "smoke")}
CASES = sorted(set(itertools.product(EXPERIMENTS, SCALES)) - NO_COUNTERPART)


@pytest.mark.slow
@pytest.mark.parametrize("experiment,scale", CASES)
def test_arms_differ_only_in_the_penalty(experiment: str, scale: str) -> None:
    l2, l2_sp = (plain(f"experiment={experiment}", f"scale={scale}", f"reg={reg}") for reg in ("l2", "l2_sp"))
    assert l2.keys() == l2_sp.keys()
    differing = {key for key in l2 if l2[key] != l2_sp[key]}
    assert {"reg.name", "reg.penalty", "reg.label"} <= differing
    assert all(key.startswith("reg.") for key in differing)


def test_a_data_set_without_a_counterpart_says_where_it_is_used() -> None:
    with pytest.raises(UserError, match="no synthetic counterpart"):
        spec_of(["experiment=encnet_camvid"])


@pytest.mark.parametrize("experiment", PRINTED_ROWS)
def test_row_and_paper_blocks_are_those_of_table_3(experiment: str) -> None:
    cfg = compose([f"experiment={experiment}"])
    table = pd.read_csv(ROOT / "results" / "paper" / "table3.csv").set_index("experiment")
    printed = table.loc[experiment]
    assert (cfg.paper["l2"], cfg.paper["l2_sp"]) == (printed["L2"], printed["L2SP"])
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
    l2, l2_sp = (
        table[table.reg == "L2"][column],
        table[table.beta.astype(float) == cfg.arm.hyperparameters["beta"]][column],
    )
    assert ([cfg.paper["l2"]], [cfg.paper["l2_sp"]]) == (l2.tolist(), l2_sp.tolist())
    assert (cfg.row.table, cfg.row.metric, cfg.row.better, cfg.arm.hyperparameters["beta"]) == (5, "EPE", "lower", 0.1)


@pytest.mark.parametrize("experiment", PRINTED)
def test_header_has_the_command_and_the_paper_s_values(experiment: str) -> None:
    text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text()
    header = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    cfg = compose([f"experiment={experiment}"])
    assert f"python experiments/train.py experiment={experiment} reg=l2_sp seed=0" in header
    assert all(str(value) in header for value in cfg.paper.values())


@pytest.mark.parametrize(
    "typed,nearest",
    [
        ("optim.lrr=1", "'optim.lr'"),
        ("+optim.lrr=1", "'optim.lr'"),
        ("task.network.wdth=1", "'task.network.width'"),
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
@settings(max_examples=5, deadline=None)
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
        ("optim.schedule.kind=staircase", "one of step, cosine, poly, constant"),
        ("optim.schedule.step_size=0", "1 or more"),
        ("optim.schedule.step_unit=minutes", "one of epochs, steps"),
        ("task.package=os", "task.package=os: no package with config.Config"),
        ("reg.beta=nan", "reg.beta=nan: give a number from 0"),
        ("+reg.gamma=1", "reg=l2_sp: gamma is in only one of reg and reg.selected"),
        ("~reg.label", "reg has no label"),
        (
            "study=a/lr=0.1",
            "cannot read study=a/lr=0.1: the value needs quotes of its own, in a shell \"study='a/lr=0.1'\"",
        ),
        ("optim.lr", "cannot read optim.lr: write key=value"),
        ("evaluate.split=train", "one of test, val"),
        ("optim.lr=0", "optim.lr=0.0: give a number above 0"),
        ("optim.lr=nan", "optim.lr=nan"),
        ("optim.batch_size=0", "1 or more"),
        ("optim.steps=-1", "optim.steps=-1"),
        ("optim.schedule.warmup_steps=-1", "0 or more"),
        ("reg.alpha=-1", "reg.alpha=-1"),
        ("weights.statistics=none", "one of load, fresh"),
        ("seed=-1", "seed=-1"),
        ("runtime.threads=0", "runtime.threads=0"),
        ("runtime.log_every=0", "runtime.log_every=0"),
        ("study=mine", "<name>/<point>"),
        ("study=../mine", "<name>/<point>"),
        ("study=/a/b", "<name>/<point>"),
        ("task.network.dropout=2", "task.network.dropout=2.0: give a number in [0, 1)"),
        ("task.augment.scale=[0.5]", "two numbers"),
        ("task.augment.flip=3", "a number in [0, 1]"),
        ("task.std=[1.0,1.0]", "three numbers above 0"),
        ("task.label_smoothing=1", "task.label_smoothing"),
    ],
)
def test_wrong_values_say_what_is_right(typed: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        compose(["experiment=dstl_cub200", typed])


def test_no_schema_has_a_default() -> None:
    """A value that stands in no YAML is a missing value, never a silent one."""
    schemas = [TrainConfig, *task_schemas().values()]
    for schema in schemas:
        for field in dataclasses.fields(schema):
            if field.name != "dry_run":  # no part of a run: what a tool needs of a task
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
def test_any_text_survives_as_an_override(text: str) -> None:
    parsed = OverridesParser.create().parse_override(override("paths.data", text))
    assert parsed.value() == text


@given(st.floats(), st.floats(0, 10), st.floats(0, 10), st.sampled_from(["[]", "(]", "[)", "()"]))
def test_span_is_the_interval_it_prints(value: float, low: float, width: float, ends: str) -> None:
    high = low + width
    check = span(low, high, ends)
    inside = low < value < high or (value == low and ends[0] == "[") or (value == high and ends[1] == "]")
    if value in (low, high) and low == high:  # half open and empty
        inside = ends == "[]"
    assert check.holds(value) == inside and check.words.startswith(f"a number in {ends[0]}{low:g}")


def test_identity_ignores_where_and_how_a_run_happens() -> None:
    one = compose(["experiment=dstl_cub200"])
    two = compose(["experiment=dstl_cub200", "paths.data=/elsewhere", "runtime.workers=7"])
    assert fingerprint(identity(one)) == fingerprint(identity(two))
    for other in ("seed=1", "optim.bf16=true"):
        assert fingerprint(identity(one)) != fingerprint(identity(compose(["experiment=dstl_cub200", other])))
    reworded = compose(["experiment=dstl_cub200", "data.remedy='look elsewhere'"])
    assert fingerprint(identity(one)) == fingerprint(identity(reworded))


LATER = {  # overrides that set it otherwise
    "reg.penalize": "reg.penalize=all",
    "task.interpolation": "task.interpolation=bicubic",
    "weights.statistics": "weights.statistics=fresh",
}


@pytest.mark.parametrize("key", LATER)
def test_a_key_that_came_later_is_no_part_of_what_a_run_was(key: str) -> None:
    base = ["experiment=dstl_cub200", "scale=paper"]
    before, changed = (flat(identity(compose([*base, *more]))) for more in ([], [LATER[key]]))
    assert key in changed and before.keys() == changed.keys() - {key}
    assert fingerprint(before) != fingerprint(changed)


def test_frozen_set_of_keys() -> None:
    """Adding or renaming a key is a decision: write it here too."""
    frozen = (Path(__file__).parents[1] / "golden" / "config_keys.txt").read_text().split()
    difference = "\n".join(difflib.unified_diff(frozen, sorted(known_keys()), lineterm="", n=0))
    assert not difference


@pytest.mark.parametrize("experiment", ["encnet50_pcontext", "segflow_davis"])
@pytest.mark.parametrize(("source", "scale"), [("selected", "mini"), ("subset_b", "paper")])
def test_sources_of_dstl_are_refused_elsewhere(experiment: str, source: str, scale: str) -> None:
    with pytest.raises(UserError, match="is of another task than this experiment's"):
        compose([f"experiment={experiment}", f"source={source}", f"scale={scale}"])


def test_a_source_that_a_scale_has_not_is_said() -> None:
    with pytest.raises(UserError, match="'task/classification/light/small': scale=small has none, only mini, smoke"):
        compose(["experiment=dstl_cub200", "source=selected", "scale=small"])
