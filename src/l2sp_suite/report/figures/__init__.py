"""Figures as PNG bytes. The only package that imports matplotlib; `pictures` imports it only when it draws."""

from __future__ import annotations

from l2sp_suite.report.figures.forest import forest
from l2sp_suite.report.figures.ladder import learning_rate
from l2sp_suite.report.figures.layers import layers
from l2sp_suite.report.figures.predictions import predictions
from l2sp_suite.report.figures.settings import settings
from l2sp_suite.report.figures.sources import classes, similarity, sources
from l2sp_suite.report.figures.theory import figure1, theory
from l2sp_suite.report.figures.training import training

__all__ = [
    "classes",
    "figure1",
    "forest",
    "layers",
    "learning_rate",
    "predictions",
    "settings",
    "similarity",
    "sources",
    "theory",
    "training",
]
