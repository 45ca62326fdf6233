"""The synthetic data of `miniworld` as the suite uses it: under the artifacts, with its errors and a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from l2sp_suite.utils.errors import UserError
from miniworld import Recipe, WorldError, ensure_world, named_recipe

__all__ = ["synthetic_digest", "synthetic_root", "world_errors"]


@contextmanager
def world_errors() -> Iterator[None]:
    """Raise a UserError of the same words where `miniworld` raises its own."""
    try:
        yield
    except WorldError as error:
        raise UserError(str(error)) from None


def synthetic_root(artifacts: Path, world: str, part: str | None) -> Path:
    """Return the folder of a part (`data.part`) of a named recipe (`scale.world`); it is drawn first if need be.

    Raises:
        UserError: an unknown recipe or part, a data set without a synthetic counterpart, or damaged data on disk.
    """
    recipe = _recipe(world, part)
    with world_errors():
        return ensure_world(artifacts, world, recipe.part, _Bar(f"synthetic {part}"))


def synthetic_digest(world: str, part: str | None) -> str:
    """Return the identity of a part of a named recipe; nothing is drawn. Raises UserError as `synthetic_root`."""
    return _recipe(world, part).digest()


def _recipe(world: str, part: str | None) -> Recipe:
    if part is None:
        raise UserError("this data set has no synthetic counterpart: take a scale of real data, and give paths.data")
    try:
        return named_recipe(world, part)
    except WorldError as error:
        raise UserError(f"scale.world={world}, data.part={part}: {error}") from None


class _Bar:
    """A progress bar that appears with the first image that is drawn."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: tqdm[NoReturn] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._label, unit="image", disable=None)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()
