"""The structure: packages in layers, imports down only, faces, and no task or trainer that knows a penalty."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"
SUITE = SRC / "l2sp_suite"

# The suite's packages from bottom to top: each imports of the suite what stands before it, and itself.
LAYERS = (
    "utils", "metrics", "theory", "config", "datasets", "models", "pretrained", "tasks", "runs", "training",
    "report", "sweeps", "download", "source_selection", "preflight",
)  # fmt: skip
# Packages whose modules are a face of their own: many names of one kind, one module a kind.
OPEN = ("utils", "datasets", "models", "metrics", "theory")


def modules(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (
                f"{node.module}.{alias.name}" for alias in node.names if is_module(f"{node.module}.{alias.name}")
            )


def is_module(name: str) -> bool:
    path = SRC / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def package(path: Path) -> str:
    return path.relative_to(SUITE).parts[0].removesuffix(".py")


def suite_files() -> list[Path]:
    return sorted(path for path in SUITE.rglob("*.py") if path.parent != SUITE or path.name != "__init__.py")


def test_every_package_has_a_layer() -> None:
    assert {package(path) for path in suite_files()} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_imports_point_down(name: str) -> None:
    allowed = set(LAYERS[: LAYERS.index(name) + 1])
    for path in [path for path in suite_files() if package(path) == name]:
        imported = {module.split(".")[1] for module in modules(path) if module.startswith("l2sp_suite.")}
        assert imported <= allowed, f"{path} imports {sorted(imported - allowed)}"


def test_nobody_imports_past_the_face_of_a_package() -> None:
    past = []
    for path in suite_files():
        for module in modules(path):
            parts = module.split(".")
            inside = parts[0] == "l2sp_suite" and len(parts) > 2 and parts[1] not in (package(path), *OPEN)
            if inside or (parts[0] == "miniworld" and len(parts) > 1):
                past.append(f"{path.relative_to(SRC)}: {module}")
    assert not past, "\n".join(past)


@pytest.mark.parametrize(
    "folder,allowed",
    [("l2sp", {"torch", "l2sp"}), ("miniworld", {"numpy", "PIL", "miniworld"})],
)
def test_the_two_other_packages_stand_alone(folder: str, allowed: set[str]) -> None:
    import sys

    for path in (SRC / folder).rglob("*.py"):
        imported = {module.split(".")[0] for module in modules(path)} - sys.stdlib_module_names
        assert imported <= allowed, f"{path} imports {sorted(imported - allowed)}"


def test_the_report_needs_neither_torch_nor_the_data() -> None:
    for path in (SUITE / "report").rglob("*.py"):
        imported = {module.split(".")[0] for module in modules(path)}
        assert not imported & {"torch", "torchvision", "timm", "miniworld", "l2sp"}, path


def test_only_the_optimiser_knows_the_penalty() -> None:
    files = [*(SUITE / "tasks").rglob("*.py"), *(SUITE / "datasets").rglob("*.py"), SUITE / "training" / "loop.py"]
    for path in files:
        words = re.findall(r"(?i)l2[-_]?sp\b|starting_?point", without_strings(path))
        assert not words, f"{path}: {words}"


def test_no_table_or_plan_names_an_arm_in_code() -> None:
    for path in [path for path in suite_files() if package(path) in ("report", "sweeps", "runs", "training", "tasks")]:
        if path.stem == "theory":  # Figure 1 and Table 7 are about these two
            continue
        constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        assert not {"l2", "l2_sp", "L2", "L2-SP"} & {value for value in constants if isinstance(value, str)}, path


def without_strings(path: Path) -> str:
    """Code without imports, comments and strings."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.unparse(tree)
