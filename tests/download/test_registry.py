"""The registry against the configurations, and what is on disk against both."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
import tiny_releases
import yaml

from l2sp_suite.config import CONFIGS, ROOT, compose
from l2sp_suite.download import OFFICIAL, Archive, Status, inspect, load, state_of
from l2sp_suite.download.registry import named
from l2sp_suite.download.unpack import safe_name
from l2sp_suite.utils.errors import UserError

ARCHIVES = [(entry.name, archive) for entry in OFFICIAL.values() for archive in entry.archives]
LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64}


def test_every_official_release_of_the_configurations_has_an_entry() -> None:
    configs = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIGS / "data").glob("*.yaml")}
    assert set(OFFICIAL) == {name for name, config in configs.items() if config["official"]}
    for name, entry in OFFICIAL.items():
        assert entry.folder in load(name).folders
        assert entry.manual or (entry.archives and all(archive.mirrors for archive in entry.archives)), name


def test_archives_are_well_formed() -> None:
    files: dict[str, Archive] = {}
    for name, archive in ARCHIVES:
        assert files.setdefault(archive.file, archive) == archive and "/" not in archive.file
        if archive.checksum is not None:
            algorithm, _, digest = archive.checksum.partition(":")
            assert re.fullmatch(r"[0-9a-f]+", digest) and len(digest) == LENGTHS[algorithm], archive
        assert archive.size is None or archive.size > 0
        assert all(re.fullmatch(r"https?://[\w.-]+/[\w./~?=-]+", url) for url in archive.mirrors), archive
        assert archive.checksum or all(url.startswith("https:") for url in archive.mirrors), archive
        assert len(set(archive.mirrors)) == len(archive.mirrors)
        for inside, path in archive.extract_to.items():
            assert safe_name(inside) and safe_name(path)
            assert PurePosixPath(path).is_relative_to(OFFICIAL[name].folder)


@pytest.mark.parametrize("name", OFFICIAL)
def test_expected_files_are_what_the_reader_needs(name: str, tmp_path: Path) -> None:
    folder = tiny_releases.write(name, tmp_path)
    entry = OFFICIAL[name]
    assert inspect(load(name), tmp_path, entry.expected_files).counts
    paths = [PurePosixPath(path) for archive in entry.archives for path in archive.extract_to.values()]
    for file in entry.expected_files:
        whole = PurePosixPath(entry.folder, file)
        assert not paths or any(whole.is_relative_to(path) or path.is_relative_to(whole) for path in paths)
        (folder / file).rename(tmp_path / "aside")
        state = inspect(load(name), tmp_path, entry.expected_files)
        assert (state.status, state.message) == (Status.PARTIAL, f"{folder} lacks {file}"), file
        (tmp_path / "aside").rename(folder / file)


def test_names_are_looked_up_once_each_and_the_nearest_is_named() -> None:
    assert [entry.name for entry in named(["davis", "cub200", "davis"])] == ["davis", "cub200"]
    assert [entry.name for entry in named(["all", "davis"])] == [n for n, entry in OFFICIAL.items() if entry.required]
    with pytest.raises(UserError, match="unknown data set 'cub'; nearest: 'cub200'"):
        named(["davis", "cub"])
    with pytest.raises(UserError, match="unknown data set 'cub'; nearest: 'cub200'"):
        load("cub")


@pytest.mark.slow
def test_all_are_the_sets_that_rows_and_their_sources_are_made_with() -> None:
    readers = set()
    for path in (CONFIGS / "experiment").rglob("*.yaml"):
        name = path.relative_to(CONFIGS / "experiment").with_suffix("").as_posix()
        for scale in ("paper", "small", "mini"):
            with contextlib.suppress(UserError):  # not every experiment has every scale
                readers |= {
                    data.reader for data in compose([f"experiment={name}", f"scale={scale}"]).data_sets().values()
                }
    official = {load(name).reader for name in OFFICIAL}
    assert {load(entry.name).reader for entry in named(["all"])} <= readers & official


def test_missing_and_damaged_sets(tmp_path: Path) -> None:
    state = state_of(OFFICIAL["cub200"], tmp_path)
    assert (state.status, state.folder, state.counts) == (Status.MISSING, None, {})
    assert state.message == f"no folder CUB_200_2011 or CUB_200_2010 in {tmp_path}"
    folder = tiny_releases.write("cub200", tmp_path)
    (folder / "classes.txt").write_text("one\n")
    state = state_of(OFFICIAL["cub200"], tmp_path)
    assert state.status is Status.DAMAGED and "classes.txt, line 1" in state.message
    (folder / "classes.txt").unlink()
    assert state_of(OFFICIAL["cub200"], tmp_path).message == f"{folder} lacks classes.txt"


@pytest.mark.slow
def test_real_subsets_do_not_pass_for_the_official_releases(real_data: Callable[..., Path]) -> None:
    states = {name: state_of(entry, real_data()) for name, entry in OFFICIAL.items()}
    for name in ("cub200", "davis", "food101", "camvid", "flying_chairs"):  # davis: every frame, but small
        assert states[name].status is Status.PARTIAL
    assert states["cub200"].folder == real_data("CUB_200_2010")
    assert states["cub200"].message.startswith("80 of 200 classes, 1,117 of 5,994 training examples")
    assert states["davis"].message == "160 of 480 pixels of height, 284 of 854 pixels of width"
    assert states["nabirds"].status is Status.MISSING


@pytest.mark.slow
def test_the_script_lists_verifies_and_refuses(tmp_path: Path) -> None:
    def script(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts/prepare_data.py"), f"data={tmp_path}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    listed = script()
    assert listed.returncode == 0 and listed.stderr == ""
    assert all(re.search(rf"^{name} +(missing|partial)", listed.stdout, re.MULTILINE) for name in OFFICIAL)
    for arguments, expected in (
        (("sets=cub200,davis", "verify=true"), "not complete: cub200, davis"),
        (("set=cub200",), "nearest: 'sets'"),
    ):
        failed = script(*arguments)
        assert failed.returncode == 2 and failed.stderr.count("\n") == 1 and expected in failed.stderr
    assert list(tmp_path.iterdir()) == []
