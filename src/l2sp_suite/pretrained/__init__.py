"""Pre-trained weights: read and checked, converted from published files, and whether a run's are at hand."""

from l2sp_suite.pretrained.load import (
    CLASSIFIERS,
    SLIM_INCEPTION,
    LoadResult,
    PretrainedWeights,
    load_branch,
    load_pretrained,
    load_weights,
    save_weights,
    tensors_sha256,
)

__all__ = [
    "CLASSIFIERS", "SLIM_INCEPTION", "LoadResult", "PretrainedWeights", "load_branch", "load_pretrained",
    "load_weights", "save_weights", "tensors_sha256",
]  # fmt: skip
