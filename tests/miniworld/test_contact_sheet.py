"""The contact sheet shows every part, and what is known of its images, as it lies on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter

from miniworld import PARTS, WorldError, contact_sheet
from miniworld.contact_sheet import BLOCKS, flow_colours


def _sheet(worlds: Mapping[str, Path], path: Path) -> np.ndarray:
    contact_sheet(worlds, path, per_set=4)
    return np.asarray(Image.open(path).convert("RGB"))


def test_parts_stand_below_each_other_and_hold_their_pictures(worlds: Mapping[str, Path], tmp_path: Path) -> None:
    assert set(BLOCKS) == set(PARTS)
    sheets = {part: _sheet({part: worlds[part]}, tmp_path / "deep" / f"{part}.png") for part in PARTS}
    assert _sheet(worlds, tmp_path / "all.png").shape[0] == sum(len(sheet) for sheet in sheets.values())
    for part, sheet in sheets.items():
        lines = [line.tobytes() for line in sheet]
        for _, rows in BLOCKS[part](worlds[part], 4):
            for picture in (np.asarray(picture) for row in rows for picture in row):
                first = [k for k, line in enumerate(lines) if picture[0].tobytes() in line]
                assert any(all(row.tobytes() in lines[k + j] for j, row in enumerate(picture)) for k in first)


def test_blocks_have_every_set_and_pictures_of_one_size(worlds: Mapping[str, Path]) -> None:
    counts = {
        part: {label.split()[0].strip(":"): 0 for label, _ in BLOCKS[part](root, 4)} for part, root in worlds.items()
    }
    assert list(counts["objects"]) == [
        "source",
        "cub200",
        "flowers102",
        "stanford_cars",
        "aircraft",
        "food101",
        "nabirds",
    ]
    assert list(counts["clips"]) == ["davis", "monkaa", "driving", "chairs"]
    for part, root in worlds.items():
        for label, rows in BLOCKS[part](root, 4):
            assert len({picture.size for row in rows for picture in row}) == 1 <= len(rows[0]) == len(rows[-1]), label


def test_masks_are_outlined_and_the_rest_of_the_frame_left_alone(worlds: Mapping[str, Path]) -> None:
    root = worlds["clips"] / "DAVIS"
    for row, time in zip(BLOCKS["clips"](worlds["clips"], 4)[0][1], (0, 2), strict=True):
        for k, picture in enumerate(row[:3]):
            name = f"480p/train-{k:03d}/{time:05d}"
            frame = np.asarray(Image.open(root / f"JPEGImages/{name}.jpg"))
            mask = np.asarray(Image.open(root / f"Annotations/{name}.png")) > 0
            rim = maximum_filter(mask, 3) & ~mask
            assert np.array_equal((np.asarray(picture) != frame).any(axis=-1), rim) and rim.any()


@pytest.mark.parametrize(
    "right,down,colour", [(1, 0, (255, 0, 0)), (-1, 0, (0, 255, 255)), (0, 1, (128, 255, 0)), (0, -1, (128, 0, 255))]
)
def test_flow_has_a_hue_for_each_direction_and_is_white_at_rest(right, down, colour) -> None:
    field = np.zeros((2, 3, 4), dtype=np.float32)
    field[:, 1:] = np.array([right, down]).reshape(2, 1, 1)
    pixels = np.asarray(flow_colours(field)).astype(int)
    assert np.abs(pixels[2, 2] - colour).max() <= 6 and (pixels[0] == 255).all()
    assert (np.asarray(flow_colours(0 * field)) == 255).all()


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_told(tmp_path: Path, part: str) -> None:
    with pytest.raises(WorldError, match="no whole synthetic data"):
        contact_sheet({part: tmp_path}, tmp_path / "none.png")
