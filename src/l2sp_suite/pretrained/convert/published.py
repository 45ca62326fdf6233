"""Published weights to fetch by hand: names of their files, where these are linked, which converter reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.pretrained.convert.nets import convert
from l2sp_suite.utils.errors import UserError

__all__ = ["ORIGINALS", "PUBLISHED", "Published", "convert_published"]

ORIGINALS = "weights/original"
"""Folder below that of the data sets where the files lie as they were published."""


@dataclass(frozen=True)
class Published:
    """A published file of weights.

    Nobody publishes a checksum of these files; they are checked tensor by tensor.
    """

    names: dict[str, str]  # patterns of the file's name, with the converter of each; the first that fits counts
    origin: str  # what it is and where it is linked, for people


PUBLISHED = {
    "weights/resnet101_caffe.safetensors": Published(
        {"ResNet-101-model.caffemodel": "resnet101_caffe"},
        "ResNet-101-model.caffemodel, linked from github.com/KaimingHe/deep-residual-networks",
    ),
    "weights/flownets_chairs.safetensors": Published(
        {
            "*[Ff]low[Nn]et*.caffemodel": "flownets_caffe",
            "*[Ff]low[Nn]et*from_caffe*.pth*": "flownets_torch_caffe",
            "*[Ff]low[Nn]et*.pth*": "flownets_torch",
        },
        "FlowNetS trained on FlyingChairs: FlowNet's caffemodel (lmb.informatik.uni-freiburg.de) or a port to PyTorch "
        "(linked from github.com/ClementPinard/FlowNetPytorch)",
    ),
    "weights/inception_v3_subset_b.safetensors": Published(
        {"*.index": "inception_v3_slim"},
        "an Inception-V3 checkpoint of TF-slim (.index and .data files), linked from "
        "github.com/richardaecn/cvpr18-inaturalist-transfer",
    ),
}
"""By the path below the folder of data sets that the configurations name."""


def convert_published(target: str, data_root: Path) -> str | None:
    """Makes one of `PUBLISHED` of the file in `ORIGINALS`; its checksum, or None where there is no such file.

    Raises:
        UserError: several files might be it, or what is there is damaged or another network.
    """
    published = PUBLISHED[target]
    folder = data_root / ORIGINALS
    converters: dict[Path, str] = {}
    for pattern, converter in published.names.items():
        for path in sorted(folder.glob(pattern)):
            converters.setdefault(path, converter)
    if not converters:
        return None
    if len(converters) > 1:
        names = ", ".join(sorted(path.name for path in converters))
        raise UserError(f"{folder}: {names} might all be {published.origin}; leave one")
    ((path, converter),) = converters.items()
    return convert(converter, path, data_root / target)
