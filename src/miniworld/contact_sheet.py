"""A contact sheet of a world: what its images look like, part by part and set by set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageDraw

from l2sp_suite.datasets.palette import palette
from l2sp_suite.utils.errors import UserError
from miniworld.categories import FAMILIES
from miniworld.clip_sheet import clip_blocks
from miniworld.context import LABELS
from miniworld.layouts import plan
from miniworld.recipe import Recipe, SetRecipe, SourceRecipe
from miniworld.samples import Sample, family_of
from miniworld.scenes import FOLDER
from miniworld.views import FOLDER as VIEWS
from miniworld.world import check_world

__all__ = ["STRIPS", "contact_sheet", "recipe_of"]

_MARGIN, _GAP, _LEGEND = 150, 3, 46
_FRAMES = 96  # pixels: rows of frames, which are of several widths, are about as long as with this one


def recipe_of(root: Path) -> Recipe:
    """The recipe of the objects at ``root``; raises UserError if there are none."""
    check_world(root)
    facts = json.loads((root / "world.json").read_text(encoding="utf-8"))["recipe"]
    try:
        source = SourceRecipe(**facts.pop("source"))
        targets = {name: SetRecipe(**entry) for name, entry in facts.pop("targets").items()}
        return Recipe(source=source, targets=targets, **facts)
    except (TypeError, KeyError, AttributeError):
        raise UserError(
            f"{root}/world.json: written by another version; delete the folder and build it again"
        ) from None


def contact_sheet(worlds: Mapping[str, Path], path: Path, per_set: int = 12) -> None:
    """Draw the parts of a world, which lie at ``worlds``, as one picture at ``path`` (format by its ending).

    Raises UserError if a part is missing or damaged there.
    """
    strips = [STRIPS[part](Path(root), per_set) for part, root in worlds.items()]
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _objects(root: Path, per_set: int) -> Image.Image:
    """A row for each source family and two rows for each target set.

    A family's row has ``per_set`` images, two of each class; a set's rows have training images of as many classes,
    one class a column, so that neighbours can be compared.
    """
    recipe = recipe_of(root)
    rows = [*_source_rows(recipe, per_set), *_target_rows(recipe, per_set)]
    files = {group: plan(recipe, group) for group in ("source", *recipe.targets)}
    cell = recipe.image_size + _GAP
    sheet = Image.new("RGB", (_MARGIN + per_set * cell, len(rows) * cell + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for k, (label, samples) in enumerate(rows):
        pen.text((6, k * cell + cell // 2 - 8), label, fill="black")
        for j, sample in enumerate(samples):
            with Image.open(root / files[sample.group][sample]) as image:
                sheet.paste(image, (_MARGIN + j * cell, k * cell + _GAP))
    return sheet


def _scenes(root: Path, per_set: int) -> Image.Image:
    """Scenes above their label maps, two rows of each split, and a legend of the classes."""
    check_world(root)
    rows = [(split, ids[k : k + per_set]) for split, ids in _ids(root).items() for k in (0, per_set)]
    rows = [(split, ids) for split, ids in rows if ids]
    with Image.open(root / FOLDER / "JPEGImages" / f"{rows[0][1][0]}.jpg") as first:
        wide, high = first.width + _GAP, 2 * first.height + 3 * _GAP
    sheet = Image.new("RGB", (_MARGIN + per_set * wide, len(rows) * high + _LEGEND), "white")
    pen = ImageDraw.Draw(sheet)
    for k, (split, ids) in enumerate(rows):
        pen.text((6, k * high + high // 2 - 8), f"scenes: {split}\nabove their labels", fill="black")
        for j, name in enumerate(ids):
            left, top = _MARGIN + j * wide, k * high + _GAP
            for folder, ending, down in (("JPEGImages", "jpg", 0), ("SegmentationClassContext", "png", high // 2)):
                with Image.open(root / FOLDER / folder / f"{name}.{ending}") as image:
                    sheet.paste(image.convert("RGB"), (left, top + down))
    _legend(pen, root, sheet.width, len(rows) * high)
    return sheet


def _ids(root: Path) -> dict[str, list[str]]:
    folder = root / FOLDER / "ImageSets" / "SegmentationContext"
    return {split: (folder / f"{split}.txt").read_text(encoding="utf-8").split() for split in ("train", "val")}


def _legend(pen: ImageDraw.ImageDraw, root: Path, width: int, top: int) -> None:
    """Each class in the colour of its labels, in two lines."""
    colours, values = palette(), {"unlabelled": 0, **LABELS}
    names = ["unlabelled", *(root / FOLDER / "classes.txt").read_text(encoding="utf-8").split()]
    columns = -(-len(names) // 2)
    for k, name in enumerate(names):
        left, down = _MARGIN + (k % columns) * (width - _MARGIN) // columns, top + 6 + 18 * (k // columns)
        value = values[name]
        pen.rectangle((left, down, left + 14, down + 12), fill=colours[3 * value : 3 * value + 3])
        pen.text((left + 18, down), name, fill="black")


def _views(root: Path, per_set: int) -> Image.Image:
    """A row of training views for each class."""
    check_world(root)
    rows = {
        folder.name: sorted(folder.glob("*.jpg"))[:per_set] for folder in sorted((root / VIEWS / "train").iterdir())
    }
    with Image.open(next(iter(rows.values()))[0]) as first:
        cell = first.width + _GAP
    sheet = Image.new("RGB", (_MARGIN + per_set * cell, len(rows) * cell + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for k, (name, paths) in enumerate(rows.items()):
        pen.text((6, k * cell + cell // 2 - 8), f"views: {name}", fill="black")
        for j, path in enumerate(paths):
            with Image.open(path) as image:
                sheet.paste(image, (_MARGIN + j * cell, k * cell + _GAP))
    return sheet


def _clips(root: Path, per_set: int) -> Image.Image:
    """Frames of clips with what is known of them; wider than other images, so that fewer make a row."""
    check_world(root)
    blocks = clip_blocks(root, per_set * (_FRAMES + _GAP), _GAP)
    rows = [row for _, block in blocks for row in block]
    width = max(len(row) * (row[0].width + _GAP) for row in rows)
    height = sum(row[0].height + _GAP for row in rows) + _GAP * (len(blocks) + 1)
    sheet = Image.new("RGB", (_MARGIN + width, height), "white")
    pen, top = ImageDraw.Draw(sheet), _GAP
    for label, block in blocks:
        pen.text((6, top + sum(row[0].height + _GAP for row in block) // 2 - 20), label, fill="black")
        for row in block:
            for j, picture in enumerate(row):
                sheet.paste(picture, (_MARGIN + j * (picture.width + _GAP), top))
            top += row[0].height + _GAP
        top += _GAP
    return sheet


STRIPS: Mapping[str, Callable[[Path, int], Image.Image]] = {
    "objects": _objects,
    "scenes": _scenes,
    "views": _views,
    "clips": _clips,
}
"""How each part of the world is shown."""


def _source_rows(recipe: Recipe, per_set: int) -> list[tuple[str, list[Sample]]]:
    rows = []
    for family in FAMILIES:
        labels = [k for k in range(recipe.source.classes) if family_of(recipe, "source", k) == family]
        shown = [Sample("source", k, "train", i) for k in labels for i in range(min(2, recipe.source.train))]
        rows.append((f"source: {family}\n({len(labels)} classes)", shown[:per_set]))
    return rows


def _target_rows(recipe: Recipe, per_set: int) -> list[tuple[str, list[Sample]]]:
    rows = []
    for name, entry in recipe.targets.items():
        for index in range(min(2, entry.train)):
            label = f"{name}\n({entry.classes} {entry.family} classes,\nspread {entry.spread:g})"
            samples = [Sample(name, k, "train", index) for k in range(min(entry.classes, per_set))]
            rows.append((label if index == 0 else "  the same classes", samples))
    return rows
