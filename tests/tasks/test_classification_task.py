"""The data of a run: of a list of classes those alone, where there are classes to keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from l2sp_suite.config.compose import compose, override
from l2sp_suite.datasets.dataset import official_size
from l2sp_suite.tasks.registry import data_digest, outline
from l2sp_suite.training.trainer import data_root
from l2sp_suite.utils.errors import UserError


def write_list(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return override("data.classes", str(path))


def test_sizes_of_a_listed_source_are_those_of_the_list(tmp_path: Path) -> None:
    given = write_list(tmp_path / "a.csv", "source,images", "000.bird,60", "001.flower,50", "000.bird,60")
    cfg = compose(["experiment=source/whole", "scale=mini", given, "optim.epochs=2", "optim.steps=null"])
    assert (official_size(cfg, "classes"), official_size(cfg, "train")) == (2, 110)
    found = outline(cfg)
    assert found.evaluate()[0].shape == (1, 2) and found.steps_per_epoch == 110 // cfg.optim.batch_size
    named = compose(["experiment=source/whole", "scale=mini", write_list(tmp_path / "b.csv", "source", "000.bird")])
    assert official_size(named, "classes") == 1
    with pytest.raises(UserError, match="no official number of train"):
        official_size(named, "train")


def test_a_list_is_refused_where_there_are_no_classes_to_keep(tmp_path: Path, artifacts: Path) -> None:
    given = write_list(tmp_path / "a.csv", "source", "000.bird")
    common = ["scale=smoke", override("paths.artifacts", str(artifacts))]
    for experiment in ("encnet50_pcontext", "segflow_davis"):
        cfg = compose([f"experiment={experiment}", *common, given])
        with pytest.raises(UserError, match=r"data.classes=.*a\.csv: .* has no classes to keep; leave it null"):
            data_digest(cfg, data_root(cfg))
