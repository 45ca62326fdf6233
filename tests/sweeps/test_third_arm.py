"""A penalty is one class and one YAML: it runs, is swept, and stands in every table, with no other file touched."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2sp_suite.config import ROOT

pytestmark = pytest.mark.slow

PENALTY = '''
"""L1-SP, defined outside the repository."""

import torch

from l2sp import Penalty


class L1SP(Penalty):
    """alpha |w_S - w0|_1 + beta/2 |w_new|^2."""

    def __init__(self, model, pretrained, alpha: float, beta: float, *, penalize: str = "weights") -> None:
        super().__init__(model, pretrained, penalize=penalize, alpha=alpha, beta=beta)

    def coefficients(self) -> dict[str, float]:
        return {"shared": 0.0, "new": self.beta}

    def shared_value(self, params, anchors) -> float:
        return self.alpha * sum(float((p - a).abs().sum()) for p, a in zip(params, anchors))

    def add_gradient(self, grads, params, anchors) -> None:
        for grad, param, anchor in zip(grads, params, anchors):
            grad.add_(torch.sign(param - anchor), alpha=self.alpha)
'''
ARM = """
name: l1_sp
label: L1-SP
penalty: my_penalties.L1SP
penalize: weights
selected: {alpha: 1.0e-4, beta: 1.0e-3}
alpha: ${reg.selected.alpha}
beta: ${reg.selected.beta}
"""
PLAN = """
name: some
study: null
arms: [l2, l2_sp, l1_sp]
baseline: l2
scales:
  smoke:
    - experiments: [encnet50_pcontext, segflow_monkaa_final, dstl_cub200]
    - experiments: [dstl_cub200]
      points: [[optim.lr=0.01, "study='learning_rate/lr=0.01'"]]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with a third arm; the repository is used as it is."""
    root = tmp_path_factory.mktemp("third")
    (root / "my_penalties.py").write_text(PENALTY)
    subprocess.run(["cp", "-r", ROOT / "configs", root / "configs"], check=True)
    (root / "configs" / "reg" / "l1_sp.yaml").write_text(ARM)
    (root / "configs" / "sweep" / "some.yaml").write_text(PLAN)
    paths = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "L2SP_CONFIGS": str(root / "configs"), "PYTHONPATH": paths}
    options = ["scale=smoke", "seeds=2", "plan=[some]", f"results={root / 'results'}"]
    command = [sys.executable, ROOT / "experiments" / "reproduce.py", *options]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "results" / "smoke"


def header_and_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *lines = csv.reader(path.read_text().splitlines())
    return header, lines


def test_table_3_has_a_third_column_and_a_verdict_of_its_own(results: Path) -> None:
    header, lines = header_and_lines(results / "tables" / "table3.csv")
    row = dict(zip(header, next(line for line in lines if "CUB200" in line), strict=True))
    assert all(row[f"l1_sp_{name}"] for name in ("mean", "sd", "difference", "low", "high", "verdict")), row
    assert row["l1_sp_n"] == row["l1_sp_pairs"] == "2" and row["paper_l1_sp"] == ""
    printed = (results / "tables" / "table3.md").read_text()
    assert "smoke L1-SP" in printed


@pytest.mark.parametrize("table", ["table4", "table5", "table6"])
def test_tables_of_settings_have_its_line(results: Path, table: str) -> None:
    text = (results / "tables" / f"{table}.md").read_text()
    ours = [line for line in text.splitlines() if "L1-SP" in line and line.startswith("|")]
    assert len(ours) == 1 and "±" in ours[0] and "not in the paper" in ours[0], text


def test_figures_and_page_show_it(results: Path) -> None:
    for name in ("table3", "training", "layers", "learning_rate"):
        assert (results / "figures" / f"{name}.png").exists(), name
    page = (results / "report.html").read_text()
    assert page.count("L1-SP") > 10


def test_runs_are_named_by_the_arm_and_its_hyper_parameters(results: Path) -> None:
    assert (results / "runs" / "dstl_cub200" / "l1_sp-alpha=0.0001-beta=0.001" / "seed=1" / "done.json").exists()
    header, lines = header_and_lines(results / "rows.csv")
    arms = {line[header.index("arm")] for line in lines}
    assert arms == {"l2", "l2_sp", "l1_sp"}
