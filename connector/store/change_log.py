"""Which facts changed: written by triggers of the database, read by whoever keeps a copy of the facts.

A reader keeps the mark of its last reading; what changed since is all that is listed from there on, some of
it perhaps once more. Knows nothing of what the copy is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, text

from connector.store.schema import fact_log, store_identity

#: The `kind` of a row that says: everything of the account may have changed.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that may have changed: the name of its table and its key (the deal's for stage changes)."""

    kind: str
    key: str


def mark(conn: Connection) -> int:
    """Where changes not yet seen by this connection's transaction begin."""
    if conn.dialect.name == "sqlite":
        # The counter of the table, so that pruned rows do not take it back.
        statement = text("SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'fact_log'")
    else:
        # A transaction under way may still write an older id than those that can be seen.
        statement = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return int(conn.execute(statement).scalar_one())


def identity(conn: Connection) -> str:
    """What tells this store from any other: one that was made anew under the same address is another."""
    value: str = conn.execute(select(store_identity.c.value)).scalar_one()
    if conn.dialect.name == "sqlite":
        return value
    # A database that was made from this one as its template has all its rows.
    oid = text("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    return f"{value}/{conn.execute(oid).scalar_one()}"


def since(conn: Connection, account: str, from_mark: int, limit: int) -> set[Change] | None:
    """The account's changes from the mark on; None when there are more than `limit`, or all changed."""
    position = fact_log.c.id if conn.dialect.name == "sqlite" else fact_log.c.mark
    rows = conn.execute(
        select(fact_log.c.kind, fact_log.c.key)
        .where(fact_log.c.account == account, position >= from_mark)
        .limit(limit + 1)
    ).all()
    if len(rows) > limit or any(row.kind == EVERYTHING for row in rows):
        return None
    return {Change(row.kind, row.key) for row in rows}


def note_everything(conn: Connection, account: str, now: datetime) -> None:
    """Say that everything of the account may have changed; what was listed before is no longer needed."""
    conn.execute(delete(fact_log).where(fact_log.c.account == account))
    on_sqlite = conn.dialect.name == "sqlite"
    own = 0 if on_sqlite else text("pg_current_xact_id()::text::bigint")
    row = {"account": account, "kind": EVERYTHING, "key": "", "noted_at": now}
    conn.execute(insert(fact_log).values(**row, mark=own))


@contextmanager
def silenced(conn: Connection) -> Iterator[None]:
    """No change inside the block is listed: for bulk loads, which then call `note_everything`.

    On PostgreSQL the silence lasts to the end of the transaction.
    """
    if conn.dialect.name != "sqlite":
        conn.execute(text("SET LOCAL connector.bulk = 'on'"))
        yield
        return
    triggers = conn.execute(
        text(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'note\\_%' ESCAPE '\\'"
        )
    ).all()
    for trigger in triggers:
        conn.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
    yield
    for trigger in triggers:
        conn.exec_driver_sql(trigger.sql)


def prune(conn: Connection, before: datetime) -> int:
    """Drop what was listed before that moment; the number of rows. Older copies must be made anew."""
    return conn.execute(delete(fact_log).where(fact_log.c.noted_at < before)).rowcount
