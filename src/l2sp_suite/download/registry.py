"""Where the official data sets come from, as `official.yaml` says."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import yaml

from l2sp_suite.utils.errors import UserError

__all__ = ["OFFICIAL", "Archive", "OfficialSet", "named"]


@dataclass(frozen=True)
class Archive:
    """A file that a data set is published as.

    `.zip`, `.tar`, `.tgz`, .., or a plain file, which unpacks to itself.
    """

    file: str
    mirrors: tuple[str, ...]  # URLs, tried in order; none: put into the folder of downloads by hand
    extract_to: Mapping[str, str]  # path inside -> path below the folder of all data sets; the rest is dropped
    size: int | None = None  # bytes
    checksum: str | None = None  # "md5:..", "sha1:.." or "sha256:.."


@dataclass(frozen=True)
class OfficialSet:
    """A data set as released."""

    name: str  # of its YAML in `configs/data/`
    folder: str  # one of the folders named there
    expected_files: tuple[str, ...]  # what lies below `folder` when it is whole
    archives: tuple[Archive, ...] = ()  # an earlier one's paths are never inside a later one's
    manual: tuple[str, ...] = ()  # what a person has to do, where no archive can be fetched or links have died
    aliases: tuple[str, ...] = ()  # other folders named there, where the same layout may lie; completed in place
    required: bool = True  # an experiment fine-tunes on it, or pre-trains on it for another; these are "all"

    @property
    def linked(self) -> bool:
        """Whether some of it can be fetched."""
        return any(archive.mirrors for archive in self.archives)

    def resolved(self, root: Path) -> OfficialSet:
        """This set with the folder and the paths that it has in `root`.

        The folder is an alias where there is no other.
        """
        home = next((name for name in (self.folder, *self.aliases) if (root / name).is_dir()), self.folder)

        def moved(path: str) -> str:
            return (PurePosixPath(home) / PurePosixPath(path).relative_to(self.folder)).as_posix()

        archives = (
            replace(archive, extract_to={inside: moved(path) for inside, path in archive.extract_to.items()})
            for archive in self.archives
        )
        return replace(self, folder=home, archives=tuple(archives))


def _read() -> dict[str, OfficialSet]:
    content = yaml.safe_load(files(__package__).joinpath("official.yaml").read_text(encoding="utf-8"))
    return {name: _entry(name, **entry) for name, entry in content.items()}


def _entry(name: str, archives: Sequence[Mapping[str, Any]] = (), **entry: Any) -> OfficialSet:
    made = tuple(Archive(**{"mirrors": (), **_tuples(archive)}) for archive in archives)
    return OfficialSet(name, archives=made, **_tuples(entry))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


OFFICIAL: Mapping[str, OfficialSet] = MappingProxyType(_read())
"""Every official data set by its name."""


def named(names: Sequence[str]) -> tuple[OfficialSet, ...]:
    """The entries of `names`, each once, in order.

    "all" stands for those that experiments are made with.
    Raises:
        UserError: an unknown name; the message has the nearest right one.
    """
    required = [name for name, entry in OFFICIAL.items() if entry.required]
    asked = dict.fromkeys(key for name in names for key in (required if name == "all" else (name,)))
    for name in asked:
        if name not in OFFICIAL:
            near = difflib.get_close_matches(name, OFFICIAL, n=1, cutoff=0.0)[0]
            raise UserError(f"unknown data set '{name}'; nearest: '{near}' (of {', '.join(OFFICIAL)}, or all)")
    return tuple(OFFICIAL[name] for name in asked)
