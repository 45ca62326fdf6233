"""The arms that a report compares: the baseline, those of the plan, and any other that has runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from l2sp_suite.utils.errors import UserError


@dataclass(frozen=True)
class Arms:
    """Names of arms in the order of the tables, the baseline first, e.g. `("l2", "l2_sp")`.

    `labels`: how tables print an arm, by name, where its runs say so; `l2_sp` is L2-SP without.
    """

    names: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The arm that every other one is compared with."""
        return self.names[0]

    @property
    def others(self) -> tuple[str, ...]:
        """All arms but the baseline."""
        return self.names[1:]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Name and label of each arm."""
        return [(name, self.label(name)) for name in self.names]

    def label(self, name: str) -> str:
        """How tables print an arm."""
        label = self._plain(name)
        alike = [other for other in self.names if self._plain(other) == label]
        return label if len(alike) < 2 else f"{label} ({name})"

    def _plain(self, name: str) -> str:
        return self.labels.get(name) or name.upper().replace("_", "-")

    def with_runs(self, runs: Iterable[tuple[str, str]]) -> Arms:
        """These arms, then those of `runs` (name and label of each) that are not among them, by name."""
        pairs = sorted(set(runs))
        labels = {name: label for name, label in pairs if label}
        more = sorted({name for name, _ in pairs} - set(self.names))
        return replace(self, names=(*self.names, *more), labels={**self.labels, **labels})


def read_arms(plan: Path) -> Arms:
    """The arms of a plan: its `baseline`, then its other `arms`.

    Raises:
        UserError: the file is missing or has not both keys.
    """
    try:
        content = yaml.safe_load(plan.read_text(encoding="utf-8"))
        baseline, names = str(content["baseline"]), [str(name) for name in content["arms"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"{plan}: give arms, a list of names of configs/reg, and baseline, one of them") from error
    return Arms((baseline, *(name for name in dict.fromkeys(names) if name != baseline)))
