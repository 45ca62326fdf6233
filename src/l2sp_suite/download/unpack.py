"""Archives of strangers: unpacked inside a folder, or not at all."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, Self, cast

from tqdm import tqdm

from l2sp_suite.utils.errors import UserError

__all__ = ["BadArchive", "safe_name", "unpack"]

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, LZMAError, NotImplementedError, RuntimeError,
    ValueError, OverflowError, OSError,
)  # fmt: skip
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS)
_TAR_SUFFIXES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


class BadArchive(UserError):
    """The archive is damaged, or would write outside its folder."""

    def __init__(self, archive: Path, reason: str) -> None:
        super().__init__(f"{archive}: {reason}")
        self.archive = archive


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .zip or .tar (.tar.*, .tgz) into a new folder.

    Any other file is copied into it.
    Refused are names that lead out of the folder, links, devices and more bytes than the disk has free.

    Raises:
        BadArchive: one line that names the archive and what is wrong with it. The folder may hold a part of it then.
        OSError: as the file system does.
    """
    folder.mkdir(parents=True)
    if not archive.name.endswith((".zip", *_TAR_SUFFIXES)):
        shutil.copyfile(archive, folder / archive.name)
        return
    unpack_kind = _unpack_zip if archive.name.endswith(".zip") else _unpack_tar
    bar: dict[str, Any] = {"desc": f"unpacking {archive.name}", "disable": None}  # None: only for terminals
    with archive.open("rb") as file, tqdm.wrapattr(file, "read", total=archive.stat().st_size, **bar) as watched:
        try:
            unpack_kind(cast(IO[bytes], watched), archive, folder)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadArchive(archive, f"is damaged, or no such archive ({reason})") from None


def safe_name(name: str) -> bool:
    """Whether a member of that name stays inside its folder, on any system."""
    parts = re.split(r"[/\\]", name)
    return bool(name) and "\0" not in name and parts[0] != "" and ".." not in parts and ":" not in parts[0][1:2]


class _Header(tarfile.TarInfo):
    """A member's header; a damaged one is an error, where tarfile takes it for the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError | tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
                raise  # the end that an archive should have
            raise tarfile.ReadError(str(error)) from None


def _unpack_tar(file: IO[bytes], archive: Path, folder: Path) -> None:
    with tarfile.open(fileobj=file, tarinfo=_Header) as tar:
        free = shutil.disk_usage(folder).free
        for member in tar:
            free -= member.size
            kind = "" if member.isfile() or member.isdir() else "link" if member.islnk() or member.issym() else "device"
            _check_member(archive, member.name, kind, free)
            tar.extract(member, folder, filter="data")
        while tar.fileobj is not None and tar.fileobj.read(1 << 20):  # to the checksum at the end of what is compressed
            pass


def _unpack_zip(file: IO[bytes], archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as content:
        free = shutil.disk_usage(folder).free
        for member in content.infolist():  # all of them, before the first byte is written
            free -= member.file_size
            mode = stat.S_IFMT(member.external_attr >> 16)  # 0 in archives made on Windows
            plain = mode in (0, stat.S_IFREG, stat.S_IFDIR)
            kind = "" if plain else "link" if mode == stat.S_IFLNK else "device"
            _check_member(archive, member.filename, kind, free)
        content.extractall(folder)


def _check_member(archive: Path, name: str, kind: str, free: int) -> None:
    """Raise BadArchive unless a member may be written; `kind`: empty for a file or folder; `free`: bytes, after it."""
    if not safe_name(name):
        raise BadArchive(archive, f"{name!a} would be written outside the data set's folder: not unpacked")
    if kind:
        raise BadArchive(archive, f"{name!a} is a {kind}, which no data set has: not unpacked")
    if free < 0:
        raise UserError(f"{archive}: unpacks to more bytes than the disk has free: free some space; nothing is lost")
