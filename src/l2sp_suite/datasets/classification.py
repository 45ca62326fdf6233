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

from l2sp_suite.datasets.layout import DatasetLayout, Entry, quoted, whole_number
from l2sp_suite.datasets.records import Classification, assemble

__all__ = ["CLASSIFICATION_READERS"]

Samples = list[tuple[Path, int]]


def read_cub200(layout: DatasetLayout) -> Classification:
    """Read CUB-200-2011.

    images/ and {images,image_class_labels,train_test_split,classes}.txt
    """
    return _read_caltech("cub200", layout)


def read_nabirds(layout: DatasetLayout) -> Classification:
    """Read NABirds, which has CUB's files.

    Its 555 leaf ids lie scattered among those of its hierarchy.
    """
    return _read_caltech("nabirds", layout)


def _read_caltech(name: str, layout: DatasetLayout) -> Classification:
    label_file, split_file = "image_class_labels.txt", "train_test_split.txt"
    images, labels, split = (layout.pairs(file) for file in ("images.txt", label_file, split_file))
    for file, entries in ((label_file, labels), (split_file, split)):
        _check_ids(layout, images, file, entries)
    names = _caltech_classes(layout)
    parts: tuple[Samples, Samples] = ([], [])
    for key, entry in images.items():
        label = _number(layout, label_file, labels[key])
        if label not in names:
            raise layout.error(label_file, f"class {label} is not in classes.txt", labels[key].line)
        if split[key].value not in ("0", "1"):
            raise layout.error(split_file, "expected 1 (training) or 0 (test)", split[key].line)
        path = layout.image(f"images/{entry.value}", "images.txt", entry.line)
        parts[split[key].value == "0"].append((path, label))
    return assemble(name, layout, names, *parts)


def _caltech_classes(layout: DatasetLayout) -> dict[int, str]:
    names: dict[int, str] = {}
    for key, entry in layout.pairs("classes.txt").items():
        label = _number(layout, "classes.txt", Entry(entry.line, key))
        if label in names:
            raise layout.error("classes.txt", f"class {label} is listed twice", entry.line)
        names[label] = entry.value
    return names


def _check_ids(layout: DatasetLayout, images: Mapping[str, Entry], file: str, entries: Mapping[str, Entry]) -> None:
    for key, entry in entries.items():
        if key not in images:
            raise layout.error(file, f"image id {quoted(key)} is not in images.txt", entry.line)
    for key, entry in images.items():
        if key not in entries:
            raise layout.error("images.txt", f"image id {quoted(key)} is not in {file}", entry.line)


def _number(layout: DatasetLayout, file: str, entry: Entry) -> int:
    number = whole_number(entry.value)
    if number is None:
        raise layout.error(file, f"{quoted(entry.value)} is not a class number", entry.line)
    return number


def read_flowers102(layout: DatasetLayout) -> Classification:
    """Read Oxford 102 Flowers: imagelabels.mat, setid.mat and jpg/.

    Trains on trnid and valid together, tests on tstid (docs: protocol 8, row 25).
    """
    names = dict(enumerate(Flowers102.classes, start=1))
    labels = layout.whole_numbers("imagelabels.mat", "labels", layout.mat("imagelabels.mat", "labels"))
    parts: dict[str, Samples] = {}
    for variable in ("trnid", "valid", "tstid"):
        parts[variable] = []
        for number in layout.whole_numbers("setid.mat", variable, layout.mat("setid.mat", variable)):
            if not 1 <= number <= len(labels):
                raise layout.error("setid.mat", f"{variable} names image {number}, beyond imagelabels.mat")
            label = labels[number - 1]
            if label not in names:
                raise layout.error("imagelabels.mat", f"label {label} of image {number} is not in 1..102")
            parts[variable].append((layout.image(f"jpg/image_{number:05d}.jpg", "setid.mat"), label))
    return assemble("flowers102", layout, names, parts["trnid"] + parts["valid"], parts["tstid"])


def read_stanford_cars(layout: DatasetLayout) -> Classification:
    """Read Stanford Cars.

    devkit/{cars_meta,cars_train_annos,cars_test_annos_withlabels}.mat and the images.
    The labelled test list is taken from the root, where torchvision's manual route puts it, or from devkit/.
    """
    names = dict(enumerate(map(str, layout.mat("devkit/cars_meta.mat", "class_names")), start=1))
    test_list = "cars_test_annos_withlabels.mat"
    if not (layout.root / test_list).is_file():
        test_list = f"devkit/{test_list}"
    train = _read_cars_part(layout, "devkit/cars_train_annos.mat", "cars_train", names)
    test = _read_cars_part(layout, test_list, "cars_test", names)
    return assemble("stanford_cars", layout, names, train, test)


def _read_cars_part(layout: DatasetLayout, file: str, folder: str, names: Mapping[int, str]) -> Samples:
    annotations = layout.mat(file, "annotations")
    missing = [field for field in ("class", "fname") if field not in (annotations.dtype.names or ())]
    if missing:
        raise layout.error(file, f"annotations have no field {missing[0]!r}")
    samples: Samples = []
    for label, image in zip(
        layout.whole_numbers(file, "class", annotations["class"]), annotations["fname"], strict=True
    ):
        if label not in names:
            raise layout.error(file, f"class {label} of {quoted(str(image))} is not in 1..{len(names)}")
        samples.append((layout.image(f"{folder}/{image}", file), label))
    return samples


