"""The fact sheet docs/protocols, by page and heading."""

from __future__ import annotations

import re
from functools import cache

from l2sp_suite.config import ROOT


@cache
def section(anchor: str) -> str:
    """The text under a heading, or the line of an anchor, e.g. `encnet.md#losses`; without the marks of emphasis."""
    page, _, name = anchor.partition("#")
    text = (ROOT / "docs" / "protocols" / page).read_text().replace("**", "")
    for part in re.findall(r"^#.*?(?=^#|\Z)", text, flags=re.M | re.S):
        heading = part.splitlines()[0].lstrip("# ").lower()
        if re.sub(r"[^a-z0-9 -]", "", heading).replace(" ", "-") == name:
            return part
    (line,) = (line for line in text.splitlines() if f'<a id="{name}">' in line)
    return line
