"""The world's clips: what the readers of the six sets find on disk is what the films show."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from l2sp_suite.datasets.video_names import DRIVING_TEST, DRIVING_TRAIN, MONKAA_TEST, MONKAA_TRAIN
from miniworld.geometry import Array
from miniworld.motion import Film
from miniworld.paint import stream
from numpy.typing import NDArray
from PIL import Image

from l2sp_suite.datasets.flow_files import load_flow
from l2sp_suite.datasets.images import load_image
from l2sp_suite.datasets.video import VIDEO_READERS, Video, read
from l2sp_suite.utils.errors import UserError
from miniworld import PARTS, ClipRecipe, build_world, check_world, clips
from miniworld import sequences as films
from miniworld.clips import Take, film_of, plan, render

TINY, RECIPE = dataclasses.replace(ClipRecipe.tiny(), shots=1), ClipRecipe()  # in the first, a scene is a film
FOLDERS = {
    "davis2016": "DAVIS",
    "monkaa_clean": "monkaa",
    "monkaa_final": "monkaa",
    "driving_clean": "driving",
    "driving_final": "driving",
    "flying_chairs": "FlyingChairs_release",
}
FLOWS = tuple(name for name in FOLDERS if name != "davis2016")
COUNTS = {
    "davis2016": (TINY.davis_train, TINY.davis_val, TINY.davis_frames),  # a frame of each pairs with itself
    "monkaa": (21, 3, 2),
    "driving": (7, 1, 2),
    "flying_chairs": (TINY.chairs, TINY.chairs_val, 1),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_world(tmp_path_factory.mktemp("clips") / "tiny", TINY, workers=1)


@pytest.fixture(scope="module")
def sets(tiny: Path) -> Mapping[str, Video]:
    return {name: read(name, tiny / folder) for name, folder in FOLDERS.items()}


@pytest.fixture(scope="module")
def shown() -> Mapping[tuple[str, str], Film]:
    """The films of the tiny world by group and name."""
    return {(take.group, take.name): film_of(TINY, take) for take in plan(TINY)}


def _film(shown: Mapping[tuple[str, str], Film], name: str, sequence: str) -> Film:
    group = {"davis2016": "davis", "flying_chairs": "chairs"}.get(name, name.split("_")[0])
    return shown[group, sequence]


def _time(frame: Path) -> int:
    """The time in its film of a frame by its name: NNNNN.jpg from 0, NNNN.png and NNNNN_imgN.ppm from 1."""
    first = 0 if frame.suffix == ".jpg" else 1
    return int(frame.stem.rpartition("img")[2]) - first


def _levels(image: Array) -> NDArray[np.uint8]:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def test_there_is_a_world_for_every_reader() -> None:
    assert set(FOLDERS) == set(VIDEO_READERS) - {"flying_chairs_whole"}, "whose pairs are those of another"
    assert "clips" in PARTS and TINY.part == "clips"


@pytest.mark.parametrize("name", FOLDERS)
def test_readers_find_as_much_as_the_recipe_says(sets: Mapping[str, Video], name: str) -> None:
    train, test, each = COUNTS.get(name) or COUNTS[name.split("_")[0]]
    assert (
        sets[name].counts.items()
        >= {
            "train": train * each,
            "test": test * each,
            "train_sequences": train,
            "test_sequences": test,
        }.items()
    )


@pytest.mark.parametrize("name", FOLDERS)
def test_frames_and_truths_have_the_size_of_the_recipe(sets: Mapping[str, Video], name: str) -> None:
    data, chairs = sets[name], name == "flying_chairs"
    size = (TINY.chairs_height, TINY.chairs_width) if chairs else (TINY.height, TINY.width)
    for pairs in data.parts.values():
        for path in {*pairs.first, *pairs.second}:
            assert load_image(path).shape == (3, *size)
        for path in pairs.truth:
            truth = data.decode(path)
            assert (truth.shape, truth.dtype) == (
                (size, torch.uint8) if data.kind == "mask" else ((3, *size), torch.float32)
            )


@pytest.mark.parametrize("half,train,test", [
    ("monkaa", MONKAA_TRAIN, MONKAA_TEST), ("driving", DRIVING_TRAIN, DRIVING_TEST)
])  # fmt: skip
@pytest.mark.parametrize("finish", ["clean", "final"])
def test_scenes_have_the_names_of_the_release(
    sets, half: str, finish: str, train: tuple[str], test: tuple[str]
) -> None:
    data = sets[f"{half}_{finish}"]
    assert (data.train.clips, data.test.clips) == (train, test)


def test_films_of_a_set_lie_in_one_part(sets: Mapping[str, Video]) -> None:
    assert sets["davis2016"].train.clips == tuple(f"train-{k:03d}" for k in range(3))
    assert sets["davis2016"].test.clips == ("val-000", "val-001")
    numbers = sets["flying_chairs"].train.clips + sets["flying_chairs"].test.clips
    assert numbers == tuple(f"{k + 1:05d}" for k in range(12))


def test_world_holds_these_files_and_no_others(tiny: Path, sets: Mapping[str, Video]) -> None:
    check_world(tiny, TINY, verify=True)
    named = {
        path
        for data in sets.values()
        for pairs in data.parts.values()
        for path in (*pairs.first, *pairs.second, *pairs.truth)
    }
    others = {path.relative_to(tiny).as_posix() for path in tiny.rglob("*") if path.is_file() and path not in named}
    assert others == {
        "world.json",
        "checksums.txt",
        "DAVIS/ImageSets/480p/train.txt",
        "DAVIS/ImageSets/480p/val.txt",
        "FlyingChairs_release/FlyingChairs_train_val.txt",
    }


# What the files hold


@pytest.mark.parametrize("name", FLOWS)
def test_flow_on_disk_is_the_films_to_the_last_bit(sets, shown, name: str) -> None:
    data, suffix = sets[name], ".flo" if name == "flying_chairs" else ".pfm"
    for pairs in data.parts.values():
        for first, second, truth, clip in zip(pairs.first, pairs.second, pairs.truth, pairs.sequences, strict=True):
            assert truth.suffix == suffix
            field = data.decode(truth).numpy()
            assert np.array_equal(field[:2], _film(shown, name, clip).flow(_time(first), _time(second)))
            assert (field[2] == 1).all()


@pytest.mark.parametrize("name", [name for name in FLOWS if not name.endswith("final")])
def test_frames_without_a_camera_are_the_films(sets, shown, name: str) -> None:
    for pairs in sets[name].parts.values():
        for path, clip in zip(pairs.first, pairs.sequences, strict=True):
            image = _film(shown, name, clip).frame(_time(path)).image
            # Rounded to 256 levels, nothing else.
            assert np.abs(load_image(path).numpy() / 255 - np.clip(image, 0, 1)).max() < 0.501 / 255


def test_masks_are_the_heros_pixels(sets, shown) -> None:
    data = sets["davis2016"]
    for pairs in data.parts.values():
        for frame, path, clip in zip(pairs.first, pairs.truth, pairs.sequences, strict=True):
            with Image.open(path) as stored:
                assert (stored.mode, stored.format) == ("L", "PNG")
                assert set(np.unique(np.asarray(stored)).tolist()) == {0, 255}
            film = _film(shown, "davis2016", clip)
            hero = film.frame(_time(frame)).owner == len(film.movers) - 1
            assert np.array_equal(data.decode(path).numpy(), hero.astype(np.uint8))


def test_davis_shows_the_film_through_one_camera_a_sequence(sets, shown) -> None:
    """Without errors of the camera the picture is the film's, but for JPEG; with them it is less alike."""
    still = dataclasses.replace(TINY, nuisance=0.0, quality=95)
    gaps: dict[float, list[float]] = {0.0: [], TINY.nuisance: []}
    for take in [take for take in plan(TINY) if take.group == "davis"]:
        film = shown["davis", take.name]
        for recipe in (still, TINY):
            files, _ = render(recipe, take, "DAVIS")
            for time in range(film.length):
                content = files[f"DAVIS/JPEGImages/480p/{take.name}/{time:05d}.jpg"]
                photo = np.asarray(Image.open(io.BytesIO(content)), dtype=float).transpose(2, 0, 1)
                gaps[recipe.nuisance].append(float(np.abs(photo - _levels(film.frame(time).image)).mean()))
    assert max(gaps[0.0]) < 4
    assert np.mean(gaps[TINY.nuisance]) > 2 * np.mean(gaps[0.0])
    per_take = np.reshape(gaps[TINY.nuisance], (-1, TINY.davis_frames))
    assert per_take.std(axis=1).mean() < 0.2 * per_take.mean(axis=1).std(), "alike in all frames of a sequence"


