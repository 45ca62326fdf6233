"""The worked examples of README and docs/ work as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from l2sp_suite.config import ROOT
from l2sp_suite.datasets import Classification, DatasetLayout, records
from l2sp_suite.utils.errors import UserError


def block(page: str, language: str, containing: str = "") -> str:
    """The first block of code of a language on a page that contains some text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return next(code for code in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if containing in code)


def test_the_penalty_of_the_readme_acts() -> None:
    names: dict[str, Any] = {}
    exec(block("README.md", "python"), names)
    model, penalty, optimizer = names["model"], names["penalty"], names["optimizer"]
    for _ in range(3):
        optimizer.zero_grad()
        model(names["torch"].randn(4, 8)).square().mean().backward()
        optimizer.step()
    assert list(penalty.partition.shared) == ["0.weight"] and list(penalty.partition.new) == ["2.weight"]
    assert penalty.distance_to_pretrained() > 0


def test_the_reader_of_a_new_layout_reads_and_refuses(tmp_path: Path) -> None:
    names: dict[str, Any] = {"Path": Path, "DatasetLayout": DatasetLayout, "Classification": Classification}
    names["assemble"] = records.assemble
    exec(block("docs/extending/dataset.md", "python"), names)
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b c.png", "d.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / name)
    (tmp_path / "train.txt").write_text("cat a.png\ndog b c.png\n")
    (tmp_path / "test.txt").write_text("dog d.png\n")
    data = names["read_listed"](DatasetLayout(tmp_path, "draw it"))
    assert data.classes == ("cat", "dog") and data.train.labels == (0, 1) and data.test.labels == (1,)
    (tmp_path / "test.txt").write_text("dog gone.png\n")
    with pytest.raises(UserError, match=r"test.txt, line 1: names .*gone.png.* draw it"):
        names["read_listed"](DatasetLayout(tmp_path, "draw it"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "containing", "file", "overrides"),
    [
        ("docs/extending/dataset.md", "photos", "experiment/photos.yaml", ["experiment=photos"]),
        ("docs/extending/row.md", "defaults", "experiment/dstl_stanford_dogs.yaml", ["experiment=dstl_stanford_dogs"]),
        ("docs/extending/penalty.md", "l1_sp", "reg/l1_sp.yaml", ["experiment=dstl_cub200", "reg=l1_sp"]),
    ],
)
def test_a_yaml_file_of_a_page_makes_a_run(
    page: str, containing: str, file: str, overrides: list[str], tmp_path: Path
) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", configs)
    (configs / file).write_text(block(page, "yaml", containing))
    code = f"from l2sp_suite.config import spec_of; print(spec_of({[*overrides, 'scale=small']!r}).path)"
    environment = {**os.environ, "L2SP_CONFIGS": str(configs), "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).parts[:3] == ("results", "small", "runs")
