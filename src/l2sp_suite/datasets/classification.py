"""Readers of the classification data sets of Table 3, each in the layout of its official release.

A reader validates fully: what it returns names only images that are on disk, under labels 0 .. C-1.
Torchvision has classes for four of these layouts, but they insist on the folder's name, leak KeyError and
ValueError on a damaged file and (Flowers102) refuse a subset by its md5; here the tests use them as oracles
(docs: protocol 3.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from torchvision.datasets import Flowers102, ImageFolder

from l2sp_suite.datasets.images import load_image
from l2sp_suite.datasets.layout import Entry, Release, find_root, quoted, whole_number
from l2sp_suite.datasets.records import Classification, Split, assemble, check_counts, digest, hold_out
from l2sp_suite.utils.errors import UserError

__all__ = [
    "READERS", "Classification", "Split", "check_counts", "digest", "find_root", "hold_out", "load_image", "read"
]  # fmt: skip

Samples = list[tuple[Path, int]]


def read(name: str, root: Path, remedy: str = "fetch the official release again") -> Classification:
    """Read data set `name` (a key of `READERS`) from its own folder, e.g. .../CUB_200_2011.

    Raises UserError, which ends in `remedy`, for whatever is missing, malformed or inconsistent on disk, and
    for an unknown name.
    """
    if name not in READERS:
        raise UserError(f"unknown classification data set {name!r}; known: {', '.join(READERS)}")
    return READERS[name](Release(Path(root), remedy))


def read_cub200(release: Release) -> Classification:
    """Read CUB-200-2011: images/ and {images,image_class_labels,train_test_split,classes}.txt."""
    return _read_caltech("cub200", release)


def read_nabirds(release: Release) -> Classification:
    """Read NABirds, which has CUB's files; its 555 leaf ids lie scattered among those of its hierarchy."""
    return _read_caltech("nabirds", release)


def _read_caltech(name: str, release: Release) -> Classification:
    label_file, split_file = "image_class_labels.txt", "train_test_split.txt"
    images, labels, split = (release.pairs(file) for file in ("images.txt", label_file, split_file))
    for file, entries in ((label_file, labels), (split_file, split)):
        _check_same_ids(release, images, file, entries)
    names = _caltech_classes(release)
    parts: tuple[Samples, Samples] = ([], [])
    for key, entry in images.items():
        label = _number(release, label_file, labels[key])
        if label not in names:
            raise release.error(label_file, f"class {label} is not in classes.txt", labels[key].line)
        if split[key].value not in ("0", "1"):
            raise release.error(split_file, "expected 1 (training) or 0 (test)", split[key].line)
        path = release.image(f"images/{entry.value}", "images.txt", entry.line)
        parts[split[key].value == "0"].append((path, label))
    return assemble(name, release, names, *parts)


def _caltech_classes(release: Release) -> dict[int, str]:
    names: dict[int, str] = {}
    for key, entry in release.pairs("classes.txt").items():
        label = _number(release, "classes.txt", Entry(entry.line, key))
        if label in names:
            raise release.error("classes.txt", f"class {label} is listed twice", entry.line)
        names[label] = entry.value
    return names


def _check_same_ids(release: Release, images: Mapping[str, Entry], file: str, entries: Mapping[str, Entry]) -> None:
    for key, entry in entries.items():
        if key not in images:
            raise release.error(file, f"image id {quoted(key)} is not in images.txt", entry.line)
    for key, entry in images.items():
        if key not in entries:
            raise release.error("images.txt", f"image id {quoted(key)} is not in {file}", entry.line)


def _number(release: Release, file: str, entry: Entry) -> int:
    number = whole_number(entry.value)
    if number is None:
        raise release.error(file, f"{quoted(entry.value)} is not a class number", entry.line)
    return number


