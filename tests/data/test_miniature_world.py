"""The world on disk: determinism, damage, interruption, concurrency."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from l2sp_suite.utils.errors import UserError
from miniworld import Recipe, build_world, check_world, objects, world


def _files(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("worlds") / "tiny", Recipe.tiny(), workers=1)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    for path in tiny.rglob("*"):
        if path.is_file():
            (target / path.relative_to(tiny)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(tiny)).write_bytes(path.read_bytes())
    return target


def test_same_bytes_for_any_number_of_workers(tiny: Path, tmp_path: Path) -> None:
    other = build_world(tmp_path / "two", Recipe.tiny(), workers=2)
    assert _files(other) == _files(tiny)


def test_another_seed_gives_another_world(tiny: Path, tmp_path: Path) -> None:
    other = build_world(tmp_path / "seed", Recipe.tiny(seed=1), workers=1)
    mine, theirs = _files(tiny), _files(other)
    shared = [n for n in mine if n.startswith("source/train") and n in theirs]
    assert len(shared) == 60
    assert all(mine[n] != theirs[n] for n in shared)


def test_digest_is_stable_and_sees_every_field() -> None:
    base = Recipe.tiny()
    assert base.digest() == Recipe.tiny().digest()
    changed = [dataclasses.replace(base, variation=0.1), dataclasses.replace(base, seed=3), Recipe()]
    assert len({r.digest() for r in (base, *changed)}) == 4


def test_objects_keep_their_identity_and_bytes_of_the_recipe() -> None:
    """Results on disk name these worlds: another digest, or another place, would orphan every finished run."""
    assert (Recipe().digest(), Recipe.tiny().digest()) == ("1aad228ab8ef9fb5", "51f1a30318ca19ca")
    assert "part" not in Recipe().as_dict()


def test_second_build_returns_at_once_and_touches_nothing(tiny: Path) -> None:
    before = (tiny / "world.json").stat().st_mtime_ns
    assert build_world(tiny, Recipe.tiny(), verify=True) == tiny
    assert (tiny / "world.json").stat().st_mtime_ns == before


def test_checksums_have_the_format_of_sha256sum(tiny: Path) -> None:
    subprocess.run(["sha256sum", "--quiet", "-c", "checksums.txt"], cwd=tiny, check=True)
    listed = {line.split("  ", 1)[1] for line in (tiny / "checksums.txt").read_text().splitlines()}
    assert listed == set(_files(tiny)) - {"world.json", "checksums.txt"}


def test_missing_file_is_named(copy: Path) -> None:
    victim = next((copy / "CUB_200_2011" / "images").rglob("*.jpg"))
    victim.unlink()
    with pytest.raises(UserError, match=rf"(?s)^{copy}.*{victim.name}.*delete the folder"):
        build_world(copy, Recipe.tiny())


def test_added_image_is_refused(copy: Path) -> None:
    (copy / "source" / "train" / "000.bird" / "mine.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="images or flows were added"):
        build_world(copy, Recipe.tiny())


def test_flipped_byte_is_found_when_verifying(copy: Path) -> None:
    victim = next((copy / "nabirds" / "images").rglob("*.jpg"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    check_world(copy, Recipe.tiny())
    with pytest.raises(UserError, match=victim.name):
        check_world(copy, Recipe.tiny(), verify=True)


@pytest.mark.parametrize("name", ["world.json", "checksums.txt"])
@pytest.mark.parametrize("content", ["", "[]", "{\n"])
def test_spoilt_index_is_a_user_error(copy: Path, name: str, content: str) -> None:
    (copy / name).write_text(content)
    with pytest.raises(UserError, match="delete the folder"):
        build_world(copy, Recipe.tiny())


def test_other_recipe_and_other_content_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another recipe"):
        build_world(tiny, Recipe.tiny(seed=9))
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="no whole miniature world"):
        build_world(tmp_path, Recipe.tiny())
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(objects.layouts, "annotate", stop)
    with pytest.raises(KeyboardInterrupt):
        build_world(tmp_path / "root", Recipe.tiny(), workers=1)
    assert list(tmp_path.iterdir()) == []


def test_two_builders_at_once(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    code = (
        "import sys; from pathlib import Path; from miniworld import Recipe, build_world; "
        "build_world(Path(sys.argv[1]), Recipe.tiny(), workers=1)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(root)]) for _ in range(2)]
    assert [p.wait(timeout=120) for p in running] == [0, 0]
    check_world(root, Recipe.tiny(), verify=True)
    assert [p.name for p in tmp_path.iterdir()] == ["shared"]


def test_loser_of_the_rename_uses_the_winners_world(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    real = world._write

    def slow(draft: Path, recipe: Recipe, workers: int | None) -> None:
        real(draft, recipe, workers)
        tiny_copy = root
        tiny_copy.mkdir()
        for path in tiny.rglob("*"):
            target = tiny_copy / path.relative_to(tiny)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())

    monkeypatch.setattr(world, "_write", slow)
    assert build_world(root, Recipe.tiny(), workers=1) == root
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


def test_recipe_refuses_nonsense() -> None:
    base = Recipe.tiny()
    bad = dataclasses.replace(base.targets["cub200"], spread=0.0)
    with pytest.raises(UserError, match="spread"):
        dataclasses.replace(base, targets={**base.targets, "cub200": bad})
    with pytest.raises(UserError, match="no family"):
        dataclasses.replace(
            base, targets={**base.targets, "cub200": dataclasses.replace(bad, family="dog", spread=0.5)}
        )
    with pytest.raises(UserError, match="image_size"):
        Recipe(image_size=8)


def test_world_json_holds_the_recipe(tiny: Path) -> None:
    facts = json.loads((tiny / "world.json").read_text())
    assert facts["recipe"] == Recipe.tiny().as_dict()
    assert facts["digest"] == Recipe.tiny().digest()
