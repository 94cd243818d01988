"""One database, SQLite or PostgreSQL: connections, transactions and the step to the newest tables.

Knows nothing of what the tables mean. `DATABASE_URL` is the only switch between the two.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from connector.errors import ConfigError, Problem
from connector.store.turnstile import Turnstile

log = logging.getLogger(__name__)

Dialect = Literal["sqlite", "postgresql"]

BUSY_TIMEOUT_S = 30
MIGRATIONS = Path(__file__).parent / "migrations"

#: Advisory locks of this program on PostgreSQL: (class, number). The class keeps other programs apart.
LOCK_CLASS = 0x436F6E6E
LOCK_CLAIM = 1
LOCK_UPGRADE = 2

_AFTER_COMMIT = "connector_after_commit"
_WRITES = "connector_writes"


class Database:
    """The store of one installation. Threads share it; a forked process must make its own."""

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        self.dialect: Dialect = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql"
        self._mine = threading.local()
        # SQLite's busy handler sleeps up to 0.1 s between its tries and wakes nobody in turn; threads of one
        # process do better by queueing for a lock of their own before they ask for the file's.
        self._writer = Turnstile()
        self._engine = _sqlite_engine(parsed) if self.dialect == "sqlite" else _postgresql_engine(parsed)

    def __repr__(self) -> str:
        return f"Database({self._engine.url.render_as_string(hide_password=True)})"

    @contextmanager
    def begin(self, *, urgent: bool = False) -> Iterator[Connection]:
        """A connection in a write transaction: committed when the block ends, rolled back by an exception.

        `urgent`: somebody waits for the answer, so on SQLite it goes before writers that nobody waits for.

        One a thread: a second one inside the first would wait for the first for ever on SQLite, so it is
        refused on both databases. Pass the connection on instead.
        """
        if getattr(self._mine, "in_transaction", False):
            raise RuntimeError("a write transaction is open in this thread: pass its connection on")
        self._mine.in_transaction = True
        callbacks: list[Callable[[], None]] = []
        try:
            with self._turn(urgent), self._engine.connect() as conn:
                conn = conn.execution_options(**{_WRITES: True})
                conn.info[_AFTER_COMMIT] = callbacks
                try:
                    with conn.begin():
                        yield conn
                finally:
                    conn.info.pop(_AFTER_COMMIT, None)
        finally:
            self._mine.in_transaction = False
        for callback in callbacks:
            callback()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection on one consistent state of the store; the database refuses to write through it."""
        with self._engine.connect() as conn:
            if self.dialect == "postgresql":
                conn = conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with conn.begin():
                    yield conn
                return
            with conn.begin():
                conn.exec_driver_sql("PRAGMA query_only = ON")
                try:
                    yield conn
                finally:
                    conn.exec_driver_sql("PRAGMA query_only = OFF")

    def upgrade(self) -> None:
        """Bring the tables to the newest revision; safe when several processes start at once.

        Lock, check and change are one transaction on both databases: the second process waits and finds
        nothing left to do, and a failed revision leaves nothing behind.
        """
        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.begin() as conn:
            if self.dialect == "postgresql":
                lock_until_commit(conn, LOCK_UPGRADE)
            config.attributes["connection"] = conn
            command.upgrade(config, "head")

    def autocommit(self) -> Connection:
        """A connection of the caller's own, each statement its own transaction; the caller closes it."""
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Give all idle connections back."""
        self._engine.dispose()

    @contextmanager
    def _turn(self, urgent: bool) -> Iterator[None]:
        if self.dialect != "sqlite":
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(self._writer.turn(urgent=urgent, timeout_s=BUSY_TIMEOUT_S))
            except TimeoutError as reason:
                raise OperationalError("BEGIN IMMEDIATE", None, reason) from None
            yield


def after_commit(conn: Connection, callback: Callable[[], None]) -> None:
    """Have `callback` called once the transaction of `Database.begin` that `conn` is in is committed."""
    callbacks = conn.info.get(_AFTER_COMMIT)
    if callbacks is not None and callback not in callbacks:
        callbacks.append(callback)


def lock_until_commit(conn: Connection, number: int) -> None:
    """Wait for an advisory lock of PostgreSQL that ends with the transaction."""
    conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, {number})")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may carry a password and is not repeated.
        raise ConfigError([Problem("DATABASE_URL", "не адрес базы данных")]) from None
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        return parsed
    message = f"нужен адрес sqlite:///… или postgresql://…, а стоит {parsed.drivername}://…"
    raise ConfigError([Problem("DATABASE_URL", message)])


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        # Every thread would see a database of its own.
        raise ConfigError(
            [Problem("DATABASE_URL", "база SQLite должна лежать в файле: sqlite:///var/connector.db")]
        )
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=50,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, _record: Any) -> None:
        # The driver must not begin transactions by itself: it begins deferred ones, and a read that later
        # writes is refused at once, whatever the timeout (sqlite.org/isolation.html).
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        writes = conn.get_execution_options().get(_WRITES, False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=50,
        connect_args={"connect_timeout": 10, "application_name": "connector"},
    )

    @event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, _record: Any) -> None:
        autocommit = dbapi_connection.autocommit
        dbapi_connection.autocommit = True
        # A machine that vanishes inside a transaction must not keep its locks from everybody else.
        dbapi_connection.execute("SET idle_in_transaction_session_timeout = '60s'")
        dbapi_connection.execute("SET timezone = 'UTC'")
        dbapi_connection.autocommit = autocommit

    return engine