def read_flowers102(release: Release) -> Classification:
    """Read Oxford 102 Flowers: imagelabels.mat, setid.mat and jpg/.

    Trains on trnid and valid together, tests on tstid (docs: protocol 8, row 25).
    """
    names = dict(enumerate(Flowers102.classes, start=1))
    labels = release.whole_numbers("imagelabels.mat", "labels", release.mat("imagelabels.mat", "labels"))
    parts: dict[str, Samples] = {}
    for variable in ("trnid", "valid", "tstid"):
        parts[variable] = []
        for number in release.whole_numbers("setid.mat", variable, release.mat("setid.mat", variable)):
            if not 1 <= number <= len(labels):
                raise release.error("setid.mat", f"{variable} names image {number}, beyond imagelabels.mat")
            label = labels[number - 1]
            if label not in names:
                raise release.error("imagelabels.mat", f"label {label} of image {number} is not in 1..102")
            parts[variable].append((release.image(f"jpg/image_{number:05d}.jpg", "setid.mat"), label))
    return assemble("flowers102", release, names, parts["trnid"] + parts["valid"], parts["tstid"])


def read_stanford_cars(release: Release) -> Classification:
    """Read Stanford Cars: devkit/{cars_meta,cars_train_annos,cars_test_annos_withlabels}.mat and the images.

    The labelled test list is taken from the root, where torchvision's manual route puts it, or from devkit/.
    """
    names = dict(enumerate(map(str, release.mat("devkit/cars_meta.mat", "class_names")), start=1))
    test_list = "cars_test_annos_withlabels.mat"
    if not (release.root / test_list).is_file():
        test_list = f"devkit/{test_list}"
    train = _read_cars_part(release, "devkit/cars_train_annos.mat", "cars_train", names)
    test = _read_cars_part(release, test_list, "cars_test", names)
    return assemble("stanford_cars", release, names, train, test)


def _read_cars_part(release: Release, file: str, folder: str, names: Mapping[int, str]) -> Samples:
    annotations = release.mat(file, "annotations")
    missing = [field for field in ("class", "fname") if field not in (annotations.dtype.names or ())]
    if missing:
        raise release.error(file, f"annotations have no field {missing[0]!r}")
    samples: Samples = []
    for label, image in zip(
        release.whole_numbers(file, "class", annotations["class"]), annotations["fname"], strict=True
    ):
        if label not in names:
            raise release.error(file, f"class {label} of {quoted(str(image))} is not in 1..{len(names)}")
        samples.append((release.image(f"{folder}/{image}", file), label))
    return samples


def read_aircraft(release: Release) -> Classification:
    """Read FGVC-Aircraft 2013b at variant level, its trainval and test parts, from data/."""
    variants = release.names("data/variants.txt")
    labels = {name: label for label, name in enumerate(variants)}
    parts: list[Samples] = []
    for part in ("trainval", "test"):
        file = f"data/images_variant_{part}.txt"
        parts.append([])
        for image, entry in release.pairs(file).items():
            if entry.value not in labels:
                raise release.error(file, f"{quoted(entry.value)} is not in variants.txt", entry.line)
            path = release.image(f"data/images/{image}.jpg", file, entry.line)
            parts[-1].append((path, labels[entry.value]))
    return assemble("aircraft", release, dict(enumerate(variants)), parts[0], parts[1])


def read_food101(release: Release) -> Classification:
    """Read Food-101: meta/classes.txt, meta/train.txt, meta/test.txt and images/<class>/<id>.jpg."""
    classes = sorted(release.names("meta/classes.txt"))
    labels = {name: label for label, name in enumerate(classes)}
    parts: list[Samples] = []
    for file in ("meta/train.txt", "meta/test.txt"):
        parts.append([])
        for entry in release.lines(file):
            label = labels.get(entry.value.partition("/")[0])
            if label is None:
                raise release.error(file, f"{quoted(entry.value)} has no class of classes.txt", entry.line)
            parts[-1].append((release.image(f"images/{entry.value}.jpg", file, entry.line), label))
    return assemble("food101", release, dict(enumerate(classes)), parts[0], parts[1])


