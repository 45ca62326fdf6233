"""A contact sheet of a world: what its images look like, set by set."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

from l2sp.data.miniature.catalogue import Sample, family_of
from l2sp.data.miniature.layouts import plan
from l2sp.data.miniature.recipe import Recipe, SetRecipe, SourceRecipe
from l2sp.data.miniature.species import FAMILIES
from l2sp.data.miniature.world import check_world
from l2sp.errors import UserError

__all__ = ["contact_sheet", "recipe_of"]

_MARGIN, _GAP = 150, 3


def recipe_of(root: Path) -> Recipe:
    """The recipe that the world at ``root`` was built from; raises UserError if there is no such world."""
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


def contact_sheet(root: Path, path: Path, per_set: int = 12) -> None:
    """Draw the world at ``root`` as one picture at ``path`` (format by its ending).

    A row for each source family (``per_set`` images, two of each class) and two rows for each target set:
    training images of as many classes, one class a column, so that neighbours can be compared.
    """
    recipe = recipe_of(Path(root))
    rows = [*_source_rows(recipe, per_set), *_target_rows(recipe, per_set)]
    files = {group: plan(recipe, group) for group in ("source", *recipe.targets)}
    cell = recipe.image_size + _GAP
    sheet = Image.new("RGB", (_MARGIN + per_set * cell, len(rows) * cell + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for k, (label, samples) in enumerate(rows):
        pen.text((6, k * cell + cell // 2 - 8), label, fill="black")
        for j, sample in enumerate(samples):
            with Image.open(Path(root) / files[sample.group][sample]) as image:
                sheet.paste(image, (_MARGIN + j * cell, k * cell + _GAP))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


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