def test_last_frame_of_a_davis_sequence_pairs_with_itself(sets) -> None:
    for pairs in sets["davis2016"].parts.values():
        rows = list(zip(pairs.first, pairs.second, pairs.sequences, strict=True))
        last = [k for k, row in enumerate(rows) if k + 1 == len(rows) or rows[k + 1][2] != row[2]]
        assert len(last) == len(pairs.clips)
        for k, (first, second, _) in enumerate(rows):
            assert second == (first if k in last else rows[k + 1][0])


@pytest.mark.parametrize("name", [name for name in FLOWS if name != "flying_chairs"])
def test_scenes_have_flow_in_both_directions(sets, name: str) -> None:
    for pairs in sets[name].parts.values():
        steps = [_time(second) - _time(first) for first, second in zip(pairs.first, pairs.second, strict=True)]
        assert steps == [1, -1] * len(pairs.clips)
        for truth, step in zip(pairs.truth, steps, strict=True):
            assert truth.parent.parent.name == {1: "into_future", -1: "into_past"}[step]


@pytest.mark.parametrize("frames", [2, 4])
def test_flow_leaves_a_scene_at_neither_end(tmp_path: Path, frames: int) -> None:
    recipe, scene = dataclasses.replace(TINY, slow_frames=frames), DRIVING_TEST[0]
    take = Take("driving", scene, "val")
    files, note = render(recipe, take, "driving")
    assert note is None
    pictures = {
        f"driving/frames_{kind}pass/{scene}/left/{n:04d}.png"
        for kind in ("clean", "final")
        for n in range(1, frames + 1)
    }
    folder, film = f"driving/optical_flow/{scene}", film_of(recipe, take)
    flows = {
        f"{folder}/into_{way.lower()}/left/OpticalFlowInto{way}_{time + 1:04d}_L.pfm": film.flow(time, time + step)
        for way, step in (("Future", 1), ("Past", -1))
        for time in range(frames)
        if 0 <= time + step < frames
    }
    assert set(files) == pictures | set(flows) and len(flows) == 2 * (frames - 1)
    for name, flow in flows.items():
        (tmp_path / "one.pfm").write_bytes(files[name])
        assert np.array_equal(load_flow(tmp_path / "one.pfm")[:2], flow)


