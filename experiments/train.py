"""One run, or a Hydra multirun.

python experiments/train.py experiment=dstl_cub200 reg=l2_sp seed=0
python experiments/train.py -m experiment=dstl_cub200 reg=l2_sp reg.alpha=1e-3,1e-2 reg.beta=1e-3
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from l2sp.cli import one_line_errors
from l2sp.config import CONFIGS, register, typed
from l2sp.runs import report_line
from l2sp.training.run import train


@hydra.main(version_base=None, config_path=str(CONFIGS), config_name="train")
def main(config: DictConfig) -> None:
    """Trains what the command line names and prints its result."""
    with one_line_errors():  # inside Hydra, which would print a traceback of its own
        print(report_line(train(typed(config), wait=True)), flush=True)


if __name__ == "__main__":
    register()
    with one_line_errors():
        main()
