"""Archives, among them hostile ones: all of it inside the folder, or a line that says why not."""

import io
import random
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sp_suite.download.unpack import BadArchive, safe_name, unpack
from l2sp_suite.utils.errors import UserError

FILES = {"set/a.txt": b"a", "set/deep/b.txt": b"b" * 5000}
TARS = {"x.tar": "w", "x.tgz": "w:gz", "x.tar.gz": "w:gz", "x.tar.bz2": "w:bz2", "x.tar.xz": "w:xz"}


def tar(path: Path, *extra: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for info in extra:
            file.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def zipped(path: Path, *extra: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
        for info in extra:
            file.writestr(info, b"/etc/passwd")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", [*TARS, "x.zip", "labels.mat"])
def test_every_kind_unpacks_and_a_plain_file_is_itself(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "labels.mat":
        path.write_bytes(b"abc")
    else:
        tar(path, mode=TARS[name]) if name in TARS else zipped(path)
    unpack(path, tmp_path / "into")
    assert contents(tmp_path / "into") == ({name: b"abc"} if name == "labels.mat" else FILES)


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 3 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (hostile("../evil"), "outside"),
        (hostile("set/../../evil"), "outside"),
        (hostile("/tmp/l2sp-evil"), "outside"),
        (hostile("..\\evil"), "outside"),
        (hostile("set/link", tarfile.SYMTYPE, "../../evil"), "a link"),
        (hostile("set/link", tarfile.SYMTYPE, "/etc"), "a link"),
        (hostile("set/link", tarfile.LNKTYPE, "../evil"), "a link"),
        (hostile("set/dev", tarfile.CHRTYPE), "a device"),
        (hostile("set/dev", tarfile.BLKTYPE), "a device"),
        (hostile("set/pipe", tarfile.FIFOTYPE), "a device"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else value,
)
def test_hostile_tars_write_nothing_outside(member: tarfile.TarInfo, what: str, tmp_path: Path) -> None:
    archive = tar(tmp_path / "x.tar", member)
    before = contents(tmp_path)
    with pytest.raises(BadArchive, match=what) as caught:
        unpack(archive, tmp_path / "deep" / "into")
    assert "\n" not in str(caught.value) and str(archive) in str(caught.value)
    shutil.rmtree(tmp_path / "deep")
    assert contents(tmp_path) == before and not Path("/tmp/l2sp-evil").exists()


def of_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (zipfile.ZipInfo("../evil"), "outside"),
        (zipfile.ZipInfo("/evil"), "outside"),
        (zipfile.ZipInfo("C:\\evil"), "outside"),
        (of_mode("set/link", stat.S_IFLNK | 0o777), "a link"),
        (of_mode("set/dev", stat.S_IFCHR | 0o666), "a device"),
    ],
    ids=lambda value: value.filename if isinstance(value, zipfile.ZipInfo) else value,
)
def test_hostile_zips_write_nothing_at_all(member: zipfile.ZipInfo, what: str, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=what):
        unpack(zipped(tmp_path / "x.zip", member), tmp_path / "into")
    assert not contents(tmp_path / "into")


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip", "x.tar.bz2", "x.tar.xz"])
@pytest.mark.parametrize("damage", ["cut", "page", "empty", "flipped"])
def test_damaged_archives_are_one_line(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = (tar(path, mode=TARS[name]) if name in TARS else zipped(path)).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes(255 - byte for byte in content[middle : middle + 8]) + content[middle + 8 :]
    path.write_bytes(
        {"cut": content[:middle], "page": b"<html></html>", "empty": b"", "flipped": flipped}[damage],
    )
    with pytest.raises(BadArchive) as caught:
        unpack(path, tmp_path / "into")
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["x.tgz", "x.tar.bz2", "x.tar.xz"])
def test_damage_deep_inside_is_found_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with tarfile.open(path, TARS[name]) as file:
        info = tarfile.TarInfo("a")
        info.size = 100_000
        file.addfile(info, io.BytesIO(random.Random(0).randbytes(info.size)))
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) * 4 // 5, len(whole) - 6):
        content = bytearray(whole)
        content[place] ^= 255
        path.write_bytes(content)
        with pytest.raises(BadArchive, match="is damaged"):
            unpack(path, tmp_path / f"into{place}")


@pytest.mark.parametrize("end", [100, 512 + 512, 512 + 512 + 700])
def test_a_tar_that_breaks_off_is_damaged(end: int, tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar")
    path.write_bytes(path.read_bytes()[: end if end < 1000 else end + 100])
    with pytest.raises(BadArchive, match="is damaged"):
        unpack(path, tmp_path / "into")


@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_more_bytes_than_the_disk_has_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = (tar if name in TARS else zipped)(tmp_path / name)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 5000))
    with pytest.raises(UserError, match="more bytes than the disk has free"):
        unpack(archive, tmp_path / "into")


@given(st.text(st.sampled_from("ab./\\:\0 ~é"), max_size=12))
def test_a_safe_name_stays_inside_on_any_system(name: str) -> None:
    if safe_name(name):
        assert name and "\0" not in name
        for kind in (PurePosixPath, PureWindowsPath):
            assert not kind(name).anchor and ".." not in kind(name).parts


@given(st.lists(st.sampled_from(["a", "b.c", "Übung", ".", "x y", "001.Bird"]), min_size=1, max_size=5))
def test_ordinary_names_are_safe(parts: list[str]) -> None:
    assert safe_name("/".join(parts)) and safe_name("/".join(parts) + "/")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("n" * 300,), ("old",)], ids=lambda names: names[0][:3])
def test_what_no_file_system_can_hold_is_one_line(names: tuple[str, ...], tmp_path: Path) -> None:
    members = [tarfile.TarInfo(name) for name in names]
    members[-1].mtime = 2**70 if names == ("old",) else 0
    archive = tar(tmp_path / "x.tar", *members)
    with pytest.raises(BadArchive, match=r"x\.tar: is damaged, or no such archive") as error:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(error.value) and error.value.archive == archive
