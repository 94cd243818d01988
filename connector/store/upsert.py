"""One INSERT … ON CONFLICT for both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(
    conn: Connection, table: Table, values: Mapping[str, Any], *, returning: str = "id"
) -> Any | None:
    """Insert a row; the value of its column `returning`, or None when an equal key exists."""
    statement = _insert(conn, table).values(**values).on_conflict_do_nothing().returning(table.c[returning])
    return conn.execute(statement).scalar_one_or_none()


def upsert(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = ()
) -> None:
    """Insert rows, or give those whose primary key exists the new values, but for the columns in `keep`."""
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    for start in range(0, len(rows), 200):  # SQLite caps the number of bound values in one statement
        chunk = rows[start : start + 200]
        statement = _insert(conn, table).values([dict(row) for row in chunk])
        changed = {
            name: statement.excluded[name] for name in chunk[0] if name not in key and name not in keep
        }
        if changed:
            conn.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))
        else:
            conn.execute(statement.on_conflict_do_nothing())


def _insert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)
