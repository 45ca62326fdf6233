"""The shape of the project: imports one way, what is imported is declared, one source of pins, small pieces."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from l2sp_suite.config import ROOT

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


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> dict[str, Requirement]:
    """The requirements of pyproject.toml with the named extras, by canonical name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return {canonical(requirement.name): requirement for requirement in map(Requirement, lines)}


def test_lock_satisfies_every_declared_dependency() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = dict(line.split(" ;")[0].split("==") for line in lines if "==" in line)
    locked = {canonical(name): version for name, version in pins.items()}
    for name, requirement in declared("suite", "small", "slurm", "dev").items():
        assert requirement.specifier.contains(locked[name]), requirement


@pytest.mark.parametrize("package,extras", [("l2sp", ()), ("l2sp_suite", ("suite", "small", "slurm"))])
def test_what_a_package_imports_is_declared(package: str, extras: tuple[str, ...]) -> None:
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / "src" / package).rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    ours = {path.name for path in (ROOT / "src").iterdir()} if package != "l2sp" else {"l2sp"}
    modules = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - ours
    distributions = metadata.packages_distributions()
    known = set(declared(*extras))
    assert not {module for module in modules if known.isdisjoint(map(canonical, distributions.get(module, ())))}


@pytest.mark.slow
def test_make_gives_its_variables_to_the_scripts_as_options() -> None:
    def make(*arguments: str) -> str:
        call = ["make", "-o", ".venv/.ready", *arguments]
        return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "experiments/reproduce.py 'scale=small' 'seeds=1'" in make("-n", "reproduce", "SCALE=small", "SEEDS=1")
    assert "'plan=table4' 'data=/a b'" in " ".join(make("-n", "sweep-table4", "DATA=/a b").split())
    text = make("help")
    targets = re.findall(r"^([a-z%-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert [name for name in targets if f"  make {name} " not in text] == []
    assert "experiments/reproduce.py scale= seeds= jobs= plan= data= results= dry=" in text
    scripts = set(re.findall(r"\b((?:experiments|scripts)/\w+\.py)", text))
    assert not [script for script in scripts if not (ROOT / script).exists()]


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


@pytest.mark.slow
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
