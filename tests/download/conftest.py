from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_releases
import web


@pytest.fixture
def site() -> Iterator[web.Web]:
    with web.serving() as found:
        yield found


@pytest.fixture
def tiny(site: web.Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tiny_releases.Release:
    return tiny_releases.Release(site, tmp_path, monkeypatch)
