"""The doctor: what lacks is said with the way to get it, what is there is recognised, and nothing is changed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from miniworld.recipe import Recipe

from l2sp_suite.config.compose import PRINTED, ROOT
from l2sp_suite.preflight.cost import DEVICES
from l2sp_suite.preflight.doctor import Checked, check_rows, describe_rows, room
from l2sp_suite.utils.errors import UserError
from miniworld import build_world


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, str(ROOT / "scripts" / "doctor.py"), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def one(scale: str, data: Path, row: str) -> Checked:
    (found,) = check_rows(scale, data, [row])
    return found


def test_an_empty_machine_lacks_data_and_weights(tmp_path: Path) -> None:
    done = script("--data", str(tmp_path / "none"), "--row", "dstl_cub200", "--row", "segflow_davis")
    assert done.returncode == 1 and not done.stderr
    assert done.stdout.count("lacks data, weights") == 2 and "0 of 2 rows can start" in done.stdout
    for words in ("CUB_200_2011.tgz", "monkaa__optical_flow", "ResNet-101-model.caffemodel", "TFLOP/s of bfloat16"):
        assert words in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_subset_is_partial_at_paper_scale_and_enough_at_pocket_scale(tmp_path: Path) -> None:
    build_world(tmp_path / "d", Recipe.tiny(), workers=1)
    paper, pocket = (one(scale, tmp_path / "d", "dstl_cub200") for scale in ("paper", "pocket"))
    assert paper.sets["data"].state.message.startswith("3 of 200 classes, 12 of 5,994 training")
    assert paper.lacking == ["data", "weights"] and pocket.lacking == []
    assert paper.tested == 5794 and pocket.tested == 12
    assert f"move {tmp_path / 'd' / 'CUB_200_2011'} away, then make data SETS=cub200" in "\n".join(
        describe_rows([paper], DEVICES["a100"], 3)
    )
    text = "\n".join(describe_rows([pocket], DEVICES["a100"], 3))
    assert "partial: 3 of 200 classes" in text and "to do" not in text


def test_the_miniature_needs_nothing() -> None:
    found = one("mini", Path("nowhere"), "segflow_davis")
    assert found.lacking == [] and not found.sets and all("pre-trained here" in start.found for start in found.starts)
    text = "\n".join(describe_rows([found], DEVICES["l4"], 3))
    assert "drawn here" in text and "1 of 1 rows can start" in text


def test_the_exit_code_tells_whether_the_row_can_start() -> None:
    done = script("--scale", "mini", "--row", "dstl_cub200")
    assert done.returncode == 0 and not done.stderr and "1 of 1 rows can start" in done.stdout


def test_disk_counts_archives_twice_and_can_be_what_lacks(tmp_path: Path) -> None:
    found = one("paper", tmp_path, "dstl_food101")
    packed = sum(archive.size or 0 for archive in found.needed)
    assert packed > 4e9 and found.disk == 2 * packed + 24 * found.cost.parameters
    assert replace(found, free=found.disk - 1).lacking == ["data", "weights", "disk"]


def test_all_rows_together_may_need_more_disk_than_each(tmp_path: Path) -> None:
    rows = list(check_rows("paper", tmp_path, ["dstl_cub200", "dstl_aircraft"]))
    each = max(row.disk for row in rows)
    tight = [replace(row, free=each + 1) for row in rows]
    assert all("disk" not in row.lacking for row in tight) and not room(tight)
    assert "that is not free" in "\n".join(describe_rows(tight, DEVICES["a100"], 3))
    assert room([replace(row, free=10**12) for row in rows])


def test_the_committed_words_are_those_of_today(tmp_path: Path) -> None:
    told = script("--data", str(tmp_path / "data"), "--row", "dstl_cub200").stdout.replace(
        str(tmp_path / "data"), "data"
    )
    committed = (PRINTED / "doctor_empty.txt").read_text().splitlines()
    block = told.splitlines()[1:]
    block = [
        re.sub(r"; \d+ GB are free", "", line)
        for line in block[: block.index(next(b for b in block if "disk for" in b))]
    ]
    known = [re.sub(r"; \d+ GB are free", "", line) for line in committed]
    known = [line for line in known if "to do: as above" not in line]
    assert block and [line for line in block if line not in known and "TF-slim" not in line] == []


def test_how_to_get_data_is_one_command_where_there_are_links(tmp_path: Path) -> None:
    rows = list(check_rows("paper", tmp_path, ["dstl_cub200", "dstl_aircraft", "dstl_stanford_cars"]))
    text = "\n".join(describe_rows(rows, DEVICES["a100"], 3))
    assert f"make data SETS=cub200 DATA='{tmp_path}' fetches it" in text
    assert "SETS=stanford_cars" not in text and "disk for all of them: 7.8 GB" in text


def test_a_device_too_small_is_said(tmp_path: Path) -> None:
    row = one("paper", tmp_path, "encnet101_pcontext")
    small = replace(DEVICES["l4"], memory=16)
    told = ["\n".join(describe_rows([row], device, 1)) for device in (DEVICES["l4"], small)]
    assert [text.count("it hardly fits") for text in told] == [0, 1]


def test_what_was_said_is_not_said_again(tmp_path: Path) -> None:
    rows = list(check_rows("paper", tmp_path, ["dstl_cub200", "dstl_aircraft"]))
    text = "\n".join(describe_rows(rows, DEVICES["a100"], 3))
    assert text.count("an Inception-V3 checkpoint of TF-slim") == 1 and text.count("to do: as above") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--row", "dstl_cub"), "no row of Table 3 at scale=paper; use some of"),
        (("--scale", "tiny"), "use mini, pocket or paper"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], words: str) -> None:
    done = script(*arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and words in done.stderr


def test_real_subsets_are_recognised_as_partial(real_data: Callable[[], Path]) -> None:
    messages = {
        row.cfg.experiment: row.sets["data"].state.message
        for row in check_rows("paper", real_data(), ["dstl_cub200", "dstl_food101", "segflow_star_davis"])
    }
    assert messages["dstl_cub200"].startswith("80 of 200 classes, 1,117 of 5,994")
    assert "10 of 101 classes" in messages["dstl_food101"]
    assert "160 of 480" in messages["segflow_star_davis"]  # every frame, but small
    with pytest.raises(UserError, match="use some of"):
        list(check_rows("small", real_data(), ["dstl"]))
