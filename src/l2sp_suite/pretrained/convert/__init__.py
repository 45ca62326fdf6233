"""Converters of published weights, from Caffe, TensorFlow and ports to PyTorch."""

from l2sp_suite.pretrained.convert.nets import CONVERTERS, Converter, convert
from l2sp_suite.pretrained.convert.published import ORIGINALS, PUBLISHED, convert_published

__all__ = ["CONVERTERS", "ORIGINALS", "PUBLISHED", "Converter", "convert", "convert_published"]
