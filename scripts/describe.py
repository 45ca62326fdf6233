"""Says what a run's network holds and what of it is penalised, without data or weights.

python scripts/describe.py experiment=encnet50_pcontext scale=paper
python scripts/describe.py experiment=encnet101_pcontext scale=paper step=true format=json
"""

from __future__ import annotations

import json
import sys

import yaml

from l2sp_suite.config.compose import compose
from l2sp_suite.preflight.describe import describe
from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.exit_codes import one_line_errors

_OWN = {"format": ("text", "json"), "step": ("false", "true")}


def main() -> None:
    """Reads overrides as `experiments/train.py` does, and `format` and `step`."""
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    own, overrides = {key: options[0] for key, options in _OWN.items()}, []
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key not in own:
            overrides.append(argument)
        elif value not in _OWN[key]:
            raise UserError(f"{argument}: use {key}={' or '.join(_OWN[key])}")
        else:
            own[key] = value
    found = describe(compose(overrides), step=own["step"] == "true")
    print(json.dumps(found, indent=1) if own["format"] == "json" else yaml.safe_dump(found, sort_keys=False), end="\n")


if __name__ == "__main__":
    with one_line_errors():
        main()
