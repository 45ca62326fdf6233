"""Whether a run's pre-trained weights are at hand and fit, and how to get those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from l2sp_suite.config import TrainConfig, WeightsConfig
from l2sp_suite.pretrained.convert.published import ORIGINALS, PUBLISHED, convert_published
from l2sp_suite.pretrained.load import PretrainedPart, read_part, timm_file, timm_name
from l2sp_suite.utils.errors import UserError

__all__ = ["WeightsStatus", "provide", "weights_status"]


@dataclass(frozen=True)
class WeightsStatus:
    """Pre-trained weights of a run before it starts."""

    key: str  # of `TrainConfig.pretrained`, e.g. `weights`
    ready: bool  # whether a run can start from them
    message: str  # what there is, or what is wrong, in one line
    remedy: str = ""  # how to get them; empty where they are ready


def weights_status(cfg: TrainConfig, parts: Mapping[str, PretrainedPart], data_root: Path) -> list[WeightsStatus]:
    """The pre-trained weights of a run, each held against its part of the network; nothing is fetched or changed."""
    configs = cfg.pretrained()
    return [_status(key, configs[key], part, data_root) for key, part in parts.items() if key in configs]


def provide(cfg: TrainConfig, parts: Mapping[str, PretrainedPart], data_root: Path) -> list[WeightsStatus]:
    """As `weights_status`, after fetching what timm publishes and converting the published files that lie ready.

    Weights that cannot be fetched, are damaged or of another network do not keep the others back.
    """
    configs, failed = cfg.pretrained(), dict[str, str]()
    for key, part in parts.items():
        try:
            if key in configs:
                _provide(key, configs[key], part, data_root)
        except UserError as error:
            failed[key] = str(error)
    states = weights_status(cfg, parts, data_root)
    return [WeightsStatus(state.key, False, failed[state.key]) if state.key in failed else state for state in states]


def _provide(key: str, weights: WeightsConfig, part: PretrainedPart, data_root: Path) -> None:
    if weights.source == "timm":
        read_part(key, weights, part, None)
    elif weights.source == "file" and weights.file in PUBLISHED and not (data_root / weights.file).exists():
        convert_published(weights.file, data_root)


def _status(key: str, weights: WeightsConfig, part: PretrainedPart, data_root: Path) -> WeightsStatus:
    if weights.source == "source_run":
        return WeightsStatus(key, True, f"{weights.experiment}: pre-trained here, before the first run that needs it")
    if weights.source == "timm":
        name = timm_name(part.module, key)
        if timm_file(name) is None:
            return WeightsStatus(key, False, f"{name} is not on this machine", f"{_make(data_root)} fetches it")
    path = data_root / weights.file if weights.file else None
    if weights.source == "file" and path is not None and not path.exists():
        return WeightsStatus(key, False, f"{path} is not there", _how_to_get(weights.file or "", data_root))
    try:
        read = read_part(key, weights, part, path)
    except UserError as error:
        again = f"delete {path}; then {_how_to_get(weights.file or '', data_root)}"
        return WeightsStatus(key, False, str(error), again if path else f"{_make(data_root)} again")
    if weights.source == "none":
        return WeightsStatus(key, True, "none: from scratch")
    return WeightsStatus(key, True, f"{read.origin}, sha256 {read.sha256[:12]}")


def _how_to_get(file: str, data_root: Path) -> str:
    published = PUBLISHED.get(file)
    if published is None:
        return "put another file there, or correct weights.source or weights.file"
    return f"put {published.origin}, into {data_root / ORIGINALS}; then {_make(data_root)} makes {file} of it"


def _make(data_root: Path) -> str:
    return f"make weights DATA='{data_root}'"
