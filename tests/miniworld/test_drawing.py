"""Drawing: poses, textures, composition, blur, camera, canvas, file formats; each against a second computation."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import uniform_filter

from miniworld.drawing.blur import box_blur
from miniworld.drawing.camera import Camera, random_camera, to_bytes
from miniworld.drawing.compose import Placed, box_of, compose
from miniworld.drawing.geometry import Array, Pose, whole
from miniworld.drawing.paint import PATTERNS, Texture, stream
from miniworld.formats.flow import flo, pfm, read_flow
from miniworld.formats.matlab import mat_file
from miniworld.formats.pictures import label_map, pascal_palette
from miniworld.objects.families import FAMILIES, Individual
from miniworld.scenes.canvas import Canvas, blend, nearness, noise
from miniworld.scenes.labels import LABELS

LIGHT = (0.0, -0.5, math.sqrt(0.75))


def someone(family: str, seed: int, variation: float = 0.05) -> Individual:
    return FAMILIES[family].any_individual(stream("test", family, seed), variation)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-3.2, 3.2), st.floats(5.0, 60.0), st.floats(0.5, 1.0), st.booleans(),
    st.floats(-0.15, 0.15), st.floats(-0.15, 0.15),
)  # fmt: skip
def test_a_pose_is_inverted_and_bounds_what_it_shows(angle, scale, squeeze, mirror, kx, ky) -> None:
    pose = Pose(30.0, 25.0, scale, angle, squeeze, mirror, (kx, ky))
    u, v = pose.to_canonical(whole(50, 60))
    x, y = pose.to_image(u, v)
    near = (np.abs(u) < 2) & (np.abs(v) < 2)
    px, py = whole(50, 60).centres()
    assert max(np.abs(x - px)[near].max(initial=0), np.abs(y - py)[near].max(initial=0)) < 0.02
    window = pose.bounds((-1, -1, 1, 1), 10_000, 10_000)
    x, y = pose.to_image(*np.meshgrid(*[np.linspace(-1, 1, 7, dtype=np.float32)] * 2))
    inside = (x >= 0) & (y >= 0)
    assert ((x >= window.left) & (x <= window.right) & (y >= window.top) & (y <= window.bottom))[inside].all()


def test_light_turns_against_the_object() -> None:
    assert Pose(0, 0, 1.0, angle=math.pi / 2).light((1.0, 0.0, 0.0)) == pytest.approx((0.0, -1.0, 0.0))
    assert Pose(0, 0, 1.0, mirror=True).light((1.0, 0.5, 0.2)) == pytest.approx((-1.0, 0.5, 0.2))


@pytest.mark.parametrize("kind", PATTERNS)
def test_textures_lie_between_zero_and_one_and_are_no_plain_colour(kind: str) -> None:
    for reach in (1.0, 1e6):
        x, y = np.meshgrid(np.linspace(-reach, reach, 40, dtype=np.float32), np.linspace(-1, 1, 40, dtype=np.float32))
        mask = Texture(kind, 4.0, 0.3, 0.2).mask(x, y)
        assert mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1
    assert (kind == "plain") == (not Texture(kind, 4.0, 0.3, 0.2).mask(x / 1e6, y).any())


def test_streams_depend_on_their_ids_alone() -> None:
    assert stream("a", 1).random() == stream("a", 1).random() != stream("a", 2).random()
    assert stream("a", 1).random() == pytest.approx(0.56674325, abs=1e-8), "on every machine and in every process"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 30)), st.integers(0, 999))
def test_blur_is_scipy_s_to_the_last_bit(size: int, shape: tuple[int, int, int], seed: int) -> None:
    image = stream("blur", seed).random(shape, dtype=np.float32)
    expected = uniform_filter(image.swapaxes(1, 2), (0, size, size), mode="nearest").swapaxes(1, 2)
    assert np.array_equal(box_blur(image, size), expected)


def test_the_object_in_front_hides_the_one_behind() -> None:
    pose = Pose(32, 32, 25.0)
    items = [Placed(someone("dish", 1), pose), Placed(someone("dish", 2), pose)]
    picture = compose(np.zeros((3, 64, 64), dtype=np.float32), items, LIGHT)
    assert picture.full[0].sum() > 100 and np.array_equal(picture.seen[1], picture.full[1])
    assert (picture.seen[0] * (picture.full[1] > 0.99)).max() < 0.02 and picture.seen.sum(axis=0).max() <= 1.0001


def test_an_object_out_of_view_changes_nothing() -> None:
    background: Array = np.full((3, 32, 32), 0.4, dtype=np.float32)
    picture = compose(background, [Placed(someone("fish", 1), Pose(900, 900, 10.0), 0.5)], LIGHT)
    assert np.array_equal(picture.image, background) and not picture.full.any()
    assert box_of(picture.full[0]) == (0, 0, 0, 0)


def test_a_shadow_darkens_beside_the_object_away_from_the_light() -> None:
    background: Array = np.full((3, 64, 64), 0.5, dtype=np.float32)
    item = Placed(someone("dish", 1), Pose(32, 32, 15.0), 0.5)
    picture = compose(background, [item], (0.8, 0.0, 0.6))
    darker = (picture.full[0] == 0) & (picture.image[0] < 0.49)
    assert darker.any() and np.argwhere(darker)[:, 1].mean() < 30, "the light comes from the right"


def test_a_camera_without_errors_only_rounds_and_each_error_shows() -> None:
    image = stream("camera").random((3, 20, 30), dtype=np.float32)
    plain = Camera().shoot(image, stream("shoot"))
    assert np.array_equal(plain, to_bytes(image)) and np.abs(plain.transpose(2, 0, 1) / 255 - image).max() < 0.502 / 255
    errors = [Camera(cast=(1.1, 1, 1)), Camera(exposure=1.1), Camera(contrast=0.8), Camera(slope=(0.2, 0))]
    for camera in [*errors, Camera(blur=0.5), Camera(noise=0.03)]:
        assert not np.array_equal(camera.shoot(image, stream("shoot")), plain)
    assert random_camera(stream("none"), 0.0) == Camera()


def test_a_canvas_gives_a_pixel_to_the_last_layer_that_covers_most_of_it() -> None:
    canvas = Canvas(40, 60, LIGHT)
    assert (canvas.wide, *canvas.x[0, [0, -1]], canvas.y[-1, 0]) == pytest.approx((1.5, 0.0125, 1.4875, 0.9875))
    grey: Array = np.full((3, 40, 60), 0.5, dtype=np.float32)
    canvas.cover("sky", canvas.y - 9, grey)
    canvas.cover("grass", np.float32(0.51) - canvas.y, grey)  # 20.4 pixels down: row 20 is covered by 0.6
    assert (canvas.labels[:20] == LABELS["sky"]).all() and (canvas.labels[20:] == LABELS["grass"]).all()
    canvas.cover(None, np.float32(0.765) - canvas.y, grey)  # 30.6: row 30 is covered by 0.4
    assert (canvas.labels[30] == LABELS["grass"]).all() and not canvas.labels[31:].any()


def test_noise_blend_and_nearness_keep_their_ranges() -> None:
    canvas = Canvas(48, 64, LIGHT)
    rough = noise(stream("n"), canvas, 5, 500, 3)
    assert rough.shape == (48, 64) and rough.dtype == np.float32 and 0.5 < np.abs(rough).max() <= 1.75
    mixed = blend((0.0, 0.2, 0.4), np.ones((3, 48, 64), dtype=np.float32), rough * 9)
    assert mixed.shape == (3, 48, 64) and mixed.min() == 0 and mixed.max() == 1
    close = nearness(canvas, 0.5)
    assert not close[:24].any() and 0.95 < close[-1, 0] <= 1


@pytest.mark.parametrize("count", [1, 3, 250])
def test_matlab_files_are_scipy_s_but_for_the_date(tmp_path, count: int) -> None:
    names = [f"Aldern Comet {k}" for k in range(count)]
    ids: np.ndarray = np.arange(count, dtype=np.uint16)[None]
    records = [{"bbox_x1": k, "class": 2 * k, "fname": name} for k, name in enumerate(names)]
    table = np.array([[tuple(r.values()) for r in records]], dtype=[(field, object) for field in records[0]])
    cells = np.array([names], dtype=object)
    scipy.io.savemat(
        tmp_path / "a.mat", {"id": ids, "labels": ids.astype(np.uint8), "class_names": cells, "rows": table}
    )
    content = mat_file({"id": ids, "labels": ids.astype(np.uint8), "class_names": names, "rows": records})
    assert content[116:] == (tmp_path / "a.mat").read_bytes()[116:] and content.startswith(b"MATLAB 5.0 MAT-file, ")


@pytest.mark.parametrize("name,encode", [("a.flo", flo), ("a.pfm", pfm)])
def test_flow_files_hold_the_field(tmp_path, name: str, encode) -> None:
    field = stream("flow").normal(0, 9, (2, 5, 7)).astype(np.float32)
    (tmp_path / name).write_bytes(encode(field))
    assert np.array_equal(read_flow(tmp_path / name), field)


def test_label_maps_have_the_colours_of_pascal_voc() -> None:
    colours = np.array(pascal_palette()).reshape(256, 3)
    assert colours[[0, 1, 2, 3, 15, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128], [224, 224, 192]
    ]  # fmt: skip
    labels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    with Image.open(io.BytesIO(label_map(labels))) as stored:
        assert (stored.mode, stored.format, stored.getpalette()) == ("P", "PNG", list(pascal_palette()))
        assert np.array_equal(np.asarray(stored), labels)
