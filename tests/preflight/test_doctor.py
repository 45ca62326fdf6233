"""The doctor: what is missing is said with the way to get it, what is there is recognised, nothing is changed."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from l2sp_suite.config import PRINTED, ROOT
from l2sp_suite.preflight import DEVICES, RowCheck, check_rows, describe_rows, fits_on_disk
from miniworld import build_world, named_recipe

DATA = Path(os.environ.get("L2SP_DATA", ROOT.parent / "shared" / "data"))
SCRIPT = "scripts/doctor.py"


def check(scale: str, data: Path, row: str) -> RowCheck:
    (checked,) = check_rows(scale, data, [row])
    return checked


def text_of(*rows: RowCheck, device: str = "a100") -> str:
    return "\n".join(describe_rows(rows, DEVICES[device], 2, 3))


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> list[RowCheck]:
    """Two rows on an empty machine, which start from the same weights."""
    return list(check_rows("paper", tmp_path_factory.mktemp("empty"), ["dstl_cub200", "dstl_aircraft"]))


@pytest.mark.slow
def test_an_empty_machine_lacks_data_and_weights(run_script, tmp_path: Path) -> None:
    status, out, err = run_script(SCRIPT, f"data={tmp_path / 'none'}", "row=[dstl_cub200,segflow_davis]")
    assert status == 1 and not err
    assert out.count("lacks data, weights") == 2 and "0 of 2 rows can start; 2 arms with 3 seeds each" in out
    for words in ("CUB_200_2011.tgz", "monkaa__optical_flow", "ResNet-101-model.caffemodel", "TFLOP/s of bfloat16"):
        assert words in out
    assert not list(tmp_path.iterdir())
    committed = (PRINTED / "doctor_empty.txt").read_text().splitlines()
    block = out.replace(str(tmp_path / "none"), "data").splitlines()[1:8]  # of the first row
    assert [line for line in block if _comparable(line) not in map(_comparable, committed)] == []


def _comparable(line: str) -> str:
    return re.sub(r"; \d+ GB are free|[\d,]+ launches", "", line)


@pytest.mark.slow
def test_a_subset_is_partial_at_paper_scale_and_enough_at_small_scale(tmp_path: Path) -> None:
    build_world(tmp_path / "d", named_recipe("tiny", "objects"), workers=1)
    paper, small = (check(scale, tmp_path / "d", "dstl_cub200") for scale in ("paper", "small"))
    assert paper.data["data"].state.message.startswith("3 of 200 classes, 12 of 5,994 training")
    assert paper.lacking == ["data", "weights"] and small.lacking == []
    assert paper.test_items == 5794 and small.test_items == 12
    assert f"move {tmp_path / 'd' / 'CUB_200_2011'} away, then make data SETS=cub200" in text_of(paper)
    assert "partial: 3 of 200 classes" in text_of(small) and "to do" not in text_of(small)


@pytest.mark.slow
@pytest.mark.parametrize("row", ["dstl_cub200", "segflow_davis"])
def test_scale_mini_needs_nothing(run_script, row: str) -> None:
    checked = check("mini", Path("nowhere"), row)
    assert checked.lacking == [] and not checked.data and not checked.to_fetch
    assert all("pre-trained here" in weights.message for weights in checked.weights)
    status, out, err = run_script(SCRIPT, "scale=mini", f"row={row}", "device=L4")
    assert status == 0 and not err and "1 of 1 rows can start" in out and "drawn here" in out and "NVIDIA L4" in out


@pytest.mark.slow
def test_disk_counts_archives_twice_and_can_be_what_is_missing(birds: list[RowCheck]) -> None:
    cub, aircraft = birds
    packed = sum(archive.size or 0 for archive in cub.to_fetch)
    assert packed > 1e9 and cub.disk == 2 * packed + 24 * cub.cost.parameters
    assert replace(cub, free=cub.disk - 1).lacking == ["data", "weights", "disk"]
    tight = [replace(row, free=max(cub.disk, aircraft.disk) + 1) for row in birds]
    assert all("disk" not in row.lacking for row in tight) and not fits_on_disk(tight)
    assert "that is not free" in text_of(*tight)
    assert fits_on_disk([replace(row, free=10**12) for row in birds])


@pytest.mark.slow
def test_how_to_get_things_is_said_once(birds: list[RowCheck]) -> None:
    text = text_of(*birds)
    assert f"make data SETS=cub200 DATA='{birds[0].data['data'].root}' fetches it" in text  # has links
    assert text.count("an Inception-V3 checkpoint of TF-slim") == 1 and text.count("to do: as above") == 1


@pytest.mark.slow
def test_a_set_without_links_is_fetched_by_hand(tmp_path: Path) -> None:
    text = text_of(check("paper", tmp_path, "dstl_stanford_cars"))
    assert "SETS=stanford_cars" not in text and "to do:" in text


@pytest.mark.slow
def test_a_device_too_small_is_said(birds: list[RowCheck]) -> None:
    row = replace(birds[0], cost=replace(birds[0].cost, item_bytes=3 * 10**8))
    assert "it hardly fits" not in text_of(row) and text_of(row, device="l4").count("it hardly fits") == 0
    row = replace(row, cost=replace(row.cost, item_bytes=4 * 10**8))  # 26 GB of activations
    assert "it hardly fits" not in text_of(row) and text_of(row, device="l4").count("it hardly fits") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("row=[dstl_cub]",), "no row of Table 3 at scale=paper; use some of"),
        (("scale=tiny",), "use mini, paper, small"),
        (("device=abacus",), "device=abacus: use one of a100, h100"),
        (("rows=[dstl_cub200]",), "nearest: 'row'"),
        (("seeds=many",), "seeds"),
        ((f"data={__file__}",), "a file; name the folder"),
    ],
)
def test_errors_are_one_line(run_script, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = run_script(SCRIPT, *arguments)
    assert status == 2 and err.count("\n") == 1 and message in err


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}: set L2SP_DATA")
def test_real_subsets_are_recognised_as_partial() -> None:
    rows = ["dstl_cub200", "dstl_food101", "segflow_star_davis"]
    messages = {row.cfg.experiment: row.data["data"].state.message for row in check_rows("paper", DATA, rows)}
    assert messages["dstl_cub200"].startswith("80 of 200 classes, 1,117 of 5,994")
    assert "10 of 101 classes" in messages["dstl_food101"]
    assert "160 of 480" in messages["segflow_star_davis"]  # every frame, but small
