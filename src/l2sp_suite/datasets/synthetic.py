"""The synthetic data of `miniworld` as the suite uses it: under the artifacts, with its errors and a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from l2sp_suite.config import recipe_of
from l2sp_suite.utils.errors import UserError
from miniworld import WorldError, ensure_world

__all__ = ["synthetic_root", "world_errors"]


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
    recipe = recipe_of(world, part)
    with world_errors():
        return ensure_world(artifacts, world, recipe.part, _Bar(f"synthetic {part}"))


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
