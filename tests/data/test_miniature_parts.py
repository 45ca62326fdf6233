"""The parts of a world share one machinery; the sheet shows each; the configuration knows them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from l2sp import limits
from l2sp.config import CONFIGS, compose
from l2sp.data.miniature import PARTS, build_world, check_world, contact_sheet, ensure_world, named_recipe, parts
from l2sp.data.miniature.parts import Part
from l2sp.data.miniature.sheet import STRIPS
from l2sp.errors import UserError
from l2sp.runs import run_of


@dataclass(frozen=True)
class _Clips:
    """A part of clips: several files a job, and a note of each for the index."""

    part: ClassVar[str] = "clips"
    clips: int = 3

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def digest(self) -> str:
        return hashlib.sha256(f"clips {self.clips}".encode()).hexdigest()[:16]


def _plan(recipe: _Clips) -> dict[int, str]:
    return {k: f"clip{k}/0.bin" for k in range(recipe.clips)}


def _render(recipe: _Clips, job: int, path: str) -> tuple[dict[str, bytes], int]:
    return {path: bytes([job]), f"flow/clip{job}/0.flo": b"flow"}, job * job


def _annotate(recipe: _Clips, root: Path, paths: Mapping[int, str], notes: Mapping[int, int]) -> list[str]:
    (root / "index.txt").write_text(" ".join(str(notes[k]) for k in paths))
    return ["index.txt"]


def test_a_part_with_several_files_a_job_fits_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part({"default": _Clips}, _plan, _render, _annotate, chunk=1)
    for module in ("parts", "world"):
        monkeypatch.setattr(f"l2sp.data.miniature.{module}.PARTS", {**PARTS, "clips": part})
    root = ensure_world(tmp_path, "default", "clips")
    assert root == tmp_path / "world" / _Clips().digest()
    assert (root / "index.txt").read_text() == "0 1 4"
    assert {line.split("  ")[1] for line in (root / "checksums.txt").read_text().splitlines()} == {
        "index.txt",
        *(f"{folder}{k}/0.{ending}" for k in range(3) for folder, ending in (("clip", "bin"), ("flow/clip", "flo"))),
    }
    check_world(root, _Clips(), verify=True)
    with pytest.raises(UserError, match="another recipe"):
        build_world(root, _Clips(clips=4))


@pytest.mark.parametrize("part", sorted(PARTS))
@pytest.mark.parametrize("name", ["default", "tiny"])
def test_each_part_has_the_worlds_that_scales_name(part: str, name: str) -> None:
    recipe = named_recipe(name, part)
    assert recipe.part == part and len(recipe.digest()) == 16
    paths = list(PARTS[part].plan(recipe).values())
    assert len(set(paths)) == len(paths) > 0 and not any(Path(path).is_absolute() for path in paths)


def test_parts_and_names_have_folders_of_their_own() -> None:
    digests = [named_recipe(name, part).digest() for part in PARTS for name in PARTS[part].recipes]
    assert len(set(digests)) == len(digests) == 2 * len(PARTS)


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


def test_contact_sheet_shows_every_part(tmp_path: Path) -> None:
    assert set(STRIPS) == set(PARTS)
    worlds = {part: ensure_world(tmp_path, "tiny", part) for part in PARTS}
    sizes = {}
    for name, shown in {**{part: [part] for part in PARTS}, "all": list(PARTS)}.items():
        contact_sheet({part: worlds[part] for part in shown}, tmp_path / "deep" / f"{name}.png", per_set=4)
        with Image.open(tmp_path / "deep" / f"{name}.png") as sheet:
            sizes[name] = sheet.size
            assert len(sheet.convert("RGB").getcolors(sheet.width * sheet.height)) > 1000
    assert sizes["all"][1] == sum(sizes[part][1] for part in PARTS)
    with pytest.raises(UserError, match="no whole miniature world"):
        contact_sheet({"scenes": tmp_path}, tmp_path / "none.png")
