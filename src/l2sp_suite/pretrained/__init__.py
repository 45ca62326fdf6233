"""Pre-trained weights: read and checked, converted from published files, and whether a run's are at hand."""

from l2sp_suite.pretrained.convert import CONVERTERS, convert
from l2sp_suite.pretrained.files import file_sha256, save_weights, tensors_sha256
from l2sp_suite.pretrained.load import (
    CLASSIFIERS,
    LoadResult,
    PretrainedPart,
    PretrainedWeights,
    load_pretrained,
    load_weights,
    read_part,
)
from l2sp_suite.pretrained.status import WeightsStatus, provide, weights_status

__all__ = [
    "CLASSIFIERS", "CONVERTERS", "LoadResult", "PretrainedPart", "PretrainedWeights", "WeightsStatus", "convert",
    "file_sha256", "load_pretrained", "load_weights", "provide", "read_part", "save_weights", "tensors_sha256",
    "weights_status",
]  # fmt: skip
