"""The published weights that rows of Table 3 start from, as files that must be fetched by hand and converted."""

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
    """A file of starting weights: `names` (patterns) of what is published, with the converter of each; `whence` it is.

    Of patterns that a file's name fits, the first counts.

    Nobody publishes a checksum of these files; what they are is checked tensor by tensor, and noted in what is made.
    """

    names: dict[str, str]
    whence: str


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
    """Makes one of `PUBLISHED` of the published file in `ORIGINALS`; its checksum, or None where there is no such file.

    Raises:
        UserError: several files might be it, or what is there is damaged or another network.
    """
    published = PUBLISHED[target]
    folder = data_root / ORIGINALS
    fitting = [(path, converter) for name, converter in published.names.items() for path in sorted(folder.glob(name))]
    found = list({path: (path, converter) for path, converter in reversed(fitting)}.values())
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(sorted(path.name for path, _ in found))
        raise UserError(f"{folder}: {names} might all be {published.whence}; leave one")
    path, converter = found[0]
    return convert(converter, path, data_root / target)