@pytest.mark.parametrize("take", [Take("monkaa", MONKAA_TEST[0], "val"), Take("driving", DRIVING_TEST[0], "val")])
def test_a_scene_has_several_shots_with_no_flow_across_a_cut(tmp_path: Path, take: Take) -> None:
    recipe = dataclasses.replace(TINY, shots=3, monkaa_frames=2, slow_frames=3)
    films = [film_of(recipe, take, shot) for shot in range(3)]
    files, _ = render(recipe, take, take.group)
    frames = [name for name in files if "/frames_cleanpass/" in name]
    assert [Path(name).stem for name in frames] == [f"{n + 1:04d}" for n in range(3 * films[0].length)]
    assert len({content for name, content in files.items() if name in frames}) == len(frames), "all shots differ"
    first = 1
    for film in films:
        for way, step in (("Future", 1), ("Past", -1)):
            for time in range(film.length):
                number = f"OpticalFlowInto{way}_{first + time:04d}_L.pfm"
                name = f"{take.group}/optical_flow/{take.name}/into_{way.lower()}/left/{number}"
                assert (name in files) == (0 <= time + step < film.length)
                if name in files:
                    (tmp_path / "one.pfm").write_bytes(files[name])
                    assert np.array_equal(load_flow(tmp_path / "one.pfm")[:2], film.flow(time, time + step))
        first += film.length


