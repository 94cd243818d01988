"""Many rows at once, past SQLAlchemy's handling of single values: whole histories in, whole tables out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, func, literal_column, text

from connector.store.schema import (
    calls,
    channels,
    cursors,
    deal_changes,
    deal_links,
    deals,
    invoices,
    loss_reasons,
    meetings,
    messages,
    metadata,
    month_plans,
    special_days,
    stage_changes,
    stages,
    tasks,
    users,
)
from connector.store.schema_types import UtcDateTime

#: All that is told of an account's past.
_PAST = (
    *(stages, users, channels, loss_reasons, deals, deal_links, stage_changes, deal_changes, calls, meetings),
    *(messages, tasks, invoices, month_plans, special_days, cursors),
)

_FETCH = 20_000


def insert(conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows; values as the columns' Python types. A row whose key exists is an IntegrityError."""
    cursor = conn.connection.cursor()
    names = ", ".join(columns)
    amounts = {
        at
        for at, name in enumerate(columns)
        if type(metadata.tables[table].c[name].type).__name__ == "Amount"
    }
    if conn.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        cursor.executemany(statement, [[_lite(value) for value in row] for row in rows])
    else:
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(
                    [_hundredths(v) if at in amounts else v for at, v in enumerate(row)] if amounts else row
                )


def plain(conn: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column as `dump` shall write it: moments lose their zone on PostgreSQL."""
    if conn.dialect.name == "postgresql" and isinstance(column.type, UtcDateTime):
        return func.timezone(literal_column("'UTC'"), column)
    return column


def dump(conn: Connection, statement: Select[Any], path: Path) -> None:
    """Write what the statement finds as CSV without a heading; its parameters must be texts or numbers.

    An empty cell is NULL, on SQLite also an empty text. Moments are UTC texts without a zone, money is whole
    hundredths, as both databases keep them.
    """
    sql = str(statement.compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True}))
    if conn.dialect.name == "postgresql":
        # Made for a driver with parameters, the text has its per cent signs doubled.
        copy_out = f"COPY ({sql.replace('%%', '%')}) TO STDOUT (FORMAT csv)"
        with path.open("wb") as out, conn.connection.cursor().copy(copy_out) as copy:
            out.writelines(copy)
        return
    driver: Any = conn.connection.driver_connection
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        cursor = driver.execute(sql)
        while rows := cursor.fetchmany(_FETCH):
            writer.writerows(rows)
        cursor.close()


def clear(conn: Connection, account: str) -> None:
    """Forget all that is known of the account's past."""
    for table in _PAST:
        conn.execute(delete(table).where(table.c.account == account))


def analyze(conn: Connection) -> None:
    """Tell the planner how the tables are now."""
    conn.execute(text("ANALYZE"))


def _hundredths(value: Decimal | None) -> int | None:
    return None if value is None else int(value * 100)


def _lite(value: Any) -> Any:
    """As SQLAlchemy's types store it in SQLite."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, Decimal):
        return int(value * 100)
    return value.isoformat() if isinstance(value, date) else value
