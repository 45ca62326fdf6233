"""Says what a run's network holds and what of it is penalised, without data or weights.

Takes the overrides of experiments/train.py, and
    format=text    text or json
    step=false     whether to time a training step, in single precision

python scripts/describe.py experiment=encnet50_pcontext scale=paper
python scripts/describe.py experiment=encnet101_pcontext scale=paper step=true format=json
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import yaml

from l2sp_suite.config import compose, parse_options
from l2sp_suite.preflight import describe
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors


@dataclass(frozen=True)
class Options:
    """Options of this script, beside the run's overrides."""

    format: str = "text"
    step: bool = False


def main(arguments: list[str]) -> None:
    """Prints the description of the run that the overrides name."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    ours = [text for text in arguments if text.partition("=")[0] in ("format", "step")]
    options = parse_options(Options, ours)
    if options.format not in ("text", "json"):
        raise UserError(f"format={options.format}: use text or json")
    description = describe(compose([text for text in arguments if text not in ours]), options.step)
    as_json = options.format == "json"
    print(json.dumps(description, indent=1) if as_json else yaml.safe_dump(description, sort_keys=False).rstrip())


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
