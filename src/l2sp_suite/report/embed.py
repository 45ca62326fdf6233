"""Keeps the tables that a Markdown page quotes equal to the files that they come from."""

from __future__ import annotations

import re
from pathlib import Path

from l2sp_suite.utils.errors import UserError
from l2sp_suite.utils.files import write_atomically

__all__ = ["embed_tables", "embedded"]

_BLOCK = re.compile(r"(<!-- table: (?P<path>\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def embedded(page: Path) -> str:
    """The text of `page` with each table between its two comments as its file has it now.

    A block starts with ``<!-- table: PATH -->``, PATH relative to the page, and ends with ``<!-- end of table -->``.

    Raises:
        UserError: a quoted file is not there.
    """

    def renew(match: re.Match[str]) -> str:
        path = page.parent / match["path"]
        if not path.is_file():
            raise UserError(f"{page}: quotes {path}, which is not there; run make tables, or correct the page")
        title, _, body = path.read_text(encoding="utf-8").partition("\n")
        return f"{match[1]}\n**{title.lstrip('# ')}**\n\n{body.strip()}\n\n{match[3]}"

    return _BLOCK.sub(renew, page.read_text(encoding="utf-8"))


def embed_tables(page: Path) -> None:
    """Renews the tables of `page` in place. Raises UserError as `embedded` does."""
    write_atomically(page, embedded(page))
