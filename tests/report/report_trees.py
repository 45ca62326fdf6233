"""Trees of run directories, written by hand so that no number depends on the trainer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from l2sp_suite.report import Arms
from l2sp_suite.report.load import Results, load_results
from l2sp_suite.report.paper import read_paper
from l2sp_suite.report.table import Table
from l2sp_suite.utils.run_paths import run_folder

PAPER = Path(__file__).parents[2] / "results" / "paper"

# arm: hyper-parameters chosen on the imaginary validation part
CHOSEN = {
    "l2": {"alpha": 1e-3, "beta": 1e-3},
    "l2_sp": {"alpha": 1e-2, "beta": 1e-3},
    "l1_sp": {"alpha": 0.25, "gamma": 2.0},
}
FLOW_CHOSEN = {
    "l2": {"alpha": 5e-4, "beta": 5e-4},
    "l2_sp": {"alpha": 1e-1, "beta": 1e-1},
    "l1_sp": {"alpha": 0.25, "gamma": 2.0},
}
FLOW_SETS = tuple(f"segflow_{name}" for name in ("monkaa_clean", "monkaa_final", "driving_clean", "driving_final"))
ARMS = Arms(("l2", "l2_sp"))


def results_of(results: Path, scale: str = "mini", arms: Arms = ARMS) -> Results:
    """The runs of a scale, as the report loads them."""
    return load_results(results, scale, read_paper(PAPER), arms)


def lines_of(table: Table | None) -> list[dict[str, str]]:
    """The printed cells of each line by heading."""
    assert table is not None
    return [dict(zip(table.header, cells, strict=True)) for cells in table.cells]


def write_run(results: Path, experiment: str, arm: str, seed: int, value: float, **given: Any) -> Path:
    """Writes one finished run and returns its directory; `given` overrides scale, study, alpha and so on."""
    flow = experiment in (*FLOW_SETS, "flownet_chairs")
    chosen = (FLOW_CHOSEN if flow else CHOSEN)[arm]
    hyper = {name: given.get(name, number) for name, number in chosen.items()}
    scale, study, split = given.get("scale", "mini"), given.get("study"), given.get("split", "test")
    metric, better = ("EPE", "lower") if flow else ("accuracy", "higher")
    others = {"EPE_zero": 4.0, "EPE_start": 1.6, "EPE_input": value / 4} if flow else {}
    row = {"table": 3, "number": 1, "metric": metric, "better": better, **(given.get("row") or {})}
    config = {
        "experiment": experiment,
        "kind": "fine_tune",
        "scale": {"name": scale},
        "seed": seed,
        "study": study,
        "reg": {"name": arm, "penalty": "l2sp.Any", "penalize": "weights", **hyper},
        "optim": {"lr": given.get("lr", 0.02)},
        "weights": {"source": given.get("weights", "mini")},
        "evaluate": {"split": split},
        "row": None if given.get("row", {}) is None else row,
        "paper": given.get("paper"),
        "arm": {"label": given.get("label"), "selected": hyper == chosen},
    }
    done = {
        "config": given.get("config", "0123456789abcdef" * 4),
        "steps": given.get("steps", 300),
        "metric": metric,
        "better": better,
        "value": value,
        "results": {
            split: {metric: value, "n": given.get("n", 1200), **given.get("measured", others)},
            "train": {metric: given.get("train", 1.0), "n": 192},
        },
        "distance": {"w0": given.get("w0", 3.25), "zero": 40.0},
        "seconds": 12.5,
        "peak_memory_mb": 640,
    }
    folder = results / scale / run_folder(experiment, arm, hyper, seed, study)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "done.json").write_text(json.dumps(done))
    env = _environment(flow) | {"w0": given.get("start", "feed" * 16)} | given.get("env", {})
    (folder / "env.json").write_text(json.dumps(env))
    lines = _log(value, seed, given.get("w0", 3.25))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_arms(results: Path, experiment: str, values: Mapping[str, Sequence[float]], **given: Any) -> None:
    """Runs of several arms, a seed for each value."""
    for arm, numbers in values.items():
        for seed, value in enumerate(numbers):
            write_run(results, experiment, arm, seed, value, **given)


def edit(path: Path, keys: str, value: Any) -> None:
    """Changes one value, by its dotted key, of a JSON or YAML file; `...` removes it."""
    content = yaml.safe_load(path.read_text())  # JSON is YAML too
    *outer, last = keys.split(".")
    node = content
    for key in outer:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    path.write_text(json.dumps(content))


def _environment(flow: bool) -> dict[str, Any]:
    env = {"python": "3.11.7", "torch": "2.14.1", "timm": "1.0.31", "platform": "x86_64", "commit": "c0ffee" * 6}
    env |= {"dirty": False, "device": "cpu", "cpus": 2, "threads": 1, "images": {"train": 192, "test": 1200}}
    start = {"origin": "artifacts/mini/source/model.safetensors", "sha256": "ab", "report": "all"}
    if flow:
        sources = {"experiment": "source/flownet", "scale": "mini", "images": {"train": 1000, "test": 60}}
        clips = {"clips": {"train": 30, "test": 20}}
        return env | clips | {"pretrained": {"flow_weights": start}, "pretrained_runs": {"flow_weights": sources}}
    return env | {"classes": 20, "pretrained": start}


def _log(value: float, seed: int, distance: float) -> list[dict[str, Any]]:
    fits = [
        {"step": step, "split": "fit", "loss": 2 / step + seed / 100, "lr": 0.1, "seconds": step / 10,
         "distance_w0": distance * step / 300, "distance_zero": 40.0 - step / 300}
        for step in (100, 200, 300)
    ]  # fmt: skip
    layers = {f"conv{k}.weight": [distance / (k + 2), 5.0 + k, 5.5 + k] for k in range(4)}
    return [*fits, {"step": 300, "split": "test", "value": value}, {"step": 300, "split": "layers", "layers": layers}]


def clone_of(results: Path, folder: Path) -> Path:
    """A results folder as a clone has it: the records of the mini scale, no run directories."""
    (folder / "mini").mkdir(parents=True)
    for records in (results / "mini").glob("*.csv"):
        shutil.copy(records, folder / "mini")
    return folder


L2 = {"dstl_cub200": (0.871, 0.868, 0.874), "dstl_aircraft": (0.70, 0.71, 0.72), "dstl_food101": (0.81,)}
SP = {"dstl_cub200": (0.885, 0.880, 0.887), "dstl_aircraft": (0.71, 0.70, 0.725), "dstl_food101": (0.80,)}
FLOW = {"l2": (1.25, 1.31, 1.28), "l2_sp": (1.05, 1.12, 1.07)}


def write_tree(results: Path) -> Path:
    """Main runs of five experiments, other settings on CUB and of Table 5, and the side studies, all at mini scale."""
    for arm, table in (("l2", L2), ("l2_sp", SP)):
        for experiment, values in table.items():
            for seed, value in enumerate(values):
                write_run(results, experiment, arm, seed, value, w0=4.5 if arm == "l2" else 2.25)
        for seed, value in enumerate(FLOW[arm]):
            write_run(results, "segflow_monkaa_final", arm, seed, value, train=0.8)
    for seed in range(3):
        write_run(results, "dstl_cub200", "l2_sp", seed, 0.86 + 0.01 * seed, alpha=1e-4, beta=1e-4)
        write_run(results, "dstl_cub200", "l2_sp", seed, 0.84 + 0.01 * seed, alpha=0.5, beta=1e-3)
    _write_table5(results)
    _write_studies(results)
    return results


def _write_table5(results: Path) -> None:
    """A part of Table 5, most of it with one seed: L2 of one Driving set is missing, and all of the other."""
    clean: dict[str, Any] = {"row": {"table": 5, "approach": "SegFlow", "target": "Monkaa Clean"}, "n": 24}
    write_run(results, "segflow_monkaa_clean", "l2", 0, 1.5, **clean)
    for beta, value in ((1.0, 1.625), (1e-1, 1.25)):
        write_run(results, "segflow_monkaa_clean", "l2_sp", 0, value, beta=beta, **clean)
    write_run(results, "segflow_monkaa_final", "l2_sp", 0, 1.125, beta=1e-2)
    for seed in range(3):
        write_run(results, "segflow_monkaa_final", "l2_sp", seed, 2 * FLOW["l2"][seed], beta=1.0)
    write_run(results, "segflow_driving_clean", "l2_sp", 0, 3.5, beta=1e-2)


def _write_studies(results: Path) -> None:
    for k, lr in enumerate((0.01, 0.04, 0.08)):
        for seed in range(2):
            shared: dict[str, Any] = {"study": f"learning_rate/lr={lr}", "lr": lr}
            drop = 0.08 * k + 0.01 * seed
            write_run(results, "dstl_cub200", "l2", seed, 0.86 - drop, w0=3 + 4 * k, **shared)
            write_run(results, "dstl_cub200", "l2_sp", seed, 0.87 - drop / 2 + 0.003 * seed, w0=2 + k, **shared)
            write_run(results, "segflow_monkaa_final", "l2", seed, 1.2 + drop, w0=3 + 4 * k, **shared)
            write_run(results, "segflow_monkaa_final", "l2_sp", seed, 1.1 + drop / 2, w0=2 + k, **shared)
    for seed in range(3):
        study = {"study": "from_scratch/default", "weights": "none"}
        write_run(results, "dstl_cub200", "l2", seed, 0.41 + 0.02 * seed, **study)
    chairs = {"row": {"table": 5, "approach": "FlowNetS", "target": "FlyingChairs"}, "steps": 0, "n": 640}
    measured = {"EPE_zero": 11.5, "EPE_start": 2.875}
    write_run(results, "flownet_chairs", "l2", 0, 2.875, study="flow_start/all", measured=measured, **chairs)
    for lr in (0.02, 0.04):
        for arm, value in (("l2", 0.80), ("l2_sp", 0.81)):
            trial = {"study": f"selection/lr={lr}", "lr": lr, "split": "val", "n": 300}
            write_run(results, "dstl_cub200", arm, 0, value - lr, **trial)
