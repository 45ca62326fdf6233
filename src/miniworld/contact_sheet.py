"""A contact sheet: what the images of each part look like, set by set, as one picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from miniworld.clips.files import FOLDERS
from miniworld.clips.scene_names import SCENE_NAMES
from miniworld.drawing.geometry import Array
from miniworld.errors import WorldError
from miniworld.formats.flow import read_flow
from miniworld.formats.pictures import pascal_palette
from miniworld.objects import layouts
from miniworld.objects.families import FAMILIES
from miniworld.objects.samples import Sample, family_of
from miniworld.recipes import ObjectRecipe, SetRecipe, SourceRecipe
from miniworld.scenes import files as scenes
from miniworld.scenes import views
from miniworld.scenes.labels import LABELS
from miniworld.world import check_world

__all__ = ["BLOCKS", "contact_sheet", "flow_colours"]

_MARGIN, _GAP, _LEGEND = 150, 3, 46
_FRAME = 96  # pixels: rows of frames, which are of several widths, are about as long as with this one
_OUTLINE = (255, 235, 60)  # of masks

Pictures = list[Image.Image]
Block = tuple[str, list[Pictures]]
"""A label and rows of pictures, all of one size; those of a column belong together."""


def contact_sheet(worlds: Mapping[str, Path], path: Path, per_set: int = 12) -> None:
    """Draw parts, whose folders ``worlds`` has by name, as one picture at ``path`` (format by its ending).

    Raises WorldError if a part is missing or damaged there.
    """
    strips = []
    for part, root in worlds.items():
        check_world(Path(root))
        strips.append(_strip(BLOCKS[part](Path(root), per_set)))
        if part == "scenes":
            strips.append(_legend(strips[-1].width))
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _strip(blocks: Sequence[Block]) -> Image.Image:
    rows = [row for _, block in blocks for row in block]
    width = max(len(row) * (row[0].width + _GAP) for row in rows)
    height = sum(row[0].height + _GAP for row in rows) + _GAP * (len(blocks) + 1)
    strip = Image.new("RGB", (_MARGIN + width, height), "white")
    pen, top = ImageDraw.Draw(strip), _GAP
    for label, block in blocks:
        middle = top + sum(row[0].height + _GAP for row in block) // 2
        pen.text((6, middle - 7 * (label.count("\n") + 1)), label, fill="black")
        for row in block:
            for j, picture in enumerate(row):
                strip.paste(picture, (_MARGIN + j * (picture.width + _GAP), top))
            top += row[0].height + _GAP
        top += _GAP
    return strip


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _objects(root: Path, per_set: int) -> list[Block]:
    """Two images of each class of a source family; of a target set two rows of one training image a class."""
    recipe = _object_recipe(root)
    paths = {group: layouts.plan(recipe, group) for group in layouts.LAYOUTS}

    def row(samples: list[Sample]) -> Pictures:
        return [_open(root / paths[sample.group][sample]) for sample in samples[:per_set]]

    blocks = []
    for family in FAMILIES:
        labels = [k for k in range(recipe.source.classes) if family_of(recipe, "source", k) == family]
        samples = [Sample("source", k, "train", i) for k in labels for i in range(min(2, recipe.source.train))]
        blocks.append((f"source: {family}\n({len(labels)} classes)", [row(samples)]))
    for name, entry in recipe.targets.items():
        label = f"{name}\n({entry.classes} {entry.family} classes,\nspread {entry.spread:g})"
        rows = [[Sample(name, k, "train", i) for k in range(entry.classes)] for i in range(min(2, entry.train))]
        blocks.append((label, [row(samples) for samples in rows]))
    return blocks


def _object_recipe(root: Path) -> ObjectRecipe:
    fields = json.loads((root / "world.json").read_text(encoding="utf-8"))["recipe"]
    try:
        source = SourceRecipe(**fields.pop("source"))
        targets = {name: SetRecipe(**entry) for name, entry in fields.pop("targets").items()}
        return ObjectRecipe(source=source, targets=targets, **fields)
    except (TypeError, KeyError, AttributeError):
        message = f"{root}/world.json: written by another version; delete the folder and build it again"
        raise WorldError(message) from None


def _scenes(root: Path, per_set: int) -> list[Block]:
    """Scenes above their label maps, two blocks of each split."""
    blocks = []
    for split in ("train", "val"):
        names = (root / scenes.FOLDER / f"ImageSets/SegmentationContext/{split}.txt").read_text("utf-8").split()
        for shown in filter(None, (names[:per_set], names[per_set : 2 * per_set])):
            folders = (("JPEGImages", "jpg"), ("SegmentationClassContext", "png"))
            rows = [
                [_open(root / scenes.FOLDER / folder / f"{name}.{end}") for name in shown] for folder, end in folders
            ]
            blocks.append((f"scenes: {split}\nabove their labels", rows))
    return blocks


def _legend(width: int) -> Image.Image:
    """Each class in the colour of its labels, in two lines."""
    strip = Image.new("RGB", (width, _LEGEND), "white")
    pen, colours, values = ImageDraw.Draw(strip), pascal_palette(), {"unlabelled": 0, **LABELS}
    columns = -(-len(values) // 2)
    for k, (name, value) in enumerate(values.items()):
        left, top = _MARGIN + (k % columns) * (width - _MARGIN) // columns, 6 + 18 * (k // columns)
        pen.rectangle((left, top, left + 14, top + 12), fill=colours[3 * value : 3 * value + 3])
        pen.text((left + 18, top), name, fill="black")
    return strip


def _views(root: Path, per_set: int) -> list[Block]:
    """A row of training views for each class."""
    folders = sorted((root / views.FOLDER / "train").iterdir())
    return [(f"views: {f.name}", [[_open(path) for path in sorted(f.glob("*.jpg"))[:per_set]]]) for f in folders]


def _clips(root: Path, per_set: int) -> list[Block]:
    """Frames of clips with what is known of them: masks outlined, or the flow to the next frame below."""

    def fitting(frames: list[Path]) -> list[Path]:
        return frames[: max(1, per_set * (_FRAME + _GAP) // (_open(frames[0]).width + _GAP))]

    folder = root / FOLDERS["davis"] / "JPEGImages" / "480p"
    sequences = [sorted(sequence.iterdir()) for sequence in sorted(folder.iterdir())]
    ends = [[_outlined(frame) for frame in fitting([frames[k] for frames in sequences])] for k in (0, -1)]
    blocks: list[Block] = [("davis: first\nand last frames,\nwith masks outlined", ends)]
    for dataset in ("monkaa", "driving"):
        names = [name for split in ("train", "val") for name in SCENE_NAMES[dataset, split]]
        base = root / FOLDERS[dataset]
        clean = fitting([base / f"frames_cleanpass/{name}/left/0001.png" for name in names])
        final = [base / f"frames_finalpass/{name}/left/0001.png" for name in names[: len(clean)]]
        flows = [
            base / f"optical_flow/{name}/into_future/left/OpticalFlowIntoFuture_0001_L.pfm"
            for name in names[: len(clean)]
        ]
        rows = [
            [_open(path) for path in clean],
            [_open(path) for path in final],
            [flow_colours(read_flow(path)) for path in flows],
        ]
        blocks.append((f"{dataset}: clean,\nfinal, and the flow\nto the next frame", rows))
    firsts = fitting(sorted((root / FOLDERS["chairs"] / "data").glob("*_img1.ppm")))
    flows = [path.with_name(path.name.replace("img1.ppm", "flow.flo")) for path in firsts]
    rows = [[_open(path) for path in firsts], [flow_colours(read_flow(path)) for path in flows]]
    return [*blocks, ("chairs: first\nframes, and the flow\nto the second", rows)]


def _outlined(frame: Path) -> Image.Image:
    """A frame of DAVIS with its mask outlined: the line is outside, the mask left as it is."""
    picture = _open(frame)
    with Image.open(str(frame).replace("JPEGImages", "Annotations").replace(".jpg", ".png")) as mask:
        rim = np.asarray(mask.filter(ImageFilter.MaxFilter(3))) > np.asarray(mask)
    picture.paste(_OUTLINE, mask=Image.fromarray(rim))
    return picture


def flow_colours(field: Array) -> Image.Image:
    """Return a field (2, H, W) in colours: red is to the right, hues run clockwise, white is no motion."""
    right, down = field
    length = np.hypot(right, down)
    hue = np.arctan2(down, right) / (2 * np.pi) % 1 * 255
    channels = (hue, length / max(float(length.max()), 1e-9) * 255, np.full_like(length, 255))
    return Image.merge("HSV", [Image.fromarray(channel.astype(np.uint8)) for channel in channels]).convert("RGB")


BLOCKS: Mapping[str, Callable[[Path, int], list[Block]]] = {
    "objects": _objects,
    "scenes": _scenes,
    "views": _views,
    "clips": _clips,
}
"""How each part is shown."""
