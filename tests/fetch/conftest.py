from collections.abc import Iterator

import pytest
import web


@pytest.fixture
def site() -> Iterator[web.Web]:
    with web.serving() as found:
        yield found
