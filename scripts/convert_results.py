"""Converts the committed runs to the names of this edition, once: values stay, keys and identities are new.

    python scripts/convert_results.py IDENTITIES

`results/pocket` becomes `results/small`, its run directories one file, `runs.zip`; the records of `results/mini` get
new headings. IDENTITIES is written: a CSV with the old and the new identity of each run.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
TASKS = {"dstl": "classification", "encnet": "segmentation", "segflow": "video"}
PENALTIES = {"l2": "l2sp.L2", "l2_sp": "l2sp.L2SP"}
LABELS = {"l2": "L2", "l2_sp": "L2-SP"}
NOT_IDENTITY = ("row", "paper", "arm")


def fingerprint(config: dict[str, Any]) -> str:
    """The identity of a run: of its configuration without labels."""
    content = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def new_config(old: dict[str, Any]) -> dict[str, Any]:
    """A configuration under the new keys."""
    reg = old["reg"]
    penalty = {"name": reg["name"], "penalty": PENALTIES[reg["name"]], "alpha": reg["alpha"], "beta": reg["beta"]}
    assert set(reg) == {"name", "reference", "alpha", "beta"}
    rest = {key: old[key] for key in ("weights", "flow_weights_source_run", "weights_source_run") if key in old}
    new = {
        "experiment": old["experiment"],
        "kind": "fine_tune",
        "seed": old["seed"],
        "study": old["study"],
        "reg": penalty,
        "data": old["data"],
        "scale": old["scale"] | {"name": "small"},
        "task": new_task(old["approach"]),
        **rest,
        "optim": new_optim(old["optim"]),
        "evaluate": old["evaluate"],
        "row": old["row"],
        "paper": old["paper"],
        "arm": {"label": LABELS[reg["name"]], "selected": old["chosen"]},
    }
    renamed = {"approach": "task", "chosen": "arm"}
    assert {renamed.get(key, key) for key in old} | {"kind"} == set(new), set(old) ^ set(new)
    return new


def new_task(old: dict[str, Any]) -> dict[str, Any]:
    """The settings of a task."""
    names = {"partner": "auxiliary_data", "turn": "steps_per_phase"}
    new = {names.get(key, key): value for key, value in old.items()} | {"name": TASKS[old["name"]]}
    if "turn" in old:
        new["steps_per_phase"] = {"target": old["turn"]["target"], "auxiliary": old["turn"]["partner"]}
        data = {"data": "data", "partner": "auxiliary"}
        new["phases"] = [phase | {"data": data[phase["data"]]} for phase in old["phases"]]
    return new


def new_optim(old: dict[str, Any]) -> dict[str, Any]:
    """Optimiser and schedule; arguments are torch's own."""
    kwargs: dict[str, Any] = {"momentum": old["momentum"]}
    if old["name"] == "adam":
        kwargs = {"betas": [old["momentum"], old["smoothing"]], "eps": old["eps"]}
    schedule = {
        "kind": {"staircase": "step"}.get(old["schedule"]["kind"], old["schedule"]["kind"]),
        "warmup_steps": old["schedule"]["warmup_steps"],
        "step_size": old["schedule"]["every_epochs"],
        "step_unit": "epochs",
        "gamma": old["schedule"]["factor"],
        "power": old["schedule"]["power"],
    }
    name = {"sgd": "SGD", "adam": "Adam"}[old["name"]]
    same = {key: old[key] for key in ("batch_size", "epochs", "steps", "bf16")}
    return {"name": name, "lr": old["lr"], "kwargs": kwargs, **same, "schedule": schedule}


def convert_runs(old: Path, archive: Path) -> list[dict[str, str]]:
    """Packs the converted run directories of `old` into `archive`; returns old and new identities."""
    files: dict[str, str] = {}
    identities = []
    for path in sorted(old.rglob("config.yaml")):
        folder, name = path.parent, path.parent.relative_to(old).as_posix()
        config = yaml.safe_load(path.read_text())
        done = json.loads((folder / "done.json").read_text())
        plain = {key: value for key, value in config.items() if key not in ("row", "paper", "chosen")}
        assert done["config"] == hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest(), name
        new = new_config(config)
        identities.append({"run": f"small/{name}", "old": done["config"], "new": fingerprint(new)})
        renamed = {}
        for key, value in (done | {"config": fingerprint(new)}).items():
            renamed[key] = value
            if key == "metric":
                renamed["better"] = config["row"]["better"]
        names = {"start": "pretrained", "sources": "pretrained_runs"}
        env = json.loads((folder / "env.json").read_text())
        files[f"{name}/config.yaml"] = yaml.safe_dump(new, sort_keys=False)
        files[f"{name}/env.json"] = json.dumps({names.get(k, k): v for k, v in env.items()}, indent=1) + "\n"
        files[f"{name}/metrics.jsonl"] = (folder / "metrics.jsonl").read_text()
        files[f"{name}/done.json"] = json.dumps(renamed, indent=1) + "\n"
        assert {p.name for p in folder.iterdir()} == {"config.yaml", "done.json", "env.json", "metrics.jsonl"}, name
    with zipfile.ZipFile(archive, "w") as packed:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(info, files[name], compresslevel=9)
    return identities


def convert_records(folder: Path) -> None:
    """New headings for the records of a scale, with the arm's label and the paper's values."""
    for path in sorted(folder.glob("*.csv")):
        lines = list(csv.DictReader(path.open(newline="", encoding="utf-8")))
        new = [convert_record(line, path.stem == "rows") for line in lines]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(new[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(new)
        path.write_text(out.getvalue(), encoding="utf-8")


def convert_record(line: dict[str, str], row: bool) -> dict[str, str]:
    """One line of a file of records."""
    new: dict[str, str] = {}
    for key, value in line.items():
        new[{"reg": "arm", "chosen": "selected"}.get(key, key)] = value
        if key == "reg" and row:
            new["label"] = LABELS[value]
    if row:
        experiment = yaml.safe_load((ROOT / "configs" / "experiment" / f"{line['experiment']}.yaml").read_text())
        printed = experiment.get("paper") or {}
        new["paper"] = " ".join(f"{arm}={value:.10g}" for arm, value in sorted(printed.items()))
    return new


def convert_origin(path: Path) -> None:
    """The keys of a choice of source classes."""
    content = json.loads(path.read_text())
    names, scales = {"others": "baselines"}, {"pocket": "small"}
    choice = {names.get(key, key): value for key, value in content["choice"].items()}
    content["choice"] = choice | {"scale": scales.get(choice["scale"], choice["scale"])}
    path.write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    """Converts what is committed."""
    old, new = RESULTS / "pocket", RESULTS / "small"
    new.mkdir()
    identities = convert_runs(old, new / "runs.zip")
    for name in ("source", "figures", "tables"):
        shutil.move(old / name, new / name)
    for record in sorted(old.glob("*.csv")):
        shutil.move(record, new / record.name)
    shutil.rmtree(old)
    convert_records(RESULTS / "mini")
    convert_records(new)
    for scale in ("mini", "small"):
        convert_origin(RESULTS / scale / "source" / "origin.json")
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.DictWriter(file, ["run", "old", "new"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(identities)
    print(f"{len(identities)} runs converted, {len({line['new'] for line in identities})} identities")


if __name__ == "__main__":
    main()
