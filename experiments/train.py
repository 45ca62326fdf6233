"""One run, or a Hydra multirun.

python experiments/train.py experiment=dstl_cub200 reg=l2_sp seed=0
python experiments/train.py -m experiment=dstl_cub200 reg=l2_sp reg.alpha=1e-3,1e-2 reg.beta=1e-3
"""

from __future__ import annotations

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from l2sp_suite.config.compose import CONFIGS, register, typed
from l2sp_suite.runs import report_line, run_of
from l2sp_suite.training.trainer import train
from l2sp_suite.utils.exit_codes import one_line_errors

INTERRUPTED = 130
failures: list[int] = []  # exit statuses of the points of a multirun that failed


@hydra.main(version_base=None, config_path=str(CONFIGS), config_name="train")
def main(config: DictConfig) -> None:
    """Trains what the command line names and prints its result; a failing point does not stop a multirun."""
    try:
        with one_line_errors():  # inside Hydra, which would print a traceback of its own
            cfg = typed(config)
            found = run_of(cfg).done
            print(f"{report_line(train(cfg, wait=True))}{', done before' if found else ''}", flush=True)
    except SystemExit as left:
        if HydraConfig.get().mode is not RunMode.MULTIRUN or left.code == INTERRUPTED:
            raise
        failures.append(int(left.code or 0))


if __name__ == "__main__":
    register()
    with one_line_errors():
        main()
    raise SystemExit(max(failures, default=0))
