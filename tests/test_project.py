"""The shape of the project: imports one way, nobody but one module knows L2-SP, one source of pins, small pieces."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import yaml

from l2sp_suite.config.compose import ROOT

CODE = [p for folder in ("src", "experiments", "scripts") for p in sorted((ROOT / folder).rglob("*.py"))]


def functions() -> list[tuple[int, str]]:
    return [
        (node.end_lineno - node.lineno + 1, f"{path}:{node.name}")
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]


def test_functions_and_files_are_small() -> None:
    lengths = sorted(functions())
    assert lengths[-1][0] <= 80, lengths[-1]
    assert lengths[len(lengths) // 2][0] <= 15
    assert max((len(p.read_text().splitlines()), str(p)) for p in CODE)[0] <= 400


def test_environment_takes_its_pins_from_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^ ;]+( ; .+)?", line) for line in lines)


def test_lock_satisfies_every_declared_dependency() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = dict(
        line.split(" ;")[0].split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    )
    locked = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in locked.items()}
    declared = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    for requirement in map(Requirement, declared):
        assert requirement.specifier.contains(locked[re.sub(r"[-_.]+", "-", requirement.name).lower()]), requirement


def test_import_l2sp_loads_no_torch_until_asked() -> None:
    code = "import sys, l2sp; assert 'torch' not in sys.modules; l2sp.StartingPoint; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_data_and_no_path_of_a_machine_is_committed() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    images = [f for f in files if f.endswith((".jpg", ".jpeg", ".mat", ".ppm", ".pfm", ".flo", ".safetensors", ".pt"))]
    assert not images
    # Samples of predictions show the images that they are of: only the miniature's are ours.
    pictures = [f for f in files if f.endswith((".png", ".gif")) and not f.startswith("results/mini/figures/")]
    of_numbers = {
        "table3",
        "settings",
        "training",
        "layers",
        "learning_rate",
        "figure1",
        "theory",
        "similarity",
        "sources",
    }
    assert {Path(f).stem for f in pictures} <= of_numbers
    homes = re.compile(r"(/home/|/work/|/Users/|/root/)")
    texts = [f for f in files if f.endswith((".py", ".md", ".yaml", ".yml", ".json", ".toml", "Makefile", "run"))]
    assert not [f for f in texts if f != "tests/test_project.py" and homes.search((ROOT / f).read_text())]


def test_preflight_refuses_an_old_python_and_a_full_disk() -> None:
    script = ROOT / "scripts" / "preflight.py"
    ok = subprocess.run([sys.executable, script, "--gigabytes", "0"], capture_output=True, text=True, check=False)
    assert (ok.returncode, ok.stderr) == (0, "")
    full = subprocess.run([sys.executable, script, "--gigabytes", "1e9"], capture_output=True, text=True, check=False)
    assert full.returncode == 1 and "1000000000 GB of disk" in full.stderr and full.stderr.count("\n") == 1
    old = f"""
import sys
sys.version_info, sys.argv = (3, 9, 1), ["preflight", "--gigabytes", "0"]
exec(open({str(script)!r}).read())
"""
    out = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True, check=False)
    assert out.returncode == 1 and "needs Python 3.11.4 or newer" in out.stderr
