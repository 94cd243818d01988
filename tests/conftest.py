"""Shared fixtures: a clock that stands, both databases fresh for each test, and no settings from outside.

A test is skipped only when the machine lacks something: PostgreSQL, Chromium, zbar, poppler. Where
CONNECTOR_TESTS_SKIP_NOTHING is 1, as in CI, that fails the run.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from connector.clock import FixedClock
from connector.store.database import Database
from connector.store.schema import metadata, store_identity

#: A Tuesday, noon in Moscow.
NOON = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

SETTINGS = (
    "ACCOUNT",
    "ADMIN_PASSWORD",
    "APPLICATION_TOKEN",
    "BASE_URL",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CRM",
    "CRM_PLAN",
    "CRM_TOKEN",
    "CRM_URL",
    "DATABASE_URL",
    "FIGURES_DIR",
    "HOOK_SECRET",
    "LOG_LEVEL",
    "MAIL_FROM",
    "OAUTH_URL",
    "PAYMENT_LINK",
    "PAYMENT_PROVIDER",
    "PAYMENT_RETURN_URL",
    "REDIRECT_URL",
    "RENDER_WORKERS",
    "SECRET_KEY",
    "SMTP_HOST",
    "SMTP_PASSWORD",
    "SMTP_PORT",
    "SMTP_SECURITY",
    "SMTP_USER",
    "TEMPLATES_DIR",
    "WEB_HOST",
    "WEB_PORT",
    "WORKER_THREADS",
    "YOOKASSA_SECRET_KEY",
    "YOOKASSA_SHOP_ID",
    "YOOKASSA_RECEIPTS",
    "YOOKASSA_TAX_SYSTEM",
    "YOOKASSA_URL",
)


def skip_reasons(reporter: pytest.TerminalReporter) -> list[str]:
    """Why tests were skipped, each reason once, with the number of its tests."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])
    )
    return [f"{count} skipped: {reason}" for reason, count in sorted(reasons.items())]


def nothing_may_be_skipped() -> bool:
    return os.environ.get("CONNECTOR_TESTS_SKIP_NOTHING") == "1"


#: Folders whose files take long: first, so that no core waits for another at the end.
LONG = ("e2e", "oauth", "clients", "commands", "store")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(tests).parts[0] not in LONG)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a helper process of a parallel run: the one that reports decides
        return
    if nothing_may_be_skipped() and session.exitstatus == pytest.ExitCode.OK and skip_reasons(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = skip_reasons(terminalreporter)
    if not reasons:
        return
    strict = nothing_may_be_skipped()
    title = "nothing may be skipped here: the run fails" if strict else "not tested on this machine"
    terminalreporter.section(title, red=strict, yellow=not strict)
    for reason in reasons:
        terminalreporter.line(reason)


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our variables of the person's own shell must not reach a test."""
    ours = re.compile(rf"([A-Z0-9_]+__)?({'|'.join(SETTINGS)})")
    for name in list(os.environ):
        if ours.fullmatch(name):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "template.db"
    db = Database(f"sqlite:///{file}")
    db.upgrade()
    db.close()
    return file


@pytest.fixture(scope="session")
def _postgres_server() -> str:
    """The address of a server on which databases may be made; set TEST_POSTGRES_URL to use another one."""
    url = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        shown = make_url(url).render_as_string(hide_password=True)
        pytest.skip(f"no PostgreSQL server answers at {shown} (TEST_POSTGRES_URL names another)")
    return url


def _execute(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(statement)


def _fresh_postgres(server: str) -> Iterator[str]:
    name = f"connector_test_{uuid.uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE template0")
    # A commit need not reach the disk to outlive a killed program; only a power cut would lose it.
    _execute(server, f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


#: Takes every row and starts every number anew. To drop a database is a checkpoint of the whole server, which
#: on a busy disk takes longer than a hundred tests.
#: What is left is another store: no copy of the one before may be taken for its own.
WIPE = f"""DO $$ BEGIN
PERFORM set_config('connector.bulk', 'on', true);
{"".join(f"DELETE FROM {t.name}; " for t in reversed(metadata.sorted_tables) if t is not store_identity)}
UPDATE store_identity SET value = gen_random_uuid();
PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$"""


@pytest.fixture(scope="session")
def _postgres_database(_postgres_server: str) -> Iterator[str]:
    for url in _fresh_postgres(_postgres_server):
        db = Database(url)
        db.upgrade()
        db.close()
        yield url


@pytest.fixture
def empty_postgres_url(_postgres_server: str) -> Iterator[str]:
    """The address of a fresh PostgreSQL database without tables."""
    yield from _fresh_postgres(_postgres_server)


@pytest.fixture
def postgres_url(_postgres_database: str) -> str:
    """The address of a PostgreSQL database with all tables, empty; skips when no server answers.

    One a process: a test that closes the database to others takes `empty_postgres_url`.
    """
    with psycopg.connect(_postgres_database, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        conn.execute(WIPE)
    return _postgres_database


@event.listens_for(Pool, "checkout")
def _trust_the_machine(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """SQLite need not wait for the disk in this process: only a power cut would lose what it wrote.

    The programs that tests start and kill are not in this process and wait as they do at a customer's.
    """
    if isinstance(connection, sqlite3.Connection) and "trusted" not in record.info:
        connection.execute("PRAGMA synchronous = OFF")
        record.info["trusted"] = True


@pytest.fixture
def untrusted_machine() -> Iterator[None]:
    """SQLite as customers run it, in this process too."""
    event.remove(Pool, "checkout", _trust_the_machine)
    yield
    event.listen(Pool, "checkout", _trust_the_machine)


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a fresh SQLite database with all tables."""
    file = tmp_path / "connector.db"
    shutil.copyfile(_sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database with all tables, on each of the two in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A fresh database with all tables, on each of the two in turn."""
    database = Database(database_url)
    yield database
    database.close()
