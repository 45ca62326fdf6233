"""The parts of a world share one machinery; the sheet shows each; the configuration knows them."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from l2sp_suite.datasets.video_names import MONKAA_TRAIN
from miniworld.clip_sheet import clip_blocks
from miniworld.generators import Part
from PIL import Image
from scipy.ndimage import maximum_filter
from torchvision.utils import flow_to_image

from l2sp_suite.config import limits
from l2sp_suite.config.compose import CONFIGS, compose
from l2sp_suite.runs import run_of
from l2sp_suite.utils.errors import UserError
from miniworld import PARTS, ClipRecipe, build_world, check_world, contact_sheet, ensure_world, named_recipe
from miniworld import generators as parts
from miniworld.clips import Take, film_of
from miniworld.contact_sheet import STRIPS


@dataclass(frozen=True)
class _Pairs:
    """A part of pairs: several files a job, and a note of each for the index."""

    part: ClassVar[str] = "pairs"
    pairs: int = 3

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def digest(self) -> str:
        return hashlib.sha256(f"pairs {self.pairs}".encode()).hexdigest()[:16]


def _plan(recipe: _Pairs) -> dict[int, str]:
    return {k: f"pair{k}/0.bin" for k in range(recipe.pairs)}


def _render(recipe: _Pairs, job: int, path: str) -> tuple[dict[str, bytes], int]:
    return {path: bytes([job]), f"flow/pair{job}/0.flo": b"flow"}, job * job


def _annotate(recipe: _Pairs, root: Path, paths: Mapping[int, str], notes: Mapping[int, int]) -> list[str]:
    (root / "index.txt").write_text(" ".join(str(notes[k]) for k in paths))
    return ["index.txt"]


def test_a_part_with_several_files_a_job_fits_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part({"default": _Pairs}, _plan, _render, _annotate, chunk=1)
    for module in ("parts", "world"):
        monkeypatch.setattr(f"miniworld.{module}.PARTS", {**PARTS, "pairs": part})
    root = ensure_world(tmp_path, "default", "pairs")
    assert root == tmp_path / "world" / _Pairs().digest()
    assert (root / "index.txt").read_text() == "0 1 4"
    assert {line.split("  ")[1] for line in (root / "checksums.txt").read_text().splitlines()} == {
        "index.txt",
        *(f"{folder}{k}/0.{ending}" for k in range(3) for folder, ending in (("pair", "bin"), ("flow/pair", "flo"))),
    }
    check_world(root, _Pairs(), verify=True)
    with pytest.raises(UserError, match="another recipe"):
        build_world(root, _Pairs(pairs=4))


@pytest.mark.parametrize("part", sorted(PARTS))
@pytest.mark.parametrize("name", ["default", "tiny"])
def test_each_part_has_the_worlds_that_scales_name(part: str, name: str) -> None:
    recipe = named_recipe(name, part)
    assert recipe.part == part and len(recipe.digest()) == 16
    paths = list(PARTS[part].plan(recipe).values())
    assert paths and not any(Path(path).is_absolute() for path in paths)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_no_two_jobs_of_a_part_write_one_file(part: str) -> None:
    recipe, found = named_recipe("tiny", part), Counter[str]()
    for job, path in PARTS[part].plan(recipe).items():
        found.update(list(PARTS[part].render(recipe, job, path)[0]))
    assert found and set(found.values()) == {1}
    assert not any(Path(name).is_absolute() or ".." in Path(name).parts for name in found)


def test_parts_and_names_have_folders_of_their_own() -> None:
    recipes = [part.recipes for part in PARTS.values()]
    digests = [named_recipe(name, part).digest() for part in PARTS for name in PARTS[part].recipes]
    assert len(set(digests)) == len(digests) and {"default", "tiny"} <= set.intersection(*map(set, recipes))


@pytest.mark.parametrize("name,part,words", [("huge", "scenes", "scale.world=huge"), ("tiny", "films", "data.part")])
def test_unknown_names_are_user_errors(name: str, part: str, words: str) -> None:
    with pytest.raises(UserError, match=f"^{words}.*use one of"):
        parts.named_recipe(name, part)


def test_a_data_set_without_a_counterpart_says_where_it_can_be_used() -> None:
    cfg = compose(["experiment=encnet_camvid"])
    with pytest.raises(UserError, match=r"no counterpart in the miniature: give scale=pocket paths\.data"):
        run_of(cfg)
    assert run_of(compose(["experiment=encnet_camvid", "scale=pocket"])).path.parts[1] == "pocket"


def test_configuration_knows_the_parts() -> None:
    holds, words = limits.GENERAL["data.part"]
    assert all(holds(part) for part in PARTS) and not holds("films")
    assert words == f"one of {', '.join(PARTS)}"
    for path in sorted((CONFIGS / "data").glob("*.yaml")):
        cfg = compose(["experiment=dstl_cub200", f"data={path.stem}"])
        assert cfg.data.part in {None, *PARTS}
    with pytest.raises(UserError, match=r"data\.part=films: give one of"):
        compose(["experiment=dstl_cub200", "data.part=films"])


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    artifacts = tmp_path_factory.mktemp("parts")
    return {part: ensure_world(artifacts, "tiny", part) for part in PARTS}


def test_contact_sheet_shows_every_part(worlds: Mapping[str, Path], tmp_path: Path) -> None:
    assert set(STRIPS) == set(PARTS) == set(worlds)
    sizes = {}
    for name, shown in {**{part: [part] for part in PARTS}, "all": list(PARTS)}.items():
        contact_sheet({part: worlds[part] for part in shown}, tmp_path / "deep" / f"{name}.png", per_set=4)
        with Image.open(tmp_path / "deep" / f"{name}.png") as sheet:
            sizes[name] = sheet.size
            assert len(sheet.convert("RGB").getcolors(sheet.width * sheet.height)) > 1000
    assert sizes["all"][1] == sum(sizes[part][1] for part in PARTS)
    for part in ("scenes", "clips"):
        with pytest.raises(UserError, match="no whole miniature world"):
            contact_sheet({part: tmp_path}, tmp_path / "none.png")


def test_sheet_shows_what_is_known_of_the_clips(worlds: Mapping[str, Path]) -> None:
    root = worlds["clips"]
    blocks = dict(zip(("davis", "monkaa", "driving", "chairs"), clip_blocks(root, 3 * (80 + 2), 2), strict=True))
    assert all(label.startswith(name) for name, (label, _) in blocks.items())
    shapes = {
        name: [(len(row), *{picture.size for picture in row}) for row in rows] for name, (_, rows) in blocks.items()
    }
    assert shapes == {
        "davis": [(3, (80, 48))] * 2,
        "monkaa": [(3, (80, 48))] * 3,
        "driving": [(3, (80, 48))] * 3,
        "chairs": [(3, (64, 48))] * 2,  # 3.7 fit
    }
    # The mask is left alone, and so is all that is more than a pixel from it.
    for row, time in zip(blocks["davis"][1], (0, 2), strict=True):
        for k, picture in enumerate(row):
            name = f"480p/train-{k:03d}/{time:05d}"
            frame = np.asarray(Image.open(root / f"DAVIS/JPEGImages/{name}.jpg"))
            mask = np.asarray(Image.open(root / f"DAVIS/Annotations/{name}.png")) > 0
            changed = (np.asarray(picture) != frame).any(axis=-1)
            rim = maximum_filter(mask, 3) & ~mask
            assert np.array_equal(changed, rim) and rim.any()
    clean, final, flow = blocks["monkaa"][1]
    for k, scene in enumerate(MONKAA_TRAIN[:3]):
        for row, kind in ((clean, "clean"), (final, "final")):
            frame = Image.open(root / f"monkaa/frames_{kind}pass/{scene}/left/0001.png")
            assert np.array_equal(np.asarray(row[k]), np.asarray(frame))
        vectors = film_of(ClipRecipe.tiny(), Take("monkaa", scene, "train")).flow(0, 1)
        assert np.array_equal(np.asarray(flow[k]).transpose(2, 0, 1), flow_to_image(torch.from_numpy(vectors)))
    assert [len(row) for _, rows in clip_blocks(root, 1, 2) for row in rows] == [1] * 10, "one clip at least"


def test_sheet_holds_every_picture_of_the_clips(worlds: Mapping[str, Path], tmp_path: Path) -> None:
    contact_sheet({"clips": worlds["clips"]}, tmp_path / "clips.png", per_set=4)
    lines = [line.tobytes() for line in np.asarray(Image.open(tmp_path / "clips.png"))]
    pictures = [picture for _, rows in clip_blocks(worlds["clips"], 4 * 99, 3) for row in rows for picture in row]
    assert len(pictures) == 2 * 4 + 3 * 4 + 3 * 4 + 2 * 5
    for picture in pictures:
        rows = [row.tobytes() for row in np.asarray(picture)]
        tops = range(len(lines) - len(rows) + 1)
        assert any(all(row in lines[top + k] for k, row in enumerate(rows)) for top in tops)


def test_miniature_loads_no_torch_before_it_shows_clips() -> None:
    code = "import sys, miniworld.contact_sheet; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
