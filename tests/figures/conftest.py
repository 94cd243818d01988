"""A connection to an empty store, on SQLite and on PostgreSQL; all is rolled back after the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from connector.store.schema import metadata
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

SERVER = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


@pytest.fixture(scope="session")
def postgres_schema() -> Iterator[str]:
    engine = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    name = f"figures_{uuid.uuid4().hex[:12]}"
    try:
        with engine.connect() as conn:
            conn.execute(text(f"CREATE SCHEMA {name}"))
    except OperationalError:
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    yield name
    with engine.connect() as conn:
        conn.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def conn(request: pytest.FixtureRequest) -> Iterator[Connection]:
    if request.param == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
    else:
        schema = request.getfixturevalue("postgres_schema")
        engine = create_engine(SERVER, connect_args={"options": f"-c search_path={schema}"})
    metadata.create_all(engine)
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()
    engine.dispose()