def _gradient(image: NDArray[np.float64]) -> float:
    """Mean squared difference of neighbouring pixels."""
    return float(np.mean(np.diff(image, axis=1) ** 2) + np.mean(np.diff(image, axis=2) ** 2))


@pytest.mark.parametrize("half", ["monkaa", "driving"])
def test_final_pass_is_softer_and_paler_and_moves_alike(sets, half: str) -> None:
    clean, final = sets[f"{half}_clean"], sets[f"{half}_final"]
    contrast = []
    for part, pairs in clean.parts.items():
        others = final.parts[part]
        assert others.truth == pairs.truth, "the very same files of flow"
        assert not set(others.first) & set(pairs.first)
        for path, other in zip(pairs.first, others.first, strict=True):
            sharp, soft = (load_image(file).numpy() / 255 for file in (path, other))
            assert _gradient(soft) < 0.4 * _gradient(sharp)
            contrast.append(soft.std() / sharp.std())
    assert max(contrast) < 0.9 and np.mean(contrast) < 0.8


def test_final_pass_treats_all_frames_of_a_film_alike() -> None:
    rng = stream("pass")
    first, second = rng.random((2, 3, 20, 30), dtype=np.float32)
    one, two, three = films.final_pass(stream("final"), [first, second, first])
    assert np.array_equal(one, three) and not np.array_equal(one, two)
    assert one.shape == first.shape and one.min() >= 0 and one.max() <= 1
    assert not np.array_equal(films.final_pass(stream("other"), [first])[0], one)
    # Blur leaves a flat picture flat: what is left is the haze.
    grey = films.final_pass(stream("final"), [np.full((3, 20, 30), 0.5, dtype=np.float32)])[0]
    assert np.ptp(grey, axis=2).max() < 1e-6, "it depends on the height alone"
    thickness = np.abs(grey - 0.5).max(axis=(0, 2))
    assert (np.diff(thickness) < 0).all() and thickness[0] > 1.5 * thickness[-1], "and is thicker above"


# The recipe


def test_same_bytes_for_any_number_of_workers_and_each_time(tiny: Path, tmp_path: Path) -> None:
    other = build_world(tmp_path / "two", TINY, workers=2)
    for name in ("checksums.txt", "world.json"):
        assert (other / name).read_bytes() == (tiny / name).read_bytes()
    for group in ("davis", "monkaa", "driving", "chairs"):
        take, path = next((take, path) for take, path in plan(TINY).items() if take.group == group)
        files = render(TINY, take, path)[0]
        assert files == render(TINY, take, path)[0]
        assert all((tiny / name).read_bytes() == content for name, content in files.items())


def test_larger_worlds_hold_the_smaller_ones_films() -> None:
    larger = dataclasses.replace(TINY, davis_train=5, davis_val=4, chairs=20, chairs_val=9)
    assert {take for take in plan(TINY) if take.group != "chairs" or take.split == "train"} <= set(plan(larger))
    take, path = next((take, path) for take, path in plan(TINY).items() if take.group == "davis")
    assert render(larger, take, path) == render(TINY, take, path)


