"""What a campaign does with results that were made on other data."""

from pathlib import Path

import pytest
import tiny_sets

from l2sp_suite.config import override
from l2sp_suite.datasets import Classification, digest, read
from l2sp_suite.runs import Run
from l2sp_suite.sweeps import expand, load_plan

pytestmark = pytest.mark.slow


def test_results_of_other_data_are_not_taken_for_ours(tmp_path: Path, run_script) -> None:
    for name in ("a", "b"):
        tiny_sets.write("cub200", tmp_path / name)
    images = tmp_path / "b" / "CUB_200_2011" / "images"
    tiny_sets.image(sorted(images.rglob("*.jpg"))[0], shade=99)
    results = tmp_path / "out"

    def listed(name: str) -> str:
        options = ["scale=small", "plan=table3", "seeds=1", "dry=true", f"results={results}", f"data={tmp_path / name}"]
        status, out, _ = run_script("experiments/reproduce.py", *options)
        assert status == 0
        return out

    text = listed("a")
    assert "to do   dstl_cub200 l2-" in text and text.count("no data: dstl_") == 5
    common = [override("paths.results", str(results)), override("paths.data", str(tmp_path / "a"))]
    run = Run(expand([load_plan("table3")], "small", 1, common)[0])
    root = tmp_path / "a" / "CUB_200_2011"
    run.begin({"data": digest(read(Classification, "cub200", root), root)})
    run.mark_done({"value": 0.5})
    assert "done    dstl_cub200 l2-" in listed("a")
    assert "blocked dstl_cub200 l2-" in listed("b")
