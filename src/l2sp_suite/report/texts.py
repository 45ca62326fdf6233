"""The words of the report, from `configs/report/*.yaml`: captions, names of scales, units and symbols."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast


@dataclass(frozen=True)
class Unit:
    """How a metric is printed: times `factor`, with `digits` decimals, e.g. a fraction in percent.

    `symbol` and `points` stand at the axes of values and of differences; `differences` says what these are of.
    """

    name: str
    factor: float
    digits: int
    symbol: str
    points: str
    differences: str
    axis: str


FRACTION = Unit("fraction", 1.0, 2, "", "", "", "")


@cache
def words(file: str) -> Any:
    """The content of `configs/report/<file>.yaml`."""
    path = ROOT / "configs" / "report" / f"{file}.yaml"
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)


class _Words(dict[str, object]):
    """Values of placeholders; those that are not given are phrases of notes.yaml, which may have placeholders too."""

    def __missing__(self, name: str) -> str:
        return str(words("notes")["phrases"][name]).format_map(self)


def say(text: str, scale: str = "", **values: object) -> str:
    """`text` with its placeholders filled: by `values`, the names of a scale, or a phrase of notes.yaml."""
    names = {"ours": ours(scale), "scale": scale, "scale_note": note_of_scale(scale)} if scale else {}
    return text.format_map(_Words(names | values)).strip()


def ours(scale: str) -> str:
    """What heads our columns of a scale; "paper" heads what the paper printed."""
    return "ours" if scale == "paper" else scale


def note_of_scale(scale: str) -> str:
    """What a scale's numbers are numbers of; unknown scales promise nothing."""
    return str(words("notes")["scales"].get(scale, f"{scale} scale: not the paper's protocol"))


def own_pictures(scale: str) -> bool:
    """Whether the images that runs of a scale show are the project's own, drawn ones."""
    return scale in words("notes")["own_pictures"]


@cache
def unit_of(metric: str) -> Unit:
    """How values of a metric are printed: that of the unit whose name it contains, else percent."""
    units = words("notes")["units"]
    name = next((name for name in units if name.lower() in metric.lower()), "default")
    return Unit(**units[name])


def symbol(hyper_parameter: str) -> str:
    """How tables head a hyper-parameter, e.g. α."""
    return str(words("notes")["symbols"].get(hyper_parameter, hyper_parameter))


def mark(approach: str) -> str:
    """An approach's name with the mark that the caption of Table 3 explains, if it has one."""
    return f"{approach} {words('notes')['marks'].get(approach, '')}".strip()
