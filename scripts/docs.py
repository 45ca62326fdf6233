"""Writes the generated documents: docs/configuration.md.

python scripts/docs.py
"""

from __future__ import annotations

from l2sp_suite.config import ROOT, configuration_page
from l2sp_suite.utils.exit_codes import one_line_errors
from l2sp_suite.utils.files import write_atomically


def main() -> None:
    """Writes them."""
    path = ROOT / "docs" / "configuration.md"
    write_atomically(path, configuration_page())
    print(path)


if __name__ == "__main__":
    with one_line_errors():
        main()