def test_digest_sees_every_field() -> None:
    changed = [
        dataclasses.replace(RECIPE, **{f.name: getattr(RECIPE, f.name) + (0.01 if f.type == "float" else 1)})
        for f in dataclasses.fields(RECIPE)
    ]
    digests = {recipe.digest() for recipe in (RECIPE, TINY, *changed)}
    assert len(digests) == len(changed) + 2 and RECIPE.digest() == ClipRecipe().digest()
    assert all(len(digest) == 16 for digest in digests)


@pytest.mark.parametrize("version", ["CLIPS", "SCENES", "GENERATOR"])
def test_digest_sees_the_versions_of_what_draws(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    before = RECIPE.digest()
    with monkeypatch.context() as patch:
        patch.setattr(clips, version, 99)
        assert RECIPE.digest() != before
    assert RECIPE.digest() == before


@pytest.mark.parametrize(
    "field,value,words",
    [
        ("width", 31, "side is too small, use 32"),
        ("height", 31, "side is too small, use 32"),
        ("chairs_width", 31, "side is too small, use 32"),
        ("chairs_height", 31, "side is too small, use 32"),
        ("davis_train", 0, "davis_train, davis_val, shots, chairs and chairs_val > 0"),
        ("davis_val", 0, "davis_train, davis_val, shots, chairs and chairs_val > 0"),
        ("chairs", 0, "davis_train, davis_val, shots, chairs and chairs_val > 0"),
        ("chairs_val", 0, "davis_train, davis_val, shots, chairs and chairs_val > 0"),
        ("davis_frames", 2, "3 frames or more"),
        ("monkaa_frames", 1, "2 of all others"),
        ("fast_frames", 1, "2 of all others"),
        ("slow_frames", 1, "2 of all others"),
    ],
)
def test_recipe_refuses_nonsense(field: str, value: int, words: str) -> None:
    with pytest.raises(UserError, match=f"^miniature clips: .*{words}"):
        dataclasses.replace(RECIPE, **{field: value})
    assert getattr(dataclasses.replace(RECIPE, **{field: value + 1}), field) == value + 1


# The default world, of which a sample is drawn here


def _sample(group: str, count: int) -> list[Film]:
    takes = [take for take in plan(RECIPE) if take.group == group]
    return [film_of(RECIPE, take) for take in takes[:: max(1, len(takes) // count)]]


@pytest.mark.parametrize("group", ["davis", "monkaa", "driving", "chairs"])
def test_default_clips_move_by_a_few_pixels(group: str) -> None:
    means, longest = [], 0.0
    for film in _sample(group, 20):
        length = np.hypot(*film.flow(film.length // 2 - 1, film.length // 2))
        means.append(float(length.mean()))
        longest = max(longest, float(length.max()))
    assert 1 < np.mean(means) < 8
    assert np.quantile(means, 0.1) > 0.5 and max(means) < 12
    assert longest < 40, "no thing crosses the frame at once"


def test_default_slow_drives_are_slower_than_the_fast() -> None:
    means = {}
    for take in [take for take in plan(RECIPE) if take.group == "driving"]:
        film = film_of(RECIPE, take)
        means[take.name] = np.hypot(*film.flow(film.length // 2 - 1, film.length // 2))[: RECIPE.height // 3].mean()
        assert film.length == (RECIPE.slow_frames if take.name.endswith("slow") else RECIPE.fast_frames)
    pairs = [(means[name], means[name.replace("fast", "slow")]) for name in means if name.endswith("fast")]
    assert len(pairs) == 4 and all(fast > 1.3 * slow for fast, slow in pairs)


def test_default_heroes_are_neither_specks_nor_all_of_the_picture() -> None:
    shares = []
    for film in _sample("davis", 20):
        owners = [film.frame(time).owner for time in range(film.length)]
        shares.append([(owner == len(film.movers) - 1).mean() for owner in owners])
    inside = [all(0.02 <= share <= 0.4 for share in each) for each in shares]
    assert len(inside) >= 20 and np.mean(inside) > 0.9
    assert np.std(np.mean(shares, axis=1)) > 0.01, "of several sizes"
