"""The shape of the project: imports one way, nobody but one module knows L2-SP, one source of pins, small pieces."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from l2sp.config import ROOT

SRC = ROOT / "src" / "l2sp"
CODE = [p for folder in ("src", "experiments", "scripts") for p in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# What each part may import of the project, from the bottom of the flow to its top.
ALLOWED = {
    "errors": set(),
    "files": set(),
    "starting_point": set(),
    "limits": {"errors"},
    "machine": set(),
    "metrics": set(),
    "data": {"errors", "machine", "data"},
    "schema": {"approaches"},
    "approaches": {"errors", "files", "limits", "metrics", "data", "approaches", "config", "schema"},
    "config": {"errors", "limits", "approaches", "schema"},  # the approaches' schemas and limits
    "runs": {"errors", "files", "approaches", "config", "schema", "data"},
    "training": {"errors", "files", "machine", "config", "schema", "runs", "data", "approaches", "training"},
    "theory": set(),
    "report": {"errors", "files", "report", "theory"},
    "convert": {"errors", "approaches", "convert"},
    "plans": {"errors", "approaches", "config", "schema", "runs"},
    "runner": {"errors", "machine", "config", "runs", "plans", "approaches", "training", "cli"},
    "campaign": {"errors", "config", "plans", "approaches", "runner", "report"},
    "rehearsal": {
        "errors",
        "files",
        "machine",
        "config",
        "schema",
        "plans",
        "runs",
        "data",
        "approaches",
        "training",
        "report",
        "cli",
    },
    "cost": {"schema", "approaches", "training"},
    "starts": {"errors", "schema", "approaches", "convert"},
    "fetch": {"errors", "files", "config", "schema", "data", "fetch"},
    "similarity": {"errors", "files", "data", "similarity"},
    "choice": {
        "errors",
        "files",
        "limits",
        "config",
        "choice",
        "schema",
        "data",
        "approaches",
        "fetch",
        "similarity",
        "training",
        "report",
    },
    "doctor": {"config", "schema", "plans", "approaches", "cost", "fetch", "starts"},
    "describe": {"machine", "schema", "approaches", "training"},
    "cli": {"errors", "config", "runs"},
}


def imports(path: Path) -> set[str]:
    """The parts of l2sp that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [f"l2sp.{alias.name}" for alias in node.names] if names == ["l2sp"] else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("l2sp.")}
    return found


@pytest.mark.parametrize("path", [p for p in CODE if SRC in p.parents and p != SRC / "__init__.py"], ids=str)
def test_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(SRC).parts[0].removesuffix(".py")
    extra = {"starting_point"} if path == SRC / "training" / "optim.py" else set()
    assert imports(path) <= ALLOWED[part] | extra


def test_only_the_optimiser_knows_the_penalty() -> None:
    for path in [
        *(SRC / "approaches").rglob("*.py"),
        *(SRC / "data").rglob("*.py"),
        SRC / "training" / "fit.py",
    ]:
        if path.name == "config.py":  # the schema of the settings that each scale chose
            continue
        words = re.findall(r"(?i)l2[-_]sp|starting_?point|\bw0\b|alpha|beta", _without_strings(path))
        assert set(words) <= ({"alpha", "beta"} if "data" in path.parts else set()), path


def _without_strings(path: Path) -> str:
    """Code without imports, comments and strings."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.unparse(tree)


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


def test_there_is_half_a_line_of_test_to_a_line_of_source() -> None:
    source, tests = (sum(len(p.read_text().splitlines()) for p in files) for files in (CODE, TESTS))
    assert tests / source >= 0.5


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
