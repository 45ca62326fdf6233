"""The registry against the configurations, and what is on disk against both."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import tiny_releases
import yaml
from l2sp_suite.tasks.registry import sets_of

from l2sp_suite.config.compose import CONFIGS, ROOT, compose
from l2sp_suite.download.registry import OFFICIAL, Archive, named
from l2sp_suite.download.sets import state_of
from l2sp_suite.download.state import Status, inspect, load
from l2sp_suite.download.unpack import safe_name
from l2sp_suite.sweeps.plan import sources_of
from l2sp_suite.utils.errors import UserError

ARCHIVES = [(entry.name, archive) for entry in OFFICIAL.values() for archive in entry.archives]
REAL = ROOT.parent / "shared" / "data"
SCRIPT = str(ROOT / "scripts" / "prepare_data.py")


def test_every_official_release_of_the_configurations_has_an_entry() -> None:
    configs = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIGS / "data").glob("*.yaml")}
    assert set(OFFICIAL) == {name for name, config in configs.items() if config["official"]}
    for name, entry in OFFICIAL.items():
        assert entry.folder in load(name).folders
        assert entry.manual or (entry.archives and all(archive.mirrors for archive in entry.archives)), name


@pytest.mark.parametrize(("name", "archive"), ARCHIVES, ids=[f"{n}-{a.file}" for n, a in ARCHIVES])
def test_archives_are_well_formed(name: str, archive: Archive) -> None:
    lengths = {"md5": 32, "sha1": 40, "sha256": 64}
    if archive.checksum is not None:
        algorithm, _, digest = archive.checksum.partition(":")
        assert re.fullmatch(r"[0-9a-f]+", digest) and len(digest) == lengths[algorithm]
    assert archive.size is None or archive.size > 0
    assert all(re.fullmatch(r"https?://[\w.-]+/[\w./~?=-]+", url) for url in archive.mirrors)
    assert archive.checksum or all(url.startswith("https:") for url in archive.mirrors)
    assert len(set(archive.mirrors)) == len(archive.mirrors) and "/" not in archive.file
    for inside, place in archive.places:
        assert safe_name(inside) and safe_name(place)
        assert PurePosixPath(place).is_relative_to(OFFICIAL[name].folder)


def test_one_file_is_one_archive() -> None:
    files: dict[str, Archive] = {}
    for _, archive in ARCHIVES:
        assert files.setdefault(archive.file, archive) == archive


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_tree_is_what_the_reader_needs(name: str, tmp_path: Path) -> None:
    folder = tiny_releases.write(name, tmp_path)
    tree = OFFICIAL[name].tree
    assert all((folder / path).exists() for path in tree)
    assert inspect(load(name), tmp_path, tree).found
    places = [PurePosixPath(place) for archive in OFFICIAL[name].archives for _, place in archive.places]
    for path in tree:
        wanted = PurePosixPath(OFFICIAL[name].folder, path)
        assert not places or any(wanted.is_relative_to(p) or p.is_relative_to(wanted) for p in places)
        (folder / path).rename(tmp_path / "aside")
        state = inspect(load(name), tmp_path, tree)
        assert (state.status, state.message) == (Status.PARTIAL, f"{folder} lacks {path}"), path
        (tmp_path / "aside").rename(folder / path)


def test_names_are_looked_up_once_each_and_the_nearest_is_named() -> None:
    assert [entry.name for entry in named(["davis", "cub200", "davis"])] == ["davis", "cub200"]
    every = [entry.name for entry in named(["all", "davis"])]
    assert every == [name for name, entry in OFFICIAL.items() if entry.of_rows]
    with pytest.raises(UserError, match="unknown data set 'cub'; nearest: 'cub200'"):
        named(["davis", "cub"])


def test_all_are_the_sets_that_rows_and_their_starts_are_made_with() -> None:
    readers = set()
    for path in (CONFIGS / "experiment").rglob("*.yaml"):
        name = path.relative_to(CONFIGS / "experiment").with_suffix("").as_posix()
        for scale in ("paper", "pocket", "mini"):
            with contextlib.suppress(UserError):  # not every experiment has every scale
                cfg = compose([f"experiment={name}", f"scale={scale}"])
                used = [cfg, *(start.cfg for start in sources_of([cfg]))] if cfg.row else []
                readers |= {data.reader for one in used for data in sets_of(one).values()}
    assert {load(entry.name).reader for entry in named(["all"])} == readers & {load(name).reader for name in OFFICIAL}


def test_missing_and_damaged_sets(tmp_path: Path) -> None:
    state = state_of(OFFICIAL["cub200"], tmp_path)
    assert (state.status, state.folder, state.found) == (Status.MISSING, None, {})
    assert state.message == f"no folder CUB_200_2011 or CUB_200_2010 in {tmp_path}"
    folder = tiny_releases.write("cub200", tmp_path)
    (folder / "classes.txt").write_text("one\n")
    state = state_of(OFFICIAL["cub200"], tmp_path)
    assert state.status is Status.DAMAGED and "classes.txt, line 1" in state.message
    (folder / "classes.txt").unlink()
    assert state_of(OFFICIAL["cub200"], tmp_path).message == f"{folder} lacks classes.txt"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
def test_real_subsets_do_not_pass_for_the_official_releases() -> None:
    states = {name: state_of(OFFICIAL[name], REAL) for name in OFFICIAL}
    assert states["cub200"].status is Status.PARTIAL
    assert states["cub200"].folder == REAL / "CUB_200_2010"
    assert states["cub200"].message.startswith("80 of 200 classes, 1,117 of 5,994 training examples")
    assert states["davis"].status is Status.PARTIAL  # every frame, but small
    assert states["davis"].message == "160 of 480 pixels of height, 284 of 854 pixels of width"
    assert states["food101"].status is states["camvid"].status is states["flying_chairs"].status is Status.PARTIAL
    assert states["nabirds"].status is Status.MISSING


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_script_lists_verifies_and_refuses(tmp_path: Path) -> None:
    listed = script("--data", str(tmp_path))
    assert listed.returncode == 0 and listed.stderr == ""
    assert all(re.search(rf"^{name} +(missing|partial)", listed.stdout, re.MULTILINE) for name in OFFICIAL)
    verified = script("cub200,davis", "--verify", "--data", str(tmp_path))
    assert verified.returncode == 2 and verified.stderr.count("\n") == 1
    assert "not complete: cub200, davis" in verified.stderr
    unknown = script("cub20", "--data", str(tmp_path))
    assert unknown.returncode == 2 and unknown.stderr.startswith("error: unknown data set 'cub20'; nearest: 'cub200'")
    assert list(tmp_path.iterdir()) == []
