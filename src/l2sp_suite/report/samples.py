"""Samples of predictions that runs keep: image, truth and all arms side by side, still or as an animation."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from l2sp_suite.report.load import Results
from l2sp_suite.report.texts import words

STILLS, CLIP = re.compile(r"(\d+)"), re.compile(r"clip(\d+)")
"""Names of samples: single items, and the frames of one clip."""
_WIDTH = 160  # pixels that a panel is wide at least
_GAP, _BAR = 4, 14  # between panels, and for the names above them


@dataclass(frozen=True)
class SampleSheet:
    """One experiment's samples: a line of files each, as many as `heads`, and the names of its classes, if any."""

    experiment: str
    title: str
    note: str
    heads: Sequence[str]
    lines: Sequence[Sequence[Path]]
    classes: Sequence[str]


def note_of_samples(results: Results, metric: str) -> str:
    """What the colours of an experiment's samples mean, by its metric; empty where a legend says it."""
    arms = ", ".join(label for _, label in results.arms.pairs)
    return results.say(words("notes")["samples"].get(metric, ""), arms=arms)


def sample_sheets(results: Results, names: re.Pattern[str] = STILLS) -> list[SampleSheet]:
    """The experiments of whose arms, at their selected settings, the first common seed's run directories keep samples.

    An arm without runs there is left out, but for the baseline. `names`: which samples, `STILLS` or `CLIP`; their lines
    are in the order of the numbers.
    """
    sheets = []
    for name in results.experiments(results.main):
        arms = {arm: results.selected(name, arm) for arm in results.arms.names}
        arms = {arm: runs.set_index("seed", drop=False) for arm, runs in arms.items() if len(runs)}
        seeds = set.intersection(*(set(runs.index) for runs in arms.values())) if arms else set()
        if results.arms.baseline not in arms or len(arms) < 2 or not seeds:
            continue
        folders = [results.folder(runs.loc[min(seeds)]) / "samples" for runs in arms.values()]
        lines = [
            [folders[0] / f"{sample}-image.png", folders[0] / f"{sample}-truth.png"]
            + [folder / f"{sample}-prediction.png" for folder in folders]
            for sample in _samples(folders[0], names)
        ]
        whole = [line for line in lines if all(path.is_file() for path in line)]
        if whole:
            heads = ("image", "truth", *map(results.arms.label, arms))
            note = note_of_samples(results, arms[results.arms.baseline].metric.iloc[0])
            sheets.append(SampleSheet(name, results.title(name), note, heads, whole, _classes(folders[0].parent)))
    return sheets


def _samples(folder: Path, names: re.Pattern[str]) -> list[str]:
    """Names of a run's samples; what is not called as asked is passed over."""
    kept = [path.name.removesuffix("-prediction.png") for path in folder.glob("*-prediction.png")]
    numbers = {name: int(match[1]) for name in kept if (match := names.fullmatch(name))}
    return sorted(numbers, key=lambda name: (numbers[name], name))


def _classes(folder: Path) -> list[str]:
    try:
        names = json.loads((folder / "env.json").read_text(encoding="utf-8")).get("class_names")
    except (OSError, ValueError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def predictions(sheet: SampleSheet, scale: str) -> bytes:
    """Test images with their truth and the arms' predictions, and what the colours mean.

    Pictures of classes have a legend of those that occur in them, others a note.
    """
    from matplotlib.patches import Patch

    from l2sp_suite.report.figures.style import canvas

    with Image.open(sheet.lines[0][0]) as first:
        height = 9 / len(sheet.heads) * first.height / first.width
    seen: dict[int, Any] = {}
    with canvas(9, (height + 0.05) * len(sheet.lines)) as c:
        axes = c.panels(len(sheet.heads) * len(sheet.lines), len(sheet.heads), (0.05, 0.05), (0.05, 0.05))
        for ax, name in zip(axes, sheet.heads, strict=False):
            ax.set_title(name)
        for ax, path in zip(axes, [path for line in sheet.lines for path in line], strict=True):
            with Image.open(path) as picture:
                seen |= _classes_in(picture)
                ax.imshow(picture.convert("RGB"), interpolation="nearest")
            ax.set_axis_off()
        names = {index: sheet.classes[index] for index in sorted(seen) if index < len(sheet.classes)}
        if names:
            handles = [Patch(color=seen[index], label=name) for index, name in names.items()]
            c.figure.legend(handles=handles, loc="lower center", ncols=7, fontsize=8)
        elif sheet.note:
            c.figure.supxlabel(sheet.note, fontsize=8)
        c.title(f"{sheet.title}, first seed{', black: unlabelled' if seen else ''}", scale)
    return c.png


def _classes_in(picture: Image.Image) -> dict[int, tuple[float, ...]]:
    """The colours in [0, 1] of the entries of an index picture's palette that it uses; none for a photograph."""
    palette, colours = picture.getpalette(), picture.getcolors(256) if picture.mode == "P" else None
    if palette is None or colours is None:
        return {}
    used = [int(entry) for _, entry in colours if isinstance(entry, int)]
    return {entry: tuple(value / 255 for value in palette[3 * entry : 3 * entry + 3]) for entry in used}


def animation(clip: SampleSheet) -> bytes:
    """The lines of `clip` as frames of an endless GIF, three a second, with the panels' names above them.

    Small pictures are enlarged and large ones reduced, by a whole factor, to panels at least 160 px wide.
    """
    frames = [_frame(files, clip.heads) for files in clip.lines]
    whole = Image.new("RGB", (frames[0].width, frames[0].height * len(frames)))
    for place, frame in enumerate(frames):
        whole.paste(frame, (0, place * frame.height))
    # All frames share 256 colours, found by k-means, without which small objects lose theirs; it ends when two pixels
    # in a hundred change theirs. Dithered: steps in smooth colours of a flow would look like edges of moving things.
    palette = whole.quantize(256, kmeans=round(0.02 * whole.width * whole.height))
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    out = io.BytesIO()
    indexed[0].save(out, "GIF", save_all=True, append_images=indexed[1:], duration=330, loop=0)
    return out.getvalue()


def _frame(files: Sequence[Path], heads: Sequence[str]) -> Image.Image:
    with Image.open(files[0]) as first:
        (width, height), resample = _panel(*first.size)
    frame = Image.new("RGB", (len(files) * (width + _GAP) - _GAP, height + _BAR), "white")
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default_imagefont()
    for place, (name, path) in enumerate(zip(heads, files, strict=True)):
        left = place * (width + _GAP)
        draw.text((left + 2, 1), name, fill="black", font=font)
        with Image.open(path) as picture:
            frame.paste(picture.convert("RGB").resize((width, height), resample), (left, _BAR))
    return frame


def _panel(width: int, height: int) -> tuple[tuple[int, int], Image.Resampling]:
    """Size of a panel for pictures of that size, and how they are brought to it."""
    if width < _WIDTH:
        factor = math.ceil(_WIDTH / width)
        return (width * factor, height * factor), Image.Resampling.NEAREST
    factor = width // _WIDTH
    return (math.ceil(width / factor), math.ceil(height / factor)), Image.Resampling.BOX
