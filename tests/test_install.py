"""The wheel: the library in it runs beside torch alone, the suite in it says what it lacks."""

import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

USE = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

allowed = {{*sys.stdlib_module_names, *{allowed}, "l2sp", "l2sp_suite", "miniworld"}}

class TorchAlone(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        known = name.split(".")[0] in allowed or name.startswith("_sysconfigdata")
        return super().find_spec(name, path, target) if known else None

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, TorchAlone]
sys.path.insert(0, {wheel!r})
{code}
"""
STEP = """
import warnings; warnings.simplefilter("ignore")  # torch's, about numpy
import torch
from l2sp import StartingPoint, penalty
model = torch.nn.Linear(3, 2)
sp = StartingPoint(model, {"weight": torch.ones(2, 3)}, alpha=0.5, beta=0.0)
optimizer = torch.optim.SGD(sp.param_groups(), lr=1.0)
sp.attach(optimizer)
before = model.weight.detach().clone()
model.weight.grad = torch.zeros(2, 3)
optimizer.step()
assert torch.allclose(model.weight, (before + 1) / 2) and len(sp.checksum) == 64
assert not [name for name in ("numpy", "l2sp_suite", "miniworld") if name in sys.modules]
print(penalty.__file__)
"""


def torch_s_modules() -> set[str]:
    """Top-level modules of torch and of the distributions that it requires."""
    todo, seen = ["torch"], set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            requirements = map(Requirement, metadata.requires(name) or [])
            todo += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    files = [file for name in seen for file in metadata.files(name) or []]
    return {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel of a copy of the sources."""
    folder = tmp_path_factory.mktemp("install")
    shutil.copytree(ROOT / "src", folder / "tree/src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, folder / "tree"], check=True)
    (built,) = folder.glob("l2sp-*.whl")
    zipfile.ZipFile(built).extractall(folder / "wheel")
    return folder / "wheel"


def run(wheel: Path, code: str) -> subprocess.CompletedProcess[str]:
    program = USE.format(allowed=torch_s_modules(), wheel=str(wheel), code=code)
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)


def test_the_library_trains_beside_torch_alone(wheel: Path) -> None:
    result = run(wheel, STEP)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(wheel / "l2sp/penalty.py")


def test_the_suite_without_its_dependencies_says_what_to_install(wheel: Path) -> None:
    result = run(wheel, "import l2sp_suite.training")
    message = result.stderr.strip().splitlines()[-1]
    assert result.returncode and re.fullmatch(r"ImportError: .* pandas, .*: pip install 'l2sp\[suite\]'", message)


def test_the_wheel_requires_torch_alone_and_holds_licence_types_and_command(wheel: Path) -> None:
    (info,) = wheel.glob("l2sp-*.dist-info")
    fields = message_from_bytes((info / "METADATA").read_bytes())
    required = [r for r in map(Requirement, fields.get_all("Requires-Dist")) if "extra" not in str(r.marker)]
    assert [r.name for r in required] == ["torch"]
    assert set(fields.get_all("Provides-Extra")) == {"suite", "small", "slurm", "dev"}
    assert fields["License-Expression"] == "MIT" and list(info.rglob("LICENSE"))
    assert "l2sp = l2sp.cli:main" in (info / "entry_points.txt").read_text()
    packaged = {path.relative_to(wheel) for path in wheel.rglob("*") if path.suffix not in (".pyc", "")}
    sources = {path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*") if path.suffix not in (".pyc", "")}
    assert not {path for path in sources - packaged if ".egg-info" not in str(path)}
