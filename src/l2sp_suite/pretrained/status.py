"""Starting weights of a run before it starts: what is there, whether it fits, what lacks and how to get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from l2sp_suite.config import TrainConfig, WeightsConfig
from l2sp_suite.pretrained.convert.published import ORIGINALS, PUBLISHED, convert_published
from l2sp_suite.pretrained.load import CLASSIFIERS, load_weights, timm_file, timm_name
from l2sp_suite.utils.errors import UserError

__all__ = ["WeightsStatus", "provide", "weights_status"]


@dataclass(frozen=True)
class WeightsStatus:
    """One starting point of a run: whether it is there and fits, what was found, and how to get what lacks."""

    key: str
    ready: bool
    found: str
    remedy: str = ""


def weights_status(cfg: TrainConfig, modules: Mapping[str, nn.Module], data_root: Path) -> list[WeightsStatus]:
    """The pre-trained weights of a run, each held against the part of the network that starts from it.

    Nothing is fetched, trained or changed.
    """
    starts = cfg.pretrained()
    return [_state(key, starts[key], module, data_root) for key, module in modules.items() if key in starts]


def provide(cfg: TrainConfig, modules: Mapping[str, nn.Module], data_root: Path) -> list[WeightsStatus]:
    """As `weights_status`, after having fetched what timm publishes and converted published files that lie ready.

    What cannot be fetched, is damaged or of another network is not ready, for that reason; the others are provided.
    """
    starts, failed = cfg.pretrained(), dict[str, str]()
    for key, module in modules.items():
        try:
            if key in starts:
                _provide(starts[key], module, data_root, key)
        except UserError as error:
            failed[key] = str(error)
    states = weights_status(cfg, modules, data_root)
    return [WeightsStatus(one.key, False, failed[one.key]) if one.key in failed else one for one in states]


def _provide(start: WeightsConfig, module: nn.Module, data_root: Path, key: str) -> None:
    if start.source == "timm":
        load_weights("timm", module, None, start.sha256, CLASSIFIERS, key)
    elif start.source == "file" and start.file in PUBLISHED and not (data_root / start.file).exists():
        convert_published(start.file, data_root)


def _state(key: str, start: WeightsConfig, module: nn.Module, data_root: Path) -> WeightsStatus:
    if start.source == "source_run":
        return WeightsStatus(key, True, f"{start.experiment}: pre-trained here, before the first run that needs it")
    if start.source == "timm":
        name = timm_name(module, key)
        if timm_file(name) is None:
            return WeightsStatus(key, False, f"{name} is not on this machine", f"{_make(data_root)} fetches it")
    path = data_root / start.file if start.file else None
    if start.source == "file" and path is not None and not path.exists():
        return WeightsStatus(key, False, f"{path} is not there", _how(start.file or "", data_root))
    try:
        read = load_weights(start.source, module, path, start.sha256, CLASSIFIERS, key)
    except UserError as error:
        again = f"delete {path}; then {_how(start.file or '', data_root)}" if path else f"{_make(data_root)} again"
        return WeightsStatus(key, False, str(error), again)
    if start.source == "none":
        return WeightsStatus(key, True, "none: from scratch")
    return WeightsStatus(key, True, f"{read.origin}, sha256 {read.sha256[:12]}")


def _how(file: str, data_root: Path) -> str:
    published = PUBLISHED.get(file)
    if published is None:
        return "put another file there, or correct weights.source or weights.file"
    return f"put {published.whence}, into {data_root / ORIGINALS}; then {_make(data_root)} makes {file} of it"


def _make(data_root: Path) -> str:
    return f"make weights DATA='{data_root}'"
