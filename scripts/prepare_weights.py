"""Gets the starting weights of Table 3's rows, or converts one published file.

What timm publishes is fetched, what lies in <data>/weights/original is converted, how to get the rest is said.

python scripts/prepare_weights.py --scale paper --data /path/to/datasets
python scripts/prepare_weights.py --convert resnet101_caffe ResNet-101-model.caffemodel data/weights/my.safetensors
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from l2sp_suite.tasks.registry import outline

from l2sp_suite.pretrained.convert.nets import CONVERTERS, convert
from l2sp_suite.pretrained.status import provide
from l2sp_suite.sweeps.plan import table3
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


def main() -> int:
    """Reads the command line; the exit status is 0 if all weights that were asked for are there."""
    lines = [f"  {name}: {converter.what}" for name, converter in CONVERTERS.items()]
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="\n".join(["converters:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", default="paper", help="mini, pocket or paper")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets' folders")
    parser.add_argument("--convert", nargs=3, metavar=("CONVERTER", "SOURCE", "TARGET"), help="make TARGET of SOURCE")
    arguments = parser.parse_args()
    if arguments.convert:
        name, source, target = arguments.convert
        checksum = convert(name, Path(source), Path(target))
        print(f"{target}: made of {source} (sha256 {checksum})")
        return 0
    logging.disable(logging.WARNING)
    return 0 if _all(arguments.scale, arguments.data) else 1


def _all(scale: str, data: Path) -> bool:
    """Provides the weights of every row; says once what became of each."""
    told: set[str] = set()
    ready = True
    for cfg in {item.cfg.experiment: item.cfg for item in table3(scale)}.values():
        try:
            states = provide(cfg, outline(cfg).starts, data)
            lines = [f"{state.found}" + (f"\n  to do: {state.remedy}" if state.remedy else "") for state in states]
            ready &= all(state.ready for state in states)
        except UserError as error:
            lines, ready = [str(error)], False
        print("".join(f"{line}\n" for line in lines if line not in told), end="", flush=True)
        told.update(lines)
    return ready


if __name__ == "__main__":
    with one_line_errors():
        raise SystemExit(main())
