"""Errors of the configuration libraries as one line for a person, with the nearest right key or option."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from hydra.errors import OverrideParseException

from l2sp_suite.config.keys import known_keys
from l2sp_suite.config.places import CONFIGS, scale_names
from l2sp_suite.utils.errors import UserError

__all__ = ["explain", "unknown_key"]

_UNKNOWN = re.compile(r"Key '([^']+)' (?:is not in struct|not in '\w+')(?:.*?full_key: ([\w.]+))?")


def explain(error: Exception, known: Collection[str] = ()) -> UserError:
    """One line that names the key, and the nearest of `known` keys (none: of a run's) or options."""
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(f"{error} {cause}".split())
    if match := _UNKNOWN.search(text):
        return unknown_key(match.group(2) or match.group(1), known)
    if match := re.search(r"Could not find '([^']+)'", text):
        return _unknown_option(match.group(1))
    if match := re.search(r"Could not override '([^']+)'", text):
        return unknown_key(match.group(1), known)
    where = getattr(cause, "full_key", None)
    lines = dict.fromkeys(str(e).splitlines()[0] for e in (error, cause) if str(e))
    return UserError(f"configuration: {f'{where}: ' if where else ''}{' '.join(lines)}")


def unknown_key(key: str, known: Collection[str] = ()) -> UserError:
    """Says which key (of `known`; none: of a run's) is nearest to one that there is not."""
    if key.startswith("optim.kwargs."):
        return UserError(f"{key}: no configuration file gives it; write it with a plus, +{key}=<value>")
    keys = known or known_keys()
    if key in keys:
        return UserError(f"configuration key '{key}' is of another task than this experiment's")
    near = difflib.get_close_matches(key, sorted(keys), n=1, cutoff=0.0)
    return UserError(f"unknown configuration key '{key}'; nearest: '{near[0]}'")


def _unreadable(override: str) -> UserError:
    key, equals, value = override.partition("=")
    if not equals:
        return UserError(f"cannot read {override}: write key=value")
    quoted = f"'{key}=\"{value}\"'" if "'" in value else f"\"{key}='{value}'\""
    return UserError(f"cannot read {override}: the value needs quotes of its own, in a shell {quoted}")


def _unknown_option(option: str) -> UserError:
    group, _, name = option.rpartition("/")
    folder = CONFIGS / group
    choices = sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.0)
    if near and name in scale_names():
        return UserError(f"no configuration '{option}': scale={name} has none, only {', '.join(choices)}")
    hint = f"; nearest: '{near[0]}' (of {', '.join(choices)})" if near else ""
    return UserError(f"no configuration '{option}'{hint}")
