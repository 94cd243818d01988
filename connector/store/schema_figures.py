"""What a copy of the facts is kept up to date by: which of them changed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from connector.store.schema_types import RowId, UtcDateTime, metadata, numbered

#: One row a change of a fact, written by triggers, so that no writer can forget it. `key` is the deal's id
#: for `stage_changes`, else the row's own. Everything of an account changed where `kind` is "*".
fact_log = numbered(
    "fact_log",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", String(80), nullable=False),
    # The writing transaction on PostgreSQL, where ids do not come into sight in their order; 0 on SQLite.
    Column("mark", BigInteger, nullable=False),
    Column("noted_at", UtcDateTime, nullable=False),
    Index(None, "account", "mark"),
    Index(None, "noted_at"),
)

#: One row: what tells this store from any other, so that a copy of another one is never taken for its own.
store_identity = Table("store_identity", metadata, Column("value", String(64), primary_key=True))
