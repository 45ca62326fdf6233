"""Gets the pre-trained weights of Table 3's rows, or converts one published file.

What timm publishes is fetched, what lies in <data>/weights/original is converted, how to get the rest is said.

python scripts/prepare_weights.py scale=paper data=/path/to/datasets
python scripts/prepare_weights.py convert=[resnet101_caffe,ResNet-101-model.caffemodel,data/weights/my.safetensors]
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from l2sp_suite.config import parse_options
from l2sp_suite.pretrained import CONVERTERS, convert, provide
from l2sp_suite.sweeps import table3
from l2sp_suite.tasks import task_class
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass(frozen=True)
class Options:
    """Options of this script."""

    scale: str = field(default="paper", metadata={"meaning": "mini, small or paper"})
    data: str = field(default="data", metadata={"meaning": "folder of the data sets' folders"})
    convert: list[str] = field(
        default_factory=list, metadata={"meaning": f"[CONVERTER,SOURCE,TARGET]; converters: {', '.join(CONVERTERS)}"}
    )


def main(options: Options) -> int:
    """Gets or converts; the exit status is 0 if all weights that were asked for are there."""
    if options.convert:
        if len(options.convert) != 3:
            raise UserError("convert: give [CONVERTER,SOURCE,TARGET]")
        name, source, target = options.convert
        print(f"{target}: made of {source} (sha256 {convert(name, Path(source), Path(target))})")
        return 0
    logging.disable(logging.WARNING)
    printed, ready = set[str](), True
    for cfg in table3(options.scale):
        states = provide(cfg, task_class(cfg).summary(cfg).parts, Path(options.data))
        ready &= all(state.ready for state in states)
        for state in states:
            text = state.message + (f"\n  to do: {state.remedy}" if state.remedy else "")
            print(f"{text}\n" if text not in printed else "", end="", flush=True)
            printed.add(text)
    return 0 if ready else 1


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main(parse_options(Options, sys.argv[1:], __doc__ or "")))
