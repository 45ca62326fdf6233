"""Every fault that a reader must name: one table for each kind; the message is one line with file, fault and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_sets
import tiny_videos
from tiny import LAYOUTS, Spoil, changed_json, changed_mat, content, fails, folder, gone, line, lines, mat, more

from l2sp_suite.datasets import READERS, Classification, Segmentation, Video, find_root, read
from l2sp_suite.utils.errors import UserError

FOLDERS = ("imagenet", "imagenet_inat", "image_folder")  # layouts that list no image
IDS, CLASSES, SPLIT = "image_class_labels.txt", "classes.txt", "train_test_split.txt"
INAT = ("train2017.json", "val2017.json")
CARS = "devkit/cars_train_annos.mat"
VARIANTS = "data/images_variant_test.txt"

CLASSIFICATION: list[tuple[str, Spoil, str]] = [
    ("cub200", line("images.txt", 2, "2"), "images.txt, line 2: expected \"key value\", found '2'"),
    ("cub200", line("images.txt", 2, "1 0001.Bird_0/2.jpg"), "images.txt, line 2: '1' is listed twice"),
    ("cub200", line("images.txt", 2, "77 0001.Bird_0/2.jpg"), f"{IDS}, line 2: image id '2' is not in images.txt"),
    ("cub200", line("images.txt", 2, "2 ../../2.jpg"), "images.txt, line 2: 'images/../../2.jpg' is not a path inside"),
    ("cub200", line("images.txt", 2, "2 /a.jpg/\0/x"), "line 2: names 'images//a.jpg/\\x00/x', which is not on"),
    ("cub200", line(IDS, 1, "3 x"), f"{IDS}, line 3: '3' is listed twice"),
    ("cub200", line(IDS, 3, "3 x"), f"{IDS}, line 3: 'x' is not a class number"),
    ("cub200", line(IDS, 3, "3 9"), f"{IDS}, line 3: class 9 is not in classes.txt"),
    ("cub200", line(IDS, 3, "99 1"), f"{IDS}, line 3: image id '99' is not in images.txt"),
    ("cub200", lines(IDS, "2 1"), f"images.txt, line 1: image id '1' is not in {IDS}"),
    ("cub200", line(SPLIT, 4, "4 2"), f"{SPLIT}, line 4: expected 1 (training) or 0 (test)"),
    ("cub200", line(SPLIT, 4, "3 0"), f"{SPLIT}, line 4: '3' is listed twice"),
    ("cub200", line(CLASSES, 2, "01 again"), f"{CLASSES}, line 2: class 1 is listed twice"),
    ("nabirds", line(CLASSES, 1, "-1 Bird"), f"{CLASSES}, line 1: '-1' is not a class number"),
    ("aircraft", line(VARIANTS, 1, "0000003"), f"{VARIANTS}, line 1: expected \"key value\""),
    ("aircraft", line(VARIANTS, 1, "0000003 Zeppelin"), f"{VARIANTS}, line 1: 'Zeppelin' is not in variants.txt"),
    ("aircraft", line("data/variants.txt", 2, "707-320"), "data/variants.txt, line 2: '707-320' is listed twice"),
    ("aircraft", content("data/variants.txt", b"707\n\xff\xfe\n"), "variants.txt: is not UTF-8 text (byte 4)"),
    ("food101", line("meta/train.txt", 3, "pizza/3"), "meta/train.txt, line 3: 'pizza/3' has no class of classes.txt"),
    ("food101", more("meta/test.txt", "apple_pie/1"), "images/apple_pie/1.jpg: is listed 2 times in training and test"),
    ("image_folder", gone("val"), "folders/test: no such folder"),
    ("image_folder", lambda root: (gone("val")(root), folder("val/class_0")(root)), "has no test image"),
    ("flowers102", mat("imagelabels.mat", labels=np.array([[1, 2, 3, 103, 5, 6, 7, 8, 9]])), "label 103 of image 4"),
    ("flowers102", mat("imagelabels.mat", labels=np.array([[1.0, 2.5]])), "'labels' holds '2.5' at 2, no whole number"),
    ("flowers102", mat("imagelabels.mat", labels=np.array([[1, 2, 3]])), "setid.mat: trnid names image 4, beyond"),
    ("flowers102", mat("imagelabels.mat", labels=np.array([["a", "b"]])), "no whole number"),
    ("flowers102", mat("imagelabels.mat", labels=np.zeros((0, 0))), "imagelabels.mat: variable 'labels' is empty"),
    ("flowers102", mat("imagelabels.mat", other=np.ones(3)), "imagelabels.mat: has no variable 'labels'"),
    ("stanford_cars", lambda root: tiny_sets.cars_annotations(root / CARS, [(4, "00001.jpg")]),
     f"{CARS}: class 4 of '00001.jpg' is not in 1..3"),
    ("stanford_cars", mat(CARS, annotations=np.ones(3)), f"{CARS}: annotations have no field 'class'"),
    ("stanford_dogs", changed_mat("train_list.mat", lambda m: m | {"labels": m["labels"][::-1]}),
     "test_list.mat: class 1 is 'n02-breed_2' and 'n00-breed_0'"),
    ("stanford_dogs", changed_mat("train_list.mat", lambda m: m | {"labels": m["labels"][1:]}),
     "train_list.mat: has 6 images but 5 labels"),
    ("inat2017", changed_json(lambda part: part["images"].pop(), *INAT), f"{INAT[0]}: an entry lacks, or names what"),
    ("inat2017", changed_json(lambda part: part["categories"].clear(), *INAT), "class 0 of 'train_val_images/Aves/"),
    ("inat2017", changed_json(lambda part: part.pop("annotations"), *INAT), "has no list of objects 'annotations'"),
    ("inat2017", changed_json(lambda part: part["annotations"].append(7), *INAT), "no list of objects 'annotations'"),
    ("inat2017", content(INAT[0], b"{"), f"{INAT[0]}: is not JSON"),
    ("inat2017", gone(INAT[1]), f"{INAT[1]}: No such file"),
]  # fmt: skip

MAIN = "ImageSets/Main/train.txt"
CONTEXT = "ImageSets/SegmentationContext/train.txt"
SEGMENTATION: list[tuple[str, Spoil, str]] = [
    ("pascal_png", lines(CLASSES, "cat", "zebra"), f"{CLASSES}: 'zebra' is none of the 59 classes"),
    ("pascal_png", lines(CLASSES, "cat", "cat"), f"{CLASSES}, line 2: 'cat' is listed twice"),
    ("pascal_png", lines(CLASSES), f"{CLASSES}: is empty"),
    ("pascal_png", gone("SegmentationClassContext"), "has no folder of labels (SegmentationClassContext or trainval)"),
    ("camvid", lines("val.txt", "/SegNet/CamVid/val/4.png"), "val.txt, line 1: expected \"key value\""),
    ("camvid", line("train.txt", 2, "train/1.png trainannot/0.png"), "trainannot/0.png: is listed 2 times in train"),
    ("camvid", more("test.txt", "train/0.png trainannot/0.png"), "0.png: is listed 2 times in train and val and test"),
    ("camvid", more("test.txt", "/SegNet/CamVid/test/6.png x"), "test.txt, line 3: '/SegNet/CamVid/test/6.png' is"),
    ("pascal_png", more(CONTEXT, "2008_000005"), "2008_000005.jpg: is listed 2 times in train and test together"),
    ("pascal_mat", more("ImageSets/Main/val.txt", "2008_000004"), "2008_000004.jpg: is listed 2 times"),
    *(
        (layout, lines(file, f"{name} {name}" if layout == "camvid" else name), expected)
        for layout, file in (("camvid", "train.txt"), ("pascal_png", CONTEXT), ("pascal_mat", MAIN))
        for name, expected in (
            ("../../x", f"{file}, line 1: "), ("/etc/passwd", f"{file}, line 1: "), ("a/../../b", "not a path inside"),
            ("/SegNet/CamVid//etc/passwd", f"{file}, line 1: "), ("\0", "not on disk"), ("x" * 5000, "not on disk"),
        )
    ),
]  # fmt: skip

DAVIS, PAIR = tiny_videos.DAVIS_LISTS[0], tiny_videos.davis_line
CHAIRS = tiny_videos.CHAIRS_LIST
FLOW = tiny_videos.scene_flow_file
BEAR = PAIR("bear", 0)


def davis(expected: str, *texts: str) -> tuple[str, Spoil, str]:
    return "davis2016", lines(DAVIS, *texts), expected


def chairs(expected: str, text: str) -> tuple[str, Spoil, str]:
    return "flying_chairs", content(CHAIRS, text.encode()), expected


def circle(path: str) -> Spoil:
    """A folder becomes a link to itself."""
    return lambda root: (gone(path)(root), (root / path).symlink_to(Path(path).name))


def without_scenes(*scenes: str) -> Spoil:
    return lambda root: [shutil.rmtree(root / top / s) for s in scenes for top in ("frames_cleanpass", "optical_flow")]


VIDEO: list[tuple[str, Spoil, str]] = [
    davis("train.txt: is empty"),
    davis("train.txt, line 1: expected", BEAR.split()[0]),
    davis("line 2: '/JPEGImages/480p/bear/00000.jpg' is listed twice", BEAR, BEAR),
    davis("line 2: has frame 00000 of 'bear' after frame 00000", BEAR, BEAR[1:]),
    davis("line 2: has frame 00000 of 'bear' after frame 00001", PAIR("bear", 1), BEAR),
    davis("line 3: comes back to sequence 'bear' after another one", BEAR, PAIR("boat", 0), PAIR("bear", 1)),
    davis("line 1: names mask '/Annotations/480p/bear/00001.png'", BEAR.replace("00000.png", "00001.png")),
    davis("line 1: names mask '/Annotations/480p/boat/00000.png'", BEAR.replace("bear/00000.png", "boat/00000.png")),
    davis("line 1: '/Annotations/480p/bear/00000.jpg' is not", BEAR.replace("JPEGImages", "Annotations")),
    davis("line 1: '/JPEGImages/1080p/bear/00000.jpg' is not", BEAR.replace("480p", "1080p")),
    davis("line 1: '/JPEGImages/480p/../00000.jpg' is not", PAIR("..", 0)),
    davis("line 1: '/JPEGImages/480p/bear/x/00000.jpg' is not", PAIR("bear/x", 0)),
    davis("line 1: '//JPEGImages/480p/bear/00000.jpg' is not", "/" + BEAR),
    davis("line 1: names 'JPEGImages/480p/\\x00/00000.jpg', which is not on disk", PAIR("\0", 0)),
    davis("which is not on disk", PAIR("x" * 5000, 0)),
    davis("val.txt: holds sequence 'dog', as does train.txt", PAIR("dog", 0)),
    *(
        (name, folder(f"{top}/{scene}"), f"{top}: folder {shown!r} is none of the scenes")
        for name, frames, scenes in (
            ("monkaa_clean", "frames_cleanpass", [("new_x2", "new_x2")]),
            ("driving_final", "frames_finalpass", [
                ("20mm", "20mm"), ("15mm_focallength/x", "15mm_focallength/x"),
                ("15mm_focallength/scene_forwards/x", "15mm_focallength/scene_forwards/x"),
            ]),
        )
        for top in (frames, "optical_flow")
        for scene, shown in scenes
    ),
    *(
        (name, gone(f"optical_flow/{(scene := list(tiny_videos.SCENES[name.split('_')[0]])[1])}"),
         f"optical_flow/{scene}/into_future: has no flow between two frames")
        for name in tiny_videos.SCENE_FLOW
    ),
    ("monkaa_clean", gone("optical_flow/eating_x2/into_past"), "eating_x2/into_past: has no flow between two frames"),
    ("monkaa_final", gone("frames_finalpass/eating_x2/left/0002.png"),
     "Future_0002_L.pfm: is the flow of frame 0002, which frames_finalpass/eating_x2/left lacks"),
    ("monkaa_final", gone("frames_finalpass/eating_x2"), "Future_0001_L.pfm: is the flow of frame 0001"),
    ("monkaa_clean", lambda root: (root / "frames_cleanpass").rename(root / "frames_finalpass"),
     "which frames_cleanpass/family_x2/left lacks"),
    ("monkaa_final", lambda root: (root / FLOW("eating_x2", "Past", 2)).rename(
        root / "optical_flow/eating_x2/into_past/left/OpticalFlowIntoPast_2_L.pfm"),
     "into_past/left: 'OpticalFlowIntoPast_2_L.pfm' is named as no file of the release"),
    ("monkaa_clean", without_scenes("family_x2", "top_view_x2"), "hold no scene of the train part (a_rain_of_stones"),
    ("driving_clean", without_scenes("35mm_focallength/scene_forwards/slow"), "hold no scene of the test part (35mm"),
    ("monkaa_clean", circle("frames_cleanpass"), "frames_cleanpass: Too many levels"),
    ("flying_chairs", circle("data"), "data: Too many levels"),
    chairs(f"{CHAIRS}: is empty", ""),
    chairs(f"{CHAIRS}: has 4 lines, but data 5 flow files", "1\n2\n1\n1\n"),
    chairs(f"{CHAIRS}: has 6 lines, but data 5 flow files", "1\n2\n1\n1\n2\n1\n"),
    chairs(f"{CHAIRS}, line 4: holds '3', neither 1 (train) nor 2 (validation)", "1\n2\n\n3\n1\n2\n"),
    chairs(f"{CHAIRS}, line 3: holds '1 1'", "1\n2\n1 1\n2\n"),
    chairs("has no test image", "1\n1\n1\n1\n1\n"),
    chairs("has no train image", "2\n2\n2\n2\n2\n"),
    ("flying_chairs", gone(CHAIRS), f"{CHAIRS}: No such file"),
    ("flying_chairs", gone("data/00003_img2.ppm"), "00003_img2.ppm: is not on disk, but its flow 00003_flow.flo is"),
    ("flying_chairs", content("data/2_flow.flo", b""), "data: '2_flow.flo' is named as no file of the release"),
    ("flying_chairs", gone("data"), "data: has no flow file"),
    ("flying_chairs", lambda root: Path(f"{root}/data/\udcff\n.flo").touch(), "data: '\\udcff\\n.flo' is named"),
    ("monkaa_clean", lambda root: Path(f"{root}/optical_flow/\udcff\n").mkdir(), "folder '\\udcff\\n' is none"),
    ("driving_clean", lambda root: Path(f"{root}/optical_flow/\udcff\n").mkdir(), "folder '\\udcff\\n' is none"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "spoil", "expected"), [*CLASSIFICATION, *SEGMENTATION, *VIDEO])
def test_fault_is_named(layout: str, spoil: Spoil, expected: str, tmp_path: Path) -> None:
    root = tiny.write(layout, tmp_path)
    spoil(root)
    assert expected in fails(layout, root)


@pytest.mark.parametrize(("layout", "file"), [*tiny.LISTS, *tiny.MATS])
def test_missing_or_empty_index_file(layout: str, file: str, tmp_path: Path) -> None:
    root = tiny.write(layout, tmp_path)
    (root / file).write_bytes(b"")
    assert str(root / file) in fails(layout, root)
    (root / file).unlink()
    assert file in fails(layout, root)


ABSENT = [(name, 0) for name in LAYOUTS if LAYOUTS[name][0] is Classification and name not in FOLDERS]
ABSENT += [(name, part) for name in ("camvid", "pascal_png", "pascal_mat") for part in (0, 1)]


@pytest.mark.parametrize(("layout", "part"), [*ABSENT, ("davis2016", 0), ("davis2016", 2)])
def test_absent_file(layout: str, part: int, tmp_path: Path) -> None:
    root = tiny.write(layout, tmp_path)
    victim = tiny.load(layout, root).test.files[1][part]
    victim.unlink()
    message = fails(layout, root)
    assert victim.name in message and "which is not on disk" in message
    assert LAYOUTS[layout][0] is Classification or ", line 2: " in message


@pytest.mark.parametrize("layout", LAYOUTS)
def test_empty_and_absent_folders(layout: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        fails(layout, root)


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [(Classification, "camvid", "cub200"), (Segmentation, "cub200", "pascal_context"), (Video, "sintel", "davis2016")],
)
def test_reader_that_a_kind_does_not_have(kind: type, name: str, known: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"unknown {kind.__name__.lower()} data set '{name}'; known: {known}, "):
        read(kind, name, tmp_path)
    assert name not in READERS[kind]


def test_folder_of_a_set(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    assert find_root(tmp_path, ["first", "second"], "fetch it") == tmp_path / "second"
    with pytest.raises(UserError, match=r"no folder first or third in .*; fetch it"):
        find_root(tmp_path, ["first", "third"], "fetch it")
