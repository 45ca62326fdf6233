"""A part on disk: the same bytes always, whole or absent, damage told, several builders at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from miniworld import PARTS, Recipe, SceneRecipe, WorldError, build_world, check_world, ensure_world, world

SCENES = SceneRecipe.tiny()
BUILD = """
import sys
from pathlib import Path
from miniworld import SceneRecipe, build_world
build_world(Path(sys.argv[1]), SceneRecipe.tiny(), workers=int(sys.argv[2]))
assert not {"torch", "scipy", "l2sp", "l2sp_suite", "tqdm", "matplotlib"} & set(sys.modules)
"""


def _builder(root: Path, workers: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUILD, str(root), str(workers)])


def _listed(root: Path) -> set[str]:
    return {line.split("  ", 1)[1] for line in (root / "checksums.txt").read_text().splitlines()}


@pytest.fixture
def copy(worlds: Mapping[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(worlds["scenes"], tmp_path / "copy"))


def test_same_bytes_in_another_process_with_other_workers_and_without_the_suite(worlds, tmp_path: Path) -> None:
    assert _builder(tmp_path / "two", 2).wait(timeout=120) == 0
    for name in ("checksums.txt", "world.json"):
        assert (tmp_path / "two" / name).read_bytes() == (worlds["scenes"] / name).read_bytes()


@pytest.mark.parametrize("part", PARTS)
def test_each_file_depends_on_its_job_alone(worlds, small: Mapping[str, Recipe], part: str) -> None:
    """Jobs that are drawn again, in another order, give the files on disk, and no two jobs give one file."""
    recipe, jobs = small[part], list(PARTS[part].plan(small[part]).items())
    seen: set[str] = set()
    for job, path in reversed(jobs[:: max(1, len(jobs) // 6)]):
        files, _ = PARTS[part].render(recipe, job, path)
        assert not seen & files.keys()
        seen |= files.keys()
        assert all((worlds[part] / name).read_bytes() == content for name, content in files.items())
    assert seen <= _listed(worlds[part])
    assert not any(Path(name).is_absolute() or ".." in Path(name).parts for name in _listed(worlds[part]))


@pytest.mark.parametrize("part", PARTS)
def test_checksums_have_the_format_of_sha256sum_and_name_every_file(worlds, part: str) -> None:
    subprocess.run(["sha256sum", "--quiet", "-c", "checksums.txt"], cwd=worlds[part], check=True)
    files = {path.relative_to(worlds[part]).as_posix() for path in worlds[part].rglob("*") if path.is_file()}
    assert files == _listed(worlds[part]) | {"world.json", "checksums.txt"}
    check_world(worlds[part], verify=True)


def test_a_second_build_touches_nothing(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert build_world(copy, SCENES, verify=True) == copy
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_named_data_lie_under_the_artifacts_by_their_digest_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    root = ensure_world(tmp_path, "tiny", "scenes", lambda done, total: told.append((done, total)))
    assert root == tmp_path / "world" / SCENES.digest()
    assert told == [(k + 1, 24) for k in range(24)]
    assert ensure_world(tmp_path, "tiny", "scenes", lambda *_: pytest.fail("nothing is drawn again")) == root


IMAGE = "VOCdevkit/VOC2010/JPEGImages/2010_000003.jpg"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name,damage,words",
    [
        (IMAGE, Path.unlink, r"2010_000003\.jpg is missing or changed"),
        (IMAGE, lambda path: path.write_bytes(path.read_bytes() + b"x"), r"2010_000003\.jpg is missing or changed"),
        (IMAGE, _flip, r"2010_000003\.jpg is missing or changed"),  # found when verifying
        ("VOCdevkit/VOC2010/classes.txt", lambda path: path.write_text("sky\n"), r"classes\.txt is missing or changed"),
        ("extra/mine.png", lambda path: path.write_bytes(b"x"), "images or flows were added"),
        ("extra/mine.flo", lambda path: path.write_bytes(b"x"), "images or flows were added"),
        *(
            (name, lambda path, content=content: path.write_text(content), "")
            for name in ("world.json", "checksums.txt")
            for content in ("", "[]", "{\n")
        ),
    ],
)
def test_damage_is_told_with_the_remedy(copy: Path, name: str, damage: Callable[[Path], object], words: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    damage(copy / name)
    with pytest.raises(WorldError, match=rf"^{copy}: .*{words}.*delete the folder") as caught:
        build_world(copy, SCENES, verify=damage is _flip)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_is_not_looked_for_unless_asked(copy: Path) -> None:
    _flip(copy / IMAGE)
    check_world(copy, SCENES)


def test_what_is_not_this_recipe_s_is_left_alone(worlds, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="another recipe"):
        build_world(worlds["scenes"], SceneRecipe.tiny(seed=9))
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(WorldError, match=r"no whole synthetic data"):
        build_world(tmp_path, SCENES)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_world(tmp_path / "root", SCENES, workers=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_drafts_of_killed_builders_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    drafts = {pid: tmp_path / f".root.building-{pid}-0" for pid in (dead.pid, os.getpid())}
    for draft in drafts.values():
        draft.mkdir()
    build_world(tmp_path / "root", SCENES, workers=1)
    assert [draft.exists() for draft in drafts.values()] == [False, True]


@pytest.mark.slow
def test_two_builders_at_once_give_one_whole_result(tmp_path: Path) -> None:
    running = [_builder(tmp_path / "shared", 1) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    check_world(tmp_path / "shared", SCENES, verify=True)
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


@pytest.mark.parametrize("recipe,fails", [(SCENES, False), (SceneRecipe.tiny(seed=9), True)])
def test_the_slower_builder_uses_the_faster_one_s_result(
    worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, fails: bool
) -> None:
    def slow(draft: Path, *_: object) -> None:
        shutil.copytree(worlds["scenes"], tmp_path / "root")
        (draft / "world.json").write_text("the slower one's")

    monkeypatch.setattr(world, "_write", slow)
    if fails:
        with pytest.raises(WorldError, match="another recipe"):
            build_world(tmp_path / "root", recipe)
    else:
        check_world(build_world(tmp_path / "root", recipe), SCENES, verify=True)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
