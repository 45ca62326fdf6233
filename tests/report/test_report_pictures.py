"""Pictures of samples: those in true colours, and a clip of both arms as an animation."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from report_trees import PAPER, write_run

from l2sp_suite.report import build_report
from l2sp_suite.report.animation import animation
from l2sp_suite.report.collect import read_runs
from l2sp_suite.report.figures import predictions
from l2sp_suite.report.paper import read_paper
from l2sp_suite.report.samples import CLIP, SampleSheet, sample_sheets

FLOW, MASKS = "segflow_monkaa_final", "segflow_davis"
KINDS = ("image", "truth", "prediction")


def picture(seed: int, moved: int, size: tuple[int, int] = (160, 96)) -> Image.Image:
    """Some colours, other ones for each seed, that move to the right."""
    colours = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    whole = Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)
    return Image.fromarray(np.roll(np.asarray(whole), 9 * moved, axis=1))


def write_samples(results: Path, experiment: str, frames: int = 8, size: tuple[int, int] = (160, 96)) -> None:
    """One seed of both arms with two single samples and a clip, whose numbers do not sort as texts do."""
    for arm, reg in enumerate(("l2", "l2_sp")):
        folder = write_run(results, experiment, reg, 0, 0.5) / "samples"
        folder.mkdir()
        for k, name in enumerate(["3", "11", *(f"clip{k:02d}" for k in range(frames)), "notes"]):
            for j, kind in enumerate(KINDS):
                picture(10 * arm * (j == 2) + j, k, size).save(folder / f"{name}-{kind}.png")


def sheets(results: Path, **asked: object) -> list[SampleSheet]:
    return sample_sheets(results, read_runs(results, "mini")[0], read_paper(PAPER), **asked)  # type: ignore[arg-type]


def written_in(sheet: SampleSheet, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, int]:
    """Title, note and number of legends of the figure of a sheet."""
    kept: list[Figure] = []
    real = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (kept.append(self), real(self, *a, **k))[1])
    predictions(sheet, "mini")
    return kept[0].get_suptitle(), kept[0].get_supxlabel(), len(kept[0].legends)


def test_single_samples_and_a_clip_are_told_apart(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW)
    (sheet,), (clip,) = sheets(tmp_path), sheets(tmp_path, names=CLIP)
    assert [line[0].name for line in sheet.lines] == ["3-image.png", "11-image.png"]
    assert [line[3].name for line in clip.lines] == [f"clip{k:02d}-prediction.png" for k in range(8)]
    assert {line[3].parent.parent.parent.name for line in clip.lines} == {"l2_sp-alpha=0.1-beta=0.1"}
    assert (sheet.metric, sheet.title) == ("EPE", "SegFlow, Monkaa Final")


def test_flow_has_a_note_and_neither_legend_nor_unlabelled_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_samples(tmp_path, FLOW)
    title, note, legends = written_in(sheets(tmp_path)[0], monkeypatch)
    assert "direction of motion" in note and "saturation" in note and legends == 0 and "black" not in title


def test_masks_have_a_note_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_samples(tmp_path, MASKS)
    (sheet,) = sheets(tmp_path)
    title, note, legends = written_in(SampleSheet(MASKS, sheet.title, "IoU", sheet.lines, []), monkeypatch)
    assert "orange" in note and legends == 0 and title.startswith("SegFlow, DAVIS, first seed\n")


def test_classes_keep_their_legend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = Image.new("P", (8, 6), 1)
    entries.putpalette([0, 0, 0, 255, 0, 0])
    entries.save(tmp_path / "a.png")
    path = tmp_path / "a.png"
    title, note, legends = written_in(SampleSheet("e", "E", "mIoU", [(path,) * 4], ["sky", "tree"]), monkeypatch)
    assert (note, legends) == ("", 1) and "black: unlabelled" in title


def test_a_clip_becomes_an_endless_animation(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW)
    (clip,) = sheets(tmp_path, names=CLIP)
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
    with Image.open(io.BytesIO(animation(sheets(tmp_path, names=CLIP)[0]))) as gif:
        assert (gif.width + 4) / 4 - 4 == panel[0] and 8 < gif.height - panel[1] < 24


def test_a_report_draws_both_and_keeps_them_in_a_clone(tmp_path: Path) -> None:
    write_samples(tmp_path, MASKS, 2)
    written = {path.name for path in build_report(tmp_path, "mini", PAPER)}
    assert {f"predictions_{MASKS}.png", f"animation_{MASKS}.gif"} <= written
    figures = tmp_path / "mini" / "figures"
    before = {path.name: path.read_bytes() for path in figures.iterdir()}
    build_report(tmp_path, "mini", PAPER)
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before
    clone = tmp_path / "clone" / "mini"
    (clone / "figures").mkdir(parents=True)
    (clone / "rows.csv").write_bytes((tmp_path / "mini" / "rows.csv").read_bytes())
    (clone / "figures" / f"animation_{MASKS}.gif").write_bytes(b"kept")
    build_report(clone.parent, "mini", PAPER)
    assert (clone / "figures" / f"animation_{MASKS}.gif").read_bytes() == b"kept"


def test_there_is_no_animation_without_a_clip(tmp_path: Path) -> None:
    write_samples(tmp_path, FLOW, 0)
    assert sheets(tmp_path, names=CLIP) == []
    build_report(tmp_path, "mini", PAPER)
    assert not list((tmp_path / "mini" / "figures").glob("*.gif"))
