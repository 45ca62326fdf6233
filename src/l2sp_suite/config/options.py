"""Options of the scripts, `key=value` as Hydra reads it, into a dataclass."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import MISSING as REQUIRED
from dataclasses import fields
from typing import Any, TypeVar, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.config.messages import explain, unknown_key
from l2sp_suite.utils.errors import UserError

__all__ = ["parse_options", "read_overrides"]

T = TypeVar("T")
_HELP = ("-h", "--help", "help=true")


def parse_options(options: type[T], arguments: Sequence[str], about: str = "") -> T:
    """An instance of the dataclass `options` from `key=value` arguments; keys without a default must be given.

    An option that is a list takes `key=a,b` too, or one value. `about` is printed for `--help`, with the keys and their
    defaults.

    Raises:
        UserError: an unknown key (the message has the nearest right one), a wrong type, or a value that cannot be read.
        SystemExit: after the help.
    """
    if set(_HELP) & set(arguments):
        print(_help(options, about))
        raise SystemExit(0)
    known = [item.name for item in fields(cast(Any, options))]
    schema = OmegaConf.structured(options)
    values = read_overrides(arguments, [name for name in known if isinstance(schema._get_node(name), ListConfig)])
    for name in values:
        if name not in known:
            raise unknown_key(name, known)
    try:
        return cast(T, OmegaConf.to_object(OmegaConf.merge(schema, values)))
    except OmegaConfBaseException as error:
        raise explain(error, known) from error


def read_overrides(arguments: Sequence[str], lists: Collection[str] = ()) -> dict[str, Any]:
    """The values of `key=value` arguments in Hydra's grammar, one value a key; the last of several counts.

    Of the keys in `lists` also `key=a,b`, whose value is a list, as is that of `key=a`.

    Raises:
        UserError: an argument cannot be read, or asks for a sweep.
    """
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise explain(error) from error
    values: dict[str, Any] = {}
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if key in lists and not isinstance(value, list):
            value = list(override.sweep_string_iterator()) if override.is_choice_sweep() else [value] if value else []
        elif override.type is not OverrideType.CHANGE or override.is_sweep_override():
            raise UserError(f"{override.input_line}: give one value, as key=value")
        values[key] = value
    return values


def _help(options: type, about: str) -> str:
    lines = []
    for item in fields(options):
        default = item.default_factory() if item.default_factory is not REQUIRED else item.default
        shown = default if isinstance(default, str) else json.dumps(default)
        lines.append(f"  {item.name}={shown}  {item.metadata.get('meaning', '')}".rstrip())
    return "\n".join([about.strip(), "", "options, as key=value, with their defaults:", *lines])
