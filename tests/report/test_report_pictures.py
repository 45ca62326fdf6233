"""Pictures of samples: those in true colours, and a clip of both arms as an animation."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from report_trees import ARMS, PAPER, edit, results_of, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.samples import CLIP, STILLS, SampleSheet, animation, predictions, sample_sheets

FLOW, MASKS = "segflow_monkaa_final", "segflow_davis"
KINDS = ("image", "truth", "prediction")


def picture(seed: int, moved: int, size: tuple[int, int] = (160, 96)) -> Image.Image:
    """Some colours, other ones for each seed, that move to the right."""
    colours = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    whole = Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)
    return Image.fromarray(np.roll(np.asarray(whole), 9 * moved, axis=1))


def write_samples(
    results: Path, experiment: str, frames: int = 8, size: tuple[int, int] = (160, 96), arms: Sequence[str] = ARMS.names
) -> None:
    """One seed of both arms with two single samples and a clip, whose numbers do not sort as texts do."""
    for place, arm in enumerate(arms):
        folder = write_run(results, experiment, arm, 0, 0.5) / "samples"
        folder.mkdir()
        for k, name in enumerate(["3", "11", *(f"clip{k:02d}" for k in range(frames)), "notes"]):
            for j, kind in enumerate(KINDS):
                picture(10 * place * (j == 2) + j, k, size).save(folder / f"{name}-{kind}.png")


def sheets(results: Path, names: re.Pattern[str] = STILLS) -> list[SampleSheet]:
    return sample_sheets(results_of(results), names)


def written_in(sheet: SampleSheet, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, int]:
    """Title, note and number of legends of the figure of a sheet."""
    kept: list[Figure] = []
    real = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (kept.append(self), real(self, *a, **k))[1])
    predictions(sheet, "mini")
    return kept[0].get_suptitle(), kept[0].get_supxlabel(), len(kept[0].legends)


def test_single_samples_and_a_clip_are_told_apart(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW)
    (sheet,), (clip,) = sheets(tmp_path), sheets(tmp_path, CLIP)
    assert [line[0].name for line in sheet.lines] == ["3-image.png", "11-image.png"]
    assert [line[3].name for line in clip.lines] == [f"clip{k:02d}-prediction.png" for k in range(8)]
    assert {line[3].parent.parent.parent.name for line in clip.lines} == {"l2_sp-alpha=0.1-beta=0.1"}
    assert (sheet.title, sheet.heads) == ("SegFlow, Monkaa Final", ("image", "truth", "L2", "L2-SP"))


def test_flow_has_a_note_and_neither_legend_nor_unlabelled_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_samples(tmp_path, FLOW)
    title, note, legends = written_in(sheets(tmp_path)[0], monkeypatch)
    assert "direction of motion" in note and "saturation" in note and legends == 0 and "black" not in title


def test_masks_have_a_note_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_samples(tmp_path, MASKS)
    for path in (tmp_path / "mini").rglob("done.json"):
        edit(path, "metric", "IoU")
        edit(path, "results.test.IoU", 0.5)
    title, note, legends = written_in(sheets(tmp_path)[0], monkeypatch)
    assert "orange" in note and legends == 0 and title.startswith("SegFlow, DAVIS, first seed; mini scale")


def test_classes_keep_their_legend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_samples(tmp_path, MASKS, 0)
    for place, path in enumerate(sorted((tmp_path / "mini").rglob("3-*.png"))):
        entries = Image.new("P", (8, 6), place % 2)
        entries.putpalette([0, 0, 255, 255, 0, 0])
        entries.save(path)
    for path in (tmp_path / "mini").rglob("env.json"):
        edit(path, "class_names", ["sky", "tree"])
    (sheet,) = sheets(tmp_path)
    title, note, legends = written_in(sheet, monkeypatch)
    assert (note, legends, sheet.classes) == ("", 1, ["sky", "tree"]) and "black: unlabelled" in title


def test_sheets_need_two_arms_a_common_seed_and_whole_lines(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW, 0)
    assert len(sheets(tmp_path)[0].lines) == 2
    next((tmp_path / "mini").rglob("l2_sp-*/seed=0/samples/11-prediction.png")).unlink()
    assert len(sheets(tmp_path)[0].lines) == 1
    folder = next((tmp_path / "mini").rglob("l2_sp-*/seed=0"))
    folder.rename(folder.with_name("seed=1"))
    edit(folder.with_name("seed=1") / "config.yaml", "seed", 1)
    assert sheets(tmp_path) == []


def test_a_third_arm_is_a_further_panel(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW, 2, arms=("l2", "l2_sp", "l1_sp"))
    (sheet,) = sheets(tmp_path)
    assert sheet.heads == ("image", "truth", "L2", "L2-SP", "L1-SP") and len(sheet.lines[0]) == 5
    assert "truth, L2, L2-SP, L1-SP: colour" in sheet.note and predictions(sheet, "mini").startswith(b"\x89PNG")
    with Image.open(io.BytesIO(animation(sheets(tmp_path, CLIP)[0]))) as gif:
        assert gif.width == 5 * 160 + 4 * 4


def test_a_clip_becomes_an_endless_animation(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW)
    (clip,) = sheets(tmp_path, CLIP)
    content = animation(clip)
    assert content == animation(clip) and len(content) < 600_000
    with Image.open(io.BytesIO(content)) as gif:
        assert gif.format == "GIF" and gif.info["loop"] == 0 and 300 <= gif.info["duration"] <= 360
        assert getattr(gif, "n_frames", 0) == 8 and gif.width > 4 * 160 and gif.height > 96
        frames = []
        for k in range(8):
            gif.seek(k)
            frames.append(np.asarray(gif.convert("RGB"), dtype=float))
    assert all(np.abs(a - b).mean() > 5 for a, b in itertools.pairwise(frames))
    width, bar = (frames[0].shape[1] + 4) // 4, frames[0].shape[0] - 96
    heads = [frames[0][:bar, k * width : k * width + 160] for k in range(4)]
    assert all(head.min() < 60 for head in heads)  # each has letters, and other ones
    assert all(np.abs(a - b).max() > 100 for k, a in enumerate(heads) for b in heads[:k])
    for k, path in enumerate(clip.lines[5]):
        with Image.open(path) as shown:
            panel = frames[5][bar:, k * width : k * width + 160]
            assert np.abs(panel - np.asarray(shown, dtype=float)).mean() < 12


@pytest.mark.parametrize(("size", "panel"), [((40, 24), (160, 96)), ((100, 60), (200, 120)), ((854, 480), (171, 96))])
def test_panels_are_enlarged_or_reduced_by_whole_factors(
    tmp_path: Path, size: tuple[int, int], panel: tuple[int, int]
) -> None:
    write_samples(tmp_path, MASKS, 1, size)
    with Image.open(io.BytesIO(animation(sheets(tmp_path, CLIP)[0]))) as gif:
        assert (gif.width + 4) / 4 - 4 == panel[0] and 8 < gif.height - panel[1] < 24


def test_a_report_draws_both_and_keeps_them_in_a_clone(tmp_path: Path) -> None:
    write_samples(tmp_path, MASKS, 2)
    written = {path.name for path in build_report(tmp_path, "mini", PAPER, ARMS).written}
    assert {f"predictions_{MASKS}.png", f"animation_{MASKS}.gif"} <= written
    figures = tmp_path / "mini" / "figures"
    before = {path.name: path.read_bytes() for path in figures.iterdir()}
    build_report(tmp_path, "mini", PAPER, ARMS)
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before
    clone = tmp_path / "clone" / "mini"
    (clone / "figures").mkdir(parents=True)
    (clone / "rows.csv").write_bytes((tmp_path / "mini" / "rows.csv").read_bytes())
    (clone / "figures" / f"animation_{MASKS}.gif").write_bytes(b"kept")
    build_report(clone.parent, "mini", PAPER, ARMS)
    assert (clone / "figures" / f"animation_{MASKS}.gif").read_bytes() == b"kept"


def test_there_is_no_animation_without_a_clip(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW, 0)
    assert sheets(tmp_path, CLIP) == []
    build_report(tmp_path, "mini", PAPER, ARMS)
    assert not list((tmp_path / "mini" / "figures").glob("*.gif"))
