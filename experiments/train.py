"""One run, or a Hydra multirun.

python experiments/train.py experiment=dstl_cub200 reg=l2_sp seed=0
python experiments/train.py -m experiment=dstl_cub200 reg=l2_sp reg.alpha=1e-3,1e-2 reg.beta=1e-3
"""

from __future__ import annotations

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from l2sp_suite.config import CONFIGS, hydra_errors, register, resolve, typed
from l2sp_suite.runs import Run
from l2sp_suite.training import train
from l2sp_suite.utils.exit_codes import INTERRUPTED, one_line_errors

failures: list[int] = []  # exit statuses of the points of a multirun that failed


@hydra.main(version_base=None, config_path=str(CONFIGS), config_name="train")
def main(config: DictConfig) -> None:
    """Trains what the command line names and prints its result; a failing point does not stop a multirun."""
    try:
        with one_line_errors(), hydra_errors():  # inside Hydra, which would print a traceback of its own
            spec = resolve(typed(config))
            done_before = Run(spec).done
            print(f"{train(spec, wait=True)}{', done before' if done_before else ''}", flush=True)
    except SystemExit as error:
        if HydraConfig.get().mode is not RunMode.MULTIRUN or error.code == INTERRUPTED:
            raise
        failures.append(int(error.code or 0))


if __name__ == "__main__":
    register()
    with one_line_errors(), hydra_errors():
        main()
    raise SystemExit(max(failures, default=0))
