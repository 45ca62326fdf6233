"""Turns published weights into files that runs start from: see --help for which.

python scripts/prepare_weights.py resnet101_caffe ResNet-101-model.caffemodel data/weights/resnet101_caffe.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from l2sp.cli import one_line_errors
from l2sp.convert.nets import CONVERTERS, convert


def main() -> None:
    """Converts one file and says what it was made of."""
    lines = [f"{name}: {converter.what}" for name, converter in CONVERTERS.items()]
    parser = argparse.ArgumentParser(description="Converters: " + "; ".join(lines))
    parser.add_argument("converter", help=", ".join(CONVERTERS))
    parser.add_argument("source", type=Path, help="the published file")
    parser.add_argument("target", type=Path, help="the file to make, .safetensors")
    args = parser.parse_args()
    checksum = convert(args.converter, args.source, args.target)
    print(f"{args.target}: made of {args.source} (sha256 {checksum})")


if __name__ == "__main__":
    with one_line_errors():
        main()