def read_stanford_dogs(release: Release) -> Classification:
    """Read Stanford Dogs: train_list.mat, test_list.mat and Images/<breed>/*.jpg; folders name the breeds."""
    names: dict[int, str] = {}
    parts: list[Samples] = []
    for file in ("train_list.mat", "test_list.mat"):
        parts.append([])
        labels = release.whole_numbers(file, "labels", release.mat(file, "labels"))
        images = release.mat(file, "file_list")
        if len(labels) != len(images):
            raise release.error(file, f"has {len(images)} images but {len(labels)} labels")
        for label, image in zip(labels, map(str, images), strict=True):
            breed = image.partition("/")[0]
            if names.setdefault(label, breed) != breed:
                raise release.error(file, f"class {label} is {quoted(names[label])} and {quoted(breed)}")
            parts[-1].append((release.image(f"Images/{image}", file), label))
    return assemble("stanford_dogs", release, names, *parts)


def read_inat2017(release: Release) -> Classification:
    """Read iNaturalist 2017: train2017.json, val2017.json and train_val_images/<group>/<species>/*.jpg."""
    names: dict[int, str] = {}
    parts: list[Samples] = []
    for file in ("train2017.json", "val2017.json"):
        images, annotations, categories = release.json(file, "images", "annotations", "categories")
        try:
            names |= {int(one["id"]): f"{one['supercategory']}/{one['name']}" for one in categories}
            paths = {one["id"]: str(one["file_name"]) for one in images}
            pairs = [(paths[one["image_id"]], int(one["category_id"])) for one in annotations]
        except (KeyError, TypeError, ValueError) as error:
            raise release.error(file, f"an entry lacks, or names what is not there: {error}") from None
        for path, label in pairs:
            if label not in names:
                raise release.error(file, f"class {label} of {quoted(path)} is not among its categories")
        parts.append([(release.image(path, file), label) for path, label in pairs])
    return assemble("inat2017", release, names, *parts)


def read_imagenet_inat(release: Release) -> Classification:
    """Read imagenet/ and inat2017/ of one folder as one source, as DSTL selects from it (protocol 3.3)."""
    sets = [read(name, release.root / name, release.remedy) for name in ("imagenet", "inat2017")]
    names = [f"{one.name}/{label}" for one in sets for label in one.classes]
    shifts = (0, len(sets[0].classes))
    train, test = (
        [
            (path, label + shift)
            for shift, split in zip(shifts, splits, strict=True)
            for path, label in zip(split.paths, split.labels, strict=True)
        ]
        for splits in ([one.train for one in sets], [one.test for one in sets])
    )
    return assemble("imagenet_inat", release, dict(enumerate(names)), train, test)


def read_imagenet(release: Release) -> Classification:
    """Read ImageNet as torchvision unpacks it: train/<WordNet id>/* and val/<WordNet id>/*."""
    return _read_folders("imagenet", release)


def read_image_folder(release: Release) -> Classification:
    """Read train/<class>/* and val/<class>/* (else test/<class>/*), through torchvision's ImageFolder."""
    return _read_folders("image_folder", release)


def _read_folders(name: str, release: Release) -> Classification:
    test_folder = "val" if (release.root / "val").is_dir() else "test"
    parts: list[list[tuple[Path, str]]] = []
    for folder in ("train", test_folder):
        try:
            found = ImageFolder(release.root / folder, allow_empty=True)
        except OSError:
            raise release.error(folder, "no such folder, no class folder in it, or one without images") from None
        parts.append([(Path(path), found.classes[label]) for path, label in found.samples])
    classes = sorted({label for part in parts for _, label in part})
    labels = {label: number for number, label in enumerate(classes)}
    train, test = ([(path, labels[label]) for path, label in part] for part in parts)
    return assemble(name, release, dict(enumerate(classes)), train, test)


READERS: Mapping[str, Callable[[Release], Classification]] = MappingProxyType(
    {
        "cub200": read_cub200,
        "flowers102": read_flowers102,
        "stanford_cars": read_stanford_cars,
        "aircraft": read_aircraft,
        "food101": read_food101,
        "nabirds": read_nabirds,
        "stanford_dogs": read_stanford_dogs,
        "imagenet": read_imagenet,
        "inat2017": read_inat2017,
        "imagenet_inat": read_imagenet_inat,
        "image_folder": read_image_folder,
    }
)
