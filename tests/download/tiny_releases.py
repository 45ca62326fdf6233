"""Tiny data sets, published as the registry says that the official ones are, on a server on this machine."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import tiny
import yaml
from web import HASTY, Page, Web

from l2sp_suite.config import CONFIGS
from l2sp_suite.datasets import Classification
from l2sp_suite.download import OFFICIAL, Archive, FetchOptions, OfficialSet, command, registry, state

OPTIONS = FetchOptions(keep=False, retry=HASTY)
MODES = {".tar": "w", ".tgz": "w:gz", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2"}


def write(name: str, root: Path) -> Path:
    """Write tiny set `name` where the registry says that it belongs, below `root`; returns its folder."""
    layout = "pascal_mat" if name == "pascal_context" else state.load(name).reader
    folder = root / OFFICIAL[name].folder
    named = tiny.LAYOUTS[layout][0] is Classification  # these are written below a folder, in one of their own
    assert tiny.write(layout, root if named else folder) == folder
    return folder


def pack(archive: Archive, whole: Path) -> bytes:
    """The archive's file, of what lies at its paths below `whole`."""
    pairs = [(inside, whole / path) for inside, path in archive.extract_to.items()]
    files = {
        f"{inside}/{path.relative_to(source)}" if path != source else inside: path.read_bytes()
        for inside, source in pairs
        for path in ([source] if source.is_file() else sorted(source.rglob("*")))
        if path.is_file()
    }
    buffer = io.BytesIO()
    mode = next((mode for suffix, mode in MODES.items() if archive.file.endswith(suffix)), None)
    if archive.file.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as packed:
            for name, content in files.items():
                packed.writestr(name, content)
    elif mode is None:
        (content,) = files.values()
        return content
    else:
        with tarfile.open(fileobj=buffer, mode=mode) as packed:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Release:
    """Tiny sets in place of the official ones: in the registry, in the configurations, and on `site`."""

    def __init__(self, site: Web, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.site, self.source, self.configs = site, tmp_path / "source", tmp_path / "configs"
        self.root = tmp_path / "data"
        shutil.copytree(CONFIGS / "data", self.configs / "data")
        patch.setattr(state, "CONFIGS", self.configs)
        self.patch = patch

    def publish(self, *names: str) -> list[OfficialSet]:
        entries = [self._published(name) for name in names]
        table = MappingProxyType({**OFFICIAL, **{entry.name: entry for entry in entries}})
        for module in (registry, command):
            self.patch.setattr(module, "OFFICIAL", table)
        return entries

    def _published(self, name: str) -> OfficialSet:
        write(name, self.source / name)
        self._count(name)
        archives = [self._archive(archive, self.source / name) for archive in OFFICIAL[name].archives]
        return replace(OFFICIAL[name], archives=tuple(archives))

    def _archive(self, archive: Archive, whole: Path) -> Archive:
        content = pack(archive, whole)
        known = archive.checksum and archive.checksum.split(":")[0]
        path = f"/{archive.file}"
        if archive.mirrors:
            self.site.pages.setdefault(path, Page(content))
        return replace(
            archive,
            mirrors=(f"{self.site.url}{path}",) if archive.mirrors else (),
            size=len(content) if archive.size else None,
            checksum=f"{known}:{hashlib.new(known, content).hexdigest()}" if known else None,
        )

    def _count(self, name: str) -> None:
        """The tiny set's own numbers become the official ones."""
        counts = state.inspect(state.load(name), self.source / name, ()).counts
        path = self.configs / "data" / f"{name}.yaml"
        content = yaml.safe_load(path.read_text())
        for numbers in ("official", "at_least"):
            content[numbers] = {key: counts[key] for key in content[numbers] or ()}
        path.write_text(yaml.safe_dump(content))


def asked(site: Web) -> Sequence[str]:
    return [path for path, _ in site.asked]


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}
