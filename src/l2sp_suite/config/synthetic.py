"""The recipe of a run's synthetic data, which is part of its identity."""

from __future__ import annotations

from l2sp_suite.utils.errors import UserError
from miniworld import Recipe, WorldError, named_recipe

__all__ = ["recipe_of"]


def recipe_of(world: str, part: str | None) -> Recipe:
    """The recipe of a part (`data.part`) of a named world (`scale.world`); nothing is drawn.

    Raises:
        UserError: an unknown world or part, or a data set without a synthetic counterpart.
    """
    if part is None:
        raise UserError("this data set has no synthetic counterpart: take scale=small, and give paths.data=<folder>")
    try:
        return named_recipe(world, part)
    except WorldError as error:
        raise UserError(f"scale.world={world}, data.part={part}: {error}") from None