def read_aircraft(layout: DatasetLayout) -> Classification:
    """Read FGVC-Aircraft 2013b at variant level: trainval and test of data/."""
    variants = layout.names("data/variants.txt")
    labels = {name: label for label, name in enumerate(variants)}
    parts: list[Samples] = []
    for part in ("trainval", "test"):
        file = f"data/images_variant_{part}.txt"
        parts.append([])
        for image, entry in layout.pairs(file).items():
            if entry.value not in labels:
                raise layout.error(file, f"{quoted(entry.value)} is not in variants.txt", entry.line)
            path = layout.image(f"data/images/{image}.jpg", file, entry.line)
            parts[-1].append((path, labels[entry.value]))
    return assemble("aircraft", layout, dict(enumerate(variants)), parts[0], parts[1])


def read_food101(layout: DatasetLayout) -> Classification:
    """Read Food-101: meta/{classes,train,test}.txt and images/<class>/<id>.jpg."""
    classes = sorted(layout.names("meta/classes.txt"))
    labels = {name: label for label, name in enumerate(classes)}
    parts: list[Samples] = []
    for file in ("meta/train.txt", "meta/test.txt"):
        parts.append([])
        for entry in layout.lines(file):
            label = labels.get(entry.value.partition("/")[0])
            if label is None:
                raise layout.error(file, f"{quoted(entry.value)} has no class of classes.txt", entry.line)
            parts[-1].append((layout.image(f"images/{entry.value}.jpg", file, entry.line), label))
    return assemble("food101", layout, dict(enumerate(classes)), parts[0], parts[1])


def read_stanford_dogs(layout: DatasetLayout) -> Classification:
    """Read Stanford Dogs, whose folders name the breeds.

    train_list.mat, test_list.mat and Images/<breed>/*.jpg
    """
    names: dict[int, str] = {}
    parts: list[Samples] = []
    for file in ("train_list.mat", "test_list.mat"):
        parts.append([])
        labels = layout.whole_numbers(file, "labels", layout.mat(file, "labels"))
        images = layout.mat(file, "file_list")
        if len(labels) != len(images):
            raise layout.error(file, f"has {len(images)} images but {len(labels)} labels")
        for label, image in zip(labels, map(str, images), strict=True):
            breed = image.partition("/")[0]
            if names.setdefault(label, breed) != breed:
                raise layout.error(file, f"class {label} is {quoted(names[label])} and {quoted(breed)}")
            parts[-1].append((layout.image(f"Images/{image}", file), label))
    return assemble("stanford_dogs", layout, names, *parts)


def read_inat2017(layout: DatasetLayout) -> Classification:
    """Read iNaturalist 2017.

    train2017.json, val2017.json and train_val_images/<group>/<species>/*.jpg
    """
    names: dict[int, str] = {}
    parts: list[Samples] = []
    for file in ("train2017.json", "val2017.json"):
        images, annotations, categories = layout.json(file, "images", "annotations", "categories")
        try:
            names |= {int(item["id"]): f"{item['supercategory']}/{item['name']}" for item in categories}
            paths = {item["id"]: str(item["file_name"]) for item in images}
            pairs = [(paths[item["image_id"]], int(item["category_id"])) for item in annotations]
        except (KeyError, TypeError, ValueError) as error:
            raise layout.error(file, f"an entry lacks, or names what is not there: {error}") from None
        for path, label in pairs:
            if label not in names:
                raise layout.error(file, f"class {label} of {quoted(path)} is not among its categories")
        parts.append([(layout.image(path, file), label) for path, label in pairs])
    return assemble("inat2017", layout, names, *parts)


def read_imagenet_inat(layout: DatasetLayout) -> Classification:
    """Read imagenet/ and inat2017/ of one folder as one source (protocol 3.3)."""
    imagenet = read_imagenet(DatasetLayout(layout.root / "imagenet", layout.remedy))
    inat = read_inat2017(DatasetLayout(layout.root / "inat2017", layout.remedy))
    names = [f"{data.name}/{label}" for data in (imagenet, inat) for label in data.classes]
    shift = len(imagenet.classes)
    train, test = (
        [
            *zip(first.paths, first.labels, strict=True),
            *((path, label + shift) for path, label in zip(second.paths, second.labels, strict=True)),
        ]
        for first, second in ((imagenet.train, inat.train), (imagenet.test, inat.test))
    )
    return assemble("imagenet_inat", layout, dict(enumerate(names)), train, test)


def read_imagenet(layout: DatasetLayout) -> Classification:
    """Read ImageNet as torchvision unpacks it: {train,val}/<WordNet id>/*."""
    return _read_folders("imagenet", layout)


def read_image_folder(layout: DatasetLayout) -> Classification:
    """Read train/<class>/* and val/<class>/* (else test/<class>/*)."""
    return _read_folders("image_folder", layout)


def _read_folders(name: str, layout: DatasetLayout) -> Classification:
    test_folder = "val" if (layout.root / "val").is_dir() else "test"
    parts: list[list[tuple[Path, str]]] = []
    for folder in ("train", test_folder):
        try:
            images = ImageFolder(layout.root / folder, allow_empty=True)
        except OSError:
            raise layout.error(folder, "no such folder, no class folder in it, or one without images") from None
        parts.append([(Path(path), images.classes[label]) for path, label in images.samples])
    classes = sorted({label for part in parts for _, label in part})
    labels = {label: number for number, label in enumerate(classes)}
    train, test = ([(path, labels[label]) for path, label in part] for part in parts)
    return assemble(name, layout, dict(enumerate(classes)), train, test)


CLASSIFICATION_READERS: Mapping[str, Callable[[DatasetLayout], Classification]] = MappingProxyType(
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
