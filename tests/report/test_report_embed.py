"""Tables quoted in a page are those on disk, the README's among them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from l2sp_suite.report.embed import embed_tables, embedded
from l2sp_suite.utils.errors import UserError

README = Path(__file__).parents[2] / "README.md"


def test_what_stands_between_the_comments_is_renewed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "t.md").write_text("# Title\n\n| a |\n|---|\n| 1 |\n")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: t.md -->\nold\n<!-- end of table -->\nafter \\1\n")
    embed_tables(page)
    once = page.read_text()
    assert once == (
        "before\n<!-- table: t.md -->\n\n**Title**\n\n| a |\n|---|\n| 1 |\n\n<!-- end of table -->\nafter \\1\n"
    )
    embed_tables(page)
    assert page.read_text() == once


def test_a_quoted_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: gone.md -->\n<!-- end of table -->\n")
    with pytest.raises(UserError, match=r"gone\.md, which is not there"):
        embed_tables(page)


def committed(path: str) -> str:
    command = ["git", "-C", str(README.parent), "show", f"HEAD:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not (README.parent / ".git").exists(), reason="no git checkout: what was committed is unknown")
def test_the_readme_quotes_the_committed_tables(tmp_path: Path) -> None:
    """The committed ones: here a campaign may have measured others since."""
    text = committed("README.md")
    quoted = re.findall("<!-- table: (.*) -->", text)
    assert len(quoted) >= 3
    for name in quoted:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(committed(name))
    (tmp_path / "README.md").write_text(text)
    assert embedded(tmp_path / "README.md") == text
