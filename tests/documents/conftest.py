"""One pool of render processes for all document tests: starting one costs a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.documents.render import RenderPool
from tests.documents.samples import kit


@pytest.fixture(scope="session")
def pool() -> Iterator[RenderPool]:
    with RenderPool(kit(), 1) as pool:
        yield pool
