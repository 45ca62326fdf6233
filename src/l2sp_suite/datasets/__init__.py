"""Data sets: readers of the official layouts, transforms of each task, and batches that depend on seed and step alone.

A run's way: `read_dataset` -> `run_splits` -> a cache and a transform -> `Examples` -> `train_batches`.
"""

from l2sp_suite.datasets.cache import Cache, frame_cache, image_cache, map_cache
from l2sp_suite.datasets.class_lists import keep_classes
from l2sp_suite.datasets.classification_transforms import eval_transform, train_transform
from l2sp_suite.datasets.dataset import READERS, official_size, read, read_dataset, run_splits
from l2sp_suite.datasets.images import IGNORED, Pair, load_image
from l2sp_suite.datasets.layout import DatasetLayout, find_root
from l2sp_suite.datasets.loader import (
    Batch,
    Examples,
    LabelledImages,
    collate_labels,
    collate_maps,
    collate_pairs,
    equal_sizes,
    eval_batches,
    spread,
    steps_per_epoch,
    stored_pairs,
    train_batches,
)
from l2sp_suite.datasets.palette import palette
from l2sp_suite.datasets.records import (
    Classification,
    ClassificationSplit,
    DataSet,
    Segmentation,
    SegmentationSplit,
    Split,
    Video,
    VideoSplit,
    check_counts,
    combined,
    differences,
    digest,
    hold_out,
)
from l2sp_suite.datasets.seeding import derive_seed, permutation
from l2sp_suite.datasets.segmentation_transforms import ScaledCrop
from l2sp_suite.datasets.superclasses import label_of, superclass_of
from l2sp_suite.datasets.transforms import Normalize, Transform, seeded
from l2sp_suite.datasets.video_transforms import RandomAffine, resize_fields, resize_flow, resize_frames, warp

__all__ = [
    "IGNORED", "READERS", "Batch", "Cache", "Classification", "ClassificationSplit", "DataSet", "DatasetLayout",
    "Examples", "LabelledImages", "Normalize", "Pair", "RandomAffine", "ScaledCrop", "Segmentation",
    "SegmentationSplit", "Split", "Transform", "Video", "VideoSplit", "check_counts", "collate_labels",
    "collate_maps", "collate_pairs", "combined", "derive_seed", "differences", "digest", "equal_sizes",
    "eval_batches", "eval_transform", "find_root", "frame_cache", "hold_out", "image_cache", "keep_classes",
    "label_of", "load_image", "map_cache", "official_size", "palette", "permutation", "read",
    "read_dataset", "resize_fields", "resize_flow", "resize_frames", "run_splits", "seeded",
    "spread", "steps_per_epoch", "stored_pairs", "superclass_of", "train_batches", "train_transform", "warp",
]  # fmt: skip
