"""A connection to an empty store, on SQLite and on PostgreSQL in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from connector.store.database import Database


@pytest.fixture
def conn(db: Database) -> Iterator[Connection]:
    with db.begin() as connection:
        yield connection
