"""docs/configuration.md is what the schema and configs/ say."""

import pytest

from l2sp_suite.config import ROOT, configuration_page


@pytest.mark.slow
def test_the_committed_page_is_the_generated_one() -> None:
    committed = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert committed == configuration_page(), "run python scripts/docs.py"
