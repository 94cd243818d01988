"""Where long readings go on after a stop: one small JSON value a name, written with what was read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from connector.store.schema import cursors
from connector.store.upsert import upsert


def find(conn: Connection, account: str, name: str) -> dict[str, Any] | None:
    """What was kept last under that name; None before the first time."""
    statement = select(cursors.c.value).where(cursors.c.account == account, cursors.c.name == name)
    value: dict[str, Any] | None = conn.execute(statement).scalar_one_or_none()
    return value


def save(conn: Connection, account: str, name: str, value: Mapping[str, Any], now: datetime) -> None:
    upsert(conn, cursors, [{"account": account, "name": name, "value": dict(value), "updated_at": now}])


def drop(conn: Connection, account: str, name: str) -> None:
    conn.execute(delete(cursors).where(cursors.c.account == account, cursors.c.name == name))
