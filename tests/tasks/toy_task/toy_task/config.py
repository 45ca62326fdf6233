from __future__ import annotations

from dataclasses import dataclass

from l2sp_suite.config import TaskConfig
from l2sp_suite.config.fields import at_least, key, span


@dataclass
class Config(TaskConfig):
    """Regression of points."""

    width: int = key("units of the hidden layer", at_least(1))
    noise: float = key("largest shift of a training point", span(0))
    pause: float = key("seconds before each batch", span(0), label=True)
