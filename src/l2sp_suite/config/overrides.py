"""Command lines of scripts: `key=value`, as Hydra takes them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields
from typing import TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from l2sp_suite.utils.errors import UserError

__all__ = ["parse_options"]

Options = TypeVar("Options")


def parse_options(options: type[Options], argv: Sequence[str]) -> Options:
    """An instance of the dataclass `options` with the values of `argv`, such as ["sets=cub200", "verify=true"].

    Raises UserError for an argument that is no key=value, an unknown key (naming the nearest one) or a bad value.
    """
    known = [field.name for field in fields(options)]  # type: ignore[arg-type]
    config = OmegaConf.structured(options)
    for argument in argv:
        key, equals, value = argument.partition("=")
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise UserError(f"cannot take '{argument}'; nearest: {near}=.. (of {', '.join(known)})")
        try:
            config[key] = value
        except OmegaConfBaseException as error:
            raise UserError(f"{argument}: {str(error).splitlines()[0]}") from None
    return cast(Options, OmegaConf.to_object(config))
