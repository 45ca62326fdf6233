"""What the configuration of every approach holds."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

__all__ = ["ApproachConfig", "Coefficients", "PenaltyConfig"]


@dataclass
class Coefficients:
    """alpha (shared weights) and beta (new weights) of equation 3."""

    alpha: float = MISSING
    beta: float = MISSING


@dataclass
class PenaltyConfig:
    """The setting of each arm that Table 3 reports, chosen on validation where we could choose."""

    l2: Coefficients = MISSING
    l2_sp: Coefficients = MISSING


@dataclass
class ApproachConfig:
    """Base of `DSTLConfig` and its siblings."""

    name: str = MISSING
    penalty: PenaltyConfig = MISSING
