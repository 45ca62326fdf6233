"""Options of the scripts, `key=value` as Hydra reads it, into a dataclass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING as REQUIRED
from dataclasses import fields
from typing import Any, TypeVar, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config.messages import explain, unknown_key
from l2sp_suite.utils.errors import UserError

__all__ = ["parse_options", "read_overrides"]

T = TypeVar("T")
_HELP = ("-h", "--help", "help=true")


def parse_options(options: type[T], arguments: Sequence[str], about: str = "") -> T:
    """An instance of the dataclass `options` from `key=value` arguments; keys without a default must be given.

    Where a key takes a list, one value may stand without brackets. `about` is printed for `--help`, with the keys and
    their defaults.

    Raises:
        UserError: an unknown key (the message has the nearest right one), a wrong type, or a value that cannot be read.
        SystemExit: after the help.
    """
    if set(_HELP) & set(arguments):
        print(_help(options, about))
        raise SystemExit(0)
    known = [item.name for item in fields(cast(Any, options))]
    lists = {item.name for item in fields(cast(Any, options)) if item.default_factory is list}
    values = read_overrides(arguments)
    for name in values:
        if name not in known:
            raise unknown_key(name, known)
    values = {name: [value] if name in lists and isinstance(value, str) else value for name, value in values.items()}
    try:
        return cast(T, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), values)))
    except OmegaConfBaseException as error:
        raise explain(error, known) from error


def read_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """The values of `key=value` arguments in Hydra's grammar, one value a key; the last of several counts.

    Raises:
        UserError: an argument cannot be read, or asks for a sweep.
    """
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise explain(error) from error
    for override in overrides:
        if override.type is not OverrideType.CHANGE or override.is_sweep_override():
            raise UserError(f"{override.input_line}: give one value, as key=value")
    return {override.key_or_group: override.value() for override in overrides}


def _help(options: type, about: str) -> str:
    lines = []
    for item in fields(options):
        default = item.default_factory() if item.default_factory is not REQUIRED else item.default
        shown = default if isinstance(default, str) else json.dumps(default)
        lines.append(f"  {item.name}={shown}  {item.metadata.get('meaning', '')}".rstrip())
    return "\n".join([about.strip(), "", "options, as key=value, with their defaults:", *lines])
